"""Numbers and tensors as golden files write them: strings, so that no JSON reader can round them."""

import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq

# "finite" of golden/schema.json.
NUMBER = r"((0|-?[1-9][0-9]*)|-?[1-9][0-9]*/([2-9]|[1-9][0-9]+)|-?0x[01](\.[0-9a-f]{1,13})?p[+-](0|[1-9][0-9]*)|-0\.0)"
_NUMBER = re.compile(NUMBER)
_EXTREME = re.compile(r"[0-9]{300}|p[+-][0-9]{4}")  # perhaps beyond a double
_UNUSUAL = re.compile(rf"n|{_EXTREME.pattern}")  # or no number at all: nan, inf
LONGEST = 4096  # characters of a number
MOST_AXES = 32


def parse(text: Any) -> Fraction:
    """The exact value of "-3", "17/90" or "0x1.8p+1"; "-0.0" is zero.

    Raises ValueError for anything else, and for hexadecimal floats that no double equals.
    """
    if not isinstance(text, str):
        raise ValueError(f"expected a number as a string, got {type(text).__name__}")
    if len(text) > LONGEST or not _NUMBER.fullmatch(text):
        raise ValueError(f"expected an integer, a rational or a hexadecimal float, got {text[:40]!r}")
    significand, hexadecimal, exponent = text.partition("p")
    if hexadecimal:
        if not -1022 <= int(exponent) <= 1023:
            raise ValueError(f"expected an exponent from -1022 to 1023, got {text[:40]!r}")
        return Fraction(float.fromhex(text))
    numerator, _, denominator = significand.partition("/")
    return Fraction(0) if text == "-0.0" else Fraction(int(numerator), int(denominator or 1))


def rational(value: Any) -> Fraction:
    """An exact number (`Fraction`, `fmpq`, integer) as a `Fraction`."""
    return value if isinstance(value, Fraction) else Fraction(int(value.numerator), int(value.denominator))


def double(value: Fraction) -> float:
    """The nearest double; ValueError for what is beyond all of them."""
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"expected a number that a double reaches, got {str(value)[:40]}...") from None


def write(value: Any) -> str:
    """An exact number as a string; a float as a hexadecimal one."""
    return value.hex() if isinstance(value, float) else str(rational(value))


def tensor(array: Any) -> dict[str, Any]:
    """An exact or float array as the JSON tensor."""
    array = np.asarray(array)
    return {"shape": list(array.shape), "data": [write(v) for v in array.reshape(-1).tolist()]}


def check_size(text: str) -> None:
    """Raise ValueError for a number beyond every double; other words are no matter."""
    if _EXTREME.search(text):
        double(parse(text))


def check_tensor(given: Any) -> None:
    """Raise ValueError unless `given`, a tensor by the schema, holds as many finite numbers as its sizes say."""
    if not given.keys() == {"shape", "data"}:
        raise ValueError("expected a tensor, an object of shape and data")
    shape, data = given["shape"], given["data"]
    if len(shape) > MOST_AXES:
        raise ValueError(f"expected at most {MOST_AXES} sizes, got {len(shape)}")
    if len(data) != prod(shape):
        raise ValueError(f"expected as many numbers as the shape {str(shape)[:80]} says, got {len(data)}")
    if _UNUSUAL.search(" ".join(data)):  # each number for itself takes ten times as long
        for text in data:
            double(parse(text))


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
    """A JSON tensor at `dtype`, every element rounded once; "-0.0" keeps its sign, and what is beyond `dtype` is infinite."""
    values = [-0.0 if text == "-0.0" else double(parse(text)) for text in data["data"]]
    with np.errstate(over="ignore"):
        return np.asarray(values, dtype=np.float64).reshape(data["shape"]).astype(dtype)


def integer_array(data: dict[str, Any]) -> np.ndarray:
    """A JSON tensor of indices."""
    values = [parse(text) for text in data["data"]]
    wrong = [v for v in values if v.denominator != 1 or abs(v.numerator) >= 2**63]
    if wrong:
        raise ValueError(f"expected indices, got {str(wrong[0])[:40]}")
    return np.asarray([v.numerator for v in values], dtype=np.int64).reshape(data["shape"])


def nearest(value: Any) -> float:
    """The double nearest to an exact number, or to the midpoint of a ball."""
    return float(value.mid()) if isinstance(value, arb) else double(rational(value))


def floats(array: Iterable[Any]) -> np.ndarray:
    """An exact array as float64, every element rounded once; balls by their midpoint."""
    out = np.asarray(array, dtype=object)
    return np.asarray([nearest(v) for v in out.reshape(-1)], dtype=np.float64).reshape(out.shape)
