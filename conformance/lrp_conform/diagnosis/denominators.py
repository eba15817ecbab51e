"""Denominators measured in answers: what a candidate divided by.

Where one output j alone reaches input i, R_i = f n_ji R_j / D_j, so that D_j = f n_ji R_j / R_i can be read off the answer,
as an interval as wide as honest rounding makes it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from lrp_conform.cases.layer import Case
from lrp_conform.cases.numbers import exact_array, rational
from lrp_conform.cases.question import Question, pose, rational_roots
from lrp_conform.diagnosis.spans import Span
from lrp_conform.judging import layer
from lrp_ref.algebra.rounding import UNIT_ROUNDOFF
from lrp_ref.propagation.settle import Problem
from lrp_ref.propagation.shares import normalized

UNMEASURED = ("redistribute", "share")  # bias modes whose answer is no single quotient
ROUNDINGS = 12  # of a quotient, a product, a scaled weight and their composition, beside the sums
# Never zero, so that every quotient is there to be read.
OPEN = {"kind": "clip", "epsilon": "1", "sign_at_zero": "1"}


@dataclass(frozen=True)
class Denominator:
    """One D that was measured: the d it was made from, and rms and std of the d's around it.

    `D` is None where the input received 0 though its contribution is not 0: the quotient was dropped. D = [0, 0] is a
    division by zero.
    """

    d: Fraction
    D: Span | None
    rms: float
    std: float


@dataclass(frozen=True)
class Measurement:
    """The denominators that one answer shows; `complete` if they are all there are, so that nothing is left to check."""

    denominators: tuple[Denominator, ...] = ()
    complete: bool = False


@dataclass(frozen=True)
class _Quotient:
    """One f n_j R_j / D_j: per input that it alone reaches, (index, f n_ji R_j, work behind n_ji in units of n_ji)."""

    sample: int
    d: Fraction
    rms: float
    std: float
    alone: tuple[tuple[int, Fraction, Fraction], ...]
    work: Fraction
    grain: int  # every number behind d is an integer over this; 0 if they are not dyadic
    terms: int


def measured(case: Case, question: Question, found: list[Any], dtype: str) -> Measurement | None:
    """The denominators that an answer shows, if its numerators are those of `question`.

    None where it shows that they are not: inputs of one output disagree about their common D. LRPError where the question
    has no meaning.
    """
    unreadable = question.rule["bias"] in UNMEASURED or question.after is not None or question.rewrite is not None
    if unreadable or not rational_roots(question):
        return Measurement()
    rule = {**question.rule, "stabilizer": OPEN}
    quotients = _quotients(json.dumps([question.node, rule, question.inputs], sort_keys=True))
    received = np.concatenate([np.asarray(r).reshape(r.shape[0], -1) for r in found], axis=-1)
    u, out, complete = Fraction(UNIT_ROUNDOFF[dtype]), [], bool(quotients)
    left = received != 0  # what no quotient accounts for
    for q in quotients:
        exact = dtype in case.data["exact_in"] or (q.grain > 0 and q.work * q.grain < 1 / u)
        slack = Fraction(0) if exact else q.work * q.terms * u
        left[q.sample, [i for i, _, _ in q.alone]] = False
        readable = [(top, work, float(received[q.sample, i])) for i, top, work in q.alone]
        spans = [_read(top, got, slack, ROUNDINGS * work * u) for top, work, got in readable if not math.isnan(got)]
        if not spans:
            complete = False
            continue
        try:
            out.append(Denominator(q.d, _common(spans), q.rms, q.std))
        except _Contradiction:
            return None
    return Measurement(tuple(out), complete and not left.any())


@lru_cache(maxsize=4096)
def _quotients(text: str) -> tuple[_Quotient, ...]:
    """Every quotient of a question, from the explicit contributions of the reference."""
    node, rule, inputs = json.loads(text)
    problem = pose(Question(node, rule, inputs), exact_array, "explicit")
    shares = [share for share in normalized(problem) if share.part.over is None]
    arrived = problem.flat(problem.arrived)
    samples = arrived.shape[0]
    n = [np.broadcast_to(s.part.n.values, (samples, *s.part.n.values.shape[1:])) for s in shares]
    work = [np.maximum(abs(a), _box_work(problem, rule)) for a in n]
    out = []
    for at in range(samples):
        lit = [(k, j) for k, s in enumerate(shares) for j in range(arrived.shape[1]) if s.active[at, j] and arrived[at, j]]
        for k, j in lit:
            row, d = n[k][at, j], shares[k].d
            reached = [i for i, v in enumerate(row) if v and not any(n[q][at, p, i] for q, p in lit if (q, p) != (k, j))]
            top = shares[k].active[at, j] * arrived[at, j]
            alone = ((i, rational(top * row[i]), rational(work[k][at, j, i] / abs(row[i]))) for i in reached)
            c = np.broadcast_to(shares[k].part.c, d.shape)[at, j]
            behind = [*(rational(v) for v in work[k][at, j]), abs(rational(c))]
            grain = max(v.denominator for v in (*behind, *map(rational, row)))
            spread = math.sqrt(float(np.mean(np.square(_floats(d[at]))))), float(np.std(_floats(d)))
            dyadic = all(v.denominator & (v.denominator - 1) == 0 for v in behind)
            out.append(
                _Quotient(at, rational(d[at, j]), *spread, tuple(alone), sum(behind, Fraction(0)), grain * dyadic, len(row) + 3)
            )
    return tuple(out)


def _box_work(problem: Problem, rule: Mapping[str, Any]) -> Any:
    """|x w| + |l w+| + |h w-|, the magnitudes behind a contribution of the box rule; 0 for the others."""
    if rule["rule"] != "z-box":
        return 0
    w = problem.weights.values
    x, low, high = (a[:, None, :] for a in (problem.inputs, problem.rule.low, problem.rule.high))
    return abs(w * x) + abs(w * low) + abs(w * high)


def _floats(array: Any) -> Any:
    return np.asarray([float(rational(v)) for v in np.asarray(array).reshape(-1)])


def _read(top: Fraction, got: float, slack: Fraction, relative: Fraction) -> Span | None:
    """D from f n R and what input i received."""
    if math.isinf(got):
        return Span(0, 0)
    if got == 0:
        return None
    value = top / Fraction(got)
    width = abs(value) * relative + slack
    return Span(value - width, value + width)


class _Contradiction(Exception):
    """Inputs of one output disagree about what they were divided by."""


def _common(spans: list[Span | None]) -> Span | None:
    """What every input of an output says of its D."""
    known = [s for s in spans if s is not None]
    if not known:
        return None
    if len(known) < len(spans):
        raise _Contradiction
    common = known[0]
    for span in known[1:]:
        met = common & span
        if met is None:
            raise _Contradiction
        common = met
    return common


def relevances(case: Case, output: Mapping[str, Any]) -> list[Any] | None:
    """The relevances of an answer if their shapes are right, non-finite numbers allowed."""
    found = layer.relevances(case, dict(output))
    shapes = [case.expected[name].shape for name in case.answers]
    right = len(found) == len(shapes) and all(isinstance(a, np.ndarray) for a in found)
    return found if right and all(a.shape == s for a, s in zip(found, shapes, strict=True)) else None
