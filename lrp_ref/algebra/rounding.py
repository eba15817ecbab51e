"""What floating-point formats round, and the constants that every bound is made of."""

from typing import Any

from lrp_ref.arrays import Array, where

UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
SMALLEST = {"float64": 2.0**-1074, "float32": 2.0**-149, "float16": 2.0**-24, "bfloat16": 2.0**-133}
LARGEST = 1e100  # stands for infinity in the bounds of networks, so that 0 times it is 0


def gamma(k: int, u: float) -> float:
    """gamma_k = k u / (1 - k u), infinite where k u >= 1."""
    return k * u / (1 - k * u) if k * u < 1 else float("inf")


def allowed_forward(Y: Any, fan_in: int, dtype: str) -> Any:
    """The bound of the layer's output: gamma_(m+4) sum |w x| + |b|, and underflow."""
    return gamma(fan_in + 4, UNIT_ROUNDOFF[dtype]) * Y + SMALLEST[dtype] * (fan_in + 2)


def capped(a: Array) -> Array:
    """a, with `LARGEST` in place of anything larger."""
    return where(a < LARGEST, a, LARGEST)
