"""What a rule's parts may hold: settled once, for kernels and plain text alike, or refused in one line."""

from fractions import Fraction
from typing import Any, NoReturn

import numpy as np

from lrp_ref.arrays import Array, LRPError, element_type, is_exact, namespace, number
from lrp_ref.rules import Part
from lrp_ref.text.printing import brief
from lrp_ref.values import refuse_other


def refuse_no_parts(name: str, parts: Any) -> None:
    """Refuse what a rule of a user's own may return instead of its parts."""
    refuse_other(name, parts, list, "a list of lrp_ref.Part")
    for part in parts or [None]:
        refuse_other(name, part, Part, "at least one lrp_ref.Part, and nothing else")


def settled(name: str, part: Part, bias: Array, like: Array) -> Part:
    """The part with its numbers in the arithmetic of `like`, and c an array as `bias` is; what has no meaning is refused."""
    if not hasattr(part.n, "rows") or not hasattr(part.n, "distribute"):
        _refuse(name, "n", "contributions such as W * x or W.contributions()", part.n)
    if part.where is not None and not _is_mask(part.where):
        _refuse(name, "where", "a boolean array such as y > 0, or None", part.where)
    c, scale, over = (_in_arithmetic(name, field, getattr(part, field), like) for field in ("c", "scale", "over"))
    c = c if hasattr(c, "shape") else 0 * bias + c
    return part._replace(c=c, scale=scale, over=over)


def _is_mask(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape") and namespace(value).isdtype(value.dtype, "bool")


def _in_arithmetic(name: str, field: str, value: Any, like: Array) -> Any:
    """An array of the dtype of `like` as it is, a number converted to its arithmetic; None where the field may be left out."""
    if value is None and field == "over":
        return None
    if is_exact(like) and isinstance(value, element_type(like)):  # a ball is no Fraction
        return value
    if isinstance(value, int | float | Fraction | np.generic) or hasattr(value, "p"):
        return value if isinstance(value, int) and value == 1 else number(value, like, f"{name}: {field}")
    if getattr(value, "dtype", None) != like.dtype or not hasattr(value, "shape"):
        _refuse(name, field, f"a number, or an array in {_dtype(like)} as x is", value)
    return value


def _dtype(a: Array) -> str:
    return str(getattr(a, "dtype", "no dtype")).replace("object", "Python objects")


def _refuse(name: str, field: str, expected: str, value: Any) -> NoReturn:
    got = f"an array in {_dtype(value)}" if hasattr(value, "shape") else f"{type(value).__name__} {brief(value)}"
    raise LRPError(f"{name}: expected {field} as {expected}; got {got}")
