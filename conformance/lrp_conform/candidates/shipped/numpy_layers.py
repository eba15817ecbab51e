"""A small set of linear layers in NumPy: forward map and vector-Jacobian product.

A layer is built from one node of a case (`golden/README.md`, section 2). It holds
its weight and bias as plain arrays, so a rule that needs another weight asks for
`layer.using(weight)`. No array is ever wider than the dtype of the input.

Convolution, transposed convolution and pooling share two loops over the kernel's
taps: `_gather` (correlate a canvas with the kernel) and `_scatter` (its adjoint).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Pairs = list[tuple[int, int]]


@dataclass(frozen=True)
class _Window:
    """The geometry of a sliding kernel, one entry per spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Pairs

    @classmethod
    def of(cls, attrs: Mapping[str, Any], kernel: Sequence[int]) -> _Window:
        axes = len(kernel)
        return cls(
            tuple(kernel),
            _per_axis(attrs.get("stride", 1), axes),
            _per_axis(attrs.get("dilation", 1), axes),
            [(int(begin), int(end)) for begin, end in attrs.get("padding") or [(0, 0)] * axes],
        )

    def outputs(self, canvas: Sequence[int]) -> tuple[int, ...]:
        """How many positions the kernel takes on a padded canvas."""
        sizes = zip(canvas, self.kernel, self.stride, self.dilation, strict=True)
        return tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in sizes)

    def canvas(self, outputs: Sequence[int]) -> tuple[int, ...]:
        """The smallest canvas on which the kernel takes that many positions."""
        sizes = zip(outputs, self.kernel, self.stride, self.dilation, strict=True)
        return tuple((n - 1) * s + d * (k - 1) + 1 for n, k, s, d in sizes)

    def taps(self, outputs: Sequence[int]) -> Iterator[tuple[tuple[int, ...], tuple[Any, ...]]]:
        """Every tap of the kernel with the part of the canvas it meets."""
        for tap in np.ndindex(*self.kernel):
            sizes = zip(tap, outputs, self.stride, self.dilation, strict=True)
            yield tap, (..., *(slice(t * d, t * d + (n - 1) * s + 1, s) for t, n, s, d in sizes))


@dataclass(frozen=True)
class NumpyLayer:
    """y = linear(x) + bias; `vjp` is the adjoint of `linear`."""

    op: str
    attrs: Mapping[str, Any] = field(default_factory=dict)
    weight: Array | None = None
    bias: Array | None = None

    def using(self, weight: Array | None, bias: Array | None = None) -> NumpyLayer:
        """The same connections with another weight and another (or no) bias."""
        return replace(self, weight=weight, bias=bias)

    def __call__(self, x: Any) -> Array:
        y: Array = self.linear(x)
        return y if self.bias is None else y + per_channel(self.bias, y.ndim)

    def linear(self, x: Any) -> Any:
        if self.op == "add":
            return reduce(np.add, x)
        if self.op == "dense":
            return x @ self._weight().T
        if self.op == "global-avg-pool":
            return x.sum(axis=_spatial(x), keepdims=True) / x.dtype.type(prod(x.shape[2:]))
        window, groups, weight = self._sliding(x)
        if self.op == "conv-transpose":
            extra = _per_axis(self.attrs.get("output_padding", 0), x.ndim - 2)
            size = [n + e for n, e in zip(window.canvas(x.shape[2:]), extra, strict=True)]
            return _crop(_scatter(x, weight, window, groups, size), window.padding)
        y = _gather(_pad(x, window.padding), weight, window, groups)
        return y / self._count(x, window) if self.op == "avg-pool" else y

    def vjp(self, x: Any, s: Array) -> Array:
        """The gradient of sum(s * linear(x)) by x; for `add` the same for every input."""
        if self.op == "add":
            return s
        if self.op == "dense":
            return s @ self._weight()
        if self.op == "global-avg-pool":
            return np.broadcast_to(s / s.dtype.type(prod(x.shape[2:])), x.shape).copy()
        window, groups, weight = self._sliding(x)
        if self.op == "conv-transpose":
            grad = _gather(_pad(s, window.padding), weight, window, groups)
            return _part(grad, *(slice(n) for n in x.shape[2:]))
        if self.op == "avg-pool":
            s = s / self._count(x, window)
        size = [n + begin + end for n, (begin, end) in zip(x.shape[2:], window.padding, strict=True)]
        return _crop(_scatter(s, weight, window, groups, size), window.padding)

    def _weight(self) -> Array:
        if self.weight is None:
            raise ValueError(f"{self.op} needs a weight")
        return self.weight

    def _sliding(self, x: Array) -> tuple[_Window, int, Array]:
        if self.op in ("conv", "conv-transpose"):
            weight = self._weight()
            return _Window.of(self.attrs, weight.shape[2:]), int(self.attrs.get("groups", 1)), weight
        if self.op not in ("avg-pool", "sum-pool"):
            raise ValueError(f"unknown layer {self.op!r}")
        kernel = _per_axis(self.attrs["kernel"], x.ndim - 2)
        attrs = {"stride": kernel, **self.attrs}
        channels = x.shape[1]
        return _Window.of(attrs, kernel), channels, np.ones((channels, 1, *kernel), dtype=x.dtype)

    def _count(self, x: Array, window: _Window) -> Array:
        """What an average divides by: the window's size, or its taps that are not padding."""
        if self.attrs.get("count_include_pad", True):
            return np.asarray(prod(window.kernel), dtype=x.dtype)
        ones = np.ones((1, 1, *x.shape[2:]), dtype=x.dtype)
        weight = np.ones((1, 1, *window.kernel), dtype=x.dtype)
        return np.maximum(_gather(_pad(ones, window.padding), weight, window, 1), 1)


