"""Errors through one node: from its inputs to its output, and from its relevance to theirs. `network_bounds` derives them.

Everything here is float64, and e is the error of a value, E that of the relevance arriving at it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from operator import add
from typing import Any, NamedTuple

from lrp_ref.arrays import Array, Number, absolute, is_exact, namespace, pos, where
from lrp_ref.bends import LARGEST, Rivals, capped, output_error, rivals_of, steepened, through, weight_errors
from lrp_ref.composites import Assign
from lrp_ref.contributions import Inputs, Separable, Structured, structured
from lrp_ref.engine import Share, as_tuple, normalized
from lrp_ref.gauges import SMALLEST, UNIT_ROUNDOFF, allowed_forward, constant_work, fan, gamma, in_float64, underflow
from lrp_ref.layers import LRN, Activation, BatchNorm, Embedding, Layer, MaxPool, Softmax
from lrp_ref.layers.pooling import taps_of
from lrp_ref.problem import Problem, entered, settle
from lrp_ref.rules import GeneralizedGamma
from lrp_ref.stabilizers import rms

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
    if isinstance(layer, Activation | LRN):
        found = output_error(layer, affine, e[0], u)
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
    layer, xp, u = in_float64_fields(rule.seen(layer)), namespace(relevance), UNIT_ROUNDOFF[dtype]
    conventions = {"stabilizer": rule.stabilizer, "bias": rule.bias, "dialect": rule.dialect}
    problem = settle(layer, tuple(given), relevance, in_float64_fields(rule.rule), **conventions)  # type: ignore[arg-type]
    E, e_y = (xp.reshape(a, problem.arrived.shape) for a in (E, e_y))
    known = isinstance(layer, Embedding)
    e = tuple(0 * a if known else xp.reshape(b, a.shape) for a, b in zip(problem.inputs.arrays, errors, strict=True))
    problem = replace(problem, inputs=Uncertain(problem.inputs.arrays, e))
    bent = weight_errors(layer, problem.affine, e[0], u)
    off = _Off(e_y, 0 * e_y)
    if bent is not None and problem.affine.is_sum and problem.bias not in ("ignore", "share"):  # a tangent's bias moves too
        off = _Off(e_y, e_y + _moved(problem.weights * problem.inputs, bent).rows())
    R, E = _shared(problem, off, bent, E, dtype) if problem.bias == "share" else (absolute(problem.arrived), E)
    m, n = fan(problem)
    rivals = rivals_of(layer, problem.inputs.arrays[0], e[0]) if isinstance(layer, MaxPool) else None
    found = []
    parts = [
        _uncertain(problem, share, off, through(problem.rule, bent, problem.weights), rivals, m, u)
        for share in normalized(problem)
    ]
    for k, part in enumerate(parts):
        share, A, N, delta = part
        unsure = _unsure(problem, share, layer, e[0], e_y + off.bias)
        P, q, reach = _reciprocals(problem, share, delta, u)
        live = share.active != 0
        scale = absolute(share.part.scale + 0 * R)
        if getattr(problem.rule, "empty_half", None) == "rescale":  # an error may decide whether the other half is empty
            doubt = _may_be_empty(problem, parts[1 - k], off, u)
            unsure, scale = unsure | doubt, where(doubt & (scale < 1), 1 + 0 * scale, scale)
        heard = where(live | unsure, (R + E) * P, 0)
        wrong = where(unsure, 2 * (R + E) * P, where(live, E * P + R * q, 0))
        felt = where(A.rows() + N.rows() > 0, scale, 0)  # else every message is 0
        moved = as_tuple(N.distribute(capped(felt * heard)))
        found.append(_handed(problem, A, felt * heard, felt * wrong, moved, P, (m, n), dtype))
        if problem.bias == "redistribute":
            h, dh = _taken(part, reach + off.bias, m, u)
            count = problem.weights.connections().contributions().rows() + 0 * R
            scale = where(count > 0, scale / where(count > 0, count, 1), 0)
            lost = scale * where(unsure, (h + dh) * wrong, h * wrong + dh * heard)
            flat = problem.weights.connections().contributions()
            still = tuple(0 * a for a in e)
            found.append(_handed(problem, flat, scale * (h + dh) * heard, lost, still, P, (m, n), dtype))
        if rivals is not None:
            most = 1 if share.part.over is not None else namespace(R).maximum((absolute(share.d) + delta) * P, 0 * R + 1)
            found.append([(rivals.handed((R + E) * most), 0 * a) for a in e])
    columns = zip(*found, strict=True)
    sums = [(reduce(add, (c[0] for c in column)), reduce(add, (c[1] for c in column))) for column in columns]
    shapes = [(*problem.lead, *a.shape[1:]) for a in e]
    return [(capped(xp.reshape(B, s)), capped(xp.reshape(M, s))) for (B, M), s in zip(sums, shapes, strict=True)]


class _Off(NamedTuple):
    """How far the output, and the bias where it depends on x, may be off."""

    output: Array
    bias: Array


class _Part(NamedTuple):
    """A part with its work gauge A, the errors N of its contributions, and delta, how far its denominators may be off."""

    share: Share
    A: Separable
    N: Separable
    delta: Array


def _uncertain(problem: Problem, share: Share, off: _Off, bent: Any, rivals: Rivals | None, m: int, u: float) -> _Part:
    A, N = share.part.n.gauge(), _moved(share.part.n, bent)
    shift = steepened(problem.rule, off.bias, absolute(problem.affine.bias)) + 0 * problem.arrived
    delta = shift + N.rows() + gamma(m + 5, u) * (A.rows() + N.rows() + _constant(problem, share))
    return _Part(share, A, N, delta if rivals is None else delta + rivals.spread)


def _may_be_empty(problem: Problem, part: _Part, off: _Off, u: float) -> Array:
    """Where an error may decide whether a half is empty: not where it has neither contributions nor a bias of its sign."""
    b = problem.affine.bias
    work = absolute(b) if problem.affine.bias_work is None else problem.affine.bias_work
    signed = absolute(b) >= (problem.affine.roundings + 4) * u * work + off.bias
    empty = (part.A.rows() + part.N.rows() == 0) & (part.share.part.c == 0) & signed
    return (absolute(part.share.d) <= part.delta) & (part.delta > 0) & ~empty


def _handed(
    problem: Problem, A: Separable, t: Array, off: Array, moved: tuple[Array, ...], P: Array, fans: tuple[int, int], dtype: str
) -> list[tuple[Array, Array]]:
    """Per input, (1 + g) N t + A t' + g A t + underflow, and the magnitude (A + N) t; `moved` is N t."""
    m, n = fans
    g = gamma(n + 9, UNIT_ROUNDOFF[dtype])
    handed, wrong = (as_tuple(A.distribute(capped(s))) for s in (t, off))
    small = underflow(problem, A, capped(t), where(t > 0, P, 0), m)
    columns = zip(handed, moved, wrong, small, strict=True)
    return [((1 + g) * b + c + g * a + SMALLEST[dtype] * d, a + b) for a, b, c, d in columns]


