"""A linear map as its connections: which weight leads from which input to which output.

From these come the dense matrix and the sparse one. `apply` and `adjoint` play no part in it, so that a matrix does not
inherit a mistake of theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from lrp_ref.arrays import Array, full, namespace, widened

Integers = Any  # NumPy integers


@dataclass(frozen=True, eq=False)
class Entries:
    """A matrix (out, in): at (row[k], column[k]) stands weight number index[k]; everywhere else nothing is connected.

    row, column, index (connections,); no place is named twice. weight and wired (batch or 1, weights): the weights, and 1
    for a connection, 0 where a sample has none.
    """

    row: Integers
    column: Integers
    index: Integers
    shape: tuple[int, int]
    weight: Array
    wired: Array

    @property
    def transposed(self) -> "Entries":
        return replace(self, row=self.column, column=self.row, shape=self.shape[::-1])

    def dense(self) -> tuple[Array, Array]:
        """The matrices of weights and of connections, each (batch or 1, out, in)."""
        table = np.zeros(self.shape, dtype=np.int64)
        table[self.row, self.column] = self.index + 1  # 0: nothing
        return _taken(self.weight, table), _taken(self.wired, table)


def _taken(weight: Array, table: Integers) -> Array:
    """Weight number k - 1 wherever the table says k, 0 where it says 0."""
    xp, flat = namespace(weight), table.reshape(-1)
    index = flat if isinstance(weight, np.ndarray) else xp.asarray(flat, device=weight.device)
    found = xp.take(xp.concat([full((weight.shape[0], 1), 0, weight), weight], axis=1), index, axis=1)
    return xp.reshape(found, (weight.shape[0], *table.shape))


def complete(weight: Array) -> Entries:
    """Every input leads to every output; weight (out, in)."""
    rows, columns = weight.shape
    flat = namespace(weight).reshape(weight, (1, -1))
    row, column = np.divmod(np.arange(rows * columns), columns)
    return Entries(row, column, np.arange(rows * columns), (rows, columns), flat, full(flat.shape, 1, flat))


def sliding(wires: tuple[Integers, ...], taps: int, places: int, positions: int, weight: Array, groups: int) -> Entries:
    """A convolution; wires: `Window.wires`, weight (out, in / groups, *kernel)."""
    (rows, per_group), (j, i, t) = weight.shape[:2], wires
    o, c = np.arange(rows)[:, None, None], np.arange(per_group)[:, None]
    channel = o // (rows // groups) * per_group + c
    row, column, index = _flat(o * positions + j, channel * places + i, (o * per_group + c) * taps + t)
    shape = (rows * positions, per_group * groups * places)
    flat = namespace(weight).reshape(weight, (1, -1))
    return Entries(row, column, index, shape, flat, full(flat.shape, 1, flat))


def pooling(wires: tuple[Integers, ...], channels: int, places: int, weight: Array, wired: Array) -> Entries:
    """A pooling; wires: `Window.wires`, weight and wired (taps, batch or 1, channels or 1, *out)."""
    (j, i, t), (taps, *_, positions) = wires, (weight.shape[0], prod(weight.shape[3:]))
    c = np.arange(channels)[:, None]
    row, column, index = _flat(c * positions + j, c * places + i, (t * channels + c) * positions + j)
    shape = (channels * positions, channels * places)

    def flat(a: Array) -> Array:
        xp = namespace(a)
        wide = xp.permute_dims(xp.broadcast_to(a, (taps, a.shape[1], channels, *a.shape[3:])), (1, 0, *range(2, a.ndim)))
        return xp.reshape(wide, (a.shape[1], taps * channels * positions))

    return Entries(row, column, index, shape, flat(weight), flat(wired))


def moving(gather: Any, weight: Array, x: Array) -> Entries:
    """Every output reads at most one input, x[0, 1, ...] by its place; weight broadcasts against y."""
    places = prod(x.shape[1:])
    gathered = gather(namespace(x).reshape(_counting(places, x), (1, *x.shape[1:])))
    shape = np.broadcast_shapes(weight.shape, gathered.shape)
    source = _integers(gathered)
    (row,) = np.nonzero(source)
    flat = namespace(weight).reshape(namespace(weight).broadcast_to(weight, shape), (shape[0], prod(shape[1:])))
    return Entries(row, source[row] - 1, row, (len(source), places), flat, full((1, flat.shape[1]), 1, flat))


def joined(found: Sequence[Entries]) -> Entries:
    """Maps of several inputs to one output: their columns side by side."""
    if len(found) == 1:
        return found[0]
    batch, xp = max(a.shape[0] for one in found for a in (one.weight, one.wired)), namespace(found[0].weight)

    def beside(arrays: list[Array]) -> Array:
        return xp.concat([xp.broadcast_to(a, (batch, a.shape[1])) for a in arrays], axis=1)

    columns = [0, *accumulate(one.shape[1] for one in found)]
    numbers = [0, *accumulate(one.weight.shape[1] for one in found)]
    return Entries(
        row=np.concatenate([one.row for one in found]),
        column=np.concatenate([one.column + k for one, k in zip(found, columns, strict=False)]),
        index=np.concatenate([one.index + k for one, k in zip(found, numbers, strict=False)]),
        shape=(found[0].shape[0], columns[-1]),
        weight=beside([one.weight for one in found]),
        wired=beside([one.wired for one in found]),
    )


def entries(maps: Sequence[Any], inputs: Sequence[Array]) -> Entries:
    """The connections of a layer's maps, its inputs side by side."""
    return joined([m.entries(x) for m, x in zip(maps, inputs, strict=True)])


def _flat(*numbers: Integers) -> list[Integers]:
    return [a.reshape(-1) for a in np.broadcast_arrays(*numbers)]


def _counting(n: int, like: Array) -> Array:
    """1, 2, ..., n; 0 is left to mean padding."""
    if isinstance(like, np.ndarray):
        return np.arange(1, n + 1, dtype=np.float64)
    return namespace(like).cumulative_sum(full((n,), 1, widened(like)))


def _integers(a: Array) -> Integers:
    """The whole numbers that `a` holds, in memory of the host."""
    flat = namespace(a).reshape(a, (-1,))
    return flat.astype(np.int64) if isinstance(flat, np.ndarray) else np.array([int(v) for v in flat], dtype=np.int64)
