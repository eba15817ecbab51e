"""A convolution, or its adjoint, as a gather: patches copied block by block and multiplied straight into the output."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from lrp_ref.arrays import Array
from lrp_ref.fast.blocks import LINE, Key, Sum, apart, blocks, combine, maps_of, pieces, steps, uses
from lrp_ref.fast.scratch import scratch
from lrp_ref.fast.threads import across

Limits = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Axis:
    """One axis: target position start + k * stride reads source position first[t] + k * step for tap t, k < count."""

    taps: tuple[int, ...]
    first: tuple[int, ...]  # in arithmetic progression
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

    @property
    def between(self) -> int:
        """From what one tap reads to what the next one reads."""
        return self.first[1] - self.first[0] if len(self.first) > 1 else 0


Phase = Sequence[Axis]


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


def gather(sums: Sequence[Sum], sources: Sequence[Array], outs: Sequence[Array], adjoint: bool, shift: Array | None) -> None:
    """Fill `outs`; what no tap reaches stays as it is."""
    conv = sums[0][0][1][0][1]
    for phase in product(*(adjoint_axes if adjoint else forward_axes)(conv.window, conv.size[1:], conv.out)):
        matrices = {key: _matrix(m, phase, adjoint) for key, m in maps_of(sums).items()}
        _gather_phase(sums, sources, outs, phase, matrices, shift)


def covered(window: Any, size: Sequence[int], out: Sequence[int]) -> bool:
    """Whether the adjoint's phases reach every input position."""
    return prod(sum(axis.count for axis in phases) for phases in adjoint_axes(window, size, out)) == prod(size)


def _gather_phase(
    sums: Sequence[Sum],
    sources: Sequence[Array],
    outs: Sequence[Array],
    phase: Phase,
    matrices: dict[int, Array],
    shift: Array | None,
) -> None:
    groups, rest, batch = next(iter(matrices.values())).shape[0], [(0, axis.count) for axis in phase[1:]], len(sources[0])
    counts = [axis.count for axis in phase]
    samples, rows = blocks(batch, counts, sum(m.shape[-1] for m in matrices.values()))
    read = uses(sums, matrices, len(sources))

    def work(jobs: Iterable[tuple[tuple[int, int], tuple[int, int]]]) -> None:
        with ExitStack() as stack:
            borrow = lambda count: stack.enter_context(scratch(count, sources[0].dtype))  # noqa: E731
            serve([_Reader(s, phase, (samples, rows), groups, borrow) for s in sources], jobs)

    def serve(readers: Sequence[_Reader], jobs: Iterable[tuple[tuple[int, int], tuple[int, int]]]) -> None:
        for span, limit in jobs:
            limits = [limit, *rest]
            columns = (axis.target(*at) for axis, at in zip(phase, limits, strict=True))
            place = (slice(*span), slice(None), *columns)
            totals = _products(readers, read, span, limits, [out[place].swapaxes(0, 1) for out in outs])
            for i, (out, one) in enumerate(zip(outs, sums, strict=True)):
                block = combine(one, [totals[i, g] for g in range(len(one))], place, (0, 1))
                if shift is not None:
                    block += shift.swapaxes(0, 1)
                if not np.may_share_memory(block, out):
                    out[place] = block.swapaxes(0, 1)

    jobs = list(product(steps(batch, samples), steps(counts[0], rows)))
    across(work, jobs, sum(m.size for m in matrices.values()) * batch * prod(counts) / 16)


def _products(
    readers: Sequence["_Reader"],
    read: Sequence[Sequence[tuple[Key, Array]]],
    span: tuple[int, int],
    limits: Limits,
    targets: Sequence[Array],
) -> dict[Key, Array]:
    """Every group's sum of products, shaped as the target (channels, samples, ...); the first groups' in the targets' memory
    where these lie close enough together."""
    totals: dict[Key, Array] = {}
    begun: set[tuple[Key, int]] = set()
    for reader, used in zip(readers, read, strict=True):
        for (at, channels), columns in reader.patches(span, limits):
            for (i, g), matrix in used:
                shape = (matrix.shape[0], matrix.shape[1], columns.shape[-1])
                if (i, g) not in totals:
                    totals[i, g] = targets[i].reshape(shape) if g == 0 else np.empty(shape, columns.dtype)
                total, weights = totals[i, g][at], matrix[at, :, channels]
                if ((i, g), at.start) in begun:
                    total += weights @ columns
                else:
                    np.matmul(weights, columns, out=total)
                    begun.add(((i, g), at.start))
    return {key: total.reshape(targets[key[0]].shape) for key, total in totals.items()}


