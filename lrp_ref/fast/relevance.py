"""The relevance at every input, without the ledger: what `engine.received_by` returns, in a few passes over memory."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from lrp_ref.arrays import Array, all_finite
from lrp_ref.contributions import Structured
from lrp_ref.fast import on, sums
from lrp_ref.fast.threads import across, chunks
from lrp_ref.maps import Routed
from lrp_ref.rules import RULES, GeneralizedGamma, Gradient, Part, Pass

COUPLED = ("abs_share", "rms_scaled", "std_scaled")  # kinds that look beyond one denominator
HANDED_ON = ("share", "redistribute")  # bias modes that hand on more than contributions


def serves(problem: Any) -> bool:
    """Whether the fast path computes this problem."""
    return (
        on(problem.arrived, *problem.affine.inputs)
        and problem.arrived.size > 0
        and isinstance(problem.weights, Structured)
        and problem.padded is None
        and problem.bias not in HANDED_ON
        and problem.stabilizer.kind not in COUPLED
    )


def received(problem: Any, parts_of: Any) -> tuple[Array, ...]:
    """The relevance at every input, (batch, ...); NaN where a denominator overflows."""
    affine = problem.affine
    if affine.serves is None and isinstance(problem.rule, Gradient):
        return tuple(m.adjoint(problem.arrived) for m in affine.maps)
    if _passes(problem):
        return tuple(m.scatter(problem.arrived) for m in affine.maps)  # which may be the caller's own array
    bias = _narrow(affine.bias)
    parts: list[Part] = parts_of(problem, bias, affine.y if _reads_output(problem.rule) else bias)
    if len(parts) == 1 and _is_output(problem, parts[0], bias):
        quotients = [_quotients(problem, parts[0], affine.y, None)]
    else:
        rows = sums.rows([part.n for part in parts])
        quotients = [_quotients(problem, part, row, part.c) for part, row in zip(parts, rows, strict=True)]
    return sums.distribute([part.n for part in parts], quotients)


def _passes(problem: Any) -> bool:
    """Whether relevance only moves, which takes no quotient."""
    affine = problem.affine
    moves = isinstance(problem.rule, Pass) and all(isinstance(m, Routed) for m in affine.maps)
    return moves and affine.serves is None and problem.stabilizer.kind == "none"


def _narrow(a: Array) -> Array:
    """`a` without what broadcasting repeats."""
    return a[tuple(slice(0, 1) if step == 0 else slice(None) for step in a.strides)]


def _reads_output(rule: Any) -> bool:
    """Whether the rule's parts depend on the layer's output, which need not be formed otherwise."""
    return not isinstance(rule, tuple(RULES.values())) or isinstance(rule, GeneralizedGamma | Gradient)


def _is_output(problem: Any, part: Part, bias: Array) -> bool:
    """Whether this part's denominators are the layer's output, which the forward pass already has."""
    terms = part.n.terms
    return (
        problem.affine.is_sum
        and (part.c is bias or np.array_equal(part.c, bias))
        and len(terms) == 1
        and terms[0][0] is problem.weights
        and terms[0][1] is problem.inputs
    )


def _quotients(problem: Any, part: Part, rows: Array, c: Array | None) -> Array:
    """scale R / D, and 0 where no relevance is handed on; D is formed and divided by while it is in the cache.

    rows: of the part, which this overwrites; or with c None the whole denominator, which it does not.
    """
    arrived, stabilizer, epsilon, over = problem.arrived, problem.stabilizer, problem.epsilon, part.over
    ours = c is not None and rows.shape == arrived.shape  # else the rows are the layer's output, or shared by samples
    s = rows if ours else np.empty(arrived.shape, arrived.dtype)
    masks = [np.broadcast_to(m, s.shape) for m in (part.where, problem.affine.serves) if m is not None]
    rows, scale = np.broadcast_to(rows, s.shape), np.broadcast_to(part.scale, s.shape)
    scaled = hasattr(part.scale, "shape") or part.scale != 1
    c = None if c is None else np.broadcast_to(c, s.shape)

    def work(pieces: Iterable[tuple[slice, ...]]) -> None:
        for at in pieces:
            d = rows[at] if c is None else rows[at] + c[at]
            stabilized = stabilizer(d, epsilon) if over is None else np.broadcast_to(over, s.shape)[at]
            live = stabilizer.live(d, stabilized) if over is None else stabilized != 0
            for mask in masks:
                live = live & mask[at]
            np.divide(arrived[at], stabilized, out=s[at])
            if scaled:
                s[at] *= scale[at]
            if not live.all():
                s[at][~live] = 0
            if not all_finite(stabilized):  # an infinite denominator must not pass for relevance of 0
                s[at] = np.nan

    across(work, list(chunks(s, long=True)), s.size)
    return s
