"""Sums of matrix products over blocks that stay in the cache: convolutions and dense layers, in both directions.

A `Sum` is what one output array holds: sum over groups of factor * (sum of map(source)), where a factor of None is 1.
All outputs are formed side by side, so that they share one gather of every source, or one pass over the weights.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from lrp_ref.arrays import Array, neg, pos
from lrp_ref.fast.threads import across

Term = tuple[int, Any]  # which source, and through which map
Sum = list[tuple[Array | None, list[Term]]]
PATCHES = 2**22  # bytes of patches at a time: small enough for the cache, large enough for a product to be worth its call
WEIGHTS = 2**22  # bytes of modified weights at a time


@dataclass(frozen=True)
class Axis:
    """One axis: target position start + k * stride reads source position first[t] + k * step for tap t, k < count."""

    taps: tuple[int, ...]
    first: tuple[int, ...]
    step: int
    start: int
    stride: int
    count: int

    def target(self, begin: int, end: int) -> slice:
        """Where the target positions number `begin` to `end` lie."""
        return slice(self.start + begin * self.stride, self.start + (end - 1) * self.stride + 1, self.stride)

    def reads(self, begin: int, end: int) -> tuple[int, int]:
        """The source positions that those targets span."""
        return min(self.first) + begin * self.step, max(self.first) + (end - 1) * self.step + 1


def forward_axes(window: Any, size: Sequence[int], out: Sequence[int]) -> list[list[Axis]]:
    """How a convolution reads its input: per axis, one phase."""
    columns = zip(window.kernel, window.stride, window.padding, window.dilation, out, strict=True)
    return [[Axis(tuple(range(k)), tuple(t * d - b for t in range(k)), s, 0, 1, n)] for k, s, (b, _), d, n in columns]


def adjoint_axes(window: Any, size: Sequence[int], out: Sequence[int]) -> list[list[Axis]]:
    """How its adjoint reads the output: a gather too, in as many phases per axis as the stride is long.

    Input position q receives from output position (q + begin - t * dilation) / stride for every tap t that divides.
    """
    return [
        [axis for r in range(s) if (axis := _phase(k, s, b, d, r, n)).taps and axis.count > 0]
        for k, s, (b, _), d, n in zip(window.kernel, window.stride, window.padding, window.dilation, size, strict=True)
    ]


def _phase(k: int, s: int, b: int, d: int, r: int, size: int) -> Axis:
    taps, start = tuple(t for t in range(k) if t * d % s == r), (r - b) % s
    return Axis(taps, tuple((start + b - t * d) // s for t in taps), 1, start, s, len(range(start, size, s)))


def convolve(sums: Sequence[Sum], sources: Sequence[Array], adjoint: bool) -> list[Array]:
    """The outputs of sums of convolutions of one geometry (of their adjoints), from sources of one batch size."""
    conv = sums[0][0][1][0][1]
    axes = (adjoint_axes if adjoint else forward_axes)(conv.window, conv.size[1:], conv.out)
    shape = (sources[0].shape[0], *(conv.size if adjoint else conv.outputs))
    covered = prod(sum(axis.count for axis in phases) for phases in axes) == prod(shape[2:])
    outs = [(np.empty if covered else np.zeros)(shape, sources[0].dtype) for _ in sums]
    for phase in product(*axes):
        matrices = {id(m): _matrix(m, phase, adjoint) for one in sums for _, terms in one for _, m in terms}
        _convolve_phase(sums, sources, outs, phase, matrices)
    return outs


def _convolve_phase(
    sums: Sequence[Sum], sources: Sequence[Array], outs: Sequence[Array], phase: Sequence[Axis], matrices: dict[int, Array]
) -> None:
    groups = next(iter(matrices.values())).shape[0]
    rest = [(0, axis.count) for axis in phase[1:]]
    rows = _rows(sources, phase)
    jobs = [(n, a, min(a + rows, phase[0].count)) for n in range(len(sources[0])) for a in range(0, phase[0].count, rows)]

    def work(jobs: Iterable[tuple[int, int, int]]) -> None:
        readers = [_Reader(s, phase, rows) for s in sources]
        for n, begin, end in jobs:
            limits = [(begin, end), *rest]
            place = (n, slice(None), *(axis.target(*limit) for axis, limit in zip(phase, limits, strict=True)))
            positions = prod(b - a for a, b in limits)
            columns = [reader.patches(n, limits).reshape(groups, -1, positions) for reader in readers]
            for out, one in zip(outs, sums, strict=True):
                block = out[place].reshape(groups, -1, positions)  # a copy where the phase has a stride
                _add_up(
                    one, block,
                    lambda i, m, into: np.matmul(matrices[id(m)], columns[i], out=into),  # noqa: B023
                    lambda factor: factor[place].reshape(block.shape),  # noqa: B023
                )  # fmt: skip
                if not np.may_share_memory(block, out):
                    out[place] = block.reshape(out[place].shape)

    products = sum(m.size for m in matrices.values()) * len(sources[0]) * prod(axis.count for axis in phase)
    across(work, jobs, products / 16)  # a product of numbers costs far less than moving one


def multiply_dense(sums: Sequence[Sum], sources: Sequence[Array], adjoint: bool) -> list[Array]:
    """The outputs of sums of dense maps of one base weight, u W^T (adjoint: s W), without a copy of any weights."""
    base = sums[0][0][1][0][1].base
    length = base.shape[1 if adjoint else 0]
    outs = [np.empty((sources[0].shape[0], length), base.dtype) for _ in sums]
    maps = {id(m): m for one in sums for _, terms in one for _, m in terms}
    plain = all(m.modify is None for m in maps.values())
    step = length if plain else max(1, min(length, WEIGHTS * length // base.nbytes))

    def work(jobs: Iterable[int]) -> None:
        buffers: dict[int, Array] = {}
        for begin in jobs:
            at = (slice(None), slice(begin, begin + step))
            block = base[at] if adjoint else base.T[at]
            weights = {key: _modified(block, m.modify, buffers, key) for key, m in maps.items()}
            for out, one in zip(outs, sums, strict=True):
                _add_up(
                    one, out[at],
                    lambda i, m, into: np.matmul(sources[i], weights[id(m)], out=into),  # noqa: B023
                    lambda factor: factor[at],  # noqa: B023
                )  # fmt: skip

    across(work, range(0, length, step), base.size)
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


def _add_up(one: Sum, into: Array, multiply: Callable[[int, Any, Array | None], Array], here: Callable[[Array], Array]) -> None:
    """One block of one output: the sum over groups of factor * (sum of products)."""
    for g, (factor, terms) in enumerate(one):
        block = into if g == 0 else np.empty_like(into)
        for t, (source, m) in enumerate(terms):
            if t == 0:
                multiply(source, m, block)
            else:
                block += multiply(source, m, None)
        if factor is not None:
            block *= here(factor)
        if g:
            into += block


def _matrix(conv: Any, phase: Sequence[Axis], adjoint: bool) -> Array:
    """The weights of a phase's taps, (groups, targets per group, sources per group * taps)."""
    w, groups = conv.weight, conv.groups
    if prod(len(axis.taps) for axis in phase) < prod(w.shape[2:]):
        w = w[np.ix_(range(w.shape[0]), range(w.shape[1]), *(axis.taps for axis in phase))]
    w = np.ascontiguousarray(w.reshape(groups, w.shape[0] // groups, w.shape[1], -1))
    if adjoint:  # a kernel moves as one element, which is four times as fast
        kernels = w.view(f"V{w.itemsize * w.shape[-1]}")[..., 0]
        w = np.ascontiguousarray(kernels.transpose(0, 2, 1))[..., None].view(w.dtype)
    return w.reshape(*w.shape[:2], -1)


def _rows(sources: Sequence[Array], phase: Sequence[Axis]) -> int:
    """How many rows of the first spatial axis make a block."""
    taps, plane = prod(len(axis.taps) for axis in phase), prod(axis.count for axis in phase[1:])
    row = taps * plane * sum(s.shape[1] for s in sources) * sources[0].itemsize
    blocks = -(-phase[0].count // int(max(1, PATCHES // row)))
    return -(-phase[0].count // (blocks + (blocks > 1 and blocks % 2)))  # an even number, to share among threads


class _Reader:
    """Reads one source, (N, C, *spatial), a block at a time."""

    def __init__(self, source: Array, phase: Sequence[Axis], rows: int) -> None:
        self.source, self.phase = source, phase
        self.taps = list(product(*(axis.first for axis in phase)))
        counts = [rows, *(axis.count for axis in phase[1:])]
        spans = [axis.reads(0, count) for axis, count in zip(phase, counts, strict=True)]
        self.edged = np.empty((source.shape[1], *(hi - lo for lo, hi in spans)), source.dtype)
        self.buffer = np.empty(source.shape[1] * len(self.taps) * prod(counts), source.dtype)

    def patches(self, n: int, limits: Sequence[tuple[int, int]]) -> Array:
        """(C, taps, *counts): what every tap reads for the target positions within the limits, in the same buffer again."""
        spans = [axis.reads(*limit) for axis, limit in zip(self.phase, limits, strict=True)]
        region = self._region(n, spans)
        shape = (region.shape[0], len(self.taps), *(b - a for a, b in limits))
        out = self.buffer[: prod(shape)].reshape(shape)
        for t, tap in enumerate(self.taps):
            columns = zip(tap, self.phase, limits, spans, strict=True)
            at = [
                slice(f + a * axis.step - lo, f + (b - 1) * axis.step + 1 - lo, axis.step)
                for f, axis, (a, b), (lo, _) in columns
            ]
            read = region[(slice(None), *at)]
            if len(self.taps) == 1:
                return read
            out[:, t] = read
        return out

    def _region(self, n: int, spans: Sequence[tuple[int, int]]) -> Array:
        """What lies between the spans, with zeros beyond the edges."""
        size = self.source.shape[2:]
        inside = [(max(lo, 0), min(hi, m)) for (lo, hi), m in zip(spans, size, strict=True)]
        if inside == list(spans):
            return self.source[(n, slice(None), *(slice(*span) for span in spans))]
        region = self.edged[(slice(None), *(slice(hi - lo) for lo, hi in spans))]
        region[...] = 0
        if all(a < b for a, b in inside):
            here = [slice(a - lo, b - lo) for (a, b), (lo, _) in zip(inside, spans, strict=True)]
            region[(slice(None), *here)] = self.source[(n, slice(None), *(slice(*span) for span in inside))]
        return region
