"""Verdicts without the candidate: runs judged again from their raw outputs, and shards put together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from typing import Any

from lrp_conform.cases import golden
from lrp_conform.cases.golden import AnyCase
from lrp_conform.judging import judge
from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import Judgement
from lrp_conform.running import runner
from lrp_conform.running.folder import IDENTITY, ReportError, Run


def rejudge(run: Run, cases: Iterable[AnyCase]) -> Run:
    """Every verdict of a run from its raw outputs, by this suite and these goldens.

    What has no output (a crash, a case that was not asked) keeps its verdict. A case that has changed since is `not-run`,
    and so is told: the answer was to another question.
    """
    known = {case.id: case for case in cases}
    one_hot = {c["name"] for c in run.about["candidates"] if c["relevance_init"] == "one-hot"}
    found: list[CaseResult] = []
    for (system, _, _), members in groupby(run.results, key=lambda r: (r.candidate, r.device, r.dtype)):
        found += _again(list(members), known, system in one_hot)
    about = {**run.about, "edition": golden.edition(), "golden": golden.digest()}
    return Run(about, found, run.fresh)


def _again(results: list[CaseResult], known: dict[str, AnyCase], composed: bool) -> list[CaseResult]:
    """The results of one system, dtype and device, in their order."""
    judged = {r.case: _judged(r, known.get(r.case), composed) for r in results}
    for together in runner.groups(known[id] for id in judged if id in known):
        judged |= {r.case: r for r in judge.resolve([judged[case.id] for case in together], together, composed)}
    return [_steady(judged[r.case]) for r in results]


def _judged(result: CaseResult, case: AnyCase | None, composed: bool) -> CaseResult:
    if case is None or case.uid != result.uid:
        why = f"the case has changed since: edition {golden.edition()} holds another of this name, or none"
        return replace(result, judgement=Judgement("not-run", detail={"why": why}), output=None)
    if result.output is None:
        return result
    return replace(result, judgement=judge.judge(case, dict(result.output), result.dtype, composed=composed))


def _steady(result: CaseResult) -> CaseResult:
    return result if result.deterministic is not False else runner.unsteady(result)


def merge(runs: list[Run]) -> Run:
    """The shards of one run as the whole run; ReportError if one is missing, unfinished, or of another run.

    Dialects are named again: a shard saw a part of each group only.
    """
    whole = runs[0].about
    for run in runs:
        for name in IDENTITY:
            if name not in ("cases", "shard") and run.about[name] != whole[name]:
                raise ReportError(f"the shards are not of one run: their {name} differ")
    _check_parts([str(run.about["shard"]) for run in runs])
    for run in runs:
        missing = _missing(run)
        if missing:
            example = ", ".join(map(str, missing[0]))
            raise ReportError(
                f"shard {run.about['shard']} is incomplete: {len(missing)} results are missing, such as {example}"
            )
    about = {
        **whole,
        "shard": None,
        "cases": sorted(id for run in runs for id in run.about["cases"]),
        "started": min(run.about["started"] for run in runs),
        "finished": max(run.about["finished"] or "" for run in runs),
    }
    fresh = {case.id: case for run in runs for case in run.fresh}
    cases = [*golden.load_all(), *fresh.values()]
    place = {case.id: k for k, case in enumerate(c for group in runner.groups(cases) for c in group)}
    systems = {c["name"]: k for k, c in enumerate(whole["candidates"])}

    def order(r: CaseResult) -> tuple[int, int, int, int]:
        return systems[r.candidate], whole["devices"].index(r.device), whole["dtypes"].index(r.dtype), place.get(r.case, -1)

    results = sorted((r for run in runs for r in run.results), key=order)
    return rejudge(Run(about, results, list(fresh.values())), cases)


def _check_parts(parts: list[str]) -> None:
    totals = {part.partition("/")[2] for part in parts}
    if len(totals) != 1 or not totals <= {str(n) for n in range(1, 10**6)}:
        raise ReportError(f"expected shards of one run, got {', '.join(parts)}")
    (n,) = totals
    absent = [k for k in range(1, int(n) + 1) if f"{k}/{n}" not in parts]
    if absent or len(parts) != int(n):
        raise ReportError(
            f"expected each of {n} shards once, got {', '.join(parts)}" + (f"; {absent[0]}/{n} is missing" if absent else "")
        )


def _missing(run: Run) -> list[tuple[str, str, str, str]]:
    """The results that a run should hold and does not."""
    found = {r.key for r in run.results}
    wanted = [
        (c["name"], dtype, device, case)
        for c in run.about["candidates"]
        for device in run.about["devices"]
        for dtype in run.about["dtypes"]
        if dtype in c["dtypes"] and device in c["devices"]
        for case in run.about["cases"]
    ]
    return [key for key in wanted if key not in found]


def changed_results(before: Iterable[CaseResult], after: Iterable[CaseResult]) -> list[tuple[CaseResult, CaseResult]]:
    """Pairs of results whose verdict or dialect differ."""

    def said(r: CaseResult) -> tuple[Any, ...]:
        return r.verdict, r.judgement.dialect

    new = {r.key: r for r in after}
    return [(r, new[r.key]) for r in before if said(r) != said(new[r.key])]
