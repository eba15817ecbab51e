"""Linear maps y = W x as structure: apply, adjoint, a map over the weights, and the explicit matrix.

A map holds `weight` (an array) and what connects it; batch axis first. `matrix(x)` builds W[j, i]
from an integer table that says which weight sits where, without using `apply` or `adjoint`,
so that the explicit representation does not inherit a mistake of the structured one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np

from lrp_ref.arrays import Array, added, flattened, full, namespace, placed, widened
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

    def reads_inside(self, size: tuple[int, ...]) -> bool:
        """Whether every output position reads more than padding of an input of `size`."""
        columns = zip(size, self.output(size), self.kernel, self.stride, self.padding, self.dilation, strict=True)
        reads = ((n, np.arange(m)[:, None] * s + np.arange(k) * d - b) for n, m, k, s, (b, _), d in columns)
        return all(bool(((at >= 0) & (at < n)).any(axis=1).all()) for n, at in reads)

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

    def wires(self, size: tuple[int, ...], out: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
        """(flat output position, flat input position, flat tap) of every connection; padding is none."""
        for j, position in enumerate(product(*map(range, out))):
            for t, tap in enumerate(self.taps()):
                columns = zip(position, tap, self.stride, self.padding, self.dilation, strict=True)
                at = [p * s + k * d - b for p, k, s, (b, _), d in columns]
                if all(0 <= a < n for a, n in zip(at, size, strict=True)):
                    yield j, int(np.ravel_multi_index(at, size)), t


def _placed(weight: Array, table: Any) -> tuple[Array, Array]:
    """The matrices of weights and of connections: entry 0 of `table` means no wire, k means weight number k - 1.

    weight (batch or 1, parameters), table (out, in); returns two arrays (batch or 1, out, in).
    """
    xp, flat = namespace(weight), np.ascontiguousarray(table).reshape(-1)
    index = flat if isinstance(weight, np.ndarray) else xp.asarray(flat, device=weight.device)
    zero, one = full((weight.shape[0], 1), 0, weight), full((1, weight.shape[1]), 1, weight)
    values = xp.take(xp.concat([zero, weight], axis=1), index, axis=1)
    wired = xp.take(xp.concat([full((1, 1), 0, weight), one], axis=1), index, axis=1)
    return xp.reshape(values, (weight.shape[0], *table.shape)), xp.reshape(wired, (1, *table.shape))


@delegated("modified")
def _modified(maps: "Sequence[DenseMap | ConvMap]", f: Callable[..., Array]) -> dict[str, Any]:
    """The base and the `modify` of f(weights of the maps)."""
    return {"base": f(*(m.weight for m in maps)), "modify": None}


@dataclass(frozen=True)
class DenseMap:
    """y = W x; weight (out, in) is what the elementwise `modify` makes of `base`, formed only where it is asked for."""

    base: Array
    modify: Callable[[Array], Array] | None = None

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

    def matrix(self, x: Array) -> tuple[Array, Array]:
        return self.weight[None, ...], full((1, *self.weight.shape), 1, self.weight)


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

    def matrix(self, x: Array) -> tuple[Array, Array]:
        (rows, columns), positions, places = self.weight.shape[:2], prod(self.out), prod(self.size[1:])
        taps, per_group = len(self.window.taps()), rows // self.groups
        table = np.zeros((rows, positions, self.size[0], places), dtype=np.int64)
        for j, i, t in self.window.wires(self.size[1:], self.out):
            for o, c in product(range(rows), range(columns)):
                table[o, j, o // per_group * columns + c, i] = 1 + (o * columns + c) * taps + t
        weights = namespace(self.weight).reshape(self.weight, (1, -1))
        return _placed(weights, table.reshape(rows * positions, -1))


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

    def matrix(self, x: Array) -> tuple[Array, Array]:
        values, wired = self.conv.matrix(x)
        xp = namespace(values)
        return xp.matrix_transpose(values), xp.matrix_transpose(wired)


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

    def matrix(self, x: Array) -> tuple[Array, Array]:
        xp, channels, out = namespace(self.weight), self.size[0], self.weight.shape[3:]
        positions, places, taps = prod(out), prod(self.size[1:]), self.weight.shape[0]
        table = np.zeros((channels, positions, channels, places), dtype=np.int64)
        for j, i, t in self.window.wires(self.size[1:], out):
            for c in range(channels):
                table[c, j, c, i] = 1 + (t * channels + c) * positions + j

        def matrix(weight: Array) -> Array:
            wide = xp.broadcast_to(weight, (taps, weight.shape[1], channels, *out))
            flat = flattened(xp.permute_dims(wide, (1, 0, *range(2, wide.ndim))))
            return _placed(flat, table.reshape(channels * positions, -1))[0]

        return matrix(self.weight), matrix(self.wired)


@dataclass(frozen=True)
class Routed:
    """Every output reads at most one input: y = weight * gather(x), and its adjoint scatter(weight * s).

    weight broadcasts against y; gather and scatter move values and are adjoint to each other. outputs: the shape of a
    sample of y where it is known without gathering.
    """

    weight: Array
    gather: Callable[[Array], Array]
    scatter: Callable[[Array], Array]
    outputs: tuple[int, ...] | None = None

    def mapped(self, f: Callable[..., Array], *others: "Routed") -> "Routed":
        return replace(self, weight=f(self.weight, *(m.weight for m in others)))

    def connections(self) -> "Routed":
        return self.mapped(lambda w: full(w.shape, 1, w))

    def apply(self, u: Array) -> Array:
        return self.weight * self.gather(u)

    def adjoint(self, s: Array) -> Array:
        return self.scatter(self.weight * s)

    def matrix(self, x: Array) -> tuple[Array, Array]:
        xp, places = namespace(x), prod(x.shape[1:])
        count = _counting(places, widened(x))
        gathered = self.gather(xp.reshape(count, (1, *x.shape[1:])))
        wired = xp.where(xp.reshape(gathered, (-1, 1)) == xp.reshape(count, (1, -1)), full((1, 1), 1, x), full((1, 1), 0, x))
        shape = np.broadcast_shapes(self.weight.shape, gathered.shape)
        weight = xp.reshape(xp.broadcast_to(self.weight, shape), (shape[0], prod(shape[1:]), 1))
        return weight * wired[None, ...], wired[None, ...]


def _counting(n: int, like: Array) -> Array:
    """1, 2, ..., n in the arithmetic of `like`; 0 is left to mean padding."""
    one = full((n,), 1, like)
    return np.cumsum(one) if isinstance(one, np.ndarray) else namespace(one).cumulative_sum(one)
