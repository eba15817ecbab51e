"""The bounds of the z-box rule as arrays of x's shape."""

from typing import Any

from lrp_ref.arrays import Array, LRPError, checked, full, known, namespace, number, same_arithmetic


def bound(given: Any, x: Array) -> Array:
    """A bound of the z-box rule as an array of x's shape."""
    xp = namespace(x)
    if isinstance(given, str):
        if given not in ("min", "max"):
            raise LRPError(f"ZBox: expected a bound as a number, array, 'min' or 'max'; got {given!r}")
        return getattr(xp, given)(x, axis=tuple(range(1, x.ndim)), keepdims=True) + 0 * x
    if isinstance(given, list | tuple):
        given = _row(given, x)
    if not hasattr(given, "shape"):
        return full(x.shape, number(given, x, "ZBox bound"), x)
    checked("ZBox bound", given)
    same_arithmetic("x", x, "ZBox bound", given)
    if given.ndim == 1 and given.shape[0] == x.shape[1]:
        given = xp.reshape(given, (1, -1, *(1,) * (x.ndim - 2)))
    if tuple(given.shape) not in (tuple(x.shape), tuple(x.shape[1:]), (1, x.shape[1], *(1,) * (x.ndim - 2))):
        raise LRPError(
            f"ZBox: expected a bound as a number, one per channel ({x.shape[1]},) or of x's shape {tuple(x.shape)}; "
            f"got shape {tuple(given.shape)}"
        )
    return given + 0 * x


def _row(values: Any, x: Array) -> Array:
    one = [full((1,), number(value, x, "ZBox bound"), x) for value in values]
    return namespace(x).concat([full((0,), 0, x), *one])


def check_box(x: Array, low: Array, high: Array) -> None:
    """Refuse what is no box, and x outside of it."""
    xp = namespace(x)
    for wrong, text in (
        (low > high, "expected low <= high"),
        (x < low, "expected x >= low"),
        (x > high, "expected x <= high"),
    ):
        if known(xp.any(wrong)):
            first = int(xp.argmax(xp.astype(xp.reshape(wrong, (-1,)), xp.int8)))
            at = [float(xp.reshape(a, (-1,))[first]) for a in (low, x, high)]
            raise LRPError(f"ZBox: {text}; at flat index {first} low={at[0]}, x={at[1]}, high={at[2]}; widen the bounds")
