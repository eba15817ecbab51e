"""The adjoint of a convolution as a scatter: what every tap hands back, multiplied block by block and added in its place.

It moves as many numbers as the input has channels, a gather as many as the output has, and needs no transposed weights.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from lrp_ref.arrays import Array
from lrp_ref.fast.blocks import Sum, blocks, combine, maps_of, pieces, steps, uses
from lrp_ref.fast.scratch import scratch
from lrp_ref.fast.threads import across

ADDING = 1.5  # the cost of adding a number in its place, over that of copying one
TRANSPOSING = 4  # the cost of transposing a weight, over that of copying a number


def pays(conv: Any, batch: int) -> bool:
    """Whether scattering moves less than gathering."""
    taps, positions = prod(conv.window.kernel), batch * prod(conv.out)
    gathering = positions * taps * conv.weight.shape[0] + TRANSPOSING * conv.weight.size
    return bool(taps > 1 and ADDING * positions * taps * conv.size[0] < gathering)


def scatter(sums: Sequence[Sum], sources: Sequence[Array], outs: Sequence[Array]) -> None:
    """Fill `outs`, (N, in, *spatial), from sources (N, out, *positions)."""
    conv, batch = sums[0][0][1][0][1], len(sources[0])
    groups, per_group, taps = conv.groups, conv.weight.shape[1], list(product(*map(range, conv.window.kernel)))
    matrices = {key: m.weight.reshape(groups, -1, per_group * len(taps)).swapaxes(1, 2) for key, m in maps_of(sums).items()}
    samples, rows = blocks(batch, conv.out, per_group * len(taps))
    read = uses(sums, matrices, len(sources))
    each = len(taps) * samples * rows * prod(conv.out[1:])
    cut = pieces(groups, per_group, each, shared=True)

    def work(jobs: Iterable[tuple[tuple[int, int], tuple[slice, slice]]]) -> None:
        at, channels = cut[0]
        with scratch((at.stop - at.start) * (channels.stop - channels.start) * each, sources[0].dtype) as buffer:
            serve(jobs, buffer)

    def serve(jobs: Iterable[tuple[tuple[int, int], tuple[slice, slice]]], buffer: Array) -> None:
        for span, (at, channels) in jobs:
            first, last = at.start * per_group + channels.start, (at.stop - 1) * per_group + channels.stop
            place = (slice(*span), slice(first, last))
            totals = {(i, g): _zeros(out[place], g) for i, out in enumerate(outs) for g in range(len(sums[i]))}
            kernels = slice(channels.start * len(taps), channels.stop * len(taps))
            for begin, end in steps(conv.out[0], rows):
                moves = list(_moves(conv, taps, begin, end))
                for source, used in zip(sources, read, strict=True):
                    block = source[slice(*span), :, begin:end].swapaxes(0, 1)
                    columns = block.reshape(groups, source.shape[1] // groups, -1)[at]
                    shape = (columns.shape[0], kernels.stop - kernels.start, columns.shape[-1])
                    products = buffer[: prod(shape)].reshape(shape)
                    for key, matrix in used:
                        np.matmul(matrix[at, kernels], columns, out=products)
                        _add(totals[key], products.reshape(last - first, len(taps), *block.shape[1:]), moves)
            for i, one in enumerate(sums):
                combine(one, [totals[i, g] for g in range(len(one))], place)

    jobs = list(product(steps(batch, samples), cut))
    across(work, jobs, sum(m.size for m in matrices.values()) * batch * prod(conv.out) / 16)


def _zeros(place: Array, group: int) -> Array:
    """Zeros for a group's total: the first one's in the output itself."""
    if group:
        return np.zeros(place.shape, place.dtype)
    place[...] = 0
    return place


def _add(total: Array, products: Array, moves: Sequence[tuple[int, tuple[slice, ...], tuple[slice, ...]]]) -> None:
    """total (samples, channels, *spatial) plus products (channels, taps, samples, *positions), every tap in its place."""
    into = total.swapaxes(0, 1)
    for tap, to, read in moves:
        place = into[(slice(None), slice(None), *to)]
        place += products[(slice(None), tap, slice(None), *read)]


def _moves(
    conv: Any, taps: Sequence[tuple[int, ...]], begin: int, end: int
) -> Iterator[tuple[int, tuple[slice, ...], tuple[slice, ...]]]:
    """For every tap that reaches the input from rows `begin` to `end`: where it adds, and what it reads of these rows."""
    limits = [(begin, end), *((0, n) for n in conv.out[1:])]
    window = conv.window
    for number, tap in enumerate(taps):
        to, read = [], []
        columns = zip(tap, window.stride, window.padding, window.dilation, conv.size[1:], limits, strict=True)
        for t, s, (b, _), d, n, (a, z) in columns:
            lo, hi = max(a, -((t * d - b) // s)), min(z, (n - 1 - t * d + b) // s + 1)
            to.append(slice(lo * s + t * d - b, (hi - 1) * s + t * d - b + 1, s))
            read.append(slice(lo - a, hi - a))
        if all(r.start < r.stop for r in read):
            yield number, tuple(to), tuple(read)
