"""What relevance starts from: the seed s at an output, and the target t that chooses among its classes.

    R = t s     s: "logit" y, "one" 1, "probability" softmax(y), or an array
                t: 1 at the classes to explain, 0 elsewhere, or any array of y's shape

Classes lie along axis 1 of y (N, C, *rest); a target is chosen for every sample and every position of the rest.
"""

from typing import Any

import array_api_compat
import numpy as np

from lrp_ref.arrays import Array, LRPError, checked, full, is_exact, namespace, same_arithmetic, where
from lrp_ref.layers.activation import softmax

SEEDS = ("logit", "one", "probability")


def start_relevance(y: Array, target: Any, seed: Any) -> Array:
    """The relevance R = t s that starts at the output y (N, C, *rest), of y's shape.

    target: a class, an integer array (N,) or (N, *rest), "argmax" (the first where classes tie), or t itself as an
    array of y's shape; None is "argmax", and everything where the seed is an array. seed: one of `SEEDS`, or an array.
    """
    if y.ndim < 2:
        raise LRPError(f"expected an output (N, classes, ...), got shape {tuple(y.shape)}")
    given = hasattr(seed, "shape") or isinstance(seed, list | tuple)
    s = _shaped("seed", seed, y) if given else _named(seed, y)
    if target is None and given:
        return 1 * s  # another array: relevance that only moves must not come back as the caller's own
    return target_of(y, target) * s


def target_of(y: Array, target: Any) -> Array:
    """The target t, of y's shape."""
    if target is None or (isinstance(target, str) and target == "argmax"):
        return one_hot(y, namespace(y).argmax(y, axis=1))
    if isinstance(target, str):
        raise LRPError(f"target: expected a class, an array of classes, an array of y's shape or 'argmax'; got {target!r}")
    index = target if hasattr(target, "shape") else np.asarray(target)
    if not is_exact(index) and namespace(index).isdtype(index.dtype, "integral"):
        return one_hot(y, _classes(y, index))
    if not is_exact(index) and namespace(index).isdtype(index.dtype, "bool"):
        one = full(y.shape, 1, y)
        return where(_of_shape("target", index, y), one, 0 * one)
    return _shaped("target", target, y)


def one_hot(y: Array, index: Array) -> Array:
    """1 where axis 1 of y counts `index` (N, *rest), else 0."""
    xp = namespace(index)
    classes = xp.reshape(xp.arange(y.shape[1], device=array_api_compat.device(index)), (1, -1, *(1,) * (y.ndim - 2)))
    one = full(y.shape, 1, y)
    return where(classes == xp.expand_dims(index, axis=1), one, 0 * one)


def _classes(y: Array, index: Array) -> Array:
    """Class numbers as (N, *rest), beside y."""
    rest, count, shape = (y.shape[0], *y.shape[2:]), y.shape[1], tuple(index.shape)
    flat = [int(k) for k in namespace(index).reshape(index, (-1,))]
    wrong = next((k for k in flat if not 0 <= k < count), None)
    if wrong is not None:
        raise LRPError(f"target: expected classes from 0 to {count - 1}, got {wrong}")
    if shape not in ((), rest[:1], rest):
        raise LRPError(f"target: expected one class, classes of shape {rest}, or a float array of y's shape; got shape {shape}")
    numbers = np.asarray(flat, dtype=np.int64).reshape(shape + (1,) * (len(rest) - len(shape) if shape else 0))
    whole = np.broadcast_to(numbers, rest).copy()
    return whole if isinstance(y, np.ndarray) else namespace(y).asarray(whole, device=array_api_compat.device(y))


def _named(seed: Any, y: Array) -> Array:
    if seed == "logit":
        return y
    if seed == "one":
        return full(y.shape, 1, y)
    if seed == "probability":
        return softmax(y, 1)
    raise LRPError(f"seed: expected one of {', '.join(SEEDS)}, or an array of shape {tuple(y.shape)}; got {seed!r}")


def _shaped(name: str, a: Any, y: Array) -> Array:
    """An array of y's shape and arithmetic."""
    _of_shape(name, checked(name, a), y)
    same_arithmetic("the output", y, name, a)
    return a


def _of_shape(name: str, a: Array, y: Array) -> Array:
    if tuple(a.shape) != tuple(y.shape):
        raise LRPError(f"{name}: expected the output's shape {tuple(y.shape)}, got {tuple(a.shape)}")
    return a
