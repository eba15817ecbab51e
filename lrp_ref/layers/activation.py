"""Elementwise activations and the three maps that relevance may see."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lrp_ref.arrays import Array, LRPError, Number, elementwise, full, namespace, number, pos, where
from lrp_ref.layers.affine import Affine
from lrp_ref.maps import Routed

LINEARIZATIONS = ("identity", "gradient", "ratio")


@dataclass(frozen=True)
class Activation:
    """y = f(x), elementwise. `function`: a name of `FUNCTIONS`; `slope` is leaky-relu's for x < 0.

    `linearization`, what relevance sees: "identity" (it passes unchanged under `Pass`), "gradient" f'(x) with
    relu'(0) = 0, "ratio" f(x) / x, and 0 at x = 0.
    """

    function: str = "relu"
    linearization: str = "identity"
    slope: Number = 0.01
    axes = None

    def __post_init__(self) -> None:
        if self.function not in FUNCTIONS:
            raise LRPError(f"Activation: function is one of {', '.join(FUNCTIONS)}; got {self.function!r}")
        if self.linearization not in LINEARIZATIONS:
            raise LRPError(f"Activation: linearization is one of {', '.join(LINEARIZATIONS)}; got {self.linearization!r}")

    def affine(self, x: Array) -> Affine:
        f, derivative = FUNCTIONS[self.function]
        slope, one = number(self.slope, x, "Activation.slope"), full((1,) * x.ndim, 1, x)
        y = f(x, slope)
        weight = one
        if self.linearization == "gradient":
            weight = derivative(x, slope)
        elif self.linearization == "ratio":
            weight = where(x == 0, 0 * x, y / where(x == 0, one + 0 * x, x))
        zero = full((1, *x.shape[1:]), 0, x)
        return Affine((Routed(weight, _same, _same),), (x,), zero, y, roundings=4 * (weight is not one))


def _same(a: Array) -> Array:
    return a


def _sigmoid(x: Array, _: Number) -> Array:
    one = full(x.shape, 1, x)
    tail = elementwise(-namespace(x).abs(x), "exp")
    return where(x < 0, tail / (one + tail), one / (one + tail))


def _softplus(x: Array, _: Number) -> Array:
    return pos(x) + elementwise(elementwise(-namespace(x).abs(x), "exp"), "log1p")


def _elu(x: Array, _: Number) -> Array:
    return where(x > 0, x, elementwise(namespace(x).minimum(x, 0 * x), "expm1"))


def _step(x: Array, low: Any) -> Array:
    return where(x > 0, full(x.shape, 1, x), low + 0 * x)


def _silu(x: Array, slope: Number) -> Array:
    return x * _sigmoid(x, slope)


Function = Callable[[Array, Number], Array]
FUNCTIONS: dict[str, tuple[Function, Function]] = {
    "relu": (lambda x, _: pos(x), lambda x, _: _step(x, 0 * x)),
    "leaky-relu": (lambda x, a: where(x > 0, x, a * x), _step),
    "elu": (_elu, lambda x, _: where(x > 0, full(x.shape, 1, x), _elu(x, 0) + 1)),
    "softplus": (_softplus, _sigmoid),
    "sigmoid": (_sigmoid, lambda x, a: _sigmoid(x, a) * (1 - _sigmoid(x, a))),
    "tanh": (lambda x, _: elementwise(x, "tanh"), lambda x, _: 1 - elementwise(x, "tanh") ** 2),
    "silu": (_silu, lambda x, a: _sigmoid(x, a) * (1 + x * (1 - _sigmoid(x, a)))),
}
