"""A layer that is known as a function only: its matrix and bias, and what the reference says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

import lrp_ref as lrp
from lrp_conform.cases.numbers import floats
from lrp_ref.algebra.rounding import UNIT_ROUNDOFF
from lrp_ref.propagation.gauges import allowed

Array = np.ndarray
EXACT_ENTRIES = 4096  # of a matrix up to which rationals are quick
FAR = 2.0**20  # a probe so far out that the bias is small beside the weight
ROUNDINGS = 6  # of a weight that was read off two outputs


class NotAffine(ValueError):
    """A function that is not its own Jacobian."""


@dataclass(frozen=True)
class SampleMatrices:
    """y = W x + b on flattened samples: weight (samples or 1, out, in), bias (samples or 1, out)."""

    weight: Array
    bias: Array


def affine(forward: Callable[[Array], Array], x: Array) -> SampleMatrices:
    """The matrix of an affine layer, read off its outputs: column i is (f(t e_i) - f(0)) / t with t a large power of two.

    x is (samples, *in). Every weight has a relative error of a few units, because t w + b is rounded relative to t w.
    Raises NotAffine where W x + b is not f(x) within the bound of an inner product.
    """
    size, dtype = prod(x.shape[1:]), x.dtype
    origin = np.asarray(forward(np.zeros((1, *x.shape[1:]), dtype))).reshape(-1)
    t = dtype.type(FAR * 2.0 ** np.ceil(np.log2(max(1.0, float(np.abs(origin).max(initial=0))))))
    units = np.eye(size, dtype=dtype) * t
    columns = [np.asarray(forward(row.reshape(1, *x.shape[1:]))).reshape(-1) - origin for row in units]
    weight = np.stack(columns, axis=-1).astype(np.float64) / float(t)
    found = SampleMatrices(weight[None], origin.astype(np.float64)[None])
    y = np.asarray(forward(x)).reshape(len(x), -1).astype(np.float64)
    flat = x.reshape(len(x), -1).astype(np.float64)
    bound = _gamma(size + 8, str(dtype)) * (np.abs(flat) @ np.abs(weight.T) + np.abs(origin)) * 2
    if (np.abs(flat @ weight.T + origin - y) > bound).any():
        raise NotAffine("f(x) is not W x + b with the W and b of f(0) and f(t e_i): give `jacobian`, or `layer`")
    return found


def from_jacobian(jacobian: Callable[[Array], Array], y: Array, x: Array) -> SampleMatrices:
    """The matrix of a piecewise linear model at every sample: W by the user's framework, b = y - W x."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    weight = np.stack([np.asarray(jacobian(x[n : n + 1]), np.float64).reshape(-1, flat.shape[1]) for n in range(len(x))])
    return SampleMatrices(weight, y.reshape(len(x), -1).astype(np.float64) - np.einsum("noi,ni->no", weight, flat))


def relevance_of(matrix: SampleMatrices, x: Array, relevance: Array, rule: Any, **conventions: Any) -> tuple[Array, Array]:
    """What the reference gives on `Dense(W, b)`, and how far an honest evaluation at x's dtype may be from it.

    Both of x's shape. In rationals for small matrices, in float64 for others, whose own bound is added.
    """
    dtype, samples = str(x.dtype), len(x)
    expected, bound = np.zeros((samples, prod(x.shape[1:]))), np.zeros((samples, prod(x.shape[1:])))
    for n in range(samples):
        weight, bias = matrix.weight[n % len(matrix.weight)], matrix.bias[n % len(matrix.bias)]
        small = weight.size <= EXACT_ENTRIES
        convert = _exact if small else np.asarray
        layer = lrp.Dense(convert(weight), convert(bias))
        values = convert(x[n].reshape(1, -1).astype(np.float64)), convert(relevance[n].reshape(1, -1).astype(np.float64))
        found = lrp.propagate(layer, *values, rule, **conventions)
        gauges = lrp.bounds(layer, *values, rule, **conventions)
        G, H, S = (floats(a) if small else np.asarray(a) for a in (gauges.G[0], gauges.H[0], gauges.S[0]))
        m, n_out, kappa = gauges.fan_in + ROUNDINGS, gauges.fan_out + ROUNDINGS, float(gauges.kappa)
        expected[n] = (floats(found.relevance) if small else found.relevance)[0]
        own = 0 if small else allowed(G, H, S, m, n_out, kappa, "float64")[0]
        bound[n] = allowed(G, H, S, m, n_out, kappa, dtype)[0] + own
    return expected.reshape(x.shape), bound.reshape(x.shape)


def _exact(array: Array) -> Any:
    return lrp.exact(array.tolist())


def _gamma(k: int, dtype: str) -> float:
    u = UNIT_ROUNDOFF[dtype]
    return k * u / (1 - k * u)
