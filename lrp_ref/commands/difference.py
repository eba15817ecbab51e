"""How far two arrays of numbers lie apart."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrp_ref.algebra.rounding import UNIT_ROUNDOFF
from lrp_ref.arrays import Array, LRPError, exact, is_exact

Index = tuple[int, ...]


@dataclass(frozen=True)
class Difference:
    """What sets two arrays a and b of one shape apart, over the elements that are finite in both.

    identical: equal bit for bit, dtypes included. equal: how many elements are, in bits. absolute, relative: the largest
    |a - b| and the largest |a - b| / max(|a|, |b|), and `absolute_at`, `relative_at` where. scale: the largest |b|. ulps:
    the largest and the median number of floats of the coarser dtype between a and b; None unless both are floats.
    correlation, cosine: nan where an array is constant, or zero; scale, bits: nan where nothing is finite. signs: how many
    elements have another sign (0 is a sign).
    bits: -log2 of absolute / scale, at most what the coarser dtype holds. sums: of a and of b. loose: elements that are not
    finite in one array, and not the same in the other.
    """

    shape: Index
    dtypes: tuple[str, str]
    count: int
    equal: int
    identical: bool
    absolute: float
    absolute_at: Index
    relative: float
    relative_at: Index
    scale: float
    ulps: tuple[int, float] | None
    correlation: float
    cosine: float
    signs: int
    bits: float
    sums: tuple[float, float]
    loose: int

    def within(self, tolerance: float) -> bool:
        """Whether max |a - b| <= tolerance max |b|, and what is not finite is the same."""
        return not self.loose and self.absolute <= tolerance * self.scale


def difference(a: Array, b: Array) -> Difference:
    """What sets a and b apart: floats, integers, exact numbers, or those written as strings "p/q".

    Raises `LRPError` for arrays of another kind, of different shapes, or without elements.
    """
    a, b = (_numbers(name, given) for name, given in (("a", a), ("b", b)))
    if a.shape != b.shape:
        raise LRPError(f"expected one shape, got {a.shape} and {b.shape}")
    if not a.size:
        raise LRPError(f"expected elements to compare, got shape {a.shape}")
    same = _same(a, b)
    x, y = _float64(a), _float64(b)
    finite = np.isfinite(x) & np.isfinite(y)
    gap = np.where(finite, np.abs(_gap(a, b, finite)), 0.0)
    size = np.where(finite, np.maximum(np.abs(x), np.abs(y)), 0.0)
    ratio = np.divide(gap, size, out=np.zeros_like(gap), where=size > 0)
    u, v = x[finite], y[finite]
    at, relative_at = (tuple(int(i) for i in np.unravel_index(e.argmax(), e.shape)) for e in (gap, ratio))
    scale = float(np.abs(v).max()) if v.size else math.nan
    return Difference(
        shape=a.shape, dtypes=(_kind(a), _kind(b)), count=a.size, equal=int(same.sum()),
        identical=bool(same.all()) and _kind(a) == _kind(b), absolute=float(gap[at]), absolute_at=at,
        relative=float(ratio[relative_at]), relative_at=relative_at, scale=scale, ulps=_ulps(a, b, finite),
        correlation=_cosine(u - u.mean(), v - v.mean()) if u.size else math.nan, cosine=_cosine(u, v),
        signs=int((np.sign(u) != np.sign(v)).sum()), bits=_bits(float(gap[at]), scale, a, b),
        sums=(float(u.sum()), float(v.sum())), loose=int((~finite & ~same & ~(np.isnan(x) & np.isnan(y))).sum()),
    )  # fmt: skip


def _numbers(name: str, a: Array) -> Any:
    a = a.get() if hasattr(a, "get") else np.asarray(a)
    if a.dtype.kind == "U" or is_exact(a):
        return exact(a)
    if a.dtype.kind not in "fiub" or a.dtype.itemsize > 8:
        raise LRPError(f"{name}: expected real numbers of at most 64 bits, or exact ones as strings, got {a.dtype}")
    return np.ascontiguousarray(a, a.dtype.newbyteorder("="))


def _kind(a: Any) -> str:
    return "exact" if is_exact(a) else str(a.dtype)


def _float64(a: Any) -> Any:
    return a.astype(np.float64)


def _same(a: Any, b: Any) -> Any:
    """Where both hold the same bits, or the same number where dtypes differ."""
    if a.dtype == b.dtype and a.dtype.kind == "f":
        return a.view(f"u{a.itemsize}") == b.view(f"u{b.itemsize}")
    return np.asarray(a == b, dtype=bool)


def _gap(a: Any, b: Any, finite: Any) -> Any:
    """a - b, subtracted exactly where one of them is exact."""
    if not (is_exact(a) or is_exact(b)):
        with np.errstate(all="ignore"):
            return _float64(a) - _float64(b)
    gap = np.zeros(a.shape)
    gap[finite] = (exact(a[finite]) - exact(b[finite])).astype(np.float64)
    return gap


def _coarser(a: Any, b: Any) -> Any:
    """The dtype of fewer bits, if both are floats."""
    return min((a.dtype, b.dtype), key=lambda d: d.itemsize) if a.dtype.kind == b.dtype.kind == "f" else None


def _ulps(a: Any, b: Any, finite: Any) -> tuple[int, float] | None:
    dtype = _coarser(a, b)
    if dtype is None or not finite.any():
        return None
    with np.errstate(over="ignore"):
        x, y = (v[finite].astype(dtype) for v in (a, b))
    bits = 8 * dtype.itemsize - 1
    steps = [v.view(f"u{dtype.itemsize}").astype(np.uint64) & np.uint64((1 << bits) - 1) for v in (x, y)]  # from zero
    apart = np.where(np.signbit(x) == np.signbit(y), np.maximum(*steps) - np.minimum(*steps), steps[0] + steps[1])
    return int(apart.max()), float(np.median(apart))


def _cosine(u: Any, v: Any) -> float:
    """Scaled first, so that no square over- or underflows."""
    tops = [float(np.abs(w).max(initial=0.0)) for w in (u, v)]
    if 0 in tops:
        return math.nan
    u, v = u / tops[0], v / tops[1]
    return float(u @ v / math.sqrt((u @ u) * (v @ v)))


def _bits(gap: float, scale: float, a: Any, b: Any) -> float:
    if not np.isfinite(scale):
        return math.nan
    dtype = _coarser(a, b)
    own = -math.log2(UNIT_ROUNDOFF[str(dtype)]) if dtype is not None else math.inf
    if gap == 0:
        return own
    return max(0.0, min(own, -math.log2(gap / scale))) if scale else 0.0
