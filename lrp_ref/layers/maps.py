"""Linear maps y = W x as structure: apply, adjoint, a map over the weights, and the entries of the matrix.

A map holds `weight` (an array) and what connects it; batch axis first. `entries(x)` says which weight sits where in
W[j, i], without using `apply` or `adjoint`, so that the explicit representation does not inherit a mistake of the
structured one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import product
from math import prod
from typing import Any

import numpy as np

from lrp_ref.algebra.entries import Entries, complete, moving, pooling, sliding
from lrp_ref.arrays import Array, absolute, added, full, namespace, only_read, placed
from lrp_ref.kernels import delegated


@dataclass(frozen=True)
class Window:
    """The geometry of a sliding window: tap k of output position p reads p * stride + k * dilation - begin."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]

    def output(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """The number of output positions along every spatial axis."""
        columns = zip(size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple((n + b + e - d * (k - 1) - 1) // s + 1 for n, k, s, (b, e), d in columns)

    @property
    def overlaps(self) -> bool:
        """Whether two output positions may read the same input."""
        return any(s <= d * (k - 1) for k, s, d in zip(self.kernel, self.stride, self.dilation, strict=True))

    def reads(self, size: tuple[int, ...]) -> list[Any]:
        """Per axis, what tap k of output position p reads, (positions, taps); below 0 and beyond `size` lies padding."""
        columns = zip(self.output(size), self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return [np.arange(m)[:, None] * s + np.arange(k) * d - b for m, k, s, (b, _), d in columns]

    def reads_inside(self, size: tuple[int, ...]) -> bool:
        """Whether every output position reads more than padding of an input of `size`."""
        axes = zip(size, self.reads(size), strict=True)
        return all(bool(((at >= 0) & (at < n)).any(axis=1).all()) for n, at in axes)

    def taps(self) -> list[tuple[int, ...]]:
        """The taps in row-major order."""
        return list(product(*map(range, self.kernel)))

    def slices(self, out: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
        """For every tap, what it reads of the padded input."""
        for tap in self.taps():
            starts = [k * d for k, d in zip(tap, self.dilation, strict=True)]
            yield tuple(slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(starts, out, self.stride, strict=True))

    def pad(self, x: Array, value: Any = 0) -> Array:
        """x with its padding, which holds `value`."""
        if not any(map(any, self.padding)):
            return x
        sizes = [n + b + e for n, (b, e) in zip(x.shape[2:], self.padding, strict=True)]
        out = full((*x.shape[:2], *sizes), value, x)
        return placed(out, (..., *self._inner(x.shape[2:])), x)

    def crop(self, x: Array, size: tuple[int, ...]) -> Array:
        """The inverse of `pad`."""
        return x[(..., *self._inner(size))]

    def _inner(self, size: tuple[int, ...]) -> tuple[slice, ...]:
        return tuple(slice(b, b + n) for n, (b, _) in zip(size, self.padding, strict=True))

    def wires(self, size: tuple[int, ...]) -> tuple[Any, Any, Any]:
        """Flat output position, flat input position and flat tap of every connection; padding is none."""
        axes = len(size)
        place, inside = np.zeros((1,) * 2 * axes, dtype=np.int64), np.ones((1,) * 2 * axes, dtype=bool)
        for axis, (n, at) in enumerate(zip(size, self.reads(size), strict=True)):
            here = np.expand_dims(at, tuple(a for a in range(2 * axes) if a not in (axis, axes + axis)))
            place, inside = place * n + here, inside & (here >= 0) & (here < n)
        taps = prod(self.kernel)
        position, tap = np.nonzero(inside.reshape(-1, taps))
        return position, place.reshape(-1, taps)[position, tap], tap


@delegated("modified")
def _modified(maps: "Sequence[DenseMap | ConvMap]", f: Callable[..., Array]) -> dict[str, Any]:
    """The base and the `modify` of f(weights of the maps)."""
    return {"base": f(*(m.weight for m in maps)), "modify": None}


@dataclass(frozen=True)
class DenseMap:
    """y = W x; weight (out, in) is what the elementwise `modify` makes of `base`, formed only where it is asked for."""

    base: Array
    modify: Callable[[Array], Array] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", only_read(self.base))  # the layer's own weight, which rules see

    @cached_property
    def weight(self) -> Array:
        return self.base if self.modify is None else self.modify(self.base)

    @property
    def outputs(self) -> tuple[int, ...]:
        return (self.base.shape[0],)

    def mapped(self, f: Callable[..., Array], *others: "DenseMap") -> "DenseMap":
        return DenseMap(**_modified((self, *others), f))

    def connections(self) -> "DenseMap":
        return self.mapped(lambda w: full(w.shape, 1, w))

    @delegated("dense")
    def apply(self, u: Array) -> Array:
        return u @ self.weight.T

    @delegated("dense adjoint")
    def adjoint(self, s: Array) -> Array:
        return s @ self.weight

    def entries(self, x: Array) -> Entries:
        return complete(self.weight)


@dataclass(frozen=True)
class ConvMap:
    """Cross-correlation; weight (out, in / groups, *kernel), `size` (in, *spatial).

    weight is what the elementwise `modify` makes of `base`, formed only where it is asked for.
    """

    base: Array
    window: Window
    groups: int
    size: tuple[int, ...]
    modify: Callable[[Array], Array] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", only_read(self.base))  # the layer's own weight, which rules see

    @cached_property
    def weight(self) -> Array:
        return self.base if self.modify is None else self.modify(self.base)

    @property
    def out(self) -> tuple[int, ...]:
        return self.window.output(self.size[1:])

    @property
    def outputs(self) -> tuple[int, ...]:
        return (self.base.shape[0], *self.out)

    def mapped(self, f: Callable[..., Array], *others: "ConvMap") -> "ConvMap":
        return replace(self, **_modified((self, *others), f))

    def connections(self) -> "ConvMap":
        return self.mapped(lambda w: full(w.shape, 1, w))

    def _taps(self, transposed: bool) -> Iterator[tuple[tuple[slice, ...], Array]]:
        """Every tap's slice and its matrix (groups, out / groups, in / groups), or the transpose."""
        xp, (rows, columns) = namespace(self.weight), self.weight.shape[:2]
        for at, tap in zip(self.window.slices(self.out), self.window.taps(), strict=True):
            matrix = xp.reshape(self.weight[(slice(None), slice(None), *tap)], (self.groups, rows // self.groups, columns))
            yield at, xp.matrix_transpose(matrix) if transposed else matrix

    @delegated("convolution shifted")
    def shifted(self, u: Array, shift: Array) -> Array:
        """W u + shift, (1, out, 1, ...)."""
        return self.apply(u) + shift

    @delegated("convolution")
    def apply(self, u: Array) -> Array:
        xp, padded = namespace(u), self.window.pad(u)
        total = full((u.shape[0], self.groups, self.weight.shape[0] // self.groups, prod(self.out)), 0, u)
        for at, matrix in self._taps(transposed=False):
            patch = xp.reshape(padded[(..., *at)], (u.shape[0], self.groups, self.weight.shape[1], prod(self.out)))
            total = total + matrix @ patch
        return xp.reshape(total, (u.shape[0], self.weight.shape[0], *self.out))

    @delegated("convolution adjoint")
    def adjoint(self, s: Array) -> Array:
        xp = namespace(s)
        grouped = xp.reshape(s, (s.shape[0], self.groups, self.weight.shape[0] // self.groups, prod(self.out)))
        total = self.window.pad(full((s.shape[0], *self.size), 0, s))
        for at, matrix in self._taps(transposed=True):
            total = added(total, (..., *at), xp.reshape(matrix @ grouped, (s.shape[0], self.size[0], *self.out)))
        return self.window.crop(total, self.size[1:])

    def entries(self, x: Array) -> Entries:
        wires, places, positions = self.window.wires(self.size[1:]), prod(self.size[1:]), prod(self.out)
        return sliding(wires, prod(self.window.kernel), places, positions, self.weight, self.groups)


@dataclass(frozen=True)
class Transposed:
    """The transpose of a convolution; weight as of that convolution, (in, out / groups, *kernel)."""

    conv: ConvMap

    @property
    def weight(self) -> Array:
        return self.conv.weight

    @property
    def outputs(self) -> tuple[int, ...]:
        return self.conv.size

    def mapped(self, f: Callable[..., Array], *others: "Transposed") -> "Transposed":
        return Transposed(self.conv.mapped(f, *(m.conv for m in others)))

    def connections(self) -> "Transposed":
        return Transposed(self.conv.connections())

    def apply(self, u: Array) -> Array:
        return self.conv.adjoint(u)

    def adjoint(self, s: Array) -> Array:
        return self.conv.apply(s)

    def entries(self, x: Array) -> Entries:
        return self.conv.entries(x).transposed


@dataclass(frozen=True)
class WindowMap:
    """A pooling: every output weighs the taps of its own channel; weight and wired (taps, batch or 1, channels or 1, *out)."""

    weight: Array
    wired: Array
    window: Window
    size: tuple[int, ...]

    def mapped(self, f: Callable[..., Array], *others: "WindowMap") -> "WindowMap":
        return self.with_weight(f(self.weight, *(m.weight for m in others)))

    def with_weight(self, weight: Array) -> "WindowMap":
        return replace(self, weight=weight)

    def connections(self) -> "WindowMap":
        return self.with_weight(self.wired)

    def apply(self, u: Array) -> Array:
        padded = self.window.pad(u)
        slices = self.window.slices(self.weight.shape[3:])
        return sum(self.weight[t, ...] * padded[(..., *at)] for t, at in enumerate(slices))

    def adjoint(self, s: Array) -> Array:
        (batch,) = np.broadcast_shapes(s.shape[:1], self.weight.shape[1:2])
        total = self.window.pad(full((batch, *self.size), 0, s))
        for t, at in enumerate(self.window.slices(self.weight.shape[3:])):
            total = added(total, (..., *at), self.weight[t, ...] * s)
        return self.window.crop(total, self.size[1:])

    def entries(self, x: Array) -> Entries:
        return pooling(self.window.wires(self.size[1:]), self.size[0], prod(self.size[1:]), self.weight, self.wired)


@dataclass(frozen=True)
class Routed:
    """Every output reads at most one input: y = weight * gather(x), and its adjoint scatter(weight * s).

    weight broadcasts against y; gather and scatter move values and are adjoint to each other. outputs: the shape of a
    sample of y where it is known without gathering. work >= |weight|: the magnitudes behind weights that are differences.
    """

    weight: Array
    gather: Callable[[Array], Array]
    scatter: Callable[[Array], Array]
    outputs: tuple[int, ...] | None = None
    work: Array | None = None

    def mapped(self, f: Callable[..., Array], *others: "Routed") -> "Routed":
        maps, weight = (self, *others), f(self.weight, *(m.weight for m in others))
        if all(m.work is None for m in maps):
            return replace(self, weight=weight)
        works = [absolute(m.weight) if m.work is None else m.work for m in maps]
        ends = (absolute(f(*(sign * work for work in works))) for sign in (1, -1))
        return replace(self, weight=weight, work=reduce(namespace(weight).maximum, ends))

    def gauge(self) -> "Routed":
        """The map of the work."""
        return replace(self, weight=absolute(self.weight) if self.work is None else self.work, work=None)

    def plain(self) -> "Routed":
        """Without what its weights are the differences of."""
        return self if self.work is None else replace(self, work=None)

    def connections(self) -> "Routed":
        return replace(self, weight=full(self.weight.shape, 1, self.weight), work=None)

    def apply(self, u: Array) -> Array:
        return self.weight * self.gather(u)

    def adjoint(self, s: Array) -> Array:
        return self.scatter(self.weight * s)

    def entries(self, x: Array) -> Entries:
        return moving(self.gather, self.weight, x)
