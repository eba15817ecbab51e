"""Layers whose weights depend on x: how far an error of x may move their output and their weights.

Everything here is float64; e bounds the error of x, and u is the unit roundoff of the run that is bounded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

from lrp_ref.arrays import Array, absolute, count_of, elementwise, full, namespace, where
from lrp_ref.gauges import gamma
from lrp_ref.layers import LRN, Activation, Affine, MaxPool
from lrp_ref.layers.lrn import along_channels, summed
from lrp_ref.layers.pooling import taps_of
from lrp_ref.maps import Routed
from lrp_ref.rules import Flat, Gamma, Pass, WSquare

LARGEST = 1e100  # stands for infinity, so that 0 times it is 0
LIPSCHITZ = {"relu": 1.0, "softplus": 1.0, "sigmoid": 0.25, "tanh": 1.0, "silu": 1.1, "clip": 1.0}


def output_error(layer: Any, affine: Affine, e: Array, u: float) -> Array:
    """The error of the output of an activation or of a response norm, its own rounding included."""
    if isinstance(layer, LRN):
        return _Response(layer, affine.inputs[0], e, u).dy
    x, y = affine.inputs[0], affine.y
    size = absolute(y) + int(layer.function == "hard-sigmoid")  # which passes through 1/2
    moved = where(x + e > 0, e, 0) if layer.function == "relu" else _lipschitz(layer) * e  # a ReLU surely off stays 0
    return moved + 8 * u * size * int(layer.function != "relu")


def weight_errors(layer: Any, affine: Affine, e: Array, u: float) -> Any:
    """A map of how far every weight may be off; None where weights do not depend on x."""
    if isinstance(layer, LRN):
        return _Response(layer, affine.inputs[0], e, u).weights()
    if isinstance(layer, Activation) and layer.linearization != "identity":
        return Routed(_bent(layer, affine, e, u), _same, _same)
    return None


def through(rule: Any, bent: Any, weights: Any) -> Any:
    """`bent` after what the rule makes of weights: most change them by as much as they are off, or do not use them."""
    if bent is None or isinstance(rule, Pass | Flat):
        return None
    if not isinstance(rule, Gamma | WSquare):
        return bent
    return bent.mapped(lambda d, w: steepened(rule, d, w), weights.maps[0].mapped(absolute))


def steepened(rule: Any, d: Array, a: Array) -> Array:
    """How far the rule's function of weights, or of biases, of magnitude a moves where they are off by d."""
    if isinstance(rule, WSquare):
        return d * (2 * a + d)
    factor = float(getattr(rule, "gamma", 0))
    return d + factor * (d * (2 * a + d) if getattr(rule, "kind", None) == "squared" else d)


class _Response:
    """A response norm at x, with the errors of its powers, its output and its slopes."""

    def __init__(self, layer: LRN, x: Array, e: Array, u: float) -> None:
        self.layer, self.x, self.e, self.u = layer, x, e, u
        self.v, self.dv, self.low, self.ds = self._power(lambda a: summed(layer.size, a))
        self.s, self.y = layer.scale(x), x * self.v
        far = absolute(x) + e
        self.dy = absolute(x) * self.dv + e * (self.v + self.dv) + 2 * u * far * (self.v + self.dv)

    def _power(self, over: Callable[[Array], Array]) -> tuple[Array, Array, Array, Array]:
        """s^-beta and its error, the least s, and the error of s = bias + alpha / size * over(x^2)."""
        layer, x, e, u = self.layer, self.x, self.e, self.u
        share, far, xp = float(layer.share(x)), absolute(x) + e, namespace(x)
        s = float(layer.bias) + share * over(x * x)
        work = abs(float(layer.bias)) + abs(share) * over(far * far)
        ds = abs(share) * over(e * (2 * absolute(x) + e)) + gamma(layer.size + 6, u) * work
        v, least = layer.power(s), where(s - ds > 0, s - ds, 1)
        ends = (absolute(layer.power(end) - v) for end in (least, s + ds))
        moved = where(s - ds > 0, reduce(xp.maximum, ends), LARGEST)
        relative = u * (8 + 2 * abs(float(layer.beta)) * absolute(elementwise(s, "log"))) + 2.0**-48
        return v, moved + relative * (v + moved), where(s - ds > 0, s - ds, 1 / LARGEST), ds

    def weights(self) -> Any:
        """The errors of s^-beta, or of the tangent's or the expansion's weights."""
        layer, x, e, u = self.layer, self.x, self.e, self.u
        if layer.linearization in (None, "ratio"):
            return Routed(self.dv, _same, _same)
        itself = layer.linearization == "gradient"
        own = self.dv if itself else self._power(lambda a: a)[1]
        factor = abs(2 * float(layer.beta) * float(layer.share(x)))
        slope = factor * absolute(self.y) / self.s
        moved = factor * (self.dy + absolute(self.y) * self.ds / self.s) / self.low
        moved = moved + 8 * u * (slope + moved)
        far = along_channels(layer.size, x, own, moved, absolute(x) + e, itself).gauge()
        near = along_channels(layer.size, x, 0 * own, slope, e, itself).gauge()
        return far.mapped(add, near)


