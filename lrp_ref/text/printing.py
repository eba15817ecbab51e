"""How values print: arrays by shape and dtype, numbers in full where that is short, one line for what holds them."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from math import isfinite
from typing import Any

LONGEST = 24  # characters of an exact number or a parameter that is printed as it is


def summary(value: Any) -> str:
    """A dataclass in one line: arrays by shape, other fields as they are, those at their default left out.

    Dense(weight (10, 784) float32, bias (10,))
    """
    last, parts = "", []
    for field in fields(value):
        held = getattr(value, field.name)
        if _is_default(field, held):
            continue
        if not hasattr(held, "shape"):
            parts.append(f"{field.name}={brief(held)}")
            continue
        shape, dtype = described(held).rsplit(" ", 1)
        parts.append(f"{field.name} {shape}" + ("" if dtype == last else f" {dtype}"))
        last = dtype
    return f"{type(value).__name__}({', '.join(parts)})"


def brief_fields(value: Any) -> str:
    """A rule, a layer or another parameter: `brief`, and of a frozen value only the fields that are given."""
    if (
        not is_dataclass(value)
        or isinstance(value, type)
        or any(hasattr(getattr(value, f.name), "shape") for f in fields(value))
    ):
        return brief(value)
    held = {f.name: getattr(value, f.name) for f in fields(value)}
    return f"{type(value).__name__}({', '.join(f'{name}={brief(one)}' for name, one in held.items() if one is not None)})"


def described(a: Any) -> str:
    """An array's shape and dtype: "(2, 3) float32", or "(2, 3) exact" where its elements are exact numbers."""
    dtype = str(a.dtype).rsplit(".", 1)[-1]
    return f"{tuple(a.shape)} {'exact' if dtype == 'object' else dtype}"


def brief(value: Any) -> str:
    """A parameter: arrays by shape wherever they lie, classes and functions by name, anything else as it is, cut where long."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return described(value) if value.shape else quantity(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name!r}: {brief(one)}" for name, one in value.items()) + "}"
    if isinstance(value, tuple | list) and len(value) <= 8:
        inside = ", ".join(map(brief, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    if hasattr(value, "__qualname__"):
        return str(value.__qualname__)
    text = " ".join(repr(value).split())
    return text if len(text) <= 5 * LONGEST else f"{text[: 5 * LONGEST - 4]} ..."


def quantity(value: Any) -> str:
    """A number: exact in full where it is short, as a float of six digits otherwise."""
    exact = not isinstance(value, float) and not hasattr(value, "dtype")
    text = str(value) if exact else ""
    if exact and len(text) <= LONGEST:
        return text
    try:
        number = float(value)
    except OverflowError:
        return f"{text[:LONGEST]} ..."
    return f"{number:.6g}" if not exact or isfinite(number) else f"{text[:LONGEST]} ..."


def totals(columns: Mapping[str, Any]) -> str:
    """Named numbers in one line: "arrived 7, received 91/5, ..."."""
    return ", ".join(f"{name} {quantity(total)}" for name, total in columns.items())


def shapes(arrays: Iterable[Any]) -> str:
    """Arrays in one line, by shape; the dtype once, at the end, where all have the same."""
    told = [described(a).rsplit(" ", 1) for a in arrays]
    if len({dtype for _, dtype in told}) == 1:
        return f"{', '.join(shape for shape, _ in told)} {told[0][1]}"
    return ", ".join(map(" ".join, told))


def _is_default(field: "Field[Any]", held: Any) -> bool:
    if hasattr(held, "shape"):
        return False
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return default is not MISSING and type(held) is type(default) and bool(held == default)
