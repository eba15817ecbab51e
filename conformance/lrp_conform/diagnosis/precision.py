"""Hidden precision: a candidate whose answers have one format and whose arithmetic has another.

Rounding an operand to p bits is invisible where every number needs fewer, and costs about 2^-p of the work elsewhere. So a
feature *behaves like p bits* at a dtype if

- where every intermediate is exact in p bits, the answer equals the expected one bit for bit: on all such cases whose
  denominators are powers of two, where every plan is exact, or on half of all such cases;
- elsewhere the largest error relative to its work, max |R_i - reference_i| / (G_i + H_i), is about 2^-p;
- no answer exceeds the bound that p bits have, and at least two cases exceed the bound of the dtype, upwards and downwards,
  by what no known deviation explains.

A wrong formula fails the first or the last, a correct candidate the last.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lrp_conform.cases.layer import Case
from lrp_conform.cases.numbers import exact_array, rational
from lrp_conform.cases.question import pose
from lrp_conform.diagnosis.denominators import relevances
from lrp_conform.judging import layer
from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import PASSES
from lrp_ref.algebra.rounding import UNIT_ROUNDOFF
from lrp_ref.propagation.shares import normalized


@dataclass(frozen=True)
class Format:
    """A format that arithmetic may be done in: its bits, and the format of the golden files in whose terms it is exact."""

    name: str
    bits: int
    exact: str  # of `exact_in`
    window: tuple[float, float]  # of the bits that its errors look like


LEAST, LOOKED_AT = 2, 3
FORMATS = (
    Format("bfloat16", 8, "bfloat16", (6.0, 10.8)),
    Format("TF32 or float16", 11, "float16", (10.8, 15.5)),
    Format("float32", 24, "float32", (22.0, 29.0)),
)


@dataclass(frozen=True)
class Precision:
    """A feature whose answers have fewer bits than their dtype: the format inside, and the cases that show it."""

    feature: str
    dtype: str
    format: Format
    bits: float
    evidence: tuple[str, ...]
    agreeing: int

    @property
    def text(self) -> str:
        own = round(-math.log2(UNIT_ROUNDOFF[self.dtype]))
        size = f"errors of 2^-{self.bits:.1f} of the work"
        return f"behaves like {self.format.bits} of {own} bits: {self.format.name} inside ({size})"


def precision(results: Iterable[CaseResult], cases: dict[str, Case]) -> list[Precision]:
    """Every feature and dtype of one candidate that computes with fewer bits than it answers with."""
    groups: dict[tuple[str, str], list[CaseResult]] = {}
    for r in results:
        case = cases.get(r.case)
        if case is not None and not case.is_pattern and case.radius == 0 and r.output is not None:
            groups.setdefault((r.feature, r.dtype), []).append(r)
    found = (_inside(feature, dtype, members, cases) for (feature, dtype), members in groups.items())
    return [each for each in found if each is not None]


def _inside(feature: str, dtype: str, members: list[CaseResult], cases: dict[str, Case]) -> Precision | None:
    coarse = [r for r in members if r.verdict in ("nonconformant", "forward-mismatch") and _finite(r, cases[r.case])]
    judged = coarse + [r for r in members if r.verdict in PASSES]
    if len(coarse) < LEAST or len(judged) < len([r for r in members if r.verdict != "indeterminate"]):
        return None
    bits = min(_bits(r, cases[r.case]) for r in coarse)
    for form in FORMATS:
        fits = form.bits < -math.log2(UNIT_ROUNDOFF[dtype]) - 2 and form.window[0] <= bits <= form.window[1]
        if fits and all(_within(r, cases[r.case], form) for r in coarse):
            exact = [r for r in judged if form.exact in cases[r.case].data["exact_in"]]
            equal = [r for r in exact if _equal(r, cases[r.case])]
            dyadic = [r for r in exact if _dyadic(cases[r.case])]
            unseen = len(equal) > len(exact) / 2 or (dyadic and all(r in equal for r in dyadic))
            if unseen and _both_ways(coarse, cases) and not any(_explained(r, cases[r.case]) for r in coarse[:LOOKED_AT]):
                return Precision(feature, dtype, form, bits, tuple(r.case for r in coarse), len(judged))
    return None


def _both_ways(coarse: list[CaseResult], cases: dict[str, Case]) -> bool:
    """Whether answers are off towards 0 and away from it."""
    ways: set[float] = set()
    for r in coarse:
        case = cases[r.case]
        for got, want in zip(layer.relevances(case, dict(r.output or {})), layer.expected(case, r.dtype).expected, strict=True):
            ways |= set(np.sign((got - want) * want).reshape(-1).tolist())
    return ways >= {1.0, -1.0}


def _explained(r: CaseResult, case: Case) -> bool:
    """Whether a known deviation reproduces an answer whose model is right."""
    found = layer.relevances(case, dict(r.output or {}))
    return r.verdict == "nonconformant" and bool(layer.explanations(case, found, r.dtype))


def _finite(r: CaseResult, case: Case) -> bool:
    found = relevances(case, r.output or {})
    return found is not None and all(np.isfinite(a).all() for a in found)


def _errors(r: CaseResult, case: Case) -> Iterable[tuple[np.ndarray, str]]:
    assert r.output is not None
    for name, got in zip(case.answers, layer.relevances(case, dict(r.output)), strict=True):
        yield np.abs(got.astype(np.float64) - case.expected_floats[name]), name


def _bits(r: CaseResult, case: Case) -> float:
    """-log2 max |error| / (G + H)."""
    worst = 0.0
    for error, name in _errors(r, case):
        work = case.gauge["G"][name] + case.gauge["H"][name]
        with np.errstate(over="ignore"):
            each = np.where(work > 0, error / np.where(work > 0, work, 1), np.where(error > 0, np.inf, 0))
        worst = max(worst, float(each.max(initial=0)))
    return math.inf if worst == 0 else -math.log2(worst)


def _within(r: CaseResult, case: Case, form: Format) -> bool:
    """Whether the answer is within the first-order bound of that many bits, u [(n + 7) G + (m + 3) H]."""
    g, u = case.gauge, 2.0**-form.bits
    m, n = g["fan_in"], g["fan_out"]
    return all(
        bool((error <= 2 * u * ((n + 7) * g["G"][name] + (m + 3) * g["H"][name])).all()) for error, name in _errors(r, case)
    )


def _equal(r: CaseResult, case: Case) -> bool:
    return all(not error.any() for error, _ in _errors(r, case))


def _dyadic(case: Case) -> bool:
    """Whether every denominator that relevance meets is a power of two: then (n / D) R is as exact as n (R / D)."""
    problem = pose(case.question, exact_array)
    for share in normalized(problem):
        D = share.stabilized.reshape(-1)[(share.active * problem.arrived != 0).reshape(-1)]
        for value in map(rational, D):
            if any(v & (v - 1) for v in (abs(value.numerator), value.denominator)):
                return False
    return True
