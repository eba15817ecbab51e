"""Dense layers with modified weights, which are formed a block at a time."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from lrp_ref.arrays import Array, neg, pos
from lrp_ref.fast.blocks import Sum, combine, maps_of, steps
from lrp_ref.fast.threads import across

WEIGHTS = 2**20  # modified weights at a time


def multiply(sums: Sequence[Sum], sources: Sequence[Array], adjoint: bool) -> list[Array]:
    """The outputs of sums of dense maps of one base weight, u W^T (adjoint: s W), without a copy of any weights."""
    base = sums[0][0][1][0][1].base
    length = base.shape[1 if adjoint else 0]
    outs = [np.empty((len(sources[0]), length), base.dtype) for _ in sums]
    maps = maps_of(sums)
    plain = all(m.modify is None for m in maps.values())
    step = length if plain else max(1, min(length, WEIGHTS * length // base.size))

    def work(jobs: Iterable[tuple[int, int]]) -> None:
        buffers: dict[int, Array] = {}
        for span in jobs:
            at = (slice(None), slice(*span))
            block = base[at] if adjoint else base.T[at]
            weights = {key: _modified(block, m.modify, buffers, key) for key, m in maps.items()}
            for out, one in zip(outs, sums, strict=True):
                totals = [out[at] if g == 0 else np.empty_like(out[at]) for g in range(len(one))]
                for (_, terms), total in zip(one, totals, strict=True):
                    for t, (i, m) in enumerate(terms):
                        if t == 0:
                            np.matmul(sources[i], weights[id(m)], out=total)
                        else:
                            np.add(total, sources[i] @ weights[id(m)], out=total)
                combine(one, totals, at)

    across(work, list(steps(length, step)), base.size)
    return outs


def _modified(block: Array, modify: Callable[[Array], Array] | None, buffers: dict[int, Array], key: int) -> Array:
    """The weights that `modify` makes of a block; halves go into the same buffer again."""
    if modify is None:
        return block
    if modify not in (pos, neg):
        return modify(block)
    if key not in buffers or buffers[key].shape != block.shape:
        buffers[key] = np.empty_like(block)
    return (np.maximum if modify is pos else np.minimum)(block, 0, out=buffers[key])
