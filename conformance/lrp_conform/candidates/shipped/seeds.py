"""The ten seed listings as candidates, in the gradient form they were written in.

Every listing but two follows one pattern: run the layer with some weight on some
input, divide the relevance by the result, pull the quotient back with the layer's
vector-Jacobian product, and multiply by that input. What differs is the weight, the
input, and how many such terms share one denominator.

The division only replaces a denominator that is exactly zero (by 1e-7). Where a
listing departs from the rule it claims, it does so here as well: 2 counts the whole
bias in both halves, 5 shifts its denominator by 1e-7, and 9 takes one gradient where
three are needed. The suite has to find that. All arithmetic stays in the dtype of
the input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from lrp_conform.builders import Unsupported
from lrp_conform.candidates.shipped.numpy_layers import Array, NumpyLayer, batch_norm, from_node, per_channel
from lrp_conform.candidates.shipped.seed_claims import SYSTEMS, Case, Node, Result, Rule, claims, listing, register

__all__ = ["SYSTEMS", "WAIVERS"]

WAIVERS: list[dict[str, str | None]] = [
    {
        "system": "9-one-gradient-bounded",
        "case": "*",
        "reason": "listing 9 is wrong as it stands: one gradient cannot see the bounds, nor multiply by x",
        "link": "https://github.com/albermax/innvestigate/commit/985e8c4",
    },
]

EPSILON = 1e-7
DENSE_CONV = ("dense", "conv")
WEIGHTED = ("dense", "conv", "conv-transpose")
POOLS = ("avg-pool", "sum-pool", "global-avg-pool", "add")


def safe_divide(a: Array, b: Array, factor: float = EPSILON) -> Array:
    """a / b, with `factor` in the place of every b that is zero."""
    result: Array = a / (b + (b == 0).astype(b.dtype) * b.dtype.type(factor))
    return result


def positive(a: Array | None) -> Array | None:
    return None if a is None else np.maximum(a, 0)


def negative(a: Array | None) -> Array | None:
    return None if a is None else np.minimum(a, 0)


def without_bias(layer: NumpyLayer, rule: Rule) -> NumpyLayer:
    """The layer, stripped of its bias if the rule leaves the bias out."""
    return layer.using(layer.weight) if rule["bias"] == "ignore" else layer


def signed(layer: NumpyLayer) -> tuple[NumpyLayer, NumpyLayer]:
    """Two copies of the layer: the positive and the negative part of all its parameters."""
    return (
        layer.using(positive(layer.weight), positive(layer.bias)),
        layer.using(negative(layer.weight), negative(layer.bias)),
    )


def times_gradient(layer: NumpyLayer, x: Any, s: Array) -> Any:
    """x * (layer' applied to s), for each input where there are several."""
    gradient = layer.vjp(x, s)
    return [part * gradient for part in x] if isinstance(x, list) else x * gradient


def joint(terms: Sequence[tuple[NumpyLayer, Array]], relevance: Array) -> Array:
    """Redistribute over several (layer, input) terms with the sum of their outputs as denominator."""
    s = safe_divide(relevance, reduce(np.add, [layer(x) for layer, x in terms]))
    return reduce(np.add, [times_gradient(layer, x, s) for layer, x in terms])


def weighted_sum(x: Array, terms: Sequence[tuple[float, Callable[[], Array]]]) -> Array:
    """Sum of factor * term. A factor of zero skips its term, which need not be finite."""
    total = np.zeros_like(x)
    for factor, term in terms:
        if factor != 0:
            total = total + x.dtype.type(factor) * term()
    return total


def bounded(layer: NumpyLayer, x: Array, rule: Rule) -> tuple[list[tuple[NumpyLayer, Array]], Array]:
    """The three maps of the bounded rule with their inputs, and A - (B + C)."""
    layer = without_bias(layer, rule)
    plus, minus = signed(layer)
    bounds = []
    for name in ("low", "high"):
        bound = np.asarray(rule[name]).astype(x.dtype)
        bounds.append(x * 0 + (per_channel(bound, x.ndim) if bound.ndim == 1 else bound))
    terms = [(layer, x), (plus, bounds[0]), (minus, bounds[1])]
    a, b, c = (f(bound) for f, bound in terms)
    return terms, a - (b + c)


@listing("1-bounded", DENSE_CONV, ["z-box"], ["absorb", "ignore"])
def bounded_three_gradients(layer: NumpyLayer, x: Array, relevance: Array, rule: Rule) -> Array:
    terms, z = bounded(layer, x, rule)
    s = safe_divide(relevance, z)
    a, b, c = (times_gradient(f, bound, s) for f, bound in terms)
    result: Array = a - (b + c)
    return result


@listing("2-alpha-beta", WEIGHTED, ["alpha-beta", "alpha1-beta0", "z-plus"], ["split", "ignore"])
def alpha_beta(layer: NumpyLayer, x: Array, relevance: Array, rule: Rule) -> Array:
    if rule["rule"] == "z-plus" and rule["bias"] != "ignore":
        raise Unsupported("z-plus only without bias")
    w_plus, w_minus = signed(without_bias(layer, rule))
    x_plus, x_minus = np.maximum(x, 0), np.minimum(x, 0)
    factors = (1.0, 0.0) if rule["rule"] == "z-plus" else (rule["alpha"], rule["beta"])
    return weighted_sum(
        x,
        [
            (factors[0], lambda: joint([(w_plus, x_plus), (w_minus, x_minus)], relevance)),
            (-factors[1], lambda: joint([(w_minus, x_plus), (w_plus, x_minus)], relevance)),
        ],
    )


@listing("3-quadrant", WEIGHTED, ["alpha-beta-x"], ["split", "ignore"])
def quadrant(layer: NumpyLayer, x: Array, relevance: Array, rule: Rule) -> Array:
    w_plus, w_minus = signed(without_bias(layer, rule))
    x_plus, x_minus = np.maximum(x, 0), np.minimum(x, 0)
    quadrants = [
        (rule["alpha0"], w_plus, x_plus),
        (rule["alpha1"], w_minus, x_minus),
        (-rule["beta0"], w_minus, x_plus),
        (-rule["beta1"], w_plus, x_minus),
    ]
    chosen = [entry for entry in quadrants if entry[0] != 0]
    if len(chosen) != 1:
        raise Unsupported("exactly one quadrant at a time")
    factor, part, half = chosen[0]
    return weighted_sum(x, [(factor, lambda: joint([(part, half)], relevance))])


@listing("4-z-rule", WEIGHTED, ["zero"], ["absorb", "ignore"])
def z_rule(layer: NumpyLayer, x: Any, relevance: Array, rule: Rule) -> Any:
    layer = without_bias(layer, rule)
    return times_gradient(layer, x, safe_divide(relevance, layer(x)))


def batch_norm_reverse(case: Case, node: Node, rule: Rule) -> Result:
    """Listing 5: x (y - beta) R over the shifted (x - mean) y."""
    x = case["x"]
    y, mean, beta = batch_norm(node, x)
    numerator = x * (y - beta) * np.asarray(case["relevance"]).astype(x.dtype)
    denominator = (x - mean) * y
    sign = (denominator >= 0).astype(x.dtype) * 2 - 1
    return {"y": y, "relevance": safe_divide(numerator, denominator + sign * x.dtype.type(EPSILON))}


register("5-batch-norm", claims(["batch-norm"], ["zero"], ["absorb"]), batch_norm_reverse)


@listing("6-w-square-flat", DENSE_CONV, ["w-square", "flat"], ["ignore"])
def w_square_flat(layer: NumpyLayer, x: Array, relevance: Array, rule: Rule) -> Array:
    weight = layer.weight
    assert weight is not None
    shares = layer.using(weight * weight if rule["rule"] == "w-square" else np.ones_like(weight))
    return shares.vjp(x, safe_divide(relevance, shares(np.ones_like(x))))


# On averages and sums every weight is equal, and the z-rule is all there is to do.
listing("7-pool-add", POOLS, ["zero"], ["absorb", "ignore"])(z_rule)


@listing("8-z-plus-fast", WEIGHTED, ["z-plus-fast"], ["ignore"])
def z_plus_fast(layer: NumpyLayer, x: Array, relevance: Array, rule: Rule) -> Array:
    return joint([(layer.using(positive(layer.weight)), x)], relevance)


@listing("9-one-gradient-bounded", DENSE_CONV, ["z-box"], ["absorb", "ignore"])
def bounded_one_gradient(layer: NumpyLayer, x: Array, relevance: Array, rule: Rule) -> Array:
    # The bounds do not move with x, so the gradient of the composed function is the layer's alone.
    _, z = bounded(layer, x, rule)
    return layer.vjp(x, safe_divide(relevance, z))


def pattern(case: Case, node: Node, rule: Rule) -> Result:
    """Listing 10: masked means by safe division with factor 1, and the pattern they give."""
    x, batches = case["x"], int(rule.get("batches", 1))
    if len(x) % batches:
        raise Unsupported("batches of unequal size")
    layer = from_node(node, x.dtype)
    assert layer.weight is not None
    size = (x.shape[1], len(layer.weight))
    mean_x, mean_xy, count = np.zeros(size, x.dtype), np.zeros(size, x.dtype), np.zeros(size[1], x.dtype)
    mean_y, samples = np.zeros(size[1], x.dtype), np.zeros((), x.dtype)
    for part in np.split(x, batches):
        y = layer.linear(part)
        mask = MASKS[rule["mask"]](y).astype(x.dtype)
        new = mask.sum(axis=0)
        mean_x = running(mean_x, count, norm(part.T @ mask, new), new)
        mean_xy = running(mean_xy, count, norm(part.T @ (y * mask), new), new)
        number = np.asarray(len(part), x.dtype)
        mean_y = running(mean_y, samples, norm(y.sum(axis=0), number), number)
        count, samples = count + new, samples + number
    covariance = mean_xy - mean_x * mean_y
    variance = np.einsum("ji,ij->j", layer.weight, covariance)
    return {"y": layer(x), "pattern": norm(covariance, variance)}


MASKS: dict[str, Callable[[Array], Array]] = {
    "all": np.ones_like,
    "positive": lambda y: y > 0,
    "negative": lambda y: y <= 0,
}


def norm(x: Array, count: Array) -> Array:
    """Listing 10 itself."""
    return safe_divide(x, count, factor=1)


def running(old: Array, old_count: Array, new: Array, new_count: Array) -> Array:
    """The mean over two sets of samples from the mean over each."""
    return norm(old * old_count + new * new_count, old_count + new_count)


register("10-pattern", ["op.dense", "rule.pattern"], pattern)
