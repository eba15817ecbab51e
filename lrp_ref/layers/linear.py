"""Layers with free weights: dense, convolution, transposed convolution.

Each takes x with any number of batch axes, unless its `batch_axes` says how many: a batch norm that was merged into it knew
which axis holds the channels.
"""

from dataclasses import dataclass
from typing import Any

from lrp_ref.arrays import Array, LRPError, checked, namespace
from lrp_ref.layers.affine import Affine, expect, flat_bias, linear, pairs, parameter, per_axis
from lrp_ref.layers.drift import fixed
from lrp_ref.layers.maps import ConvMap, DenseMap, Transposed, Window
from lrp_ref.values import ByValue

__all__ = ["Conv", "ConvTranspose", "Dense"]


@dataclass(frozen=True, eq=False)
class Dense(ByValue):
    """y = W x + b. weight (out, in), bias (out) or None, x (..., in), y (..., out)."""

    weight: Array
    bias: Array | None = None
    batch_axes: int | None = None

    def __post_init__(self) -> None:
        _check(self, 2)
        if self.bias is not None:
            expect(self, "bias of shape", (self.weight.shape[0],), self.bias.shape)

    axes = 1
    drift = fixed

    def affine(self, x: Array) -> Affine:
        weight = parameter(self, "weight", x)
        expect(self, "x with last axis", weight.shape[1], x.shape[-1])
        bias = None if self.bias is None else namespace(x).reshape(parameter(self, "bias", x), (1, -1))
        return linear([DenseMap(weight)], [x], bias)


@dataclass(frozen=True, eq=False)
class Conv(ByValue):
    """Cross-correlation over 1, 2 or 3 spatial axes: y[o, p] = sum w[o, c, k] x[c, p stride + k dilation - begin] + b[o].

    weight (out, in / groups, *kernel), bias (out) or None, x (N, in, *spatial).
    stride, dilation: an integer or one per axis; padding: an integer, one per axis, or (begin, end) pairs.
    """

    weight: Array
    bias: Array | None = None
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1
    batch_axes: int | None = None
    drift = fixed

    def __post_init__(self) -> None:
        _check_grouped(self, "output")

    @property
    def axes(self) -> int:
        return int(self.weight.ndim) - 1

    def map(self, x: Array) -> ConvMap:
        """The convolution as a linear map on inputs of x's shape."""
        weight = parameter(self, "weight", x)
        expect(self, "x with channels", weight.shape[1] * self.groups, x.shape[1])
        conv = ConvMap(weight, _window(self), self.groups, tuple(x.shape[1:]))
        if min(conv.out) < 1:
            raise LRPError(f"Conv: the window does not fit into x of shape {tuple(x.shape)}; enlarge x or the padding")
        return conv

    def affine(self, x: Array) -> Affine:
        bias = None if self.bias is None else parameter(self, "bias", x)
        return linear([self.map(x)], [x], flat_bias(bias, x, self.axes - 1))

    def padded(self, x: Array) -> tuple[Affine, Window]:
        """The same layer with its padding made part of the input, and the window that pads."""
        window = _window(self)
        wide = window.pad(x)
        bare = Conv(self.weight, self.bias, self.stride, 0, self.dilation, self.groups)
        return bare.affine(wide), window


@dataclass(frozen=True, eq=False)
class ConvTranspose(ByValue):
    """The transpose of a convolution: tap k of input position p reaches output p stride + k dilation - begin.

    weight (in, out / groups, *kernel), bias (out) or None, x (N, in, *spatial).
    """

    weight: Array
    bias: Array | None = None
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1
    output_padding: Any = 0
    batch_axes: int | None = None
    drift = fixed

    def __post_init__(self) -> None:
        _check_grouped(self, "input")
        per_axis(self, "output_padding", self.output_padding, self.axes - 1, least=0)

    @property
    def axes(self) -> int:
        return int(self.weight.ndim) - 1

    def affine(self, x: Array) -> Affine:
        weight, window = parameter(self, "weight", x), _window(self)
        expect(self, "x with channels", weight.shape[0], x.shape[1])
        extra = per_axis(self, "output_padding", self.output_padding, self.axes - 1, least=0)
        size = tuple(
            (n - 1) * s - b - e + d * (k - 1) + 1 + o
            for n, s, (b, e), d, k, o in zip(
                x.shape[2:], window.stride, window.padding, window.dilation, window.kernel, extra, strict=True
            )
        )
        conv = ConvMap(weight, window, self.groups, (weight.shape[1] * self.groups, *size))
        if min(size) < 1 or conv.out != tuple(x.shape[2:]):
            raise LRPError(
                f"ConvTranspose: no output of size {size} fits x of shape {tuple(x.shape)}; output_padding must be < stride"
            )
        bias = None if self.bias is None else parameter(self, "bias", x)
        return linear([Transposed(conv)], [x], flat_bias(bias, x, self.axes - 1))


def _check(layer: Any, *ndim: int) -> None:
    name = type(layer).__name__
    checked(f"{name}.weight", layer.weight)
    if not ndim[0] <= layer.weight.ndim <= ndim[-1]:
        expected = " to ".join(map(str, ndim))
        raise LRPError(f"{name}: expected a weight with {expected} axes, got shape {tuple(layer.weight.shape)}")
    if min(layer.weight.shape) < 1:
        raise LRPError(f"{name}: expected a weight without empty axes, got shape {tuple(layer.weight.shape)}")
    if layer.bias is not None:
        checked(f"{name}.bias", layer.bias)


def _check_grouped(layer: Any, first: str) -> None:
    """A (transposed) convolution's weight, groups, bias and window; the weight's first axis holds the `first` channels."""
    _check(layer, 3, 5)
    name, (channels, per_group) = type(layer).__name__, layer.weight.shape[:2]
    if layer.groups < 1 or channels % layer.groups:
        raise LRPError(f"{name}: expected groups that divide the {channels} {first} channels, got {layer.groups}")
    if layer.bias is not None:
        outputs = channels if first == "output" else per_group * layer.groups
        expect(layer, "bias of shape", (outputs,), layer.bias.shape)
    _window(layer)


def _window(layer: Any) -> Window:
    axes = layer.weight.ndim - 2
    return Window(
        tuple(layer.weight.shape[2:]),
        per_axis(layer, "stride", layer.stride, axes),
        pairs(layer, "padding", layer.padding, axes),
        per_axis(layer, "dilation", layer.dilation, axes),
    )
