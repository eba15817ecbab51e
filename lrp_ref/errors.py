"""Errors through one node: from its inputs to its output, and from its relevance to theirs. `network_bounds` derives them.

Everything here is float64, and e is the error of a value, E that of the relevance arriving at it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from operator import add
from typing import Any

from lrp_ref.arrays import Array, LRPError, Number, absolute, full, is_exact, namespace, where
from lrp_ref.composites import Assign
from lrp_ref.contributions import Inputs, Separable, Structured, structured
from lrp_ref.engine import Share, as_tuple, normalized
from lrp_ref.gauges import SMALLEST, UNIT_ROUNDOFF, allowed_forward, constant_work, fan, gamma, in_float64, underflow
from lrp_ref.layers import LRN, Activation, BatchNorm, Embedding, Layer, MaxPool, Softmax
from lrp_ref.layers.pooling import taps_of
from lrp_ref.maps import Routed
from lrp_ref.problem import Problem, entered, settle
from lrp_ref.rules import Flat, GeneralizedGamma, Pass
from lrp_ref.stabilizers import rms

LARGEST = 1e100  # stands for infinity, so that 0 times it is 0
LIPSCHITZ = {"relu": 1.0, "softplus": 1.0, "sigmoid": 0.25, "tanh": 1.0, "silu": 1.1, "clip": 1.0}
OFF_AXIS = ("unsigned_add", "drop", "abs_share")  # stabilisers with a pole at d = -epsilon
COUPLED = ("rms_scaled", "std_scaled")


@dataclass(frozen=True)
class Uncertain(Inputs):
    """Inputs with a bound on the error of each; a rule's functions of them are 1-Lipschitz, and pos and neg cut off."""

    errors: tuple[Array, ...]

    def map(self, f: Callable[[Array], Array]) -> "Uncertain":
        return Uncertain(tuple(map(f, self.arrays)), self.errors)

    def positive_part(self) -> "Uncertain":
        parts = super().positive_part().arrays
        return Uncertain(parts, tuple(where(a + e > 0, e, 0) for a, e in zip(self.arrays, self.errors, strict=True)))

    def negative_part(self) -> "Uncertain":
        parts = super().negative_part().arrays
        return Uncertain(parts, tuple(where(a - e < 0, e, 0) for a, e in zip(self.arrays, self.errors, strict=True)))

    def __rmul__(self, factor: Number) -> "Uncertain":
        return Uncertain(tuple(factor * a for a in self.arrays), tuple(abs(factor) * e for e in self.errors))


def forward_error(layer: Layer, given: Sequence[Array], errors: Sequence[Array], dtype: str) -> Array:
    """e of the layer's output: what its inputs' errors do to it, and its own rounding."""
    layer, u = in_float64_fields(layer), UNIT_ROUNDOFF[dtype]
    if isinstance(layer, BatchNorm):
        layer = replace(layer, linearization=None)
    lead, x = entered(layer, tuple(given))
    affine = layer.affine(*x)
    y, xp = affine.y, namespace(affine.y)
    if isinstance(layer, Embedding):
        return 0 * xp.reshape(y, (*lead, *y.shape[1:]))
    e = [xp.reshape(a, b.shape) for a, b in zip(errors, x, strict=True)]
    if isinstance(layer, Activation):
        size = absolute(y) + (layer.function == "hard-sigmoid")  # which passes through 1/2
        found = _activated(layer, x[0], e[0]) + 8 * u * size * (layer.function != "relu")
    elif isinstance(layer, Softmax):
        spread = xp.expm1(2 * xp.max(e[0], axis=layer.axis, keepdims=True))
        found = y * (spread + gamma(y.shape[layer.axis] + 16, u))
    elif isinstance(layer, MaxPool):
        found = reduce(xp.maximum, taps_of(layer, e[0], 0)[2])
    else:
        weights, inputs = structured(affine.maps, affine.inputs)
        inherited = Separable(((weights.magnitude(), Inputs(tuple(e))),)).rows()
        work = absolute(affine.bias) if affine.bias_work is None else affine.bias_work
        ones = weights.connections().contributions().rows()
        m = round(float(xp.max(ones))) + affine.roundings
        found = inherited + allowed_forward((weights * inputs).gauge().rows() + work + inherited, m, dtype)
        found = where(found * 0 + ones + absolute(affine.bias) > 0, found, 0)
    return capped(xp.reshape(found + 0 * y, (*lead, *y.shape[1:])))


