"""Layers that add or move values: add, concatenate, reshape, permute, pad, crop, slice, upsample, look up, or leave them be."""

from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from operator import add
from typing import Any, ClassVar

import numpy as np

from lrp_ref.arrays import Array, LRPError, Number, checked, count_of, full, is_exact, known, namespace, number, placed, same
from lrp_ref.layers.affine import Affine, expect, linear, moved, pairs, per_axis
from lrp_ref.layers.drift import Drift, Errors, fixed
from lrp_ref.layers.maps import Routed, Window
from lrp_ref.values import ByValue

__all__ = [
    "Add", "Concat", "Crop", "Dropout", "Embedding", "Flatten", "Identity", "Pad", "Permute", "Reshape", "Slice", "Upsample",
]  # fmt: skip


@dataclass(frozen=True)
class Add:
    """y = x0 + x1 + ...: a residual sum. Inputs of one shape; relevance comes back as a tuple."""

    axes = None
    drift = fixed

    def affine(self, *inputs: Array) -> Affine:
        for x in inputs[1:]:
            expect(self, "inputs of one shape", tuple(inputs[0].shape), tuple(x.shape))
        one = full((1,) * inputs[0].ndim, 1, inputs[0])
        whole = linear([Routed(one, same, same, tuple(x.shape[1:])) for x in inputs], inputs)
        return replace(whole, output=lambda: reduce(add, inputs)) if len(inputs) > 1 else whole


@dataclass(frozen=True)
class Concat:
    """Inputs joined along `axis` (1 = channels); relevance comes back as a tuple."""

    axis: int = 1
    axes = None
    drift = fixed

    def affine(self, *inputs: Array) -> Affine:
        xp, first = namespace(inputs[0]), inputs[0]
        if not 1 <= self.axis < first.ndim:
            raise LRPError(f"Concat: expected an axis from 1 to {first.ndim - 1}, got {self.axis}")
        for x in inputs[1:]:
            rest = [tuple(n for a, n in enumerate(t.shape) if a != self.axis) for t in (first, x)]
            expect(self, f"inputs that agree outside axis {self.axis}:", rest[0], rest[1])
        widths = [x.shape[self.axis] for x in inputs]
        outputs = (*first.shape[1 : self.axis], sum(widths), *first.shape[self.axis + 1 :])

        def joined(k: int) -> Routed:
            before, after = sum(widths[:k]), sum(widths[k + 1 :])

            def gather(u: Array) -> Array:
                beside = [(*u.shape[: self.axis], n, *u.shape[self.axis + 1 :]) for n in (before, after)]
                return xp.concat([full(beside[0], 0, u), u, full(beside[1], 0, u)], axis=self.axis)

            at = (slice(None),) * self.axis + (slice(before, before + widths[k]),)
            return Routed(full((1,) * first.ndim, 1, first), gather, lambda s: s[(*at, ...)], outputs)

        whole = linear([joined(k) for k in range(len(inputs))], inputs)
        return replace(whole, output=lambda: xp.concat(inputs, axis=self.axis))


@dataclass(frozen=True)
class Identity:
    """y = x."""

    axes = None
    drift = fixed

    def affine(self, x: Array) -> Affine:
        return moved(same, same, x)


@dataclass(frozen=True)
class Dropout:
    """y = x: dropout once training is over. `rate` is kept for the record, 0 <= rate < 1."""

    rate: Number = 0.5
    axes = None
    drift = fixed

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise LRPError(f"Dropout: expected 0 <= rate < 1, got {self.rate}")

    def affine(self, x: Array) -> Affine:
        return moved(same, same, x)


@dataclass(frozen=True)
class Flatten:
    """(N, *shape) to (N, prod(shape)), row-major."""

    axes = None
    selects: ClassVar[bool] = True
    drift = fixed

    def affine(self, x: Array) -> Affine:
        return Reshape((prod(x.shape[1:]),)).affine(x)


