"""The reading that explains the answers to the cases of one composite, where they are outside the reference."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from lrp_conform.cases.network import NetworkCase
from lrp_conform.cases.numbers import floats
from lrp_conform.judging import network
from lrp_conform.judging.layer import ratio, vacuous
from lrp_conform.judging.network_deviations import Hypothesis, hypotheses
from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import PASSES, Target
from lrp_ref import LRPError
from lrp_ref.algebra.rounding import UNIT_ROUNDOFF

SCREEN = 0.1  # of the largest relevance: a reading further off than its bound may be wide explains nothing


def resolve(results: list[CaseResult], cases: Iterable[NetworkCase], composed: bool = False) -> list[CaseResult]:
    """Name the dialect of every failure: a reading that reproduces it, and that no answer of the group speaks against."""
    by_id = {case.id: case for case in cases}
    answered = [r for r in results if r.output is not None and (r.verdict in PASSES or r.judgement.needs_explanation)]
    return [_named(r, _explained(r, answered, by_id, composed)) if r.judgement.needs_explanation else r for r in results]


def _explained(
    result: CaseResult, answered: list[CaseResult], by_id: dict[str, NetworkCase], composed: bool
) -> Hypothesis | None:
    if result.output is None:
        return None
    for found in hypotheses(by_id[result.case]):
        if _reproduces(found, by_id[result.case], result, composed) and not any(
            _contradicts(found.title, by_id[r.case], r, composed) for r in answered if r.case != result.case
        ):
            return found
    return None


def _contradicts(title: str, case: NetworkCase, result: CaseResult, composed: bool) -> bool:
    """Whether the same reading of another case says something else than what was answered there."""
    same = [found for found in hypotheses(case) if found.title == title]
    return any(not _reproduces(found, case, result, composed) for found in same)


def _reproduces(found: Hypothesis, case: NetworkCase, result: CaseResult, composed: bool) -> bool:
    """Whether a reading gives the answer, within its own bound."""
    assert result.output is not None
    got = network.relevances(result.output)
    try:
        rough = found.asked.explain("float64").at
        near = [rough[name] for name in case.answers]
        if any(np.abs(g - w).max() > SCREEN * np.abs(w).max() for g, w in zip(got, near, strict=True)):
            return False
        exact = found.asked.explain(bounds=result.dtype)
    except (LRPError, ZeroDivisionError, ValueError):
        return False
    assert exact.bounds is not None
    want = [floats(exact.at[name]) for name in case.answers]
    more = 4 * UNIT_ROUNDOFF[result.dtype] * composed
    bounds = [exact.bounds.at[name] * (1 + more) + more * np.abs(w) for name, w in zip(case.answers, want, strict=True)]
    aim = Target(tuple(want), tuple(bounds))
    return not vacuous(aim) and ratio(got, aim)[0] <= 1


def _named(result: CaseResult, found: Hypothesis | None) -> CaseResult:
    if found is None:
        return result
    node = result.judgement.detail.get("node")
    hint = found.title + (f"; first diverging node: {node}" if node else "")
    return replace(result, judgement=result.judgement.replace(verdict="dialect", dialect=found.name, hint=hint))
