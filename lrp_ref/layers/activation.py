"""Activations: elementwise, with the three maps that relevance may see, and softmax."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

from lrp_ref.algebra.rounding import LARGEST, SMALLEST, UNIT_ROUNDOFF, gamma
from lrp_ref.arrays import (
    Array,
    LRPError,
    Number,
    absolute,
    constant,
    elementwise,
    full,
    namespace,
    number,
    placed,
    pos,
    same,
    where,
)
from lrp_ref.layers.affine import Affine
from lrp_ref.layers.drift import Drift, Errors
from lrp_ref.layers.maps import Routed

__all__ = ["Activation", "Softmax"]

SLOPE = 16  # roundings behind a slope, each of the size of what it is the difference of
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
    def selects(self) -> bool:
        """Whether y is x or 0, never rounded: no new value can overflow."""
        return Function(*FUNCTIONS[self.function]).work is None

    @property
    def slopes(self) -> tuple[Number, ...]:
        """The slope of every channel, or the one of all channels."""
        if self.slope is None:
            return (SLOPES.get(self.function, Fraction(1)),)
        return self.slope if isinstance(self.slope, tuple) else (self.slope,)

    def affine(self, x: Array) -> Affine:
        row = Function(*FUNCTIONS[self.function])
        parameters, one = self._parameters(x), full((1,) * x.ndim, 1, x)
        y, weight = cache(lambda: row.value(x, *parameters)), one
        if self.linearization == "gradient":
            weight = row.slope(x, *parameters)
        elif self.linearization == "ratio":
            weight = where(x == 0, 0 * x, y() / where(x == 0, one + 0 * x, x))
        zero = constant((1, *x.shape[1:]), 0, x)
        if self.linearization == "gradient" and row.slope_work is not None:
            work = absolute(weight) + row.slope_work(x, *parameters)
            return Affine((Routed(weight, same, same, work=work),), (x,), zero, y, roundings=SLOPE)
        return Affine((Routed(weight, same, same),), (x,), zero, y, roundings=4 * (weight is not one))

    def drift(self, affine: Affine, x: Errors, e: Errors, dtype: str) -> Drift:
        """L e and the rounding of f, where L, and how far its slope moves, are columns of its row."""
        (x0,), (e0,), u = x, e, UNIT_ROUNDOFF[dtype]
        row, parameters = Function(*FUNCTIONS[self.function]), self._parameters(x0)
        if row.reach is None or row.bend is None:
            raise LRPError(
                f"bounds are not known for the activation {self.function!r}: its row of FUNCTIONS does not say how steep it "
                "is; give it reach and bend"
            )
        reach = row.reach(x0, e0, *parameters)
        off = reach * e0 + (0 if row.work is None else 8 * (u * (absolute(affine.y) + row.work) + SMALLEST[dtype]))
        if self.linearization == "identity":
            return Drift(off)
        weight = affine.maps[0].weight
        if row.homogeneous or self.linearization == "gradient":
            rounding = u * absolute(weight) if row.homogeneous else SLOPE * u * (1 + absolute(weight))
            rounding = rounding + (0 if row.slope_work is None else SLOPE * u * row.slope_work(x0, *parameters))
            bent = row.bend(x0, e0, u, *parameters) + rounding
        else:
            clear = absolute(x0) > e0
            gap = where(clear, absolute(x0) - e0, 1)
            bent = where(clear, (off + absolute(weight) * e0) / gap, LARGEST) + 16 * u * absolute(weight)
        return Drift(off, (Routed(bent + 0 * x0, same, same),))

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
            spread = placed(spread, (slice(None), channel, ...), slope)
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
        return Affine((Routed(one, same, same),), (x,), zero, softmax(x, self.axis))

    def drift(self, affine: Affine, x: Errors, e: Errors, dtype: str) -> Drift:
        """Every exponential, and their sum, grows by a factor of at most exp(max e): y (exp(2 max e) - 1), and rounding."""
        return Drift(softmax_error(x[0], e[0], affine.y, self.axis, dtype))


def softmax(x: Array, axis: int) -> Array:
    """exp(x) / sum exp(x) along `axis`, with the maximum taken out first. Irrational: floats, or balls."""
    xp = namespace(x)
    e = elementwise(x - xp.max(x, axis=axis, keepdims=True), "exp")
    return e / xp.sum(e, axis=axis, keepdims=True)


def softmax_error(x: Array, e: Array, y: Array, axis: int, dtype: str) -> Array:
    """How far softmax(x') may be off where x' is within e of x: y (exp(2 max e + 2u (m - x)) - 1), rounding and underflow.

    m is the maximum, whose difference from x is rounded before it is an exponent.
    """
    xp, u = namespace(x), UNIT_ROUNDOFF[dtype]
    if 0 in x.shape:
        return 0 * y
    below = xp.max(x, axis=axis, keepdims=True) - x
    spread = xp.expm1(2 * xp.max(e, axis=axis, keepdims=True) + 2 * u * below)
    return y * (spread + gamma(x.shape[axis] + 16, u)) + 4 * SMALLEST[dtype]


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


def _near(x: Array, e: Array, at: Any, slack: Any = 0) -> Array:
    """1 where an error of x may carry it over `at`, else 0; `slack` is what rounding may do to `at` itself."""
    reach = e + slack
    return where((absolute(x - at) <= reach) & (reach > 0), full(x.shape, 1, x), 0)


def _steepest(x: Array, e: Array, a: Any) -> Array:
    """max(1, |a|)."""
    return namespace(x).maximum(full(x.shape, 1, x), abs(a) + 0 * x)


def _over_bounds(x: Array, e: Array, u: float, low: Any, high: Any) -> Array:
    """How far the gradient of clip may move: it jumps by 1 at either bound."""
    ends = [end for end in (low, high) if end is not None]
    return sum((_near(x, e, end, 2 * u * abs(end)) for end in ends), 0 * x)


class Function(NamedTuple):
    """An activation function f, each column a function of x and of the slope, or of low and high, where f has them.

    value: f(x). slope: f'(x). For the bounds of networks, in float64, and None where they are not known:
    reach(x, e, ...): a Lipschitz constant of f within e of x. bend(x, e, u, ...): how far f' may move within e of x, where the
    place of a kink is itself rounded to u. work: the magnitudes, besides |y|, that computing y passes through; None if y is
    never rounded. homogeneous: f(x) = f'(x) x. slope_work(x, ...): the magnitudes, besides |f'|, of a slope that is a
    difference.
    """

    value: Callable[..., Array]
    slope: Callable[..., Array]
    reach: Callable[..., Any] | None = None
    bend: Callable[..., Any] | None = None
    work: float | None = 0
    homogeneous: bool = False
    slope_work: Callable[..., Any] | None = None


SLOPES = {"leaky-relu": Fraction(1, 100), "elu": Fraction(1), "hard-sigmoid": Fraction(1, 6)}
FUNCTIONS: dict[str, Function] = {
    "relu": Function(
        pos,
        lambda x: _step(x, 0 * x),
        reach=lambda x, e: where(x + e > 0, full(x.shape, 1, x), 0),
        bend=lambda x, e, u: _near(x, e, 0),
        work=None,
        homogeneous=True,
    ),
    "leaky-relu": Function(
        lambda x, a: where(x > 0, x, a * x),
        _step,
        reach=_steepest,
        bend=lambda x, e, u, a: abs(1 - a) * _near(x, e, 0),
        homogeneous=True,
    ),
    "elu": Function(
        _elu,
        lambda x, a: where(x > 0, full(x.shape, 1, x), _elu(x, a) + a),
        reach=_steepest,
        bend=lambda x, e, u, a: abs(a) * e + abs(1 - a) * _near(x, e, 0),
        slope_work=lambda x, a: where(x > 0, 0 * x, 2 * absolute(a + 0 * x)),
    ),
    "softplus": Function(_softplus, _sigmoid, reach=lambda x, e: 1, bend=lambda x, e, u: 0.25 * e),
    "sigmoid": Function(
        _sigmoid,
        lambda x: _sigmoid(x) * (1 - _sigmoid(x)),
        reach=lambda x, e: 0.25,
        bend=lambda x, e, u: 0.1 * e,  # |f''| <= 1 / (6 sqrt 3)
        slope_work=_sigmoid,
    ),
    "tanh": Function(
        lambda x: elementwise(x, "tanh"),
        lambda x: 1 - elementwise(x, "tanh") ** 2,
        reach=lambda x, e: 1,
        bend=lambda x, e, u: 0.77 * e,  # |f''| <= 4 / (3 sqrt 3)
        slope_work=lambda x: 0 * x + 1,
    ),
    "silu": Function(
        _silu,
        lambda x: _sigmoid(x) * (1 + x * (1 - _sigmoid(x))),
        reach=lambda x, e: 1.1,
        bend=lambda x, e, u: 0.5 * e,
        slope_work=lambda x: _sigmoid(x) * (1 + absolute(x)),
    ),
    "clip": Function(_clip, _inside, reach=lambda x, e, low, high: 1, bend=_over_bounds),
    "hard-sigmoid": Function(
        lambda x, a: _clip(_halfway(x, a), 0, 1),
        lambda x, a: a * _inside(_halfway(x, a), 0, 1),
        reach=lambda x, e, a: abs(a),
        bend=lambda x, e, u, a: abs(a) * sum(_near(a * x, abs(a) * e, end, 4 * u) for end in (-0.5, 0.5)),
        work=1,
    ),
}
