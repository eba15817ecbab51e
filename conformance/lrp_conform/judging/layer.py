"""Verdicts: one answer of a candidate against one case at one dtype, by the theorem of `lrp_ref.propagation.gauges`."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from lrp_conform.cases.layer import Case
from lrp_conform.cases.numbers import float_array, floats, nearest, parse, rational
from lrp_conform.cases.question import Answer, Question, answer, evaluate
from lrp_conform.judging.deviations import BY_NAME, Deviation, applicable, apply, libraries, padded, pairs
from lrp_conform.judging.verdict import Judgement, Target
from lrp_ref.algebra.rounding import UNIT_ROUNDOFF, allowed_forward
from lrp_ref.arrays import LRPError
from lrp_ref.propagation.gauges import allowed

Array = Any

VACUOUS = 0.1  # a bound above this part of the largest relevance proves nothing


def judge(case: Case, output: dict[str, Any], dtype: str, composed: bool = False) -> Judgement:
    """The verdict on `output`, {"y", "relevance"} (a list of relevances for several inputs), before dialects are searched.

    `composed`: the relevance was composed from one-hot answers, which costs three more roundings (a quotient, a product,
    and the last one).
    """
    found = relevances(case, output)
    invalid = _invalid(case, found, dtype)
    if invalid:
        return Judgement("invalid-output", detail=invalid)
    mismatch = _forward(case, output.get("y"), dtype)
    if mismatch:
        return Judgement("forward-mismatch", detail=mismatch)
    target = expected(case, dtype, composed)
    tau, worst = ratio(found, target)
    bits = _effective_bits(found, target.expected, [case.gauge["G"][n] for n in case.answers], dtype)
    detail = _worst(case, found, target, worst)
    if _bit_equal(case, found) and dtype in case.data["exact_in"]:
        return Judgement("exact", tau=tau, tau_total=0.0, effective_bits=bits)
    tau_total, sample = _conservation(case, found, dtype, composed)
    if tau > 1:
        return Judgement("nonconformant", tau, tau_total, _normwise(found, target), bits, detail=detail)
    if vacuous(target):
        why = "the bound exceeds a tenth of the relevance at this dtype"
        return Judgement("indeterminate", tau, tau_total, effective_bits=bits, detail={"why": why})
    if tau_total is not None and tau_total > 1:
        return Judgement("nonconformant", tau, tau_total, effective_bits=bits, detail={**detail, "conservation": sample})
    return Judgement("conformant", tau, tau_total, effective_bits=bits)


def relevances(case: Case, output: dict[str, Any]) -> list[Any]:
    """The relevances of an answer in the order of the node's inputs (or the pattern)."""
    given = output.get("pattern") if case.is_pattern else output.get("relevance")
    return list(given) if isinstance(given, list | tuple) else [given]


def expected(case: Case, dtype: str, composed: bool = False) -> Target:
    """The golden values and their bounds at `dtype`."""
    g = case.gauge
    more = 3 if composed else 0
    bounds = tuple(
        allowed(g["G"][n], g["H"][n], g["S"][n], g["fan_in"], g["fan_out"] + more, g["kappa"], dtype) + case.radius
        for n in case.answers
    )
    return Target(tuple(case.expected_floats[n] for n in case.answers), bounds)


def target_of(found: Answer, dtype: str, exact_data: bool, composed: bool = False) -> Target:
    """The values and bounds of what a deviation answers. On exact data its denominators carry no rounding."""
    g, more = found.gauges, (3 if composed else 0) + 2
    kappa = 0.0 if exact_data else nearest(g.kappa)
    bounds = tuple(
        allowed(floats(G), 0 * floats(H) if exact_data else floats(H), floats(S), g.fan_in, g.fan_out + more, kappa, dtype)
        for G, H, S in zip(g.G, g.H, g.S, strict=True)
    )
    return Target(tuple(floats(r) for r in found.relevance), bounds)


def ratio(found: list[Any], target: Target) -> tuple[float, tuple[int, tuple[int, ...]]]:
    """tau, the largest error in units of its bound, and the evidence's place: the first element outside its bound.

    The place is (input, index); where every element is within its bound, it is the worst element's.
    """
    tau, where = 0.0, (0, (0,) * target.expected[0].ndim)
    for k, (got, want, bound) in enumerate(zip(found, target.expected, target.bound, strict=True)):
        error = np.abs(got.astype(np.float64) - want)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            each = np.where(error == 0, 0.0, np.where(np.isinf(bound), 0.0, error / bound))
        if each.size and each.max() > tau:
            if tau <= 1:
                first = int(np.argmax(each.reshape(-1) > 1)) if each.max() > 1 else int(np.argmax(each))
                where = (k, tuple(int(i) for i in np.unravel_index(first, each.shape)))
            tau = float(each.max())
    return tau, where


def _invalid(case: Case, found: list[Any], dtype: str) -> dict[str, Any]:
    wrong = invalid({name: case.expected[name] for name in case.answers}, found, dtype)
    if "index" in wrong and not case.is_pattern and case.rule["stabilizer"]["kind"] == "none":
        wrong["why"] += "; a division by 0, asked without a stabilizer"
    return wrong