def from_node(node: Mapping[str, Any], dtype: npt.DTypeLike) -> NumpyLayer:
    """The layer of a case's node, its parameters in `dtype`."""
    params = {name: np.asarray(value).astype(dtype) for name, value in node.get("params", {}).items()}
    return NumpyLayer(node["op"], node.get("attrs") or {}, params.get("weight"), params.get("bias"))


def batch_norm(node: Mapping[str, Any], x: Array) -> tuple[Array, Array, Array]:
    """The normalised output, and mean and beta in a shape that broadcasts to it."""
    params = {name: np.asarray(value).astype(x.dtype) for name, value in node["params"].items()}
    zero = np.zeros_like(params["mean"])
    mean, beta = (per_channel(params.get(name, zero), x.ndim) for name in ("mean", "beta"))
    scale = params.get("gamma", zero + 1) / np.sqrt(params["variance"] + x.dtype.type(node["attrs"]["epsilon"]))
    return (x - mean) * per_channel(scale, x.ndim) + beta, mean, beta


def per_channel(values: Array, ndim: int) -> Array:
    """A vector over channels, shaped to broadcast against (N, C, *spatial)."""
    return values.reshape(1, -1, *[1] * (ndim - 2))


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    return (int(value),) * axes if np.ndim(value) == 0 else tuple(int(v) for v in value)


def _spatial(x: Array) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


def _pad(x: Array, padding: Pairs) -> Array:
    return np.pad(x, [(0, 0), (0, 0), *padding])


def _crop(x: Array, padding: Pairs) -> Array:
    sizes = zip(padding, x.shape[2:], strict=True)
    return _part(x, *(slice(begin, n - end) for (begin, end), n in sizes))


def _part(x: Array, *last: Any) -> Array:
    """Index the last axes."""
    key: Any = (..., *last)
    part: Array = x[key]
    return part


def _split(x: Array, groups: int) -> Array:
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])


def _gather(canvas: Array, weight: Array, window: _Window, groups: int) -> Array:
    """Correlate: the canvas has groups * weight.shape[1] channels, the result weight.shape[0]."""
    outputs = window.outputs(canvas.shape[2:])
    source = _split(canvas, groups)
    kernel = weight.reshape(groups, -1, *weight.shape[1:])
    result = np.zeros((canvas.shape[0], groups, kernel.shape[1], *outputs), dtype=canvas.dtype)
    for tap, region in window.taps(outputs):
        result += np.einsum("goc,ngc...->ngo...", _part(kernel, *tap), source[region])
    return result.reshape(canvas.shape[0], weight.shape[0], *outputs)


def _scatter(values: Array, weight: Array, window: _Window, groups: int, size: Sequence[int]) -> Array:
    """The adjoint of `_gather`, onto a canvas of the given size."""
    source = _split(values, groups)
    kernel = weight.reshape(groups, -1, *weight.shape[1:])
    result = np.zeros((values.shape[0], groups, weight.shape[1], *size), dtype=values.dtype)
    for tap, region in window.taps(values.shape[2:]):
        result[region] += np.einsum("goc,ngo...->ngc...", _part(kernel, *tap), source)
    return result.reshape(values.shape[0], groups * weight.shape[1], *size)
