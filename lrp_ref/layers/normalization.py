"""Diagonal maps: batch normalisation with fixed statistics, local response normalisation, a given factor and shift."""

from dataclasses import dataclass

from lrp_ref.arrays import Array, LRPError, Number, absolute, checked, elementwise, full, is_exact, namespace, number, sqrt
from lrp_ref.layers.affine import Affine, ByValue, expect, linear, parameter
from lrp_ref.maps import Routed

LINEARIZATIONS = ("affine", "centered", "without_epsilon", "variance_squared", "at_mean_zero")


@dataclass(frozen=True, eq=False)
class BatchNorm(ByValue):
    """y = g x + (beta - g mean) with g = gamma / sqrt(variance + epsilon), per channel. x (N, C, *spatial).

    `linearization`, what relevance sees: "affine" (also where None) the map itself; "centered" g (x - mean) with bias beta;
    "without_epsilon" g with epsilon 0; "variance_squared" the known error gamma / sqrt(variance^2 + epsilon) with
    bias beta - mean / sqrt(variance^2 + epsilon); "at_mean_zero" affine, but where x = mean all relevance is dropped.
    """

    gamma: Array
    beta: Array
    mean: Array
    variance: Array
    epsilon: Number = 1e-5
    linearization: str | None = None

    axes = None

    def __post_init__(self) -> None:
        for name in ("gamma", "beta", "mean", "variance"):
            checked(f"BatchNorm.{name}", getattr(self, name))
            expect(self, f"{name} of shape", self.gamma.shape, getattr(self, name).shape)
        if self.linearization not in (None, *LINEARIZATIONS):
            raise LRPError(f"BatchNorm: linearization is one of {', '.join(LINEARIZATIONS)}; got {self.linearization!r}")

    def affine(self, x: Array) -> Affine:
        xp = namespace(x)
        if x.ndim < 2 or x.shape[1] != self.gamma.shape[0]:
            raise LRPError(f"BatchNorm: expected x (N, {self.gamma.shape[0]}, *spatial), got shape {tuple(x.shape)}")
        shape = (1, -1, *(1,) * (x.ndim - 2))
        gamma, beta, mean, variance = (
            xp.reshape(parameter(self, name, x), shape) for name in ("gamma", "beta", "mean", "variance")
        )
        epsilon = number(self.epsilon, x, "BatchNorm.epsilon")
        g = gamma / _root(variance + epsilon, "variance + epsilon")
        y = g * x + (beta - g * mean)
        weight, shift, seen = g, g * mean, x
        if self.linearization == "without_epsilon":
            weight = gamma / _root(variance, "variance")
            shift = weight * mean
        elif self.linearization == "variance_squared":
            root = _root(variance * variance + epsilon, "variance^2 + epsilon")
            weight, shift = gamma / root, mean / root
        bias = beta - shift
        if self.linearization == "centered":
            bias, seen = beta, x - mean
        work = absolute(beta) + absolute(shift)
        spread = full((1, *x.shape[1:]), 0, x)
        serves = x != mean if self.linearization == "at_mean_zero" else None
        return Affine((Routed(weight, _same, _same),), (seen,), bias + spread, y, work + spread, 4, serves)


@dataclass(frozen=True)
class LRN:
    """Local response normalisation: y = w x, w_c = (bias + alpha / size * sum of x_k^2 over the window of c)^-beta.

    The window of channel c holds k from c - (size - 1) // 2 to c + size // 2, as far as there are channels.
    x (N, C, *spatial). A linearisation: relevance sees w as a constant factor, so that it passes as through a batch norm,
    and no neighbour receives any. (The gradient of the formula, which also goes through w, is not this map.)
    Raises `LRPError` where w is irrational in rationals: for a `beta` that is no integer.
    """

    size: int
    alpha: Number = 1e-4
    beta: Number = 0.75
    bias: Number = 1
    axes = None

    def __post_init__(self) -> None:
        if not hasattr(self.size, "__index__") or self.size < 1:
            raise LRPError(f"LRN: expected size as an integer >= 1, got {self.size!r}")

    def affine(self, x: Array) -> Affine:
        if x.ndim < 2:
            raise LRPError(f"LRN: expected x (N, C, *spatial), got shape {tuple(x.shape)}")
        scale = self.scale(x)
        if bool(namespace(x).any(scale <= 0)):
            raise LRPError(f"LRN: expected bias + alpha / size * sum x^2 > 0 everywhere, got bias {self.bias}; raise it")
        return linear([Routed(self.weight(scale), _same, _same)], [x], roundings=self.size + 8)

    def scale(self, x: Array) -> Array:
        """bias + alpha / size * sum x^2, at every element of x."""
        squares, total, channels = x * x, full(x.shape, number(self.bias, x, "LRN.bias"), x), x.shape[1]
        share = number(self.alpha, x, "LRN.alpha") / number(self.size, x, "LRN.size")
        for k in range(-((self.size - 1) // 2), self.size // 2 + 1):
            to, read = slice(max(0, -k), channels - max(0, k)), slice(max(0, k), channels - max(0, -k))
            if to.start < to.stop:
                total[:, to, ...] = total[:, to, ...] + share * squares[:, read, ...]
        return total

    def weight(self, scale: Array) -> Array:
        """scale^-beta."""
        if not is_exact(scale):
            return scale ** -float(self.beta)
        if self.beta == int(self.beta):
            return scale ** -int(self.beta)
        return elementwise(-number(self.beta, scale, "LRN.beta") * elementwise(scale, "log"), "exp")


@dataclass(frozen=True, eq=False)
class Scale(ByValue):
    """y = weight * x + bias, elementwise. weight, bias: one sample's shape, with 1 where an axis shares them, or None."""

    weight: Array | None = None
    bias: Array | None = None
    axes = None

    def __post_init__(self) -> None:
        for name in ("weight", "bias"):
            if getattr(self, name) is not None:
                checked(f"Scale.{name}", getattr(self, name))

    def affine(self, x: Array) -> Affine:
        xp, shape = namespace(x), tuple(x.shape[1:])
        given = {}
        for name in ("weight", "bias"):
            if getattr(self, name) is None:
                continue
            a = parameter(self, name, x)
            if a.ndim != len(shape) or any(n not in (1, m) for n, m in zip(a.shape, shape, strict=True)):
                raise LRPError(f"Scale: expected {name} that spreads over samples of shape {shape}, got {tuple(a.shape)}")
            given[name] = a[None, ...]
        weight = given.get("weight", full((1,) * x.ndim, 1, x))
        bias = xp.broadcast_to(given["bias"], (1, *shape)) if "bias" in given else None
        return linear([Routed(weight, _same, _same)], [x], bias)


def _root(a: Array, what: str) -> Array:
    if bool(namespace(a).any(a <= 0)):
        raise LRPError(f"BatchNorm: expected {what} > 0 in every channel, got {float(namespace(a).min(a))}; raise epsilon")
    return sqrt(a)


def _same(a: Array) -> Array:
    return a
