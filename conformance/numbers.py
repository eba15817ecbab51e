"""Numbers and tensors as golden files write them: strings, so that no JSON reader can round them."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq


def parse(text: str) -> Fraction:
    """The exact value of "-3", "17/90" or "0x1.8p+1"; "-0.0" is zero.

    Raises ValueError for anything else, and for exponents that no golden number needs.
    """
    if not isinstance(text, str) or len(text) > 4096:
        raise ValueError(f"expected a number as a string, got {str(text)[:40]!r}")
    if "x" in text.lower():
        try:
            return Fraction(float.fromhex(text))
        except OverflowError:
            raise ValueError(f"expected a number that a double holds, got {text[:40]!r}") from None
    if "e" in text.lower():
        raise ValueError(f"expected an integer, a rational or a hexadecimal float, got {text[:40]!r}")
    return Fraction(text)


def rational(value: Any) -> Fraction:
    """An exact number (`Fraction`, `fmpq`, integer) as a `Fraction`."""
    return value if isinstance(value, Fraction) else Fraction(int(value.numerator), int(value.denominator))


def write(value: Any) -> str:
    """An exact number as a string; a float as a hexadecimal one."""
    return value.hex() if isinstance(value, float) else str(rational(value))


def tensor(array: Any) -> dict[str, Any]:
    """An exact or float array as the JSON tensor."""
    array = np.asarray(array)
    return {"shape": list(array.shape), "data": [write(v) for v in array.reshape(-1).tolist()]}


def exact_array(data: dict[str, Any], kind: Callable[[int, int], Any] = fmpq) -> np.ndarray:
    """A JSON tensor as an object array of exact numbers."""
    values = [parse(text) for text in data["data"]]
    out = np.empty(len(values), dtype=object)
    out[:] = [kind(v.numerator, v.denominator) for v in values]
    return out.reshape(data["shape"])


def ball_array(data: dict[str, Any]) -> np.ndarray:
    """A JSON tensor as an object array of balls of 256 bits, for cases in which a root enters."""
    ctx.prec = 256
    return exact_array(data, lambda p, q: arb(p) / arb(q))


def float_array(data: dict[str, Any], dtype: str) -> np.ndarray:
    """A JSON tensor at `dtype`, every element rounded once; "-0.0" keeps its sign."""
    values = [-0.0 if text == "-0.0" else float(parse(text)) for text in data["data"]]
    return np.asarray(values, dtype=np.float64).reshape(data["shape"]).astype(dtype)


def integer_array(data: dict[str, Any]) -> np.ndarray:
    """A JSON tensor of indices."""
    return np.asarray([int(text) for text in data["data"]], dtype=np.int64).reshape(data["shape"])


def nearest(value: Any) -> float:
    """The double nearest to an exact number, or to the midpoint of a ball."""
    return float(value.mid()) if isinstance(value, arb) else float(rational(value))


def floats(array: Iterable[Any]) -> np.ndarray:
    """An exact array as float64, every element rounded once; balls by their midpoint."""
    out = np.asarray(array, dtype=object)
    return np.asarray([nearest(v) for v in out.reshape(-1)], dtype=np.float64).reshape(out.shape)
