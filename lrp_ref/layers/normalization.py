"""Diagonal maps: batch normalisation with fixed statistics, a given factor and shift."""

from dataclasses import dataclass, replace

from lrp_ref.arrays import Array, LRPError, Number, absolute, checked, full, known, namespace, number, same, sqrt
from lrp_ref.layers.affine import Affine, expect, linear, parameter
from lrp_ref.layers.drift import Drift, Errors, fixed, inherited
from lrp_ref.layers.maps import Routed
from lrp_ref.values import ByValue

__all__ = ["BatchNorm", "Scale"]

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
        return Affine((Routed(weight, same, same),), (seen,), bias + spread, y, work + spread, 4, serves)

    def drift(self, affine: Affine, x: Errors, e: Errors, dtype: str) -> Drift:
        """The output is that of the true map, whatever relevance sees; an error may decide whether x is the mean."""
        true = replace(self, linearization="affine").affine(*x)
        if self.linearization != "at_mean_zero":
            return Drift(lambda: inherited(true, e, dtype), bias=0 * affine.bias)
        mean = namespace(x[0]).reshape(self.mean, (1, -1, *(1,) * (x[0].ndim - 2)))
        doubtful = (absolute(x[0] - mean) <= e[0]) & (e[0] > 0)
        return Drift(lambda: inherited(true, e, dtype), bias=0 * affine.bias, doubtful=doubtful)


@dataclass(frozen=True, eq=False)
class Scale(ByValue):
    """y = weight * x + bias, elementwise. weight, bias: one sample's shape, with 1 where an axis shares them, or None."""

    weight: Array | None = None
    bias: Array | None = None
    axes = None
    drift = fixed

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
        return linear([Routed(weight, same, same)], [x], bias)


def _root(a: Array, what: str) -> Array:
    if known(namespace(a).any(a <= 0)):
        raise LRPError(f"BatchNorm: expected {what} > 0 in every channel, got {float(namespace(a).min(a))}; raise epsilon")
    return sqrt(a)
