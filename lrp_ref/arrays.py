"""What the arithmetics have in common: rationals, NumPy, CuPy, any array-API namespace.

This is the only file that knows that arithmetics differ. An *exact* array is a NumPy
object array whose elements are `fractions.Fraction`, `flint.fmpq` or `flint.arb`.
"""

import math
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import reduce
from operator import and_
from typing import Any

import array_api_compat
import array_api_compat.numpy as np_compat
import numpy as np

from lrp_ref.kernels import delegated

Array = Any  # an array of any array-API namespace; the namespaces share no common static type
LONG_EXPONENT = re.compile(r"[eE][-+]?[\d_]{5}")  # of a text, whose number would take more memory than there is
OPERATORS = ("__mul__", "__add__", "__matmul__", "__array_ufunc__")  # by which a subclass of NumPy's arrays may mean others
Number = Any  # int, float, Fraction, or an element type of an exact array


class LRPError(ValueError):
    """A request that has no meaning: one line with what was expected, what was given and the way out."""


def namespace(a: Array) -> Any:
    """The array-API namespace of `a` (`array_api_compat`'s, so NumPy and CuPy speak the standard too)."""
    return np_compat if isinstance(a, np.ndarray) else array_api_compat.array_namespace(a)


def is_exact(a: Array) -> bool:
    """True for object arrays, whose elements are exact numbers (or balls)."""
    return isinstance(a, np.ndarray) and a.dtype == object


def exact(values: Any) -> Array:
    """`values` as an object array of `Fraction`: nested lists of ints, floats, "p/q" strings, or an array.

    Floats are converted without rounding: every binary float is a rational. Raises `LRPError` for NaN, infinities
    and what is no number, with its index.
    """
    array = np.asarray(values, dtype=object)
    out = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        out[index] = fraction(array[index], f"exact{_at(index)}")
    return out


