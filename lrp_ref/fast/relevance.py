"""The relevance at every input, without the ledger: what `shares.received_by` returns, in a few passes over memory."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from lrp_ref.algebra.contributions import Inputs, Structured
from lrp_ref.arrays import Array, all_finite, only_read
from lrp_ref.biases import MODES
from lrp_ref.fast import on, sums
from lrp_ref.fast.threads import across, chunks
from lrp_ref.layers.maps import Routed
from lrp_ref.propagation.shares import parts_of
from lrp_ref.rules import Part


def serves(problem: Any) -> bool:
    """Whether the fast path computes this problem."""
    return (
        on(problem.arrived, *problem.affine.inputs)
        and problem.arrived.size > 0
        and isinstance(problem.weights, Structured)
        and problem.padded is None
        and not MODES[problem.bias].hands_on
        and not problem.stabilizer.coupled
        and not problem.stabilizer.magnitudes
    )


def received(problem: Any) -> tuple[Array, ...]:
    """The relevance at every input, (batch, ...); NaN where a denominator overflows."""
    affine = problem.affine
    bias = only_read(_narrow(affine.bias))
    parts: list[Part] = parts_of(problem, bias)
    if _passes(problem, parts):
        return tuple(m.scatter(problem.arrived) for m in affine.maps)  # which may be the caller's own array
    if len(parts) == 1 and _is_output(problem, parts[0], bias):
        quotients = [_quotients(problem, parts[0], affine.y, None)]
    else:
        summed = [part.n for part in parts if part.over is None]
        rows = iter(sums.rows(summed) if summed else ())
        quotients = [
            _quotients(problem, part, next(rows), part.c) if part.over is None else _over(problem, part) for part in parts
        ]
    return sums.distribute([part.n for part in parts], quotients)


def _passes(problem: Any, parts: list[Part]) -> bool:
    """Whether relevance only moves, which takes no quotient: the one part is 1 on every connection, and nothing else."""
    affine, part = problem.affine, parts[0]
    moves = getattr(problem.rule, "moves", False) and all(isinstance(m, Routed) for m in affine.maps)
    if not moves or affine.serves is not None or problem.stabilizer.kind != "none" or len(parts) != 1:
        return False
    bare = part.where is None and part.over is None and _is_one(part.scale) and not part.c.any()
    return bare and len(part.n.terms) == 1 and _connects(problem.weights, *part.n.terms[0])


def _connects(W: Structured, V: Structured, u: Inputs) -> bool:
    """Whether V (x) u is 1 on every connection of W."""
    alike = all((v.gather, v.scatter) == (w.gather, w.scatter) for v, w in zip(V.maps, W.maps, strict=True))
    return alike and u is W.ones and all(bool((v.weight == 1).all()) for v in V.maps)


def _narrow(a: Array) -> Array:
    """`a` without what broadcasting repeats."""
    return a[tuple(slice(0, 1) if step == 0 else slice(None) for step in a.strides)]


def _is_output(problem: Any, part: Part, bias: Array) -> bool:
    """Whether this part's denominators are the layer's output, which the forward pass already has."""
    terms = part.n.terms
    return (
        problem.affine.is_sum
        and part.over is None
        and (part.c is bias or np.array_equal(part.c, bias))
        and len(terms) == 1
        and terms[0][0] is problem.weights
        and terms[0][1] is problem.inputs
    )


def _over(problem: Any, part: Part) -> Array:
    """scale R / over; R itself, the caller's own array, where neither is more than 1."""
    whole = part.where is None and problem.affine.serves is None
    if whole and not hasattr(part.over, "shape") and part.over == 1 and _is_one(part.scale):
        arrived: Array = problem.arrived
        return arrived
    return _quotients(problem, part, np.broadcast_to(np.asarray(part.over, problem.arrived.dtype), problem.arrived.shape), None)


def _is_one(scale: Any) -> bool:
    return not hasattr(scale, "shape") and scale == 1


def _quotients(problem: Any, part: Part, rows: Array, c: Array | None) -> Array:
    """scale R / D, and 0 where no relevance is handed on; D is formed and divided by while it is in the cache.

    rows: of the part, which this overwrites; or with c None the whole denominator, which it does not.
    """
    arrived, stabilizer, epsilon = problem.arrived, problem.stabilizer, problem.epsilon
    ours = c is not None and rows.shape == arrived.shape  # else the rows are the layer's output, or shared by samples
    s = rows if ours else np.empty(arrived.shape, arrived.dtype)
    masks = [np.broadcast_to(m, s.shape) for m in (part.where, problem.affine.serves) if m is not None]
    rows, scale = np.broadcast_to(rows, s.shape), np.broadcast_to(part.scale, s.shape)
    c = None if c is None else np.broadcast_to(c, s.shape)

    def work(pieces: Iterable[tuple[slice, ...]]) -> None:
        for at in pieces:
            d = rows[at] if c is None else rows[at] + c[at]
            stabilized = stabilizer(d, epsilon) if part.over is None else d
            live = stabilizer.live(d, stabilized) if part.over is None else stabilized != 0
            for mask in masks:
                live = live & mask[at]
            np.divide(arrived[at], stabilized, out=s[at])
            if not _is_one(part.scale):
                s[at] *= scale[at]
            if not live.all():
                s[at][~live] = 0
            if not all_finite(stabilized):  # an infinite denominator must not pass for relevance of 0
                s[at] = np.nan

    across(work, list(chunks(s, long=True)), s.size)
    return s
