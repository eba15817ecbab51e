"""What keeps a denominator away from zero: from d to the stabilised D."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrp_ref import fast
from lrp_ref.arrays import Array, LRPError, Number, absolute, full, namespace, sqrt, where


@dataclass(frozen=True)
class Stabilizer:
    """From a denominator d to the stabilised D; `KINDS` holds the formula of every kind.

    `sign_at_zero` is sgn(0): 1, 0 or -1 (-0.0 counts as 0). Where D = 0 the relevance is dropped.
    """

    kind: str = "none"
    epsilon: Number = 0
    sign_at_zero: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise LRPError(f"stabilizer kind: expected one of {', '.join(KINDS)}; got {self.kind!r}")
        if self.sign_at_zero not in (1, 0, -1):
            raise LRPError(f"sign_at_zero: expected 1, 0 or -1; got {self.sign_at_zero!r}")
        if not self.epsilon >= 0:
            raise LRPError(f"stabilizer epsilon: expected a number >= 0, got {self.epsilon}")

    def __call__(self, d: Array, epsilon: Number) -> Array:
        """D of d (batch, *out), with `epsilon` in the arithmetic of d."""
        return KINDS[self.kind](d, epsilon, lambda size=1: signed(d, self.sign_at_zero, size))

    def live(self, d: Array, stabilized: Array) -> Array:
        """Where a quotient exists and is not dropped."""
        return (d != 0) & (stabilized != 0) if self.kind == "drop" else stabilized != 0


def signed(d: Array, at_zero: int, size: Any = 1) -> Array:
    """`size` >= 0 with the sign of d, and `at_zero` times it where d = 0."""
    if at_zero == 1 and fast.on(d):
        signs = d + 0  # -0.0 + 0 is 0.0
        return np.copysign(d.dtype.type(size), signs, out=signs)
    one = full(d.shape, 1, d)
    return size * where(d > 0, one, where(d < 0, -one, at_zero * one))


def rms(d: Array) -> Array:
    """The root of the mean of d^2 over each sample's outputs, kept with size 1."""
    axes = tuple(range(1, d.ndim))
    return sqrt(namespace(d).mean(d * d, axis=axes, keepdims=True))


def std(d: Array) -> Array:
    """The standard deviation of d over the whole batch (divisor N): it couples samples."""
    xp = namespace(d)
    centred = d - xp.mean(d)
    return sqrt(xp.mean(centred * centred, axis=tuple(range(d.ndim)), keepdims=True))


Signs = Callable[..., Array]  # of a size, which then has the sign of d
KINDS: dict[str, Callable[[Array, Any, Signs], Array]] = {
    "none": lambda d, eps, sgn: d,
    "signed_add": lambda d, eps, sgn: d + sgn(eps),
    "unsigned_add": lambda d, eps, sgn: d + eps,
    "replace_zero": lambda d, eps, sgn: where(d == 0, d + eps, d),
    "zero_to_eps_then_signed": lambda d, eps, sgn: where(d == 0, d + eps, d + sgn(eps)),
    "clip": lambda d, eps, sgn: sgn() * namespace(d).maximum(absolute(d), full(d.shape, eps, d)),
    "drop": lambda d, eps, sgn: d + eps,
    "abs_share": lambda d, eps, sgn: d + eps,
    "rms_scaled": lambda d, eps, sgn: d + sgn() * eps * rms(d),
    "std_scaled": lambda d, eps, sgn: d + sgn() * eps * std(d),
}
NONE = Stabilizer()