def fraction(value: Any, name: str) -> Fraction:
    """The number `value` as a `Fraction`, without rounding; `name` is what an error calls it."""
    try:
        if hasattr(value, "p"):
            return Fraction(int(value.p), int(value.q))
        if isinstance(value, str) and LONG_EXPONENT.search(value):
            raise OverflowError
        return Fraction(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        raise LRPError(f"{name}: expected a finite number, got {value!r}; use an int, a float or a Fraction") from None


def number(value: Number, like: Array, name: str = "number") -> Number:
    """The scalar `value` in the arithmetic of `like`, converted once and without rounding where `like` is exact."""
    if is_exact(like):
        kind = element_type(like)
        if isinstance(value, kind):
            return value
        ratio = fraction(value, name)
        return kind(ratio.numerator) / kind(ratio.denominator)
    if not isinstance(value, float) or not math.isfinite(value):
        value = fraction(value, name)
    return float(value)


def is_number(value: Any) -> bool:
    """Whether the value is a number, and no truth value."""
    scalar = hasattr(value, "dtype") and not getattr(value, "shape", (0,))
    return (isinstance(value, int | float | Fraction) or hasattr(value, "p") or scalar) and not isinstance(value, bool)


def element_type(a: Array) -> type:
    """The number type of an exact array; `Fraction` for an empty one."""
    return type(a.flat[0]) if a.size else Fraction


def count_of(a: Array) -> int:
    """The number of elements; `a.size` is a method in some namespaces."""
    return math.prod(a.shape)


def flattened(a: Array) -> Array:
    """(batch, *any) as (batch, n); an empty batch too, where a size of -1 would be ambiguous."""
    return namespace(a).reshape(a, (a.shape[0], math.prod(a.shape[1:])))


def widened(a: Array) -> Array:
    """`a`, in float64 where it is float16, whose range is too narrow to count in; anything else unchanged."""
    if not str(getattr(a, "dtype", "")).endswith("float16"):
        return a
    xp = namespace(a)
    return xp.astype(a, xp.float64)


def full(shape: Sequence[int], value: Number, like: Array) -> Array:
    """An array of `shape` holding `value`, in the namespace, dtype and device of `like`."""
    if is_exact(like):
        return np.full(tuple(shape), number(value, like), dtype=object)
    xp, plain = namespace(like), known(value, float)
    if plain is None:
        return xp.broadcast_to(xp.astype(value, like.dtype), tuple(shape))
    return xp.full(tuple(shape), plain, dtype=like.dtype, device=array_api_compat.device(like))


def constant(shape: Sequence[int], value: Number, like: Array) -> Array:
    """An array of `shape` that holds `value` and is only read: it takes the memory of one element."""
    return namespace(like).broadcast_to(full((1,) * len(shape), value, like), tuple(shape))


def only_read(a: Any) -> Any:
    """A NumPy array as a view that cannot be written to, without a copy; anything else as it is."""
    if not isinstance(a, np.ndarray) or not a.flags.writeable:
        return a
    view = a.view()
    view.flags.writeable = False
    return view


def times(factor: Number, a: Array) -> Array:
    """factor * a, where a rational factor of floats is rounded to a float first."""
    return (float(factor) if isinstance(factor, Fraction) and not is_exact(a) else factor) * a


def placed(total: Array, at: Any, values: Any) -> Array:
    """`total` with `values` at the index `at`: in place, where arrays of its kind can be written to; no one else holds it."""
    if not array_api_compat.is_writeable_array(total):
        return total.at[at].set(values)
    total[at] = values
    return total


def added(total: Array, at: Any, values: Array) -> Array:
    """`total` with `values` added at the index `at`, as `placed`."""
    if not array_api_compat.is_writeable_array(total):
        return total.at[at].add(values)
    total[at] += values
    return total


def known(value: Any, kind: Callable[[Any], Any] = bool) -> Any:
    """`kind(value)`, or None where the value is being traced (`jax.jit`): only a run will tell."""
    try:
        return kind(value)
    except TypeError as refusal:
        if any(base.__name__ == "ConcretizationTypeError" for base in type(refusal).__mro__):
            return None
        raise


@delegated("all finite")
def all_finite(*arrays: Array) -> bool:
    """Whether no element of float arrays is known to be NaN or infinite: one question, and one answer from a device."""
    return known(reduce(and_, (namespace(a).all(namespace(a).isfinite(a)) for a in arrays))) is not False


def same(a: Any) -> Any:
    """The array itself: the function that does nothing, where a table or a map asks for one."""
    return a


@delegated("positive part")
def pos(a: Any) -> Any:
    """a+ = max(a, 0), of an array, of weights or of contributions."""
    if hasattr(a, "positive_part"):
        return a.positive_part()
    return namespace(a).maximum(a, _zero(a))


def neg(a: Any) -> Any:
    """a- = min(a, 0), of an array, of weights or of contributions."""
    return a.negative_part() if hasattr(a, "negative_part") else namespace(a).minimum(a, _zero(a))


def _zero(a: Array) -> Array:
    """0, in the arithmetic of a."""
    return a.dtype.type(0) if isinstance(a, np.ndarray) and not is_exact(a) else 0 * a


def absolute(a: Any) -> Any:
    """|a|, of an array, of weights or of contributions."""
    return a.magnitude() if hasattr(a, "magnitude") else namespace(a).abs(a)


def where(condition: Array, a: Array, b: Array) -> Array:
    """`a` where the condition holds, else `b`; `b` may be a scalar."""
    xp = namespace(condition)
    return xp.where(condition, a, b if hasattr(b, "shape") else full(a.shape, b, a))


def sqrt(a: Array) -> Array:
    """The square root. Over the rationals it is exact, and refused where it is irrational."""
    if not is_exact(a):
        return namespace(a).sqrt(a)
    return np.frompyfunc(_root, 1, 1)(a).astype(object)


def _root(value: Any) -> Any:
    if hasattr(value, "sqrt") and not hasattr(value, "numer"):
        return value.sqrt()  # a ball: its root is a ball
    p, q = int(value.numerator), int(value.denominator)
    if p < 0 or math.isqrt(p) ** 2 != p or math.isqrt(q) ** 2 != q:
        raise LRPError(f"the square root of {value} is not rational: use float arrays, or flint.arb for a certified root")
    return type(value)(math.isqrt(p)) / type(value)(math.isqrt(q))


def elementwise(a: Array, names: str) -> Array:
    """The function `names` ("exp", "tanh", ...) of every element; balls (`flint.arb`) in exact arrays."""
    if not is_exact(a):
        return getattr(namespace(a), names)(a)
    if not hasattr(element_type(a), names):
        raise LRPError(f"{names} of a rational is irrational: use float arrays, or flint.arb for a certified value")
    return np.frompyfunc(lambda value: getattr(value, names)(), 1, 1)(a).astype(object)


def checked(name: str, a: Array, trusted: bool = False) -> Array:
    """`a` itself if it is a float or exact array of finite numbers; otherwise one clear line.

    trusted: its numbers are known to be finite, and not looked at.
    """
    if not hasattr(a, "shape") or not hasattr(a, "dtype"):
        raise LRPError(f"{name}: expected an array, got {type(a).__name__}; use numpy.asarray(...) or lrp_ref.exact(...)")
    if isinstance(a, np.ndarray) and any(getattr(type(a), op) is not getattr(np.ndarray, op) for op in OPERATORS):
        raise LRPError(
            f"{name}: expected a plain array, got {type(a).__name__}, whose operators mean something else; "
            "fill what is masked, and use numpy.asarray(...)"
        )
    if is_exact(a):
        bad: Callable[[Any], bool] = lambda v: isinstance(v, float | int | np.generic) or not hasattr(v, "__truediv__")  # noqa: E731
        found = next((index for index in np.ndindex(a.shape) if bad(a[index])), None)
        if found is not None:
            raise LRPError(
                f"{name}{_at(found)}: expected an exact number, got {type(a[found]).__name__} {a[found]!r}; "
                "use lrp_ref.exact(...)"
            )
        return a
    xp = namespace(a)
    if not xp.isdtype(a.dtype, "real floating"):
        raise LRPError(f"{name}: expected a float dtype, got {a.dtype}; convert with astype(float64) or lrp_ref.exact(...)")
    if not trusted and not all_finite(a):
        flat = int(xp.argmin(xp.astype(xp.reshape(xp.isfinite(a), (-1,)), xp.int8)))
        index = tuple(int(i) for i in np.unravel_index(flat, a.shape))
        raise LRPError(f"{name}{_at(index)}: expected a finite number, got {float(a[index])}; mask or repair it first")
    return a


def _at(index: Sequence[int]) -> str:
    return "[" + ", ".join(map(str, index)) + "]" if index else ""


def same_arithmetic(reference: str, a: Array, name: str, b: Array) -> None:
    """Refuse to mix namespaces or dtypes: nothing is converted behind the caller's back."""
    if namespace(a) is not namespace(b):
        theirs, ours = (type(one).__module__.split(".")[0] for one in (b, a))
        raise LRPError(f"{name} is an array of {theirs}, but {reference} is one of {ours}; convert one of them first")
    if a.dtype != b.dtype:
        raise LRPError(f"{name} has dtype {b.dtype}, but {reference} has {a.dtype}; convert one of them first")
    if is_exact(a) and a.size and b.size and element_type(a) is not element_type(b):
        raise LRPError(
            f"{name} holds {element_type(b).__name__}, but {reference} holds {element_type(a).__name__}; convert one of them"
        )
