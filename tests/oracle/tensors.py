"""Exact numbers and tensors, and the parts a written-out layer is made of."""

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from math import isqrt, prod
from typing import Any, NamedTuple

ZERO, ONE = Fraction(0), Fraction(1)
Shape = list[int]
Json = dict[str, Any]


class Tensor(NamedTuple):
    shape: Shape
    data: list[Fraction]


class Tap(NamedTuple):
    """One connection. `index` counts through the whole input tensor, batch axis included.

    A tap that falls on padding has input None, index 0 and x 0.
    """

    w: Fraction
    x: Fraction
    input: str | None
    index: int
    channel: int


@dataclass
class Output:
    """One output element: what relevance sees (taps, bias) and the true value y (None if not rational)."""

    taps: list[Tap]
    bias: Fraction = ZERO
    y: Fraction | None = None
    padding: list[Tap] = field(default_factory=list)
    blocked: bool = False  # hands nothing back, whatever the rule


@dataclass
class Layer:
    op: str
    inputs: list[str]
    y_shape: Shape
    samples: list[list[Output]]  # per sample, its outputs in row-major order
    relevance_shapes: dict[str, Shape]


def number(text: Any) -> Fraction:
    if isinstance(text, str) and "x" in text.lower():
        return Fraction(float.fromhex(text))
    return Fraction(text)  # "3", "17/90", "-0.0"; raises ValueError for nan and the infinities


def tensor(entry: Json) -> Tensor:
    if "file" in entry:
        raise ValueError("large tensors are not for this oracle")
    if len(entry["data"]) != prod(entry["shape"]):
        raise ValueError("a tensor's data do not fill its shape")
    return Tensor(list(entry["shape"]), [number(v) for v in entry["data"]])


def exact_sqrt(value: Fraction) -> Fraction:
    if value < 0:
        raise ValueError(f"the root of {value} is not real")
    root = Fraction(isqrt(value.numerator), isqrt(value.denominator))
    if root * root != value:
        raise ValueError(f"the root of {value} is not rational")
    return root


def positions(shape: Shape) -> list[tuple[int, ...]]:
    return list(product(*(range(n) for n in shape)))


def flat(position: tuple[int, ...] | Shape, shape: Shape) -> int:
    index = 0
    for p, n in zip(position, shape, strict=True):
        index = index * n + p
    return index


def channel_of(index: int, shape: Shape) -> int:
    return index // prod(shape[2:]) % shape[1] if len(shape) > 1 else index


def per_axis(attrs: Json, key: str, default: Any, axes: int) -> list[Any]:
    value = attrs.get(key, default)
    return list(value) if isinstance(value, (list, tuple)) else [value] * axes


def tap(name: str, x: Tensor, index: int, w: Fraction = ONE) -> Tap:
    return Tap(w, x.data[index], name, index, channel_of(index, x.shape))


def affine(taps: list[Tap], bias: Fraction = ZERO, padding: list[Tap] | None = None) -> Output:
    return Output(taps, bias, sum((t.w * t.x for t in taps), bias), padding or [])
