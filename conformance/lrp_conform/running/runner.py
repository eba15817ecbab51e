"""Cases to a candidate, answers to the judge, results as they come: in this process or spread over an executor."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import chain
from typing import Any

import numpy as np

from lrp_conform.candidates.adapter import Candidate, Waiver
from lrp_conform.candidates.sources import CandidateSource, load
from lrp_conform.cases import golden
from lrp_conform.cases.golden import AnyCase
from lrp_conform.cases.layer import FRESH, Case
from lrp_conform.judging.judge import resolve
from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import FAILURES
from lrp_conform.running import ask
from lrp_ref.arrays import LRPError

UNJUDGED = ("unsupported", "unsupported-undeclared", "indeterminate", "not-run")  # verdicts that say nothing of the answer
REPEATED = 3  # cases a group asks twice, to see whether answers repeat


def quiet(n: int) -> None:
    """No progress."""


def groups(cases: Iterable[AnyCase]) -> list[list[AnyCase]]:
    """The cases that are judged together: of one rule, layer, bias mode and kind of stabiliser, or of one composite."""
    found: dict[tuple[str, ...], list[AnyCase]] = {}
    for case in cases:
        found.setdefault(case.together, []).append(case)
    return list(found.values())


def run(
    candidate: Candidate,
    cases: Iterable[AnyCase],
    dtypes: Iterable[str],
    device: str = "cpu",
    progress: Callable[[int], None] = quiet,
) -> Iterator[CaseResult]:
    """Judge every case at every dtype, group by group, in this process."""
    together, alive = groups(cases), False
    for dtype in dtypes:
        for members in together:
            results = judge_group(candidate, members, dtype, device, progress)
            alive = alive or any(r.output is not None for r in results)
            yield from map(its_own_fault, results) if alive else results


def judge_group(
    candidate: Candidate, members: list[AnyCase], dtype: str, device: str = "cpu", progress: Callable[[int], None] = quiet
) -> list[CaseResult]:
    """Ask every case of a group, some of them twice, and name what deviates."""
    results = [_ask(candidate, case, dtype, device, progress) for case in members]
    if any(r.output is not None for r in results):
        results = [its_own_fault(r) for r in results]
    for k in reversed(range(min(REPEATED, len(members)))):  # asked again in another order, after all the others
        results[k] = _repeated(candidate, members[k], results[k])
    return resolve(results, members, candidate.one_hot)


def its_own_fault(result: CaseResult) -> CaseResult:
    """A failed import as the candidate's error: a library that has answered is there."""
    return replace(result, judgement=result.judgement.replace(verdict="error")) if result.judgement.missing else result


def _repeated(candidate: Candidate, case: AnyCase, result: CaseResult) -> CaseResult:
    """The result after a second call, which should give the same answer."""
    if result.output is None:
        return result
    same = _same(result.output, ask.answer(candidate, case, result.dtype, result.device)[1])
    result = replace(result, deterministic=same)
    return result if same else unsteady(result)


def unsteady(result: CaseResult) -> CaseResult:
    """The result with the word that its answer does not repeat."""
    hint = "nondeterministic: a second call gave another answer"
    return replace(result, judgement=result.judgement.replace(hint=hint))


def _same(first: Mapping[str, Any], second: Mapping[str, Any] | None) -> bool:
    key = "pattern" if "pattern" in first else "relevance"
    a, b = first.get(key), (second or {}).get(key)
    arrays = (a, b) if isinstance(a, list | tuple) else ([a], [b])
    try:
        return all(np.array_equal(p, q, equal_nan=True) for p, q in zip(*arrays, strict=True))
    except (TypeError, ValueError):
        return True  # what is no array is judged as such


def _ask(candidate: Candidate, case: AnyCase, dtype: str, device: str, progress: Callable[[int], None]) -> CaseResult:
    start = time.perf_counter()
    judgement, output = ask.judged(candidate, case, dtype, device)
    progress(1)
    return CaseResult(
        case.id,
        case.uid,
        case.feature,
        candidate.name,
        candidate.version,
        dtype,
        device,
        tuple(sorted(case.features)),
        judgement,
        time.perf_counter() - start,
        waiver=_waived(candidate.waivers, case.id, dtype),
        output=output,
    )


def _waived(waivers: Iterable[Waiver], case: str, dtype: str) -> str | None:
    return next((w.reason for w in waivers if fnmatchcase(case, w.case) and fnmatchcase(dtype, w.dtype)), None)