def _matrix(conv: Any, phase: Phase, adjoint: bool) -> Array:
    """The weights of a phase's taps, (groups, targets per group, sources per group * taps)."""
    w, groups = conv.weight, conv.groups
    if prod(len(axis.taps) for axis in phase) < prod(w.shape[2:]):
        w = w[np.ix_(range(w.shape[0]), range(w.shape[1]), *(axis.taps for axis in phase))]
    w = np.ascontiguousarray(w.reshape(groups, w.shape[0] // groups, w.shape[1], -1))
    if adjoint and w.shape[-1] == 1:
        return w[..., 0].swapaxes(1, 2)
    if adjoint:  # a kernel moves as one element, which is four times as fast
        kernels = w.view(f"V{w.itemsize * w.shape[-1]}")[..., 0]
        w = np.ascontiguousarray(kernels.transpose(0, 2, 1))[..., None].view(w.dtype)
    return w.reshape(*w.shape[:2], -1)


class _Reader:
    """Reads one source, (N, C, *spatial), a block at a time."""

    def __init__(
        self, source: Array, phase: Phase, block: tuple[int, int], groups: int, borrow: Callable[[int], Array]
    ) -> None:
        self.source, self.phase, self.groups = source, phase, groups
        self.taps = [len(axis.taps) for axis in phase]
        counts = [block[1], *(axis.count for axis in phase[1:])]
        self.bare = block[0] == prod(self.taps) == 1 and all(axis.step == 1 for axis in phase)  # as it lies there
        each = prod(self.taps) * (block[0] * prod(counts) + LINE // source.itemsize)  # a shorter block may need longer lines
        per_group = source.shape[1] // groups
        whole = [(slice(0, groups), slice(0, per_group))]
        self.pieces = whole if self.bare else pieces(groups, per_group, each, shared=False)
        at, channels = self.pieces[0]
        most = (at.stop - at.start) * (channels.stop - channels.start)
        spans = [axis.reads(0, count) for axis, count in zip(phase, counts, strict=True)]
        shape = (block[0], most, *(hi - lo for lo, hi in spans))
        self.edged = borrow(prod(shape)).reshape(shape)
        self.buffer = borrow(0 if self.bare else most * each)

    def patches(self, span: tuple[int, int], limits: Limits) -> Iterator[tuple[tuple[slice, slice], Array]]:
        """Which groups, which of a matrix's columns, and (groups, channels * taps, samples * positions): what every tap
        reads for the target positions within the limits. All lie in the same buffer, one after the other."""
        per_group, taps, counts = self.source.shape[1] // self.groups, prod(self.taps), [b - a for a, b in limits]
        for at, channels in self.pieces:
            first, last = at.start * per_group + channels.start, (at.stop - 1) * per_group + channels.stop
            region = self._region(slice(*span), slice(first, last), limits)
            view, positions = self._view(region, counts), (span[1] - span[0]) * prod(counts)
            if not self.bare:
                length = apart(positions, view.dtype)
                lines = self.buffer[: region.shape[1] * taps * length].reshape(-1, length)[:, :positions]
                lines.reshape(view.shape)[...] = view
                view = lines
            columns = view.reshape(at.stop - at.start, -1, positions)
            yield (at, slice(channels.start * taps, channels.stop * taps)), columns

    def _view(self, region: Array, counts: Sequence[int]) -> Array:
        """(channels, *taps, samples, *counts), every tap's reading of the region."""
        starts = (slice(axis.first[0] - min(axis.first), None) for axis in self.phase)
        base = region[(slice(None), slice(None), *starts)]
        pairs = list(zip(self.phase, base.strides[2:], strict=True))
        shape = (region.shape[1], *self.taps, region.shape[0], *counts)
        strides = (*(axis.between * n for axis, n in pairs), base.strides[0], *(axis.step * n for axis, n in pairs))
        return as_strided(base, shape, (base.strides[1], *strides), writeable=False)

    def _region(self, samples: slice, channels: slice, limits: Limits) -> Array:
        """What lies between the positions that the limits span, with zeros beyond the edges."""
        spans = [axis.reads(*limit) for axis, limit in zip(self.phase, limits, strict=True)]
        size = self.source.shape[2:]
        inside = [(max(lo, 0), min(hi, m)) for (lo, hi), m in zip(spans, size, strict=True)]
        if inside == spans:
            return self.source[(samples, channels, *(slice(*span) for span in spans))]
        counts = (samples.stop - samples.start, channels.stop - channels.start, *(hi - lo for lo, hi in spans))
        region = self.edged[tuple(slice(n) for n in counts)]
        here = [slice(max(a - lo, 0), max(b - lo, 0)) for (a, b), (lo, _) in zip(inside, spans, strict=True)]
        for axis, kept in enumerate(here, 2):
            beside = (slice(None),) * axis
            region[(*beside, slice(0, kept.start))] = 0
            region[(*beside, slice(kept.stop, None))] = 0
        if all(a < b for a, b in inside):
            region[(..., *here)] = self.source[(samples, channels, *(slice(*span) for span in inside))]
        return region
