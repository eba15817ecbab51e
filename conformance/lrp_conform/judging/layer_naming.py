"""Names for what deviates: the one dialect that explains a group of cases, or what is nearest."""

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

from lrp_conform.cases.layer import Case
from lrp_conform.judging import layer
from lrp_conform.judging.deviations import applied
from lrp_conform.judging.layer import Reproduction
from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import PASSES
from lrp_ref.algebra.rounding import UNIT_ROUNDOFF

FOR, AGAINST, OPEN, SILENT = "for", "against", "open", "silent"


def resolve(results: list[CaseResult], cases: list[Case], composed: bool = False) -> list[CaseResult]:
    """Name the dialect of one feature: the deviation that reproduces every answer outside the reference, or say what is near.

    A dialect must explain all of the feature's failures and contradict none of its passes.
    """
    by_id = {case.id: case for case in cases}
    failing = [r for r in results if r.judgement.needs_explanation and r.output is not None]
    own: dict[str, list[Reproduction]] = {}
    hypotheses: dict[tuple[str, ...], Reproduction] = {}
    for r in failing:
        known = _explain(by_id[r.case], r, composed, list(hypotheses)) if hypotheses else []
        own[r.case] = known or _explain(by_id[r.case], r, composed)
        hypotheses |= {e.names: e for e in own[r.case]}
    passing = [r for r in results if r.verdict in PASSES]

    def supporting(e: Reproduction) -> int | None:
        """How many failures the deviation reproduces; None if a failure or a pass speaks against it."""
        if any(_speaks(by_id[r.case], r, e, composed) == AGAINST for r in passing):
            return None
        said = [_speaks(by_id[r.case], r, e, composed) for r in failing]
        return said.count(FOR) if not {AGAINST, SILENT} & set(said) else None

    def fitting(tried: Iterable[Reproduction]) -> list[tuple[Reproduction, int]]:
        counted = ((e, supporting(e)) for e in tried)
        return [(e, n) for e, n in counted if n is not None]

    found = fitting(hypotheses.values())
    if not found:  # one case may show one half of a dialect, another case the other
        unions = (layer.union(a, b) for a, b in combinations(hypotheses.values(), 2))
        found = fitting({e.names: e for e in unions}.values())
    most = max((n for _, n in found), default=0)  # where a bound is hopeless a case neither supports nor refutes
    common = _first([e for e, n in found if n == most])
    return [_named(r, common, own.get(r.case)) for r in results]


def _explain(case: Case, result: CaseResult, composed: bool, only: list[tuple[str, ...]] | None = None) -> list[Reproduction]:
    """The deviations that reproduce the result's raw output; `only` these, or all of them."""
    assert result.output is not None
    found = layer.relevances(case, dict(result.output))
    return layer.explanations(case, found, result.dtype, composed, only)


def _speaks(case: Case, result: CaseResult, explanation: Reproduction, composed: bool) -> str:
    """Whether a result speaks for a deviation or against it, cannot tell, or the deviation is silent on the case."""
    question = None if case.is_pattern else applied(explanation.names, case.question)
    if question is None or result.output is None:
        return SILENT
    found = layer.relevances(case, dict(result.output))
    tau = layer.reproduces(case, found, result.dtype, question, composed)
    return OPEN if math.isnan(tau) else AGAINST if tau > 1 else FOR


def _first(found: list[Reproduction]) -> Reproduction | None:
    """Conventions before mistakes, single before paired, in the order of the table."""
    return min(found, key=lambda e: (e.mistake, len(e.names)), default=None)


def _named(r: CaseResult, common: Reproduction | None, own: list[Reproduction] | None) -> CaseResult:
    if own is None:
        return r
    if common is not None and not common.mistake:
        here = _first([e for e in own if set(e.names) <= set(common.names)]) or common
        return replace(r, judgement=r.judgement.replace(verdict="dialect", dialect=here.name, hint=here.title))
    nearest = common or _first(own)
    if nearest is None and (r.judgement.tau_normwise or 2.0) <= 1:
        return replace(
            r,
            judgement=r.judgement.replace(
                verdict="normwise", hint="within the bound of its norm only, as fast convolutions are"
            ),
        )
    hint = f"{nearest.title} ({nearest.name})" if nearest else _unexplained(r)
    return replace(r, judgement=r.judgement.replace(hint=hint))


def _unexplained(r: CaseResult) -> str:
    """What can be said of an answer that no deviation reproduces: how many bits it has."""
    bits, own = r.judgement.effective_bits or 0.0, -math.log2(UNIT_ROUNDOFF[r.dtype])
    few = f"; behaves like {bits:.0f} bits, lower precision inside?" if 7 <= bits < own - 6 else ""
    return "no known deviation reproduces it" + few