def relevance_errors(
    rule: Assign,
    layer: Layer,
    given: Sequence[Array],
    errors: Sequence[Array],
    relevance: Array,
    E: Array,
    e_y: Array,
    dtype: str,
) -> list[tuple[Array, Array]]:
    """Per input of the node: E of the relevance it receives from here, and the magnitude of the messages behind it."""
    _derived(rule, layer)
    layer, xp, u = in_float64_fields(rule.seen(layer)), namespace(relevance), UNIT_ROUNDOFF[dtype]
    conventions = {"stabilizer": rule.stabilizer, "bias": rule.bias, "dialect": rule.dialect}
    problem = settle(layer, tuple(given), relevance, in_float64_fields(rule.rule), **conventions)  # type: ignore[arg-type]
    _derived(replace(rule, rule=problem.rule, bias=problem.bias), layer)
    R, E = absolute(problem.arrived), xp.reshape(E, problem.arrived.shape)
    e_y = xp.reshape(e_y, problem.arrived.shape)
    known = isinstance(layer, Embedding)
    e = tuple(0 * a if known else xp.reshape(b, a.shape) for a, b in zip(problem.inputs.arrays, errors, strict=True))
    problem = replace(problem, inputs=Uncertain(problem.inputs.arrays, e))
    m, n = fan(problem)
    rivals = _rivals(layer, problem.inputs.arrays[0], e[0]) if isinstance(layer, MaxPool) else None
    found = []
    for share in normalized(problem):
        A, N = share.part.n.gauge(), _moved(problem, share, layer, e, dtype)
        unsure = _unsure(problem, share, e_y)
        delta = N.rows() + gamma(m + 5, u) * (A.rows() + N.rows() + _constant(problem, share)) + 0 * R
        delta = delta if rivals is None else delta + rivals.spread
        P, q = _reciprocals(problem, share, delta, u)
        live = share.active != 0
        scale = where(A.rows() + N.rows() > 0, absolute(share.part.scale + 0 * R), 0)  # else every message is 0
        t = scale * where(live | unsure, (R + E) * P, 0)
        off = scale * where(unsure, 2 * (R + E) * P, where(live, E * P + R * q, 0))
        found.append(_handed(problem, A, N, t, off, P, (m, n), dtype))
        if rivals is not None:
            most = 1 if share.part.over is not None else namespace(R).maximum((absolute(share.d) + delta) * P, 0 * R + 1)
            found.append([(rivals.handed((R + E) * most), 0 * a) for a in e])
    columns = zip(*found, strict=True)
    sums = [(reduce(add, (c[0] for c in column)), reduce(add, (c[1] for c in column))) for column in columns]
    shapes = [(*problem.lead, *a.shape[1:]) for a in e]
    return [(capped(xp.reshape(B, s)), capped(xp.reshape(M, s))) for (B, M), s in zip(sums, shapes, strict=True)]


def _handed(
    problem: Problem, A: Separable, N: Separable, t: Array, off: Array, P: Array, fans: tuple[int, int], dtype: str
) -> list[tuple[Array, Array]]:
    """Per input, (1 + g) N t + A t' + g A t + underflow, and the magnitude (A + N) t."""
    m, n = fans
    g = gamma(n + 9, UNIT_ROUNDOFF[dtype])
    through, moved, wrong = (as_tuple(V.distribute(capped(s))) for V, s in ((A, t), (N, t), (A, off)))
    small = underflow(problem, A, capped(t), where(t > 0, P, 0), m)
    columns = zip(through, moved, wrong, small, strict=True)
    return [((1 + g) * b + c + g * a + SMALLEST[dtype] * d, a + b) for a, b, c, d in columns]