def _moved(contributions: Separable, bent: Any) -> Separable:
    """N: the error of every contribution, as a sum of terms |V| e, and |V' - V| (|u| + e) where weights depend on x."""
    found = []
    for V, u in contributions.terms:
        errors = u.errors if isinstance(u, Uncertain) else tuple(0 * a for a in u.arrays)
        found.append((V.magnitude(), Inputs(errors)))
        if bent is not None:
            far = tuple(absolute(a) + b for a, b in zip(u.arrays, errors, strict=True))
            found.append((Structured((bent,), V.ones), Inputs(far)))
    return Separable(tuple(found))


def _shared(problem: Problem, off: _Off, bent: Any, E: Array, dtype: str) -> tuple[Array, Array]:
    """|R| and E of what the inputs share under bias="share": F R with F = |s| / (|s| + |b|), s the sum of contributions."""
    u, (m, _) = UNIT_ROUNDOFF[dtype], fan(problem)
    z, b = problem.weights * problem.inputs, absolute(problem.affine.bias) + 0 * problem.arrived
    N = _moved(z, bent)
    s = absolute(z.rows() + 0 * problem.arrived)
    ds = N.rows() + gamma(m + 5, u) * (z.gauge().rows() + N.rows())
    db = 4 * u * b + (off.output + N.rows() if bent is not None and problem.affine.is_sum else 0)

    def factor(s: Array, b: Array) -> Array:
        return where(s + b > 0, s / where(s + b > 0, s + b, 1), 1)

    F, xp = factor(s, b), namespace(s)
    ends = (factor(s + ds, pos(b - db)), factor(pos(s - ds), b + db))
    dF = reduce(xp.maximum, (absolute(end - F) for end in ends)) + 8 * u * F
    serves = problem.affine.serves
    F, dF = (F, dF) if serves is None else (where(serves, F, 1), where(serves, dF, 0))
    R = absolute(problem.arrived)
    return F * R, E * (F + dF) + R * dF