# Spread over processes and machines -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """One group of cases for one system at one dtype on one device: what a worker is sent."""

    source: CandidateSource
    system: str
    dtype: str
    device: str
    cases: tuple[str, ...]
    golden: str  # digest of the golden set, which the worker must have too
    fresh: tuple[str, ...] = ()  # those of the cases that no golden file holds, as JSON

    @property
    def keys(self) -> list[tuple[str, str, str, str]]:
        """The keys of its results."""
        return [(self.system, self.dtype, self.device, case) for case in self.cases]


class LostWorkers(LRPError):
    """Workers died again and again."""


def tasks(
    source: CandidateSource,
    candidates: Iterable[Candidate],
    cases: Iterable[AnyCase],
    dtypes: Iterable[str],
    devices: Iterable[str],
) -> list[Task]:
    """The matrix of systems, devices, dtypes and groups of cases."""
    digest, together, chosen = golden.digest(), groups(cases), list(dtypes)
    sent = {case.id: json.dumps(case.data) for case in chain.from_iterable(together) if case.group == FRESH}
    return [
        Task(
            source,
            c.name,
            dtype,
            device,
            tuple(case.id for case in members),
            digest,
            tuple(sent[case.id] for case in members if case.id in sent),
        )
        for c in candidates
        for device in devices
        for dtype in chosen
        if dtype in c.dtypes and device in c.devices
        for members in together
    ]


def serially(
    todo: Iterable[Task], progress: Callable[[int], None] = quiet
) -> Generator[tuple[Task, list[CaseResult]], None, None]:
    """Perform tasks in this process, one after the other."""
    try:
        for task in todo:
            yield task, perform(task, progress)
    finally:
        close_all()


def spread(
    todo: Iterable[Task], executor: Callable[[], Executor], progress: Callable[[int], None] = quiet, lives: int = 3
) -> Generator[tuple[Task, list[CaseResult]], None, None]:
    """Perform tasks on an executor, results as they come.

    `executor` makes one: where a worker dies and takes its pool with it, what is left goes to another pool, `lives` times.
    """
    left = dict.fromkeys(todo)
    for life in range(lives):
        pool = executor()
        try:
            futures: dict[Future[list[CaseResult]], Task] = {pool.submit(perform, task): task for task in left}
            for future in as_completed(futures):
                results = future.result()
                task = futures[future]
                del left[task]
                progress(len(task.cases))
                yield task, results
            return
        except BrokenExecutor as broken:
            if life == lives - 1:
                raise LostWorkers(f"workers died {lives} times, last: {broken}; what was judged is kept") from None


_workers: dict[int, tuple[CandidateSource, list[Candidate]]] = {}  # per thread the source it asks, its processes kept alive
_goldens: dict[str, dict[str, AnyCase]] = {}


def perform(task: Task, progress: Callable[[int], None] = quiet) -> list[CaseResult]:
    """What a worker does."""
    candidate = next(c for c in _candidates(task.source) if c.name == task.system)
    fresh = (Case(json.loads(text), FRESH) for text in task.fresh)
    cases = {**_cases(task.golden), **{case.id: case for case in fresh}}
    return judge_group(candidate, [cases[id] for id in task.cases], task.dtype, task.device, progress)


def _candidates(source: CandidateSource) -> list[Candidate]:
    held = _workers.get(threading.get_ident())
    if held is not None and held[0] == source:
        return held[1]
    if held is not None:
        _close(held[1])
    found = load(source)
    _workers[threading.get_ident()] = (source, found)
    return found


def _cases(digest: str) -> dict[str, AnyCase]:
    if digest not in _goldens:
        if golden.digest() != digest:
            raise golden.GoldenError(f"a worker holds another golden set, {golden.edition()}: install the same version there")
        _goldens[digest] = {case.id: case for case in golden.load_all()}
    return _goldens[digest]


def close_all() -> None:
    """End the processes of every candidate that this process asks."""
    for _, candidates in list(_workers.values()):
        _close(candidates)
    _workers.clear()


def _close(candidates: Iterable[Candidate]) -> None:
    for candidate in candidates:
        candidate.close()


def check_waivers(candidate: Candidate, results: list[CaseResult], complete: bool) -> list[str]:
    """Waivers that match nothing, or only cases that pass now: errors, so that the list stays honest."""
    problems = []
    for w in candidate.waivers:
        matched = [r for r in results if fnmatchcase(r.case, w.case) and fnmatchcase(r.dtype, w.dtype)]
        if not matched and complete:
            problems.append(f"waiver {w.case!r} matches no case")
        judged = [r for r in matched if r.verdict not in UNJUDGED]
        if judged and not any(r.verdict in FAILURES for r in judged):
            problems.append(f"waiver {w.case!r} is no longer needed: every case it matches passes")
    return problems


def counts(results: Iterable[CaseResult]) -> Counter[str]:
    return Counter(r.verdict for r in results)