def _moved(problem: Problem, share: Share, layer: Layer, e: tuple[Array, ...], dtype: str) -> Separable:
    """N: the error of every contribution, as a sum of terms |V| e."""
    found = []
    for V, u in share.part.n.terms:
        errors = u.errors if isinstance(u, Uncertain) else tuple(0 * a for a in u.arrays)
        found.append((V.magnitude(), Inputs(errors)))
        if isinstance(layer, Activation) and layer.linearization != "identity" and not isinstance(problem.rule, Pass | Flat):
            bent = Routed(_bent(layer, problem.affine, e[0], dtype), _same, _same)
            found.append((Structured((bent,), V.ones), Inputs(tuple(map(absolute, u.arrays)))))
    return Separable(tuple(found))


def _bent(layer: Activation, affine: Any, e: Array, dtype: str) -> Array:
    """How far the weight of a linearised activation may be off where x is off by e."""
    x, weight, u = affine.inputs[0], affine.maps[0].weight, UNIT_ROUNDOFF[dtype]
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


def _unsure(problem: Problem, share: Share, e_y: Array) -> Array:
    """Where an error may decide whether the part serves."""
    R = problem.arrived
    if share.part.where is None:
        return R != R
    y = problem.flat(problem.affine.y)
    unbiased = isinstance(problem.rule, GeneralizedGamma) and problem.rule.branch == "unbiased"
    return (absolute(y - problem.flat(problem.affine.bias) if unbiased else y) <= e_y) & (e_y > 0)


def _constant(problem: Problem, share: Share) -> Array:
    """The magnitudes behind what belongs to no input."""
    return constant_work(problem, share, (problem.weights * problem.inputs).gauge().rows() + 0 * problem.arrived)


def _reciprocals(problem: Problem, share: Share, delta: Array, u: float) -> tuple[Array, Array]:
    """P and q: the largest 1 / |D'| and |1 / D' - 1 / D| for a computed D' of d + t, |t| <= delta."""
    d, D, live = share.d, share.stabilized, share.active != 0
    if share.part.over is not None:
        P = 1 / absolute(share.part.over)
        return P, 4 * u * P
    ends = list(_ends(problem, d, D, delta))
    smallest = 1 / LARGEST
    inverses = [where(absolute(a) > smallest, 1 / where(absolute(a) > smallest, a, 1), LARGEST) for a in ends]
    P = capped(reduce(namespace(d).maximum, map(absolute, inverses)))
    exact = where(live, 1 / where(D != 0, D, 1), 0)
    q = reduce(namespace(d).maximum, (absolute(inverse - exact) for inverse in inverses))
    return P, capped(q + (4 * u + 2.0**-50) * P)


def _ends(problem: Problem, d: Array, D: Array, delta: Array) -> Iterator[Array]:
    """What stabilised denominators may be at worst: at the ends of d +- delta, and beside 0 where 0 lies between."""
    stabilizer, epsilon = problem.stabilizer, problem.epsilon
    delta = delta + 2.0**-52 * absolute(d) * (delta > 0)
    zero = 0 * (d + delta)
    crosses = (absolute(d) <= delta) & (delta > 0)
    if stabilizer.kind in COUPLED:
        reach = delta + epsilon * (rms(delta) if stabilizer.kind == "rms_scaled" else namespace(d).max(delta))
        yield where(crosses | (absolute(D) <= reach), zero, D - reach * where(D > 0, zero + 1, -1))
        yield D + zero
        return
    ends = [stabilizer(d + delta, epsilon), stabilizer(d - delta, epsilon)]
    if stabilizer.kind in OFF_AXIS:  # the pole lies between ends of different sign
        pole = ends[0] * ends[1] <= 0
        ends = [where(pole & (delta > 0), zero, end) for end in ends]
    yield from ends
    for beside in (1 / LARGEST, -1 / LARGEST):
        yield where(crosses, stabilizer(zero + beside, epsilon), D + zero)


