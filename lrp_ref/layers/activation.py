"""Activations: elementwise, with the three maps that relevance may see, and softmax."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

from lrp_ref.arrays import Array, LRPError, Number, constant, elementwise, full, namespace, number, pos, where
from lrp_ref.layers.affine import Affine
from lrp_ref.maps import Routed

LINEARIZATIONS = ("identity", "gradient", "ratio")


@dataclass(frozen=True)
class Activation:
    """y = f(x), elementwise. `function`: a name of `FUNCTIONS`.

    `slope`: leaky-relu's for x < 0, a number or a tuple with one per channel (None: 1/100); elu's alpha in
    alpha (exp(x) - 1) (None: 1); hard-sigmoid's s in min(1, max(0, s x + 1/2)) (None: 1/6). `low`, `high`: clip's bounds,
    None where it has none.
    `linearization`, what relevance sees: "identity" (it passes unchanged under `Pass`), "gradient" f'(x), which is 0 at
    the kinks of relu, clip and hard-sigmoid, "ratio" f(x) / x, and 0 at x = 0.
    """

    function: str = "relu"
    linearization: str = "identity"
    slope: Number | tuple[Number, ...] | None = None
    low: Number | None = 0
    high: Number | None = None
    axes = None

    def __post_init__(self) -> None:
        if self.function not in FUNCTIONS:
            raise LRPError(f"Activation: function is one of {', '.join(FUNCTIONS)}; got {self.function!r}")
        if self.linearization not in LINEARIZATIONS:
            raise LRPError(f"Activation: linearization is one of {', '.join(LINEARIZATIONS)}; got {self.linearization!r}")

    @property
    def slopes(self) -> tuple[Number, ...]:
        """The slope of every channel, or the one of all channels."""
        if self.slope is None:
            return (SLOPES.get(self.function, Fraction(1)),)
        return self.slope if isinstance(self.slope, tuple) else (self.slope,)

    def affine(self, x: Array) -> Affine:
        f, derivative = FUNCTIONS[self.function]
        parameters, one = self._parameters(x), full((1,) * x.ndim, 1, x)
        y, weight = cache(lambda: f(x, *parameters)), one
        if self.linearization == "gradient":
            weight = derivative(x, *parameters)
        elif self.linearization == "ratio":
            weight = where(x == 0, 0 * x, y() / where(x == 0, one + 0 * x, x))
        zero = constant((1, *x.shape[1:]), 0, x)
        return Affine((Routed(weight, _same, _same),), (x,), zero, y, roundings=4 * (weight is not one))

    def _parameters(self, x: Array) -> tuple[Any, ...]:
        """What the function takes besides x, in the arithmetic of x."""
        if self.function == "clip":
            ends = zip(("low", "high"), (self.low, self.high), strict=True)
            return tuple(None if end is None else number(end, x, f"Activation.{name}") for name, end in ends)
        if self.function not in SLOPES:
            return ()
        slopes = tuple(number(slope, x, "Activation.slope") for slope in self.slopes)
        if len(slopes) == 1:
            return slopes
        if x.ndim < 2 or x.shape[1] != len(slopes):
            raise LRPError(f"Activation: expected x with {len(slopes)} channels, one per slope; got shape {tuple(x.shape)}")
        spread = full((1, len(slopes), *(1,) * (x.ndim - 2)), 0, x)
        for channel, slope in enumerate(slopes):
            spread[:, channel, ...] = slope
        return (spread,)


@dataclass(frozen=True)
class Softmax:
    """y_c = exp(x_c) / sum_k exp(x_k) along `axis` (1 = classes). Relevance sees the identity.

    An output is explained before its softmax: `lrp_ref.transforms.strip_softmax` removes it.
    """

    axis: int = 1
    axes = None

    def affine(self, x: Array) -> Affine:
        if not 1 <= self.axis < x.ndim:
            raise LRPError(f"Softmax: expected an axis from 1 to {x.ndim - 1}, got {self.axis}")
        one, zero = full((1,) * x.ndim, 1, x), constant((1, *x.shape[1:]), 0, x)
        return Affine((Routed(one, _same, _same),), (x,), zero, softmax(x, self.axis))


def softmax(x: Array, axis: int) -> Array:
    """exp(x) / sum exp(x) along `axis`, with the maximum taken out first. Irrational: floats, or balls."""
    xp = namespace(x)
    e = elementwise(x - xp.max(x, axis=axis, keepdims=True), "exp")
    return e / xp.sum(e, axis=axis, keepdims=True)


def _same(a: Array) -> Array:
    return a


def _sigmoid(x: Array) -> Array:
    one = full(x.shape, 1, x)
    tail = elementwise(-namespace(x).abs(x), "exp")
    return where(x < 0, tail / (one + tail), one / (one + tail))


def _softplus(x: Array) -> Array:
    return pos(x) + elementwise(elementwise(-namespace(x).abs(x), "exp"), "log1p")


def _elu(x: Array, alpha: Any) -> Array:
    return where(x > 0, x, alpha * elementwise(namespace(x).minimum(x, 0 * x), "expm1"))


def _step(x: Array, low: Any) -> Array:
    return where(x > 0, full(x.shape, 1, x), low + 0 * x)


def _silu(x: Array) -> Array:
    return x * _sigmoid(x)


def _clip(x: Array, low: Number | None, high: Number | None) -> Array:
    y = x if low is None else where(x > low, x, low + 0 * x)
    return y if high is None else where(y < high, y, high + 0 * x)


def _inside(x: Array, low: Number | None, high: Number | None) -> Array:
    """1 where clip lets x through, 0 elsewhere and at the bounds themselves."""
    one = full(x.shape, 1, x)
    above = one if low is None else where(x > low, one, 0)
    return above if high is None else where(x < high, above, 0)


def _halfway(x: Array, slope: Any) -> Array:
    return slope * x + number(Fraction(1, 2), x)


Function = Callable[..., Array]  # of x, and of the slope, or of low and high, where it has them
SLOPES = {"leaky-relu": Fraction(1, 100), "elu": Fraction(1), "hard-sigmoid": Fraction(1, 6)}
FUNCTIONS: dict[str, tuple[Function, Function]] = {
    "relu": (pos, lambda x: _step(x, 0 * x)),
    "leaky-relu": (lambda x, a: where(x > 0, x, a * x), _step),
    "elu": (_elu, lambda x, a: where(x > 0, full(x.shape, 1, x), _elu(x, a) + a)),
    "softplus": (_softplus, _sigmoid),
    "sigmoid": (_sigmoid, lambda x: _sigmoid(x) * (1 - _sigmoid(x))),
    "tanh": (lambda x: elementwise(x, "tanh"), lambda x: 1 - elementwise(x, "tanh") ** 2),
    "silu": (_silu, lambda x: _sigmoid(x) * (1 + x * (1 - _sigmoid(x)))),
    "clip": (_clip, _inside),
    "hard-sigmoid": (lambda x, a: _clip(_halfway(x, a), 0, 1), lambda x, a: a * _inside(_halfway(x, a), 0, 1)),
}
