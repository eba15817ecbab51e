"""One run from its tasks to its last line: results kept as they come, a summary per candidate, what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

from lrp_conform.candidates.adapter import AdapterError, Candidate
from lrp_conform.judging.result import CaseResult
from lrp_conform.report.terminal import summary
from lrp_conform.running import runner
from lrp_conform.running.folder import Writer
from lrp_conform.running.runner import Task

Finished = Generator[tuple[Task, list[CaseResult]], None, None]


@dataclass
class Session:
    """What is asked, what came so far, and where it goes."""

    candidates: list[Candidate]
    todo: list[Task]
    writer: Writer | None
    out: Console
    complete: bool = True  # every case is asked, so that a waiver can be told to be needless
    strict: bool = False
    found: dict[tuple[str, str, str, str], CaseResult] = field(default_factory=dict)
    _printed: set[str] = field(default_factory=set)
    _left: Counter[str] = field(default_factory=Counter)  # tasks, by system

    def begin(self) -> list[Task]:
        """Start the report folder; the tasks that an earlier run has left."""
        earlier = {} if self.writer is None else {r.key: r for r in self.writer.earlier}
        done = {task for task in self.todo if earlier and all(key in earlier for key in task.keys)}
        self.found = {key: earlier[key] for task in self.todo if task in done for key in task.keys}
        if self.writer is not None:
            self.writer.begin(self.found.values())
        left = [task for task in self.todo if task not in done]
        self._left.update(task.system for task in left)
        return left

    def collect(self, finished: Finished) -> bool:
        """Take results as they come; True if something is wrong outside the waivers.

        However it ends, the summaries of what was judged are printed.
        """
        try:
            for task, results in finished:
                self._take(task, results)
        finally:
            for candidate in self.candidates:
                self._print(candidate)
        if self.writer is not None:
            self.writer.finish(self._ordered())
        verdicts = [self._wrong(candidate) for candidate in self.candidates]  # each says what is wrong with it
        return any(verdicts)

    def _take(self, task: Task, results: list[CaseResult]) -> None:
        missing = next((r for r in results if r.judgement.missing), None)
        if missing is not None and not any(r.output is not None for r in [*results, *self.of(task.system)]):
            raise AdapterError(f"{task.system} was not run: {missing.judgement.detail['why']}")
        results = [runner.its_own_fault(r) for r in results]
        if self.writer is not None:
            self.writer.add(results)
        self.found |= {r.key: r for r in results}
        self._left[task.system] -= 1
        if not self._left[task.system]:
            self._print(next(c for c in self.candidates if c.name == task.system))

    def of(self, system: str) -> list[CaseResult]:
        """The results of one system so far, in the order of the tasks."""
        return [self.found[key] for task in self.todo if task.system == system for key in task.keys if key in self.found]

    def _ordered(self) -> list[CaseResult]:
        return [self.found[key] for task in self.todo for key in task.keys]

    def _print(self, candidate: Candidate) -> None:
        results = self.of(candidate.name)
        if results and candidate.name not in self._printed:
            self._printed.add(candidate.name)
            summary(results, self.out)

    def _wrong(self, candidate: Candidate) -> bool:
        results = self.of(candidate.name)
        problems = runner.check_waivers(candidate, results, self.complete)
        for problem in problems:
            self.out.print(Text(f"  {candidate.name}: {problem}", style="red"))
        if self.complete and all(r.verdict == "unsupported" for r in results):
            features = ", ".join(sorted(candidate.features))
            raise AdapterError(f"{candidate.name} was asked nothing: no case needs only {features}"[:300])
        stale = self.complete and bool(problems)  # a few chosen cases cannot prove a waiver needless
        return stale or any(r.fails or (self.strict and r.verdict == "dialect" and not r.waiver) for r in results)
