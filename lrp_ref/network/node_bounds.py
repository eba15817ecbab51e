"""Errors through one node: from its inputs to its output, and from its relevance to theirs. `bounds` derives them.

Everything here is float64, and e is the error of a value, E that of the relevance arriving at it. What an error of x does to a
layer, the layer says (`layers/drift.py`); what it does to a rule, the rule's own text says (`algebra/uncertain.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any, NamedTuple

from lrp_ref.algebra.contributions import Inputs, Separable, Structured
from lrp_ref.algebra.rounding import LARGEST, SMALLEST, UNIT_ROUNDOFF, capped, gamma
from lrp_ref.algebra.uncertain import Ball, Choice, UncertainContributions, UncertainInputs, UncertainWeights, as_ball
from lrp_ref.arrays import Array, LRPError, absolute, count_of, is_exact, is_number, namespace, pos, where
from lrp_ref.biases import MODES
from lrp_ref.layers import Layer
from lrp_ref.layers.drift import Drift, drift_of
from lrp_ref.network.composite import Assign
from lrp_ref.propagation.gauges import constant_work, fan, in_float64, underflow
from lrp_ref.propagation.settle import Problem, entered, settle
from lrp_ref.propagation.shares import Share, as_tuple, normalized, stated
from lrp_ref.values import changed, fields_of


def forward_error(layer: Layer, given: Sequence[Array], errors: Sequence[Array], dtype: str) -> Array:
    """e of the layer's output: what its inputs' errors do to it, and its own rounding."""
    layer = in_float64_fields(layer)
    lead, x = entered(layer, tuple(given))
    affine = layer.affine(*x)
    y, e = affine.y, _like(errors, x)
    found = drift_of(layer, affine, x, e, dtype).y
    return capped(namespace(y).reshape(found + 0 * y, (*lead, *y.shape[1:])))


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
    _, x = entered(problem.layer, tuple(given))
    drift = drift_of(problem.layer, problem.affine, x, _like(errors, x), dtype)
    problem = replace(problem, weights=_apart(problem.weights)) if drift.weights else problem
    m, n = fan(problem)
    off = _off(problem, drift, _like(errors, x), e_y, m, u)
    R, E = _shared(problem, off, E, dtype) if problem.bias == "share" else (absolute(problem.arrived), E)
    rivals = None if drift.rivals is None else drift.rivals()
    found = []
    parts = _parts(problem, rule.rule, off, rivals, m, u)
    n = n + max((part.extra for part in parts), default=0)
    for k, part in enumerate(parts):
        share, A, N, delta, unsure, _ = part
        if drift.doubtful is not None:
            unsure = unsure | drift.doubtful
        P, q, reach = _reciprocals(problem, share, delta, u)
        live = share.active != 0
        if share.part.over is None:  # a sum of exactly 0 drops its relevance, and an error may make it another
            normal = delta > SMALLEST[dtype] / u  # where less is off, the sum has underflowed, or is the 0 that it looks like
            unsure = unsure | ((share.stabilized == 0) & _may_be_empty(problem, part, off, u) & normal)
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
            h, dh = _taken(part, reach + off.bias.error, m, u)
            count = problem.weights.connections().contributions().rows() + 0 * R
            scale = where(count > 0, scale / where(count > 0, count, 1), 0)
            lost = scale * where(unsure, (h + dh) * wrong, h * wrong + dh * heard)
            flat = problem.weights.connections().contributions()
            still = tuple(0 * a for a in problem.inputs.arrays)
            found.append(_handed(problem, flat, scale * (h + dh) * heard, lost, still, P, (m, n), dtype))
        if rivals is not None:
            most = 1 if share.part.over is not None else namespace(R).maximum((absolute(share.d) + delta) * P, 0 * R + 1)
            found.append([(rivals.handed((R + E) * most), 0 * a) for a in problem.inputs.arrays])
    columns = zip(*found, strict=True)
    sums = [(reduce(add, (c[0] for c in column)), reduce(add, (c[1] for c in column))) for column in columns]
    shapes = [(*problem.lead, *a.shape[1:]) for a in problem.inputs.arrays]
    return [(capped(xp.reshape(B, s)), capped(xp.reshape(M, s))) for (B, M), s in zip(sums, shapes, strict=True)]


def _apart(weights: Structured) -> Structured:
    """Weights without the magnitudes that they are differences of: the layer's drift has their rounding."""
    return Structured(tuple(m.plain() if hasattr(m, "plain") else m for m in weights.maps), weights.ones)