@dataclass(frozen=True)
class Reshape:
    """(N, *any) to (N, *shape), row-major; one entry may be -1."""

    shape: tuple[int, ...]
    axes = None
    drift = fixed

    def affine(self, x: Array) -> Affine:
        xp, inner = namespace(x), tuple(x.shape[1:])
        known = prod(n for n in self.shape if n != -1)
        if known < 1 or prod(inner) % known or (-1 not in self.shape and known != prod(inner)) or self.shape.count(-1) > 1:
            raise LRPError(f"Reshape: cannot give samples of shape {inner} the shape {self.shape}")
        target = tuple(prod(inner) // known if n == -1 else n for n in self.shape)
        return moved(lambda u: xp.reshape(u, (u.shape[0], *target)), lambda s: xp.reshape(s, (s.shape[0], *inner)), x)


@dataclass(frozen=True)
class Permute:
    """Output axis a is input axis axes_order[a - 1]; `axes_order` permutes 1 .. ndim - 1, the batch axis stays first."""

    axes_order: tuple[int, ...]
    axes = None
    drift = fixed

    def affine(self, x: Array) -> Affine:
        xp = namespace(x)
        if sorted(self.axes_order) != list(range(1, x.ndim)):
            raise LRPError(f"Permute: expected a permutation of {tuple(range(1, x.ndim))}, got {self.axes_order}")
        order = (0, *self.axes_order)
        inverse = tuple(order.index(a) for a in range(x.ndim))
        return moved(lambda u: xp.permute_dims(u, order), lambda s: xp.permute_dims(s, inverse), x)


@dataclass(frozen=True)
class Pad:
    """Constant padding of the spatial axes, (begin, end) pairs; a value that is not 0 is a bias of the padded outputs."""

    padding: Any
    value: Number = 0
    axes = None
    drift = fixed

    def affine(self, x: Array) -> Affine:
        ends = pairs(self, "padding", self.padding, x.ndim - 2)
        window = Window((1,) * len(ends), (1,) * len(ends), ends, (1,) * len(ends))
        size = tuple(x.shape[2:])
        bias = window.pad(full((1, *x.shape[1:]), 0, x), number(self.value, x, "Pad.value"))
        route = moved(window.pad, lambda s: window.crop(s, size), x)
        return Affine(route.maps, route.inputs, bias, route.y + bias, is_sum=True)


@dataclass(frozen=True)
class Crop:
    """Removes (begin, end) elements from every spatial axis."""

    crop: Any
    axes = None
    drift = fixed

    def affine(self, x: Array) -> Affine:
        ends = pairs(self, "crop", self.crop, x.ndim - 2)
        kept = tuple(n - b - e for n, (b, e) in zip(x.shape[2:], ends, strict=True))
        if min(kept, default=1) < 1:
            raise LRPError(f"Crop: nothing is left of x of shape {tuple(x.shape)} after cropping {ends}")
        window = Window((1,) * len(ends), (1,) * len(ends), ends, (1,) * len(ends))
        return moved(lambda u: window.crop(u, kept), window.pad, x)


@dataclass(frozen=True)
class Slice:
    """Elements begin, begin + step, ... before `end` along one axis (1 = channels); `end` None is the axis's own."""

    axis: int
    begin: int = 0
    end: int | None = None
    step: int = 1
    axes = None
    drift = fixed

    def __post_init__(self) -> None:
        if self.axis < 1 or self.begin < 0 or self.step < 1 or (self.end is not None and self.end <= self.begin):
            raise LRPError(
                f"Slice: expected axis and step >= 1 and 0 <= begin < end, got axis {self.axis}, {self.begin} to {self.end} "
                f"by {self.step}"
            )

    def affine(self, x: Array) -> Affine:
        size = x.shape[self.axis] if self.axis < x.ndim else 0
        if not self.begin < size or (self.end is not None and self.end > size):
            raise LRPError(f"Slice: {self.begin} to {self.end} on axis {self.axis} does not fit x of shape {tuple(x.shape)}")
        at = (*(slice(None),) * self.axis, slice(self.begin, self.end, self.step), ...)

        def scatter(s: Array) -> Array:
            out = full((*s.shape[: self.axis], size, *s.shape[self.axis + 1 :]), 0, s)
            return placed(out, at, s)

        return moved(lambda u: u[at], scatter, x)


@dataclass(frozen=True)
class Upsample:
    """Nearest neighbour: output position p reads input position p // scale, along every spatial axis."""

    scale: tuple[int, ...]
    axes = None
    drift = fixed

    def affine(self, x: Array) -> Affine:
        xp, scale = namespace(x), per_axis(self, "scale", self.scale, x.ndim - 2)

        def gather(u: Array) -> Array:
            for axis, factor in enumerate(scale, start=2):
                u = xp.repeat(u, factor, axis=axis)
            return u

        def scatter(s: Array) -> Array:
            for axis, factor in enumerate(scale, start=2):
                folded = (*s.shape[:axis], s.shape[axis] // factor, factor, *s.shape[axis + 1 :])
                s = xp.sum(xp.reshape(s, folded), axis=axis + 1)
            return s

        return moved(gather, scatter, x)


@dataclass(frozen=True, eq=False)
class Embedding(ByValue):
    """Row x[n, t] of a table: weight (vocabulary, width), x integers (N, T), y (N, T, width).

    `reduce`: "sum" hands every index the relevance of its vector, (N, T); "keep" leaves it at (N, T, width).
    """

    weight: Array
    reduce: str = "sum"
    axes = None
    takes_indices: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checked("Embedding.weight", self.weight)
        if self.weight.ndim != 2:
            raise LRPError(f"Embedding: expected weight (vocabulary, width), got shape {tuple(self.weight.shape)}")
        if self.reduce not in ("sum", "keep"):
            raise LRPError(f"Embedding: reduce is one of sum, keep; got {self.reduce!r}")

    def drift(self, affine: Affine, x: Errors, e: Errors, dtype: str) -> Drift:
        """None: indices are never off, and rows are looked up."""
        return Drift(0 * affine.y, inputs=tuple(0 * a for a in affine.inputs))

    def affine(self, x: Array) -> Affine:
        xp = namespace(self.weight)
        indices = np.asarray(x) if is_exact(self.weight) else x
        if indices.ndim != 2:
            raise LRPError(f"Embedding: expected indices (N, T), got shape {tuple(indices.shape)}")
        if not namespace(indices).isdtype(indices.dtype, "integral"):
            raise LRPError(f"Embedding: expected integer indices, got dtype {indices.dtype}")
        if count_of(indices) and known(xp.any((indices < 0) | (indices >= self.weight.shape[0]))):
            span = f"{int(xp.min(indices))} to {int(xp.max(indices))}"
            raise LRPError(f"Embedding: expected indices from 0 to {self.weight.shape[0] - 1}, got {span}")
        width = self.weight.shape[1]
        flat = xp.take(self.weight, xp.reshape(indices, (-1,)), axis=0)
        rows = xp.reshape(flat, (*indices.shape, width))
        zero = full((1, *rows.shape[1:]), 0, rows)
        if self.reduce == "keep":
            return Affine((Routed(full((1, 1, 1), 1, rows), same, same),), (full(tuple(rows.shape), 1, rows),), zero, rows)

        def gather(u: Array) -> Array:
            return xp.broadcast_to(u[..., None], (*u.shape, width))

        spread = Routed(full((1, 1, 1), 1, rows), gather, lambda s: xp.sum(s, axis=-1))
        return Affine((spread,), (full(tuple(indices.shape), 1, rows),), zero, rows)
