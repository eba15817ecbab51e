"""Intervals in which a number must lie."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class Span:
    """An interval of numbers, `low` <= `high`; `high` may be infinite."""

    low: Fraction | float
    high: Fraction | float

    def __and__(self, other: Span) -> Span | None:
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Span(low, high) if low <= high else None

    def __contains__(self, value: Any) -> bool:
        return bool(self.low <= value <= self.high)

    @property
    def bounded(self) -> bool:
        return not math.isinf(self.high)

    @property
    def middle(self) -> float:
        return float((self.low + self.high) / 2)

    @property
    def reach(self) -> float:
        return float((self.high - self.low) / 2)

    def scaled(self, by: Fraction | float) -> Span:
        ends = (self.low * by, self.high * by)
        return Span(min(ends), max(ends))

    def moved(self, by: Fraction | float) -> Span:
        return Span(self.low + by, self.high + by)


ANY = Span(0, math.inf)  # every epsilon


def consensus(spans: Iterable[Span | None]) -> Span | None:
    """The epsilon that most answers share: the narrowest interval, met with all that overlap it."""
    known = [s for s in spans if s is not None]
    bounded = [s for s in known if s.bounded and s.low > 0]
    if not bounded:
        common: Span | None = ANY
        for s in known:
            met = None if common is None else common & s
            common = met if met is not None else common
        return common if known else None
    best = min(bounded, key=lambda s: s.reach / s.middle)
    for s in known:
        best = (best & s) or best
    return best


def short(span: Span) -> float:
    """The number with the fewest digits in an interval: 1e-06 rather than 1.0000000000000002e-06."""
    for digits in range(1, 18):
        value = float(f"{span.middle:.{digits}g}")
        if Fraction(value) in span:
            return value
    return span.middle
