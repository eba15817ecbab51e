"""Dense layers with modified weights, which are formed a block at a time."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from lrp_ref.arrays import Array, neg, pos
from lrp_ref.fast.blocks import Sum, combine, maps_of, steps
from lrp_ref.fast.threads import across

WEIGHTS = 2**20  # modified weights at a time
LANES = 2  # blocks of weights that are read as they are


def multiply(sums: Sequence[Sum], sources: Sequence[Array], adjoint: bool) -> list[Array]:
    """The outputs of sums of dense maps of one base weight, u W^T (adjoint: s W), without a copy of any weights.

    All sources that one map reads lie below each other, so that a product reads its weights once for all of them.
    """
    base = sums[0][0][1][0][1].base
    weights = base if adjoint else base.T
    outs = [np.empty((len(sources[0]), weights.shape[1]), base.dtype) for _ in sums]
    maps, read = maps_of(sums), _reads(sums)
    stacked = {key: _stacked([sources[i] for i in used]) for key, used in read.items()}
    plain = all(m.modify is None for m in maps.values())
    step = -(-weights.shape[1] // LANES) if plain else max(1, min(weights.shape[1], WEIGHTS // max(1, weights.shape[0])))

    def work(jobs: Iterable[tuple[int, int]]) -> None:
        room = np.empty_like(weights[:, : 0 if plain else step])
        for span in jobs:
            at = (slice(None), slice(*span))
            products: dict[tuple[int, int], Array] = {}
            for key, m in maps.items():
                product = stacked[key] @ _modified(weights[at], m.modify, room[:, : span[1] - span[0]])
                products |= {(i, key): rows for i, rows in zip(read[key], np.split(product, len(read[key])), strict=True)}
            for out, one in zip(outs, sums, strict=True):
                totals = [_total([products[i, id(m)] for i, m in terms]) for _, terms in one]
                out[at] = combine(one, totals, at)

    across(work, list(steps(weights.shape[1], step)), base.size)
    return outs


def _reads(sums: Sequence[Sum]) -> dict[int, list[int]]:
    """Per map, by its id, the sources that are read through it."""
    terms = [term for one in sums for _, terms in one for term in terms]
    return {id(m): list(dict.fromkeys(i for i, n in terms if n is m)) for _, m in terms}


def _stacked(sources: Sequence[Array]) -> Array:
    return sources[0] if len(sources) == 1 else np.concatenate(sources)


def _total(parts: Sequence[Array]) -> Array:
    total = np.array(parts[0])
    for part in parts[1:]:
        total += part
    return total


def _modified(block: Array, modify: Callable[[Array], Array] | None, room: Array) -> Array:
    """The weights that `modify` makes of a block; halves go into `room`."""
    if modify is None:
        return block
    if modify not in (pos, neg):
        return modify(block)
    return (np.maximum if modify is pos else np.minimum)(block, 0, out=room)