@dataclass(frozen=True)
class Rivals:
    """Windows whose maximum an error may move: `taps` marks every tap that may win there; `spread` is twice their error."""

    taps: Any  # a WindowMap
    spread: Array

    def handed(self, s: Array) -> Array:
        """s at every tap that may win."""
        found: Array = self.taps.adjoint(capped(s))
        return found


def _rivals(layer: MaxPool, x: Array, e: Array) -> Rivals | None:
    if layer.linearization == "average":
        return None
    xp, weights = namespace(x), layer.affine(x).maps[0]
    _, inside, values = taps_of(layer, x, xp.min(x) - 1 if x.size else 0)
    errors = taps_of(layer, e, 0)[2]
    wins = [weights.weight[t, ...] > 0 for t in range(len(values))]
    best = reduce(xp.maximum, values)
    surely = reduce(xp.maximum, (where(w, v - f, -float("inf")) for w, v, f in zip(wins, values, errors, strict=True)))
    doubt = reduce(xp.maximum, (where(w, f, 0) for w, f in zip(wins, errors, strict=True)))
    slack = 2.0**-50 * absolute(best)
    may = [
        (inside[t, ...] != 0) & (v + f + slack * (f + doubt > 0) >= surely) & (f + doubt > 0)
        for t, (v, f) in enumerate(zip(values, errors, strict=True))
    ]
    contested = reduce(xp.logical_or, (m & ~w for m, w in zip(may, wins, strict=True)))
    one = full(best.shape, 1, best)
    chosen = xp.stack([where(contested & (m | w), one, 0) for m, w in zip(may, wins, strict=True)])
    return Rivals(weights.with_weight(chosen), where(contested, 2 * reduce(xp.maximum, errors), 0))


def _derived(rule: Assign, layer: Layer) -> None:
    """Refuse the conventions whose errors are not bounded here."""
    if rule.bias in ("redistribute", "share"):
        raise LRPError(f"bounds: none is derived for bias={rule.bias!r}; explain without bounds, or in rationals")
    if getattr(rule.rule, "empty_half", None) == "rescale":
        raise LRPError("bounds: none is derived for empty_half='rescale'; explain without bounds, or in rationals")
    if isinstance(layer, LRN):
        raise LRPError("bounds: none is derived for local response normalisation; explain without bounds, or in balls")
    if getattr(layer, "linearization", None) == "at_mean_zero":
        raise LRPError("bounds: none is derived for linearization='at_mean_zero'; explain without bounds, or in rationals")


def _activated(layer: Activation, x: Array, e: Array) -> Array:
    """L e, and 0 where a ReLU is surely off."""
    return where(x + e > 0, e, 0) if layer.function == "relu" else _lipschitz(layer) * e


def _lipschitz(layer: Activation) -> float:
    if layer.function in LIPSCHITZ:
        return LIPSCHITZ[layer.function]
    return max(float(layer.function != "hard-sigmoid"), *(abs(float(slope)) for slope in layer.slopes))


def in_float64_fields(value: Any) -> Any:
    """A layer or rule with its float and exact arrays in float64."""
    arrays = {f.name: getattr(value, f.name) for f in fields(value) if hasattr(getattr(value, f.name), "shape")}
    return replace(value, **{name: in_float64(a) for name, a in arrays.items()}) if arrays else value


def as_float64(a: Array) -> Array:
    """A value of the network in float64; integers, which are indices, as they are."""
    return a if not is_exact(a) and namespace(a).isdtype(a.dtype, "integral") else in_float64(a)


def capped(a: Array) -> Array:
    """a, with `LARGEST` in place of anything larger."""
    return where(a < LARGEST, a, LARGEST)


def _same(a: Array) -> Array:
    return a