def _taken(part: _Part, reach: Array, m: int, u: float) -> tuple[Array, Array]:
    """The magnitude behind c + D - d, which bias="redistribute" hands on, and how far it may be off."""
    share, added = part.share, part.share.stabilized - part.share.d
    h = absolute(share.part.c) + absolute(added) + where(added != 0, absolute(share.stabilized), 0)
    rows = part.N.rows() + gamma(m + 5, u) * (part.A.rows() + part.N.rows())
    return h, reach + rows + 8 * u * h


def _unsure(problem: Problem, share: Share, layer: Layer, e: Array, e_y: Array) -> Array:
    """Where an error may decide whether the part serves."""
    found = problem.arrived != problem.arrived
    if problem.affine.serves is not None and isinstance(layer, BatchNorm):  # which serve where x is not the mean
        mean = namespace(e).reshape(layer.mean, (1, -1, *(1,) * (e.ndim - 2)))
        found = found | ((absolute(problem.affine.inputs[0] - mean) <= e) & (e > 0))
    if share.part.where is None:
        return found
    y = problem.flat(problem.affine.y)
    unbiased = isinstance(problem.rule, GeneralizedGamma) and problem.rule.branch == "unbiased"
    return found | ((absolute(y - problem.flat(problem.affine.bias) if unbiased else y) <= e_y) & (e_y > 0))


def _constant(problem: Problem, share: Share) -> Array:
    """The magnitudes behind what belongs to no input."""
    return constant_work(problem, share, (problem.weights * problem.inputs).gauge().rows() + 0 * problem.arrived)


def _reciprocals(problem: Problem, share: Share, delta: Array, u: float) -> tuple[Array, Array, Array]:
    """P, q and reach: the largest 1 / |D'|, |1 / D' - 1 / D| and |D' - D| for a computed D' of d + t, |t| <= delta."""
    d, D, live = share.d, share.stabilized, share.active != 0
    if share.part.over is not None:
        P = 1 / absolute(share.part.over)
        return P, 4 * u * P, 0 * P
    ends = list(_ends(problem, d, D, delta))
    smallest = 1 / LARGEST
    inverses = [where(absolute(a) > smallest, 1 / where(absolute(a) > smallest, a, 1), LARGEST) for a in ends]
    P = capped(reduce(namespace(d).maximum, map(absolute, inverses)))
    exact = where(live, 1 / where(D != 0, D, 1), 0)
    q = reduce(namespace(d).maximum, (absolute(inverse - exact) for inverse in inverses))
    reach = reduce(namespace(d).maximum, (absolute(end - D) for end in ends))
    return P, capped(q + (4 * u + 2.0**-50) * P), reach


def _ends(problem: Problem, d: Array, D: Array, delta: Array) -> Iterator[Array]:
    """What stabilised denominators may be at worst: at the ends of d +- delta, and beside 0 where 0 lies between."""
    stabilizer, epsilon = problem.stabilizer, problem.epsilon
    delta = where(delta > 0, delta + 2.0**-52 * absolute(d), delta + 0 * d)
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


def in_float64_fields(value: Any) -> Any:
    """A layer or rule with its float and exact arrays in float64."""
    arrays = {f.name: getattr(value, f.name) for f in fields(value) if hasattr(getattr(value, f.name), "shape")}
    return replace(value, **{name: in_float64(a) for name, a in arrays.items()}) if arrays else value


def as_float64(a: Array) -> Array:
    """A value of the network in float64; integers, which are indices, as they are."""
    return a if not is_exact(a) and namespace(a).isdtype(a.dtype, "integral") else in_float64(a)