def _like(errors: Sequence[Array], x: tuple[Array, ...]) -> tuple[Array, ...]:
    """The inputs' errors, with all batch axes as one; indices are never off."""
    return tuple(
        namespace(a).reshape(a, b.shape) if is_exact(b) or namespace(b).isdtype(b.dtype, "real floating") else 0 * in_float64(b)
        for a, b in zip(errors, x, strict=True)
    )


class _Off(NamedTuple):
    """What a rule reads, and how far each of it may be off."""

    weights: UncertainWeights
    inputs: UncertainInputs
    bias: Ball
    output: Ball


def _off(problem: Problem, drift: Drift, e: tuple[Array, ...], e_y: Array, m: int, u: float) -> _Off:
    affine, arrays = problem.affine, problem.inputs.arrays
    bends = drift.weights or tuple(None for _ in arrays)
    ones = UncertainInputs(problem.weights.ones.arrays, tuple(0 * a for a in problem.weights.ones.arrays))
    weights = UncertainWeights(problem.weights.maps, ones, bends, gamma(m + 5, u))
    inputs = UncertainInputs(arrays, e if drift.inputs is None else drift.inputs)
    if affine.serves is not None and drift.doubtful is None:
        raise LRPError(
            f"bounds are not known for {type(problem.layer).__name__}, some of whose outputs take no part; it does not say "
            "which an error may change; give Drift(doubtful=...)"
        )
    bias = 0 * e_y
    if drift.bias is not None:
        bias = bias + drift.bias
    elif bool(namespace(affine.bias).any(affine.bias != 0)):
        if not affine.is_sum:
            raise LRPError(
                f"bounds are not known for {type(problem.layer).__name__}: it does not say how far its bias moves with x; give "
                "Drift(bias=...)"
            )
        bias = e_y + (weights * inputs).errors().rows()  # b = y - W x moves with both
    if not MODES[problem.bias].seen:
        return _Off(weights, inputs, Ball(affine.bias, 0 * bias), Ball(affine.y, e_y))
    return _Off(weights, inputs, Ball(affine.bias, bias), Ball(affine.y, e_y))


def _computed(problem: Problem, u: float) -> Array | int:
    """The rounding of a bias that the layer computes; what is given is exact."""
    affine = problem.affine
    return 0 if affine.bias_work is None else (affine.roundings + 4) * u * affine.bias_work


def _rounded(problem: Problem, u: float) -> Ball:
    """The bias, off by what computing it rounds."""
    return Ball(problem.affine.bias, 0 * problem.affine.bias + (_computed(problem, u) if MODES[problem.bias].seen else 0))


class _Part(NamedTuple):
    """A part with its work gauge A, the errors N of its contributions, delta, how far its denominators may be off, and the
    outputs of which an error decides whether it serves them; `extra` roundings behind a weight are more than two."""

    share: Share
    A: Separable
    N: Separable
    delta: Array
    unsure: Array
    extra: int


def _parts(problem: Problem, rule: Any, off: _Off, rivals: Any, m: int, u: float) -> list[_Part]:
    """The rule's parts, and what its own text makes of numbers that may be off."""
    if hasattr(problem.rule, "rescaled") and not hasattr(problem.rule, "empty_half"):
        raise LRPError(f"bounds are not known for {type(rule).__name__}, which rescales its parts by what it finds in them")
    twin = replace(problem, weights=off.weights, inputs=off.inputs, rule=_reading(problem.rule, rule, off.inputs))
    try:
        said = [_said(part, problem.stabilizer.magnitudes) for part in stated(twin, off.bias, off.output)]
        rounded = [_said(part, problem.stabilizer.magnitudes) for part in stated(twin, _rounded(problem, u), off.output)]
    except (TypeError, AttributeError) as error:
        raise LRPError(
            f"bounds are not known for {type(rule).__name__}, whose text leaves the algebra of W, x, b and y: {error}"
        ) from None
    found = []
    for share, (N, extra, c, doubtful), (_, _, of_bias, _) in zip(normalized(problem), said, rounded, strict=True):
        A = share.part.n.gauge()
        constant = constant_work(problem, share, (problem.weights * problem.inputs).gauge().rows() + 0 * problem.arrived)
        delta = c.error + 0 * problem.arrived + N.rows() + gamma(m + extra + 5, u) * (A.rows() + N.rows() + constant)
        delta = delta + pos(of_bias.error + 0 * delta - gamma(m + 5, u) * constant)  # of which `constant` has as much
        delta = delta if rivals is None else delta + rivals.spread
        found.append(_Part(share, A, N, delta, doubtful | (0 * delta != 0), extra))
    return found


