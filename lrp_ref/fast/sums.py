"""The rows and the distribution of all parts of a rule at once, input by input, sharing what they read."""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from lrp_ref.arrays import Array
from lrp_ref.fast.blocks import Sum
from lrp_ref.fast.convolution import convolve
from lrp_ref.fast.dense import multiply
from lrp_ref.layers.maps import ConvMap, DenseMap, Routed, Transposed


def rows(parts: Sequence[Any]) -> list[Array]:
    """The row sums of every part's contributions, as `Separable.rows` gives them."""
    totals = []
    for k in range(len(parts[0].terms[0][0].maps)):
        sources: list[Array] = []
        sums = []
        for n in parts:
            used = [(V.maps[k], u.arrays[k]) for V, u in n.terms]
            used = [term for term in used if not blank(term[1])] or used[:1]
            sums.append([(None, [(_place(sources, u), m) for m, u in used])])
        totals.append(evaluate(sums, sources, adjoint=False))
    return [reduce(add, column) for column in zip(*totals, strict=True)]


def distribute(parts: Sequence[Any], quotients: Sequence[Array]) -> tuple[Array, ...]:
    """What every input receives from all parts together, the sum of their `Separable.distribute`."""
    received = []
    for k in range(len(parts[0].terms[0][0].maps)):
        groups: dict[int, tuple[Array | None, list[tuple[int, Any]]]] = {}
        for p, n in enumerate(parts):
            for V, u in n.terms:
                factor = u.arrays[k]
                if not blank(factor):
                    is_one = factor is V.ones.arrays[k]
                    groups.setdefault(id(factor), (None if is_one else factor, []))[1].append((p, V.maps[k]))
        if groups:
            received += evaluate([list(groups.values())], quotients, adjoint=True)
        else:
            u = parts[0].terms[0][1].arrays[k]
            received.append(np.zeros((len(quotients[0]), *u.shape[1:]), u.dtype))
    return tuple(received)


def evaluate(sums: Sequence[Sum], sources: Sequence[Array], adjoint: bool) -> list[Array]:
    """Every sum of factor * (sum of map(source)); `adjoint`: of the maps' adjoints."""
    batch = max(len(a) for a in (*sources, *(f for one in sums for f, _ in one if f is not None)))
    sources = [_spread(a, batch) for a in sources]
    sums = [[(None if f is None else _spread(f, batch), terms) for f, terms in one] for one in sums]
    maps = [m for one in sums for _, terms in one for _, m in terms]
    if all(isinstance(m, DenseMap) and m.base is maps[0].base for m in maps):
        return multiply(sums, sources, adjoint)
    if all(isinstance(m, ConvMap) for m in maps):
        return convolve(sums, sources, adjoint)
    if all(isinstance(m, Transposed) for m in maps):
        return convolve([[(f, [(i, m.conv) for i, m in terms]) for f, terms in one] for one in sums], sources, not adjoint)
    return [reduce(add, (_plainly(f, terms, sources, adjoint) for f, terms in one)) for one in sums]


def halves(a: Array) -> tuple[Array, Array]:
    """(a+, a-); a half that is zero everywhere takes no memory, and the other one is `a` itself."""
    zero = np.broadcast_to(np.zeros((), a.dtype), a.shape)
    if a.size and a.min() >= 0:
        return a, zero
    if a.size and a.max() <= 0:
        return zero, a
    return np.maximum(a, 0), np.minimum(a, 0)


def blank(a: Array) -> bool:
    """Whether `a` is one of the zeros that `halves` returns."""
    return a.size > 0 and not any(a.strides) and not a.flat[0]


def _plainly(factor: Array | None, terms: Sequence[tuple[int, Any]], sources: Sequence[Array], adjoint: bool) -> Array:
    used = factor is not None or len(terms) > 1  # else a source itself may come back, which is not ours to hand out
    total = reduce(add, (_through(m, sources[i], adjoint, used) for i, m in terms))
    return total if factor is None else factor * total


def _through(m: Any, a: Array, adjoint: bool, used: bool) -> Array:
    """What the map, or its adjoint, makes of `a`; without a product by 1 where the result is `used` in another operation."""
    if used and isinstance(m, Routed) and m.weight.size == 1 and m.weight.flat[0] == 1:
        return m.scatter(a) if adjoint else m.gather(a)
    return m.adjoint(a) if adjoint else m.apply(a)


def _place(sources: list[Array], u: Array) -> int:
    """The place of `u` among the sources, where it is put unless it is there."""
    for k, a in enumerate(sources):
        if a is u:
            return k
    sources.append(u)
    return len(sources) - 1


def _spread(a: Array, batch: int) -> Array:
    return a if len(a) == batch else np.broadcast_to(a, (batch, *a.shape[1:]))
