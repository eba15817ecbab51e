"""A convolution, or its adjoint, as a gather: patches copied block by block and multiplied straight into the output."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import product
from math import prod
from typing import Any

import numpy as np

from lrp_ref.arrays import Array
from lrp_ref.fast.blocks import Key, Sum, blocks, combine, maps_of, shareable, steps, uses
from lrp_ref.fast.patches import Block, Limits, Phase, Piece, Reader, adjoint_axes, forward_axes
from lrp_ref.fast.scratch import scratch
from lrp_ref.fast.threads import across

Job = tuple[tuple[tuple[int, int], tuple[int, int]], int]  # samples, positions of the first axis, and which lane


def gather(sums: Sequence[Sum], sources: Sequence[Array], outs: Sequence[Array], adjoint: bool, shift: Array | None) -> None:
    """Fill `outs`; what no tap reaches stays as it is."""
    conv = sums[0][0][1][0][1]
    for phase in product(*(adjoint_axes if adjoint else forward_axes)(conv.window, conv.size[1:], conv.out)):
        matrices = {key: _matrix(m, phase, adjoint) for key, m in maps_of(sums).items()}
        _gather_phase(sums, sources, outs, phase, matrices, shift)


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
    spans = list(product(steps(batch, samples), steps(counts[0], rows)))
    block = Block(phase, samples, rows, groups, sources[0].shape[1] // groups, sources[0].itemsize)
    lanes, read = _lanes(block, len(spans)), uses(sums, matrices, len(sources))
    partial: list[dict[Key, Array]] = [{} for _ in lanes]

    def place(span: tuple[int, int], limit: tuple[int, int]) -> tuple[slice, ...]:
        columns = (axis.target(*at) for axis, at in zip(phase, [limit, *rest], strict=True))
        return slice(*span), slice(None), *columns

    def work(jobs: Iterable[Job]) -> None:
        with ExitStack() as stack:
            borrow = lambda count: stack.enter_context(scratch(count, sources[0].dtype))  # noqa: E731
            serve([Reader(s, block, lanes[0][0], borrow) for s in sources], jobs)

    def serve(readers: Sequence[Reader], jobs: Iterable[Job]) -> None:
        for (span, limit), lane in jobs:
            targets = [out[place(span, limit)].swapaxes(0, 1) for out in outs]
            if lane:
                targets = [np.empty(target.shape, target.dtype) for target in targets]
            totals = _products(readers, read, lanes[lane], span, [limit, *rest], targets)
            if len(lanes) == 1:
                finish(totals, place(span, limit))
            else:
                partial[lane] = totals

    def finish(totals: dict[Key, Array], at: tuple[slice, ...]) -> None:
        for i, (out, one) in enumerate(zip(outs, sums, strict=True)):
            total = combine(one, [totals[i, g] for g in range(len(one))], at, (0, 1))
            if shift is not None:
                total += shift.swapaxes(0, 1)
            if not np.may_share_memory(total, out):
                out[at] = total.swapaxes(0, 1)

    across(work, list(product(spans, range(len(lanes)))), sum(m.size for m in matrices.values()) * batch * prod(counts) / 16)
    if len(lanes) > 1:
        for other in partial[1:]:
            for key, total in other.items():
                partial[0][key] += total
        finish(partial[0], place(*spans[0]))


def _lanes(block: Block, spans: int) -> list[list[Piece]]:
    """Which pieces are summed apart, by different threads; where there is but one block each takes some of the channels."""
    if spans > 1 or not shareable(block.groups, block.channels):
        return [block.pieces(shared=False)]
    pieces = block.pieces(shared=True)
    return [pieces[lane::2] for lane in range(2)]


def _products(
    readers: Sequence[Reader],
    read: Sequence[Sequence[tuple[Key, Array]]],
    pieces: Sequence[Piece],
    span: tuple[int, int],
    limits: Limits,
    targets: Sequence[Array],
) -> dict[Key, Array]:
    """Every group's sum of products, shaped as the target (channels, samples, ...); the first groups' in the targets' memory
    where these lie close enough together."""
    totals: dict[Key, Array] = {}
    begun: set[tuple[Key, int]] = set()
    for reader, used in zip(readers, read, strict=True):
        for (at, channels), columns in reader.patches(span, limits, pieces):
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