def _reading(settled: Any, rule: Any, inputs: UncertainInputs) -> Any:
    """The settled rule with every parameter of x's shape as far off as it is.

    Those that were given are exact; "min" and "max" of a sample are off by its largest error.
    """

    def largest(e: Array) -> Array:
        return namespace(e).max(e, axis=tuple(range(1, e.ndim)), keepdims=True) + 0 * e if 0 not in e.shape else e

    shaped = {name: value for name, value in fields_of(settled).items() if isinstance(value, Inputs)}
    read: dict[str, Any] = {}
    for name, value in shaped.items():
        asked = getattr(rule, name, None)
        if isinstance(asked, str) and asked in ("min", "max"):
            errors = tuple(map(largest, inputs.errors))
        elif is_number(asked) or hasattr(asked, "shape") or isinstance(asked, list | tuple):
            errors = tuple(0 * a for a in value.arrays)
        else:
            raise LRPError(f"bounds are not known for {type(rule).__name__}, whose {name} is made of x; give it as numbers")
        read[name] = UncertainInputs(value.arrays, errors)
    return changed(settled, read)


def _said(part: Any, magnitudes: bool) -> tuple[Separable, int, Ball, Array]:
    """N and the extra roundings of a part of an uncertain rule, its bias, and where an error decides whether it serves."""
    if not is_number(part.scale):
        raise TypeError("a factor that is no number")
    if isinstance(part.over, Ball) and bool(namespace(part.over.error).any(part.over.error != 0)):
        raise TypeError("a divisor of its own that moves with x")
    if not isinstance(part.n, UncertainContributions):
        raise TypeError("contributions that are not made of W and x")
    if not isinstance(part.c, Ball) and not is_number(part.c) and str(getattr(part.c, "dtype", "object")) == "object":
        raise TypeError("a bias that is made of nothing known here")
    mask = part.where
    if mask is not None and not isinstance(mask, Choice) and not str(getattr(mask, "dtype", "")).endswith("bool"):
        raise TypeError("a mask that is no comparison")
    n = absolute(part.n) if magnitudes and part.over is None else part.n
    return n.errors(), max(0, n.operations - 2), as_ball(part.c), mask.doubtful if isinstance(mask, Choice) else False


def _may_be_empty(problem: Problem, part: _Part, off: _Off, u: float) -> Array:
    """Where an error may decide whether a half is empty: not where it has neither contributions nor a bias of its sign."""
    b = problem.affine.bias
    work = absolute(b) if problem.affine.bias_work is None else problem.affine.bias_work
    signed = absolute(b) >= (problem.affine.roundings + 4) * u * work + off.bias.error
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


def _shared(problem: Problem, off: _Off, E: Array, dtype: str) -> tuple[Array, Array]:
    """|R| and E of what the inputs share under bias="share": F R with F = |s| / (|s| + |b|), s the sum of contributions."""
    u, (m, _) = UNIT_ROUNDOFF[dtype], fan(problem)
    z, b = problem.weights * problem.inputs, absolute(problem.affine.bias) + 0 * problem.arrived
    N = (off.weights * off.inputs).errors()
    s = absolute(z.rows() + 0 * problem.arrived)
    ds = N.rows() + gamma(m + 5, u) * (z.gauge().rows() + N.rows())
    moves = any(d is not None for d in off.weights.bends)
    db = 4 * u * b + _computed(problem, u) + (off.output.error + N.rows() if moves and problem.affine.is_sum else 0)

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
    if stabilizer.coupled:
        reach = delta + epsilon * (namespace(d).max(delta) if count_of(delta) else 0)
        yield where(crosses | (absolute(D) <= reach), zero, D - reach * where(D > 0, zero + 1, -1))
        yield D + zero
        return
    ends = [stabilizer(d + delta, epsilon), stabilizer(d - delta, epsilon)]
    if stabilizer.pole:  # it lies between ends of different sign
        pole = ends[0] * ends[1] <= 0
        ends = [where(pole & (delta > 0), zero, end) for end in ends]
    yield from ends
    for beside in (1 / LARGEST, -1 / LARGEST):
        yield where(crosses, stabilizer(zero + beside, epsilon), D + zero)


def in_float64_fields(value: Any) -> Any:
    """A layer or rule with its float and exact arrays in float64."""
    return changed(value, {name: in_float64(a) for name, a in fields_of(value).items() if hasattr(a, "shape")})


def as_float64(a: Array) -> Array:
    """A value of the network in float64; integers, which are indices, as they are."""
    return a if not is_exact(a) and namespace(a).isdtype(a.dtype, "integral") else in_float64(a)