def invalid(wanted: Mapping[str, Array], found: list[Any], dtype: str) -> dict[str, Any]:
    """What is wrong with the form of an answer: count, kind, shape, dtype, or an element that is not finite."""
    if len(found) != len(wanted):
        return {"why": f"expected {len(wanted)} relevances, got {len(found)}"}
    for (name, want), got in zip(wanted.items(), found, strict=True):
        if not isinstance(got, np.ndarray):
            return {"why": f"relevance of {name}: expected an ndarray, got {type(got).__name__}"}
        if got.shape != want.shape:
            return {"why": f"relevance of {name}: expected shape {want.shape}, got {got.shape}"}
        if str(got.dtype) != dtype:
            return {"why": f"relevance of {name}: expected dtype {dtype}, got {got.dtype}"}
        if not np.isfinite(got).all():
            at = tuple(int(i) for i in np.argwhere(~np.isfinite(got))[0])
            return {"why": f"relevance of {name}{list(at)} is {got[at]}, expected {want[at]}", "index": list(at)}
    return {}


def _forward(case: Case, y: Any, dtype: str) -> dict[str, Any]:
    return forward_mismatch(case.expected_y, y, _forward_bound(case, dtype), dtype)


def _forward_bound(case: Case, dtype: str) -> Array:
    return allowed_forward(case.gauge["Y"], case.gauge["fan_in"], dtype) + case.radius


def forward_mismatch(want: Array, y: Any, bound: Array, dtype: str) -> dict[str, Any]:
    """Where an output is no array like the expected one, or outside its bound: then relevance says nothing."""
    if not isinstance(y, np.ndarray) or y.shape != want.shape:
        return {"why": f"y: expected an array of shape {want.shape}, got {getattr(y, 'shape', type(y).__name__)}"}
    if str(y.dtype) != dtype:
        return {"why": f"y: expected dtype {dtype}, got {y.dtype}"}
    if not np.isfinite(y).all():
        return {"why": "y is not finite"}
    wrong = np.argwhere(np.abs(y.astype(np.float64) - floats(want)) > bound)
    if not len(wrong):
        return {}
    at = tuple(int(i) for i in wrong[0])
    return {
        "why": f"y{list(at)} = {float(y[at])!r}, expected {want[at]}: the model differs, relevance is not judged",
        "index": list(at),
    }


def zero_is_expected(case: Case, dtype: str) -> bool:
    """Whether an output that relevance arrives at may honestly be 0 at `dtype`."""
    bound = _forward_bound(case, dtype)
    arrives = float_array(case.data["inputs"]["relevance"], dtype) != 0
    return bool((np.abs(floats(case.expected_y)) <= bound)[arrives].any())


def _bit_equal(case: Case, found: list[Any]) -> bool:
    return case.radius == 0 and all(bit_equal(g, case.expected[n]) for n, g in zip(case.answers, found, strict=True))


def bit_equal(got: Array, want: Array) -> bool:
    """Every element is the expected rational itself (the sign of a zero is free)."""
    return all(Fraction(float(g)) == rational(w) for g, w in zip(got.reshape(-1), want.reshape(-1), strict=True))


def _conservation(case: Case, found: list[Any], dtype: str, composed: bool) -> tuple[float | None, dict[str, Any]]:
    """Per sample, the candidate's total against what bias, stabiliser and dropped parts leave."""
    stored = case.data.get("conservation")
    if not stored:
        return None, {}
    g, more = case.gauge, 3 if composed else 0
    tau, worst = 0.0, {}
    for sample, (total, G, H) in enumerate(zip(*(stored[k]["data"] for k in ("total", "G", "H")), strict=True)):
        want = parse(total)
        got = sum((Fraction(float(v)) for a in found for v in a[sample].reshape(-1)), Fraction(0))
        size = sum(float(g["S"][n][sample].sum()) for n in case.answers)
        bound = allowed(float(parse(G)), float(parse(H)), size, g["fan_in"], g["fan_out"] + more, g["kappa"], dtype)
        bound = float(bound) + case.radius * sum(a[sample].size for a in found)
        off = abs(float(got - want))
        each = 0.0 if off == 0 or math.isinf(bound) else off / bound
        if each > tau:
            tau = each
            worst = {"sample": sample, "total": float(got), "expected": total, "off": off, "allowed": bound}
    return tau, worst


def _normwise(found: list[Any], target: Target) -> float:
    """The largest error of a sample in units of that sample's largest bound.

    Fast convolutions (Winograd, FFT) are stable in norm only: they lose the small elements beside large ones.
    """
    worst = 0.0
    for got, want, bound in zip(found, target.expected, target.bound, strict=True):
        for error, allowed_here in zip(np.abs(got.astype(np.float64) - want), bound, strict=True):
            largest = float(allowed_here.max()) if allowed_here.size else 0.0
            if error.size and error.max() > 0:
                worst = max(worst, float(error.max()) / largest if largest > 0 else math.inf)
    return worst


