"""What the taps of a convolution read, or of its adjoint: positions on every axis, and patches copied a block at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from numpy.lib.stride_tricks import as_strided

from lrp_ref.arrays import Array
from lrp_ref.fast.blocks import LINE, apart, pieces

Limits = Sequence[tuple[int, int]]
Piece = tuple[slice, slice]  # some groups, and some channels of each


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


def covered(window: Any, size: Sequence[int], out: Sequence[int]) -> bool:
    """Whether the adjoint's phases reach every input position."""
    return prod(sum(axis.count for axis in phases) for phases in adjoint_axes(window, size, out)) == prod(size)


@dataclass(frozen=True)
class Block:
    """So many samples, and positions of the first axis, are read at a time, from sources of one shape (N, C, *spatial)."""

    phase: Phase
    samples: int
    rows: int
    groups: int
    channels: int  # of a group
    itemsize: int

    @property
    def taps(self) -> list[int]:
        """How many taps read along each axis."""
        return [len(axis.taps) for axis in self.phase]

    @property
    def counts(self) -> list[int]:
        """How many positions, along each axis."""
        return [self.rows, *(axis.count for axis in self.phase[1:])]

    @property
    def bare(self) -> bool:
        """Whether a patch is what lies there already."""
        return self.samples == prod(self.taps) == 1 and all(axis.step == 1 for axis in self.phase)

    @property
    def each(self) -> int:
        """The numbers that a channel's patches take; a shorter block may need longer lines."""
        return prod(self.taps) * (self.samples * prod(self.counts) + LINE // self.itemsize)

    def pieces(self, shared: bool) -> list[Piece]:
        """What is read one after the other, into the same memory; shared: threads may take different pieces."""
        if self.bare and not shared:
            return [(slice(0, self.groups), slice(0, self.channels))]
        return pieces(self.groups, self.channels, self.each, shared)


class Reader:
    """Reads one source, a block at a time, piece by piece."""

    def __init__(self, source: Array, block: Block, largest: Piece, borrow: Callable[[int], Array]) -> None:
        self.source, self.block = source, block
        at, channels = largest
        most = (at.stop - at.start) * (channels.stop - channels.start)
        spans = [axis.reads(0, count) for axis, count in zip(block.phase, block.counts, strict=True)]
        shape = (block.samples, most, *(hi - lo for lo, hi in spans))
        self.edged = borrow(prod(shape)).reshape(shape)
        self.buffer = borrow(0 if block.bare else most * block.each)

    def patches(
        self, span: tuple[int, int], limits: Limits, pieces: Sequence[Piece]
    ) -> Iterator[tuple[tuple[slice, slice], Array]]:
        """Which groups, which of a matrix's columns, and (groups, channels * taps, samples * positions): what every tap
        reads for the target positions within the limits. All lie in the same buffer, one after the other."""
        per_group, taps, counts = self.block.channels, prod(self.block.taps), [b - a for a, b in limits]
        for at, channels in pieces:
            first, last = at.start * per_group + channels.start, (at.stop - 1) * per_group + channels.stop
            region = self._region(slice(*span), slice(first, last), limits)
            view, positions = self._view(region, counts), (span[1] - span[0]) * prod(counts)
            if not self.block.bare:
                length = apart(positions, view.dtype)
                lines = self.buffer[: region.shape[1] * taps * length].reshape(-1, length)[:, :positions]
                lines.reshape(view.shape)[...] = view
                view = lines
            columns = view.reshape(at.stop - at.start, -1, positions)
            yield (at, slice(channels.start * taps, channels.stop * taps)), columns

    def _view(self, region: Array, counts: Sequence[int]) -> Array:
        """(channels, *taps, samples, *counts), every tap's reading of the region."""
        starts = (slice(axis.first[0] - min(axis.first), None) for axis in self.block.phase)
        base = region[(slice(None), slice(None), *starts)]
        pairs = list(zip(self.block.phase, base.strides[2:], strict=True))
        shape = (region.shape[1], *self.block.taps, region.shape[0], *counts)
        strides = (*(axis.between * n for axis, n in pairs), base.strides[0], *(axis.step * n for axis, n in pairs))
        return as_strided(base, shape, (base.strides[1], *strides), writeable=False)

    def _region(self, samples: slice, channels: slice, limits: Limits) -> Array:
        """What lies between the positions that the limits span, with zeros beyond the edges."""
        spans = [axis.reads(*limit) for axis, limit in zip(self.block.phase, limits, strict=True)]
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
