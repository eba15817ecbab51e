"""How sums of convolutions and of dense layers are cut into blocks that stay in the cache.

A `Sum` is what one output array holds: sum over groups of factor * (sum of map(source)), where a factor of None is 1.
All outputs are formed side by side, so that they share one gather of every source, or one pass over the weights.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from lrp_ref.arrays import Array

Term = tuple[int, Any]  # which source, and through which map
Sum = list[tuple[Array | None, list[Term]]]
Key = tuple[int, int]  # which sum, and which of its groups
POSITIONS = 784  # at a time: a product of fewer columns pays for reading its weights again and again
PATCHES = 2**20  # numbers at a time in what is gathered, or is to be scattered, at most
LEAST = 2**17  # and at least: smaller blocks cost more in calls than they save
LINE = 64  # bytes that a cache holds or lets go together
SHARED = 32  # channels from which on two threads may share them


def blocks(batch: int, counts: Sequence[int], each: int) -> tuple[int, int]:
    """How many samples, and how many rows of the first spatial axis, make a block of about `POSITIONS`.

    More where a position takes `each` numbers, and these are few.
    """
    plane, size = max(1, prod(counts[1:])), max(POSITIONS, LEAST // max(1, each))
    if counts[0] * plane * 2 <= size:
        return max(1, min(-(-batch // 2), size // max(1, counts[0] * plane))), counts[0]
    count = -(-counts[0] * plane // size)
    return 1, -(-counts[0] // (count + (count > 1 and count % 2)))  # an even number, to share among threads


def apart(length: int, dtype: Any) -> int:
    """How far apart lines of `length` numbers lie, so that they do not drive each other out of the cache.

    What a product reads side by side competes for the same few places of a cache where it lies many cache lines apart.
    """
    size = np.dtype(dtype).itemsize
    return length if length * size % (4 * LINE) else length + LINE // size


def steps(count: int, step: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of pieces of `step`; the last one may be shorter."""
    return ((a, min(a + step, count)) for a in range(0, count, step))


def pieces(groups: int, channels: int, each: int, shared: bool) -> list[tuple[slice, slice]]:
    """Ranges of groups, and of a group's channels: at most `PATCHES` numbers where a channel takes `each`.

    shared: threads may take different pieces.
    """
    room = max(1, PATCHES // max(1, each))
    if groups > 1:
        return [(slice(*span), slice(0, channels)) for span in steps(groups, max(1, room // channels))]
    count = -(-channels // room)
    count += shared and shareable(groups, channels) and count % 2
    return [(slice(0, 1), slice(*span)) for span in steps(channels, -(-channels // count))]


def shareable(groups: int, channels: int) -> bool:
    """Whether two threads may each take some of the channels."""
    return groups == 1 and channels >= SHARED


def uses(sums: Sequence[Sum], matrices: dict[int, Array], sources: int) -> list[list[tuple[Key, Array]]]:
    """Per source, which groups of which sums read it through which matrix."""
    found: list[list[tuple[Key, Array]]] = [[] for _ in range(sources)]
    for i, one in enumerate(sums):
        for g, (_, terms) in enumerate(one):
            for source, m in terms:
                found[source].append(((i, g), matrices[id(m)]))
    return found


def maps_of(sums: Sequence[Sum]) -> dict[int, Any]:
    """Every map that the sums read through, by its id."""
    return {id(m): m for one in sums for _, terms in one for _, m in terms}


def combine(one: Sum, totals: Sequence[Array], place: Any, axes: tuple[int, int] | None = None) -> Array:
    """The groups' totals, multiplied by their factors at `place` and added up in the first one."""
    for (factor, _), total in zip(one, totals, strict=True):
        if factor is not None:
            np.multiply(total, factor[place] if axes is None else factor[place].swapaxes(*axes), out=total)
    for total in totals[1:]:
        np.add(totals[0], total, out=totals[0])
    return totals[0]
