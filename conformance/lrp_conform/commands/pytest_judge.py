"""What the pytest plugin judges: the cases, the candidates, and every group's results once per process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from lrp_conform.candidates.adapter import AdapterError, Candidate, Waiver
from lrp_conform.candidates.sources import chosen, load
from lrp_conform.cases import golden
from lrp_conform.cases.golden import AnyCase
from lrp_conform.judging.deviations import BY_NAME
from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import FAILURES
from lrp_conform.proof.selftest import self_check
from lrp_conform.report.terminal import line
from lrp_conform.running import runner
from lrp_conform.running.runner import UNJUDGED

DTYPES = ("float64", "float32", "float16")


@dataclass
class Judge:
    """Candidates and cases, and what was judged so far."""

    candidates: list[Candidate]
    cases: list[AnyCase]  # those that were chosen
    everything: list[AnyCase]
    dtypes: Sequence[str]
    _results: dict[tuple[bool, str, str, str], CaseResult] = field(default_factory=dict)

    def dtypes_of(self, candidate: Candidate) -> list[str]:
        """The dtypes to ask at: those given, or float64 and float32 where it has them, or what it has."""
        usual = [d for d in self.dtypes or DTYPES[:2] if d in candidate.dtypes]
        return usual or ([] if self.dtypes else list(candidate.dtypes))

    def groups(self) -> dict[str, int]:
        """Per case id the number of its group, whose cases are judged together."""
        return {case.id: k for k, members in enumerate(runner.groups(self.cases)) for case in members}

    def result(self, candidate: Candidate, dtype: str, case: AnyCase) -> CaseResult:
        """The result of one case; its whole group is judged with it, so that a dialect can be named."""
        return self._judged(candidate, dtype, case, False)

    def _judged(self, candidate: Candidate, dtype: str, case: AnyCase, among_all: bool) -> CaseResult:
        among_all = among_all or self.cases is self.everything
        key = (among_all, candidate.name, dtype, case.id)
        if key not in self._results:
            among = self.everything if among_all else self.cases
            members = next(group for group in runner.groups(among) if any(case is c for c in group))
            device = "cpu" if "cpu" in candidate.devices else candidate.devices[0]
            for result in runner.judge_group(candidate, members, dtype, device):
                self._results[among_all, candidate.name, dtype, result.case] = result
        return self._results[key]

    def problem(self, candidate: Candidate, result: CaseResult) -> str | None:
        """Why the waiver of a case that passes is no longer needed; None if another case needs it."""
        (waiver,) = [w for w in candidate.waivers if _matches(w, result.case, result.dtype)][:1]
        matched = (
            self._judged(candidate, dtype, case, True)
            for dtype in candidate.dtypes
            for case in self.everything
            if _matches(waiver, case.id, dtype)
        )
        needed = any(r.verdict in FAILURES for r in matched)
        return None if needed else f"waiver {waiver.case!r} is no longer needed: every case it matches passes"

    def close(self) -> None:
        """End the candidates' processes."""
        for candidate in self.candidates:
            candidate.close()


def _matches(waiver: Waiver, case: str, dtype: str) -> bool:
    return fnmatchcase(case, waiver.case) and fnmatchcase(dtype, waiver.dtype)


def judge(
    names: Sequence[str], command: str | None, python: str | None, dtypes: Sequence[str], globs: Sequence[str], check: bool
) -> Judge:
    """The judge for what was asked; AdapterError or GoldenError, of one line, if it cannot be."""
    everything = golden.load_all()
    cases = golden.select(everything, globs) if globs else everything
    if not cases:
        raise AdapterError(f"no case matches {' '.join(globs)}; see lrp-conform list")
    misjudged = self_check(golden.load()) if check else None
    if misjudged:
        raise AdapterError(f"the suite misjudges its own built-in candidates, so nothing was run: {misjudged}")
    judge = Judge([c for source in chosen(names, command, python) for c in load(source)], cases, everything, dtypes)
    for candidate in judge.candidates:
        problems = [
            *([] if judge.dtypes_of(candidate) else [f"declares {', '.join(candidate.dtypes)}, not {', '.join(dtypes)}"]),
            *(
                f"waiver {w.case!r} matches no case"
                for w in candidate.waivers
                if not any(_matches(w, case.id, dtype) for case in everything for dtype in candidate.dtypes)
            ),
        ]
        if problems:
            judge.close()
            raise AdapterError(f"{candidate.name}: {problems[0]}")
    return judge


def evidence(result: CaseResult) -> str:
    """What a failing test shows: verdict and evidence, and what the answer looks like."""
    hint = f"\nnearest: {result.judgement.hint}" if result.judgement.hint else ""
    return f"{verdict(result)}: {line(result)}{hint}"


def verdict(result: CaseResult) -> str:
    """The verdict, a dialect by its name."""
    return f"dialect {result.judgement.dialect}" if result.verdict == "dialect" else result.verdict


def wrong(result: CaseResult, strict: bool) -> bool:
    """Whether a test fails, unless it is waived. A candidate whose library is missing was not judged."""
    return result.verdict in FAILURES or result.judgement.missing or (strict and result.verdict == "dialect")


def skipped(result: CaseResult) -> str | None:
    """Why nothing can be said of the answer."""
    if result.verdict not in UNJUDGED:
        return None
    return f"{result.verdict}: {result.judgement.detail.get('why', 'the bound at this dtype proves nothing')}"


def titles(dialect: str) -> str:
    """What a dialect is, in words; of a network's, which is the name of a library or a composite, the name."""
    return "; ".join(BY_NAME[name].title if name in BY_NAME else name for name in dialect.split(" + "))


def described(result: CaseResult) -> Iterator[tuple[str, str]]:
    """What a report holds about a result, as properties."""
    yield "lrp-verdict", verdict(result)
    if result.verdict == "dialect":
        yield "lrp-dialect", result.judgement.dialect or ""
