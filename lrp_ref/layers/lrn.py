"""Local response normalisation, and the three linear maps of it that relevance may see."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from math import ceil, log
from operator import add
from typing import Any

from lrp_ref.algebra.entries import Entries
from lrp_ref.algebra.rounding import LARGEST, UNIT_ROUNDOFF, gamma
from lrp_ref.arrays import (
    Array,
    LRPError,
    Number,
    absolute,
    count_of,
    elementwise,
    full,
    is_exact,
    known,
    namespace,
    number,
    same,
    where,
)
from lrp_ref.layers.affine import Affine, linear
from lrp_ref.layers.drift import Drift, Errors
from lrp_ref.layers.maps import Routed, Window, WindowMap

__all__ = ["LRN"]

LINEARIZATIONS = ("ratio", "gradient", "taylor")
NO_BOUND = 2**53  # as many roundings leave no bound in any dtype: what is traced has values only when it runs


@dataclass(frozen=True)
class LRN:
    """Local response normalisation: y = x s^-beta, s_c = bias + alpha / size * sum of x_k^2 over the window of channel c.

    The window of channel c holds k from c - (size - 1) // 2 to c + size // 2, as far as there are channels.
    x (N, C, *spatial). `linearization`, what relevance sees, where q_c = 2 beta alpha / size * x_c s_c^(-beta - 1):

    "ratio" (also where None): s^-beta as a constant factor, so that no neighbour receives any, and `Pass` passes.
    "gradient": the tangent, w_cc = s_c^-beta - q_c x_c and w_ck = -q_c x_k, with the rest of y as its bias.
    "taylor": w_cc = (bias + alpha / size * x_c^2)^-beta and w_ck = -q_c x_k, no bias: neighbours switched on to first
    order. With Epsilon or AlphaBeta this is Binder et al. 2016, arXiv:1604.00825.

    Raises `LRPError` where s^-beta is irrational in rationals: for a `beta` that is no integer.
    """

    size: int
    alpha: Number = 1e-4
    beta: Number = 0.75
    bias: Number = 1
    linearization: str | None = None
    axes = None

    def __post_init__(self) -> None:
        if not hasattr(self.size, "__index__") or self.size < 1:
            raise LRPError(f"LRN: expected size as an integer >= 1, got {self.size!r}")
        if self.linearization not in (None, *LINEARIZATIONS):
            raise LRPError(f"LRN: linearization is one of {', '.join(LINEARIZATIONS)}; got {self.linearization!r}")

    def affine(self, x: Array) -> Affine:
        if x.ndim < 2:
            raise LRPError(f"LRN: expected x (N, C, *spatial), got shape {tuple(x.shape)}")
        s = self.scale(x)
        if known(namespace(x).any(s <= 0)):
            raise LRPError(f"LRN: expected bias + alpha / size * sum x^2 > 0 everywhere, got bias {self.bias}; raise it")
        factor, roundings = self.power(s), self._roundings(x, s)
        if self.linearization in (None, "ratio"):
            return linear([Routed(factor, same, same)], [x], roundings=roundings)
        y, share = factor * x, self.share(x)
        own = factor if self.linearization == "gradient" else self.power(self._number("bias", x) + share * x * x)
        slope = 2 * self._number("beta", x) * share * y / s
        tangent = along_channels(self.size, x, own, slope, x, self.linearization == "gradient")
        bias, work = full((1, *x.shape[1:]), 0, x), None
        if self.linearization == "gradient":
            bias, work = y - tangent.apply(x), absolute(y) + tangent.gauge().apply(absolute(x))
        return Affine((tangent,), (x,), bias, y, work, roundings + 8, is_sum=self.linearization == "gradient")

    def drift(self, affine: Affine, x: Errors, e: Errors, dtype: str) -> Drift:
        """What an error of x does to the powers of s, to y, and to the weights that relevance sees."""
        found = _Response(self, x[0], e[0], UNIT_ROUNDOFF[dtype])
        return Drift(found.dy, (found.weights(),))

    def share(self, x: Array) -> Number:
        """alpha / size, in the arithmetic of x."""
        return self._number("alpha", x) / number(self.size, x, "LRN.size")

    def scale(self, x: Array) -> Array:
        """s = bias + alpha / size * sum x^2, at every element of x."""
        squares = self.share(x) * x * x
        return full(x.shape, self._number("bias", x), x) + summed(self.size, squares)

    def power(self, scale: Array) -> Array:
        """scale^-beta."""
        if not is_exact(scale):
            return scale ** -float(self.beta)
        if self.beta == int(self.beta):
            return scale ** -int(self.beta)
        return elementwise(-self._number("beta", scale) * elementwise(scale, "log"), "exp")

    def _number(self, name: str, x: Array) -> Number:
        return number(getattr(self, name), x, f"LRN.{name}")

    def _roundings(self, x: Array, s: Array) -> int:
        """How many roundings s^-beta may be off by: those of s, times beta, and those of beta, times log s."""
        if not count_of(s):
            return 0
        xp, beta, condition = namespace(x), abs(float(self.beta)), 1.0
        if self.bias < 0 or self.alpha < 0:  # s is a difference
            work = replace(self, alpha=abs(self.alpha), bias=abs(self.bias)).scale(x)
            condition = known(xp.max(work / s), float)
        ends = [known(end(s), float) for end in (xp.min, xp.max)]
        if None in (condition, *ends):
            return NO_BOUND
        stretch = max(abs(log(end)) for end in ends)
        found = (beta + 1) * (self.size + 4) * condition + beta * stretch + 8
        return ceil(found) if found < NO_BOUND else NO_BOUND


@dataclass(frozen=True)
class ChannelMap:
    """Weights between the channels of one position: `inner` sees the channels as the first of its spatial axes.

    work >= |weight|: the magnitudes behind weights that are differences.
    """

    inner: WindowMap
    work: Array

    def mapped(self, f: Callable[..., Array], *others: "ChannelMap") -> "ChannelMap":
        maps = (self, *others)
        ends = (absolute(f(*(sign * m.work for m in maps))) for sign in (1, -1))
        weight = f(*(m.inner.weight for m in maps))
        return ChannelMap(self.inner.with_weight(weight), reduce(namespace(weight).maximum, ends))

    def connections(self) -> "ChannelMap":
        return ChannelMap(self.inner.connections(), self.inner.wired)

    def gauge(self) -> "ChannelMap":
        """The map of the work."""
        return ChannelMap(self.inner.with_weight(self.work), self.work)

    def apply(self, u: Array) -> Array:
        return self.inner.apply(u[:, None, ...])[:, 0, ...]

    def adjoint(self, s: Array) -> Array:
        return self.inner.adjoint(s[:, None, ...])[:, 0, ...]

    def entries(self, x: Array) -> Entries:
        return self.inner.entries(x[:, None, ...])


def along_channels(size: int, x: Array, own: Array, slope: Array, read: Array, itself: bool) -> ChannelMap:
    """w_cc = own_c, and w_ck = -slope_c read_k for the others of the window; `itself`: w_cc = own_c - slope_c read_c."""
    xp, (window, centre), shape = namespace(x), channel_window(size, x.ndim), (1, *x.shape[1:])
    slices = list(window.slices(shape[1:]))
    ones, values = (window.pad(a[:, None, ...]) for a in (full((1, *x.shape[1:]), 1, x), read))
    weight, work = [], []
    for t, at in enumerate(slices):
        product = slope[:, None, ...] * values[(..., *at)]
        if t != centre:
            weight.append(-product)
            work.append(absolute(product))
        else:
            own_ = own[:, None, ...] + 0 * product
            weight.append(own_ - product if itself else own_)
            work.append(absolute(own_) + (absolute(product) if itself else 0 * product))
    wired = xp.stack([ones[(..., *at)] for at in slices])
    return ChannelMap(WindowMap(xp.stack(weight), wired, window, shape), xp.stack(work))


def summed(size: int, a: Array) -> Array:
    """The sum of a over the window of every channel."""
    window, _ = channel_window(size, a.ndim)
    padded = window.pad(a[:, None, ...])
    return reduce(add, (padded[(..., *at)] for at in window.slices(tuple(a.shape[1:]))))[:, 0, ...]


def channel_window(size: int, ndim: int) -> tuple[Window, int]:
    """The window of `size` channels at one position, and its tap at the channel itself."""
    before, rest = (size - 1) // 2, ndim - 2
    one = (1,) * (rest + 1)
    return Window((size, *one[1:]), one, ((before, size // 2), *((0, 0),) * rest), one), before


class _Response:
    """A response norm at x, with the errors of its powers, its output and its slopes."""

    def __init__(self, layer: LRN, x: Array, e: Array, u: float) -> None:
        self.layer, self.x, self.e, self.u = layer, x, e, u
        self.v, self.dv, self.low, self.ds = self._power(lambda a: summed(layer.size, a))
        self.s, self.y = layer.scale(x), x * self.v
        far = absolute(x) + e
        self.dy = absolute(x) * self.dv + e * (self.v + self.dv) + 2 * u * far * (self.v + self.dv)

    def _power(self, over: Callable[[Array], Array]) -> tuple[Array, Array, Array, Array]:
        """s^-beta and its error, the least s, and the error of s = bias + alpha / size * over(x^2)."""
        layer, x, e, u = self.layer, self.x, self.e, self.u
        share, far, xp = float(layer.share(x)), absolute(x) + e, namespace(x)
        s = float(layer.bias) + share * over(x * x)
        work = abs(float(layer.bias)) + abs(share) * over(far * far)
        ds = abs(share) * over(e * (2 * absolute(x) + e)) + gamma(layer.size + 6, u) * work
        v, least = layer.power(s), where(s - ds > 0, s - ds, 1)
        ends = (absolute(layer.power(end) - v) for end in (least, s + ds))
        moved = where(s - ds > 0, reduce(xp.maximum, ends), LARGEST)
        relative = u * (8 + 2 * abs(float(layer.beta)) * absolute(elementwise(s, "log"))) + 2.0**-48
        return v, moved + relative * (v + moved), where(s - ds > 0, s - ds, 1 / LARGEST), ds

    def weights(self) -> Any:
        """The errors of s^-beta, or of the tangent's or the expansion's weights."""
        layer, x, e, u = self.layer, self.x, self.e, self.u
        if layer.linearization in (None, "ratio"):
            return Routed(self.dv, same, same)
        itself = layer.linearization == "gradient"
        own = self.dv if itself else self._power(lambda a: a)[1]
        factor = abs(2 * float(layer.beta) * float(layer.share(x)))
        slope = factor * absolute(self.y) / self.s
        moved = factor * (self.dy + absolute(self.y) * self.ds / self.s) / self.low
        moved = moved + 8 * u * (slope + moved)
        far = along_channels(layer.size, x, own, moved, absolute(x) + e, itself).gauge()
        near = along_channels(layer.size, x, 0 * own, slope, e, itself).gauge()
        return far.mapped(add, near)
