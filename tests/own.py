"""Layers and rules of a user's own, dataclasses or not, which mypy checks against the protocols."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

import lrp_ref as lrp
from lrp_ref.arrays import Array, absolute, full, neg, pos
from lrp_ref.layers import DenseMap, fixed, moved


@dataclass(frozen=True)
class Boost:
    """n = z + gamma |z|, c = b + gamma |b|: a rule with a number, as a dataclass."""

    gamma: Any = Fraction(1, 4)
    name: ClassVar[str] = "boost"
    bias: ClassVar[tuple[str, ...]] = ("absorb", "ignore")

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[lrp.Part]:
        return [lrp.Part(W * x + self.gamma * absolute(W * x), b + self.gamma * absolute(b))]


class PlainBoost:
    """The same rule, as a class like any other."""

    name = "plain-boost"
    bias: tuple[str, ...] = ("absorb", "ignore")

    def __init__(self, gamma: Any = Fraction(1, 4)) -> None:
        self.gamma = gamma

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[lrp.Part]:
        return [lrp.Part(W * x + self.gamma * absolute(W * x), b + self.gamma * absolute(b))]


class BySign:
    """The half of the sign of the output: a rule of two parts that reads y."""

    name = "by-sign"
    bias: tuple[str, ...] = ("absorb",)

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[lrp.Part]:
        return [lrp.Part(pos(W * x), pos(b), where=y > 0), lrp.Part(neg(W * x), neg(b), where=y < 0)]


@dataclass(frozen=True)
class Smooth:
    """y_i = x_i / 2 + x_(i+1) / 2 along the last axis: a layer with weights that are not given."""

    axes: ClassVar[int] = 1
    drift = fixed

    def affine(self, x: Array) -> lrp.Affine:
        n = x.shape[-1]
        band = np.eye(n, k=0)[:-1] + np.eye(n, k=1)[:-1]
        half = full((n - 1, n), Fraction(1, 2), x)
        return lrp.Affine.of([DenseMap(half * (lrp.exact(band) if half.dtype == object else band.astype(half.dtype)))], [x])


class Shift:
    """y = W x + b, with arrays of its own, as a class like any other."""

    axes = 1
    drift = fixed

    def __init__(self, weight: Array, bias: Array) -> None:
        self.weight, self.bias = weight, bias

    def affine(self, x: Array) -> lrp.Affine:
        return lrp.Affine.of([DenseMap(self.weight)], [x], self.bias[None, :])


class Reverse:
    """The last axis, backwards: a layer that only moves values."""

    axes = 1
    drift = fixed

    def affine(self, x: Array) -> lrp.Affine:
        return moved(lambda a: a[..., ::-1], lambda a: a[..., ::-1], x)


RULES: tuple[lrp.Rule, ...] = (Boost(), PlainBoost(), BySign())
LAYERS: tuple[lrp.Layer, ...] = (Smooth(), Shift(np.ones((2, 3)), np.ones(2)), Reverse())


class Nameless:
    """No rule: it has no name."""

    bias: tuple[str, ...] = ("absorb",)

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[lrp.Part]:
        return []


class Duck:
    """No layer: it has no affine."""

    axes = 1


NO_RULE: lrp.Rule = Nameless()  # type: ignore[assignment]
NO_LAYER: lrp.Layer = Duck()  # type: ignore[assignment]
