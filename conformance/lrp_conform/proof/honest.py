"""Correct evaluations in many disguises: summation orders and plans that an honest implementation may use."""

import math
from collections.abc import Callable
from functools import reduce
from itertools import product
from typing import Any

import numpy as np

from lrp_conform.cases.layer import Case
from lrp_conform.cases.numbers import float_array
from lrp_conform.cases.question import pose
from lrp_ref.arrays import where
from lrp_ref.propagation.settle import Problem
from lrp_ref.propagation.shares import parts_of

Array = Any
Sum = Callable[[Array, int], Array]


def sequential(a: Array, axis: int) -> Array:
    """One after the other, every partial sum rounded."""
    return np.take(np.add.accumulate(a, axis=axis), -1, axis=axis) if a.shape[axis] else a.sum(axis=axis)


def backwards(a: Array, axis: int) -> Array:
    return sequential(np.flip(a, axis), axis)


def shuffled(a: Array, axis: int) -> Array:
    return sequential(np.take(a, np.random.default_rng(7).permutation(a.shape[axis]), axis=axis), axis)


def pairwise(a: Array, axis: int) -> Array:
    """A balanced tree."""
    parts = [np.take(a, k, axis=axis) for k in range(a.shape[axis])]
    while len(parts) > 1:
        parts = [parts[k] + parts[k + 1] if k + 1 < len(parts) else parts[k] for k in range(0, len(parts), 2)]
    return parts[0]


def blocked(a: Array, axis: int) -> Array:
    """Blocks of four, then the blocks."""
    cuts = list(range(4, a.shape[axis], 4))
    return reduce(np.add, (sequential(block, axis) for block in np.split(a, cuts, axis=axis)))


def by_magnitude(a: Array, axis: int) -> Array:
    """Largest first: the order that loses most."""
    return sequential(np.take_along_axis(a, np.argsort(-np.abs(a), axis=axis), axis), axis)


def compensated(a: Array, axis: int) -> Array:
    """Kahan's summation."""
    total, carry = np.zeros_like(np.take(a, 0, axis=axis)), np.zeros_like(np.take(a, 0, axis=axis))
    for k in range(a.shape[axis]):
        y = np.take(a, k, axis=axis) - carry
        t = total + y
        carry, total = (t - total) - y, t
    return total


def fused(a: Array, axis: int) -> Array:
    """Added without rounding, rounded once: what wide accumulators come close to."""
    flat = np.moveaxis(a, axis, -1)
    sums = [math.fsum(float(v) for v in row) for row in flat.reshape(-1, flat.shape[-1])]
    return np.asarray(sums, dtype=np.float64).reshape(flat.shape[:-1]).astype(a.dtype)


ORDERS: dict[str, Sum] = {
    "sequential": sequential, "backwards": backwards, "shuffled": shuffled, "pairwise": pairwise, "blocked": blocked,
    "by-magnitude": by_magnitude, "compensated": compensated, "fused": fused,
}  # fmt: skip
PLANS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "n (R / D)": lambda n, r, d: n * (r / d),
    "(n R) / D": lambda n, r, d: (n * r) / d,
    "(n / D) R": lambda n, r, d: (n / d) * r,
}


def plain(case: Case) -> bool:
    """Whether the family's formula covers the case; the others are evaluated by the reference's own text."""
    rule = case.rule
    return not (
        case.is_pattern
        or rule["bias"] in ("redistribute", "share")
        or rule.get("padding") == "counted"
        or rule["stabilizer"]["kind"] in ("rms_scaled", "std_scaled", "abs_share", "drop")
        or case.node["op"] == "embedding"
        or rule["rule"] == "gradient"
    )


def family(case: Case, dtype: str) -> list[tuple[str, dict[str, Any]]]:
    """Every member's answer: (name, {"y", "relevance"})."""
    problem = pose(case.question, lambda data: float_array(data, dtype), "explicit")
    y = problem.affine.y
    return [
        (f"{order}, {plan}", {"y": y, "relevance": _evaluate(problem, ORDERS[order], PLANS[plan])})
        for order, plan in product(ORDERS, PLANS)
    ]


def _evaluate(problem: Problem, add: Sum, plan: Callable[[Array, Array, Array], Array]) -> list[Array]:
    arrived = problem.flat(problem.arrived)
    total: Array = None
    for part in parts_of(problem, problem.flat(problem.affine.bias)):
        n = np.broadcast_to(part.n.values, (arrived.shape[0], *part.n.values.shape[1:]))
        d = add(n, -1) + part.c
        stabilized = problem.stabilizer(d, problem.epsilon)
        live = stabilized != 0
        for mask in (part.where, None if problem.affine.serves is None else problem.flat(problem.affine.serves)):
            live = live if mask is None else live & mask
        r = where(live, arrived, 0)[..., None]
        shares = plan(n, r, where(live, stabilized, 1)[..., None])
        scale = part.scale[..., None] if hasattr(part.scale, "shape") else part.scale
        given = add(scale * shares, -2) if hasattr(part.scale, "shape") else scale * add(shares, -2)
        total = given if total is None else total + given
    out, start = [], 0
    for array in problem.affine.inputs:
        size = int(np.prod(array.shape[1:]))
        out.append(total[:, start : start + size].reshape(array.shape))
        start += size
    return out