@dataclass(frozen=True)
class Rivals:
    """Windows whose maximum an error may move: `taps` marks every tap that may win there; `spread` is twice their error."""

    taps: Any  # a WindowMap
    spread: Array

    def handed(self, s: Array) -> Array:
        """s at every tap that may win."""
        found: Array = self.taps.adjoint(capped(s))
        return found


def rivals_of(layer: MaxPool, x: Array, e: Array) -> Rivals | None:
    """The windows in doubt where x may be off by e; None where relevance sees an average."""
    if layer.linearization == "average":
        return None
    xp, weights = namespace(x), layer.affine(x).maps[0]
    _, inside, values = taps_of(layer, x, xp.min(x) - 1 if count_of(x) else 0)
    errors = taps_of(layer, e, 0)[2]
    wins = [weights.weight[t, ...] > 0 for t in range(len(values))]
    best = reduce(xp.maximum, values)
    surely = reduce(xp.maximum, (where(w, v - f, -float("inf")) for w, v, f in zip(wins, values, errors, strict=True)))
    doubt = reduce(xp.maximum, (where(w, f, 0) for w, f in zip(wins, errors, strict=True)))
    slack = 2.0**-50 * absolute(best)
    may = [
        (inside[t, ...] != 0) & (v + f + where(f + doubt > 0, slack, 0) >= surely) & (f + doubt > 0)
        for t, (v, f) in enumerate(zip(values, errors, strict=True))
    ]
    contested = reduce(xp.logical_or, (m & ~w for m, w in zip(may, wins, strict=True)))
    one = full(best.shape, 1, best)
    chosen = xp.stack([where(contested & (m | w), one, 0) for m, w in zip(may, wins, strict=True)])
    return Rivals(weights.with_weight(chosen), where(contested, 2 * reduce(xp.maximum, errors), 0))


def _bent(layer: Activation, affine: Affine, e: Array, u: float) -> Array:
    """How far the weight of a linearised activation may be off where x is off by e."""
    x, weight = affine.inputs[0], affine.maps[0].weight
    if layer.function in ("relu", "leaky-relu"):
        bend = 1.0 if layer.function == "relu" else max(abs(1 - float(slope)) for slope in layer.slopes)
        return where((absolute(x) <= e) & (e > 0), 0 * x + bend, u * absolute(weight) + 0 * x)
    if layer.linearization == "gradient":  # the second derivatives are at most 1, elu's at most its slope
        bends = [where((absolute(x - at) <= e) & (e > 0), 0 * x + bend, 0) for at, bend in _kinks(layer)]
        return _lipschitz(layer) * e + 16 * u * (1 + absolute(weight)) + reduce(add, bends, 0)
    clear = absolute(x) > e
    gap = where(clear, absolute(x) - e, 1)
    slope_error = (_lipschitz(layer) * e + absolute(weight) * e) / gap
    return where(clear, slope_error, LARGEST) + 16 * u * absolute(weight)


def _kinks(layer: Activation) -> list[tuple[float, float]]:
    """Where the gradient jumps, and by how much."""
    if layer.function == "clip":
        return [(float(end), 1.0) for end in (layer.low, layer.high) if end is not None]
    slope = float(layer.slopes[0])
    if layer.function == "hard-sigmoid":
        return [(end / slope, abs(slope)) for end in (-0.5, 0.5) if slope]
    return [(0.0, abs(1 - slope))] if layer.function == "elu" else []


def _lipschitz(layer: Activation) -> float:
    if layer.function in LIPSCHITZ:
        return LIPSCHITZ[layer.function]
    return max(float(layer.function != "hard-sigmoid"), *(abs(float(slope)) for slope in layer.slopes))


def capped(a: Array) -> Array:
    """a, with `LARGEST` in place of anything larger."""
    return where(a < LARGEST, a, LARGEST)


def _same(a: Array) -> Array:
    return a