def _effective_bits(found: list[Any], want: tuple[Array, ...], gauges: list[Array], dtype: str) -> float:
    """-log2 of the largest error relative to its gauge: "behaves like k bits"; the format's own bits when nothing is off."""
    own = -math.log2(UNIT_ROUNDOFF[dtype])
    worst = 0.0
    for got, expect, G in zip(found, want, gauges, strict=True):
        error = np.abs(got.astype(np.float64) - expect)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            each = np.where(G > 0, error / G, 0.0)
        worst = max(worst, float(each.max()) if each.size else 0.0)
    return own if worst == 0 else round(min(own, -math.log2(worst)), 1)


def _worst(case: Case, found: list[Any], target: Target, where: tuple[int, tuple[int, ...]]) -> dict[str, Any]:
    k, at = where
    return element(case.answers[k], at, found[k], case.expected[case.answers[k]], target.bound[k])


def element(name: str, at: tuple[int, ...], found: Array, wanted: Array, bound: Array) -> dict[str, Any]:
    """One element as evidence: where, what came, what was expected, how far off, how far it may be off."""
    got, want = float(found[at]), rational(wanted[at])
    return {
        "input": name,
        "index": list(at),
        "got": got,
        "expected": str(want) if len(str(want)) < 60 else None,
        "decimal": float(want),
        "error": abs(got - float(want)),
        "allowed": float(bound[at]),
    }


def vacuous(target: Target) -> bool:
    """Whether the bounds are too wide to tell anything."""
    largest = max((float(np.abs(e).max()) for e in target.expected if e.size), default=0.0)
    bound = max((float(b.max()) for b in target.bound if b.size), default=0.0)
    return (bound > VACUOUS * largest and largest > 0) or math.isinf(bound)


# Dialects -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reproduction:
    """Deviations that together reproduce an answer, with the error in units of the deviation's own bound."""

    names: tuple[str, ...]
    titles: tuple[str, ...]
    mistake: bool
    tau: float

    @property
    def name(self) -> str:
        return " + ".join(self.names)

    @property
    def title(self) -> str:
        return "; ".join(self.titles)


def reproduces(case: Case, found: list[Any], dtype: str, question: Question, composed: bool) -> float:
    """tau of an answer against what `question` (a deviation) gives; infinite where it gives none, or another shape.

    NaN where the deviation's own bound is hopeless: such a case speaks neither for it nor against it.
    """
    as_seen = [node["attrs"].get("linearization") for node in (case.node, question.node)]
    exact_data = dtype in case.data["exact_in"] and as_seen[0] == as_seen[1]  # another linearisation may need another root
    try:
        target = target_of(answer(question), dtype, exact_data, composed)
    except (ValueError, ZeroDivisionError):
        return math.inf
    if any(np.shape(g) != e.shape for g, e in zip(found, target.expected, strict=False)):
        return math.inf
    return math.nan if vacuous(target) else ratio(found, target)[0]


def explanations(
    case: Case, found: list[Any], dtype: str, composed: bool = False, only: list[tuple[str, ...]] | None = None
) -> list[Reproduction]:
    """Every single deviation that reproduces an answer; if there is none, every pair of conventions that does, then a pair
    with padding that counts, and then everything a known library does at once.

    `only`: try these deviations instead of all of them.
    """
    if case.is_pattern:
        return []

    def fitting(tried: Iterable[tuple[tuple[Deviation, ...], Question]]) -> list[Reproduction]:
        near = ((by, question) for by, question in tried if not _far(found, question))
        rated = ((by, reproduces(case, found, dtype, question, composed)) for by, question in near)
        return [_explanation(by, tau) for by, tau in rated if tau <= 1]

    if only is not None:
        given = ((tuple(BY_NAME[n] for n in names), apply(names, case.question)) for names in only)
        return fitting((by, question) for by, question in given if question is not None)
    question = case.question
    one = (((d,), changed) for d, changed in applicable(question))
    return fitting(one) or fitting(pairs(question)) or fitting(padded(question)) or fitting(libraries(question))


def _far(found: list[Any], question: Question) -> bool:
    """Whether an answer is farther from a deviation than any bound that says something: floats tell that in a moment.

    Then the deviation does not reproduce it, or its own bound is hopeless, and it need not be computed exactly.
    """
    try:
        near = evaluate(question, "float64")[1]
    except (LRPError, ValueError, ArithmeticError):
        return False
    if [np.shape(got) for got in found] != [part.shape for part in near]:
        return False
    largest = max((float(np.abs(part).max(initial=0)) for part in near), default=0.0)
    off = max((float(np.abs(got - part).max(initial=0)) for got, part in zip(found, near, strict=True)), default=0.0)
    return math.isfinite(largest) and largest > 0 and off > 1.01 * VACUOUS * largest


def union(a: Reproduction, b: Reproduction) -> Reproduction:
    """Both explanations at once, in the order of the table of deviations."""
    order = list(BY_NAME)
    by = tuple(BY_NAME[name] for name in sorted({*a.names, *b.names}, key=order.index))
    return _explanation(by, max(a.tau, b.tau))


def _explanation(by: tuple[Deviation, ...], tau: float) -> Reproduction:
    return Reproduction(tuple(d.name for d in by), tuple(d.title for d in by), any(d.mistake for d in by), tau)
