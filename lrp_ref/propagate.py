"""The engine: normalise every row of a rule's contributions, and distribute."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import reduce
from inspect import signature
from math import prod
from operator import add
from typing import Any, NamedTuple

from lrp_ref.arrays import (
    Array,
    LRPError,
    absolute,
    checked,
    flattened,
    full,
    is_exact,
    namespace,
    number,
    same_arithmetic,
    where,
)
from lrp_ref.contributions import Inputs, explicit, structured
from lrp_ref.dialects import Dialect
from lrp_ref.layers import Affine, Conv, Embedding, Layer, MaxPool
from lrp_ref.ledger import Ledger
from lrp_ref.rules import AlphaBeta, Epsilon, Part, Pass, Shares, ZBox, check_conventions
from lrp_ref.stabilizers import NONE, Stabilizer

REPRESENTATIONS = ("structured", "explicit", "sparse")


@dataclass(frozen=True, eq=False)
class Result:
    """Relevance in the namespace, dtype, device and shape of x; a tuple for a layer of several inputs."""

    relevance: Any
    ledger: Ledger


class Share(NamedTuple):
    """One part, normalised: d, the stabilised D, and the quotients s = scale R / D that its rows hand out."""

    part: Part
    d: Array
    stabilized: Array
    s: Array
    active: Array  # scale where the part serves and D is not zero, else 0
    padding: Array | None  # what taps on padding add to d


@dataclass(frozen=True)
class Problem:
    """A rule on a layer at x, with every convention settled and all arrays (batch, ...)."""

    affine: Affine
    weights: Any
    inputs: Any
    rule: Any
    bias: str
    stabilizer: Stabilizer
    arrived: Array
    lead: tuple[int, ...]
    padded: Any
    structured_twin: Callable[[], "Problem"]

    @property
    def epsilon(self) -> Any:
        return number(self.stabilizer.epsilon, self.arrived, "stabilizer epsilon")

    def flat(self, a: Array) -> Array:
        """A y-shaped array in the shape that this representation's rows have."""
        wide = namespace(a).broadcast_to(a, self.affine.y.shape)
        explicit_rows = not hasattr(self.weights, "maps")
        return flattened(wide) if explicit_rows else wide


def propagate(
    layer: Layer,
    x: Any,
    relevance: Array,
    rule: Any,
    *,
    stabilizer: Stabilizer | None = None,
    bias: str | None = None,
    dialect: Dialect | None = None,
    representation: str = "structured",
) -> Result:
    """Hand the relevance of a layer's output back to its inputs, R_i = sum_k sum_j scale n_ji / stab(d_j) R_j.

    layer: a layer; x: its input (a tuple for several), batch axes first; relevance: an array of the output's shape.
    rule: a rule of `lrp_ref.rules`. stabilizer: default none, and Epsilon's own for Epsilon.
    bias: what becomes of the bias, one of the rule's `bias` modes, the first by default. dialect: supplies what is
    not given here. representation: "structured", "explicit" (a dense matrix), "sparse" (SciPy, NumPy floats only).

    Raises `LRPError` for integer or non-finite input, shapes or dtypes that do not fit, and parameters or
    conventions that do not exist. Inputs are never modified.
    """
    problem = settle(layer, x, relevance, rule, stabilizer, bias, dialect, representation)
    received, ledger = shares_to_result(problem, list(normalized(problem)))
    shaped = tuple(namespace(r).reshape(r, (*problem.lead, *r.shape[1:])) for r in received)
    return Result(shaped if isinstance(x, tuple | list) else shaped[0], ledger)


def shares_to_result(problem: Problem, shares: list[Share]) -> tuple[tuple[Array, ...], Ledger]:
    """The relevance at every input, (batch, ...), and the ledger."""
    received = received_by(problem, shares)
    return received, _ledger(problem, shares, received)


def messages(
    layer: Layer,
    x: Any,
    relevance: Array,
    rule: Any,
    *,
    stabilizer: Stabilizer | None = None,
    bias: str | None = None,
    dialect: Dialect | None = None,
) -> Array:
    """The explicit messages R_{i<-j} = sum_k scale n_ji / D_j R_j, (batch, out, in): outputs and inputs flattened.

    Several inputs lie side by side. Raises what `propagate` raises.
    """
    problem = settle(layer, x, relevance, rule, stabilizer, bias, dialect, "explicit")
    shares = list(normalized(problem))
    table = reduce(add, (share.part.n.values * share.s[..., None] for share in shares))
    if problem.bias == "redistribute":
        spread = _redistributed(problem, shares)
        table = table + problem.weights.connections().values * spread[..., None]
    return table


def settle(
    layer: Layer,
    x: Any,
    relevance: Array,
    rule: Any,
    stabilizer: Stabilizer | None = None,
    bias: str | None = None,
    dialect: Dialect | None = None,
    representation: str = "structured",
) -> Problem:
    """Check everything at the door, and settle every convention: explicit argument, dialect, reference."""
    given = tuple(x) if isinstance(x, tuple | list) else (x,)
    _check_kinds(layer, rule, stabilizer, dialect)
    _check_count(layer, given)
    if isinstance(layer, Embedding):
        same_arithmetic("Embedding.weight", layer.weight, "relevance", checked("relevance", relevance))
    else:
        for index, array in enumerate(given):
            checked(f"x[{index}]" if len(given) > 1 else "x", array)
            same_arithmetic("x", given[0], f"x[{index}]", array)
    checked("relevance", relevance)
    axes = max(given[0].ndim, 1) - 1 if layer.axes is None else layer.axes
    if given[0].ndim < max(axes, layer.axes is None):
        raise LRPError(f"{type(layer).__name__}: expected x with at least {axes} axes, got shape {tuple(given[0].shape)}")
    lead = tuple(given[0].shape[: given[0].ndim - axes])
    for index, array in enumerate(given):
        if array.ndim != given[0].ndim or tuple(array.shape[: len(lead)]) != lead:
            first = tuple(given[0].shape)
            raise LRPError(f"x[{index}]: expected the axes and batch size of x[0], {first}, got {tuple(array.shape)}")
    batched = tuple(namespace(a).reshape(a, (prod(lead), *a.shape[a.ndim - axes :])) for a in given)
    if dialect is not None:
        layer, rule, stabilizer, bias = dialect.apply(layer, rule, stabilizer, bias)
    affine = layer.affine(*batched)
    if not isinstance(layer, Embedding):
        same_arithmetic("x", given[0], "relevance", relevance)
    expected = (*lead, *affine.y.shape[1:])
    if tuple(relevance.shape) != expected:
        raise LRPError(f"relevance: expected the output's shape {expected}, got {tuple(relevance.shape)}")
    check_conventions(rule)
    bias = rule.bias[0] if bias is None else bias
    if bias not in rule.bias:
        raise LRPError(f"{type(rule).__name__}: bias is one of {', '.join(rule.bias)}; got {bias!r}")
    if stabilizer is None:
        stabilizer = Stabilizer("signed_add", rule.epsilon) if isinstance(rule, Epsilon) else NONE
    if representation not in REPRESENTATIONS:
        raise LRPError(f"representation is one of {', '.join(REPRESENTATIONS)}; got {representation!r}")
    weights, inputs = _represent(representation, affine.maps, affine.inputs)
    if isinstance(rule, Pass) and not isinstance(layer, MaxPool):
        _only_moves(layer, affine)
    arrived = namespace(relevance).reshape(relevance, (prod(lead), *affine.y.shape[1:]))
    resolved = _in_arithmetic(rule, affine.inputs, representation)
    padded = None
    if getattr(rule, "padding", None) == "counted" and isinstance(layer, Conv):
        wide, window = layer.padded(batched[0])
        bounds = _padded_bounds(rule, batched[0], window)
        padded = (
            _represent(representation, wide.maps, wide.inputs),
            _in_arithmetic(bounds, wide.inputs, representation, on_padding=True),
        )

    def twin() -> Problem:
        return settle(layer, x, relevance, rule, stabilizer, bias)

    return Problem(affine, weights, inputs, resolved, bias, stabilizer, arrived, lead, padded, twin)


def _check_kinds(layer: Any, rule: Any, stabilizer: Any, dialect: Any) -> None:
    """Refuse what is no layer, rule, stabiliser or dialect at all."""
    for name, value, right, example in (
        ("layer", layer, hasattr(layer, "affine"), "lrp_ref.Dense(weight, bias)"),
        ("rule", rule, hasattr(rule, "parts"), "lrp_ref.Epsilon(1e-6)"),
        ("stabilizer", stabilizer, isinstance(stabilizer, Stabilizer | None), "lrp_ref.Stabilizer('signed_add', 1e-6)"),
        ("dialect", dialect, isinstance(dialect, Dialect | None), "lrp_ref.DIALECTS['zennit-1.0']"),
    ):
        if not right or isinstance(value, type):
            raise LRPError(f"{name}: expected one such as {example}, got {type(value).__name__} {_brief(value)}")


def _brief(value: Any) -> str:
    return " ".join(repr(value).split())[:60]


def _check_count(layer: Layer, given: tuple[Any, ...]) -> None:
    """Refuse more or fewer inputs than the layer takes, and what is no array."""
    parameters = signature(layer.affine).parameters.values()
    several = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if not given or (not several and len(given) != len(parameters)):
        expected = "a tuple of inputs" if several else f"{len(parameters)} input(s)"
        raise LRPError(f"{type(layer).__name__}: expected {expected}, got {len(given)}")
    for array in given:
        if not hasattr(array, "shape"):
            raise LRPError(f"x: expected an array, got {type(array).__name__}; use numpy.asarray(...) or lrp_ref.exact(...)")


def normalized(problem: Problem) -> Iterator[Share]:
    """Every part with its denominators and quotients."""
    affine, stabilizer = problem.affine, problem.stabilizer
    bias, y = problem.flat(affine.bias), problem.flat(affine.y)
    arrived = problem.flat(_shared(problem)[0])
    serves = None if affine.serves is None else problem.flat(affine.serves)
    parts = parts_of(problem, bias, y)
    wide = _padding_rows(problem, parts, bias, y)
    for named, padding in zip(parts, wide, strict=True):
        shared = stabilizer.kind == "abs_share" and named.over is None
        part = named._replace(n=absolute(named.n), c=absolute(named.c)) if shared else named
        d = part.n.rows() + part.c + 0 * arrived
        d = d if padding is None else d + padding
        stabilized = stabilizer(d, problem.epsilon) if part.over is None else part.over + 0 * d
        live = stabilizer.live(d, stabilized) if part.over is None else stabilized != 0
        for mask in (part.where, serves):
            live = live if mask is None else live & mask
        active = where(live, part.scale * full(d.shape, 1, d), 0)
        s = active * arrived / where(live, stabilized, 1)
        yield Share(part, d, stabilized, s, active, padding)


def parts_of(problem: Problem, bias: Array, y: Array) -> list[Part]:
    """The rule's parts, with the bias as its mode has it."""
    ignored = problem.bias in ("ignore", "share")
    parts: list[Part] = problem.rule.parts(problem.weights, problem.inputs, 0 * bias if ignored else bias, y)
    if problem.bias in ("raw", "full_in_both"):
        parts = [part._replace(c=bias) for part in parts]
    return problem.rule.rescaled(parts) if isinstance(problem.rule, AlphaBeta) else parts


def received_by(problem: Problem, shares: list[Share]) -> tuple[Array, ...]:
    """The relevance at every input, (batch, ...)."""
    handed = [_tuple(share.part.n.distribute(share.s)) for share in shares]
    if problem.bias == "redistribute":
        spread = _redistributed(problem, shares)
        handed.append(_tuple(problem.weights.connections().contributions().distribute(spread)))
    columns = (reduce(add, column) for column in zip(*handed, strict=True))
    if hasattr(problem.weights, "maps"):
        return tuple(columns)
    xp, start, split = namespace(problem.arrived), 0, []
    for flat in columns:
        for x in problem.affine.inputs:
            size = prod(x.shape[1:])
            split.append(xp.reshape(flat[:, start : start + size], (flat.shape[0], *x.shape[1:])))
            start += size
    return tuple(split)


def _redistributed(problem: Problem, shares: list[Share]) -> Array:
    """Per output, what the bias and the stabiliser took, divided by the number of connections."""
    taken = reduce(add, ((share.part.c + share.stabilized - share.d) * share.s for share in shares))
    count = problem.weights.connections().contributions().rows() + 0 * taken
    return where(count != 0, taken, 0) / where(count != 0, count, 1)


def _ledger(problem: Problem, shares: list[Share], received: tuple[Array, ...]) -> Ledger:
    xp, arrived = namespace(problem.arrived), problem.flat(problem.arrived)
    kept, withheld = (problem.flat(a) for a in _shared(problem))
    zero = 0 * arrived
    bias, stabilizer, rho, dropped = withheld, zero, zero, kept
    redistributes = problem.bias == "redistribute"
    connected = problem.weights.connections().contributions().rows() + zero != 0 if redistributes else zero != 0
    for share in shares:
        part, quotient = share.part, share.active / where(share.active != 0, share.stabilized, 1)
        rho = rho + part.n.rows() * quotient
        if part.over is not None:
            dropped = dropped - share.d * share.s
            continue
        dropped = dropped - share.active * kept
        if share.padding is not None:
            dropped = dropped + share.padding * share.s
        if redistributes:
            taken = part.c + share.stabilized - share.d
            rho = rho + where(connected, taken * quotient, 0)
            dropped = dropped + where(connected, zero, taken * share.s)
        else:
            bias, stabilizer = bias + part.c * share.s, stabilizer + (share.stabilized - share.d) * share.s
    shaped = {
        name: xp.reshape(column + zero, problem.arrived.shape)
        for name, column in (("bias", bias), ("stabilizer", stabilizer), ("dropped", dropped), ("rho", rho))
    }
    if is_exact(arrived):
        tolerance = full((problem.arrived.shape[0],), 0, arrived)
    else:
        from lrp_ref.bounds import ledger_tolerance

        tolerance = ledger_tolerance(problem, shares)
    return Ledger(arrived=problem.arrived, received=received, tolerance=tolerance, **shaped)


def _shared(problem: Problem) -> tuple[Array, Array]:
    """Under bias="share", what of R_j the inputs may share and what the bias keeps; else R_j and 0."""
    if problem.bias != "share":
        return problem.arrived, 0 * problem.arrived
    xp, y = namespace(problem.arrived), problem.arrived
    total = xp.reshape((problem.weights * problem.inputs).rows(), y.shape) if y.size else y
    size = absolute(total) + absolute(problem.affine.bias)
    factor = where(size != 0, absolute(total) / where(size != 0, size, 1), 1)
    if problem.affine.serves is not None:
        factor = where(problem.affine.serves, factor, 1)
    return factor * y, (1 - factor) * y


def _padding_rows(problem: Problem, parts: list[Part], bias: Array, y: Array) -> list[Array | None]:
    """Per part, what taps on padding add to the denominator where padding counts."""
    if problem.padded is None:
        return [None] * len(parts)
    (weights, inputs), rule = problem.padded
    wide = rule.parts(weights, inputs, bias, y)
    return [w.n.rows() - p.n.rows() for w, p in zip(wide, parts, strict=True)]


def _padded_bounds(rule: Any, x: Array, window: Any) -> Any:
    """Bounds on the padded input: numbers and bounds per channel reach the padding, arrays are 0 there."""
    if not isinstance(rule, ZBox):
        return rule

    def widened(bound: Any) -> Any:
        per_element = isinstance(bound, str) or (hasattr(bound, "shape") and bound.ndim > 1)
        return window.pad(_bound(bound, x)) if per_element else bound

    return replace(rule, low=widened(rule.low), high=widened(rule.high))


def _represent(representation: str, maps: tuple[Any, ...], inputs: tuple[Array, ...]) -> tuple[Any, Any]:
    if representation == "structured":
        return structured(maps, inputs)
    if representation == "explicit":
        return explicit(maps, inputs)
    from lrp_ref.sparse import sparse  # SciPy is imported only where it is asked for

    return sparse(maps, inputs)


def _in_arithmetic(rule: Any, inputs: tuple[Array, ...], representation: str, on_padding: bool = False) -> Any:
    """The rule with its numbers converted once to the arithmetic of x, and input-shaped parameters shaped."""
    if isinstance(rule, ZBox):
        arrays = {name: tuple(_bound(getattr(rule, name), x) for x in inputs) for name in ("low", "high")}
        for x, low, high in () if on_padding else zip(inputs, arrays["low"], arrays["high"], strict=True):
            _check_box(x, low, high)
        return replace(rule, **{name: _shaped(bounds, representation) for name, bounds in arrays.items()})
    if isinstance(rule, Shares):
        if len(rule.shares) != len(inputs):
            raise LRPError(f"Shares: expected one share per input, {len(inputs)}, got {len(rule.shares)}")
        parts = tuple(full(x.shape, number(p, x, "Shares"), x) for p, x in zip(rule.shares, inputs, strict=True))
        return replace(rule, shares=_shaped(parts, representation))
    numeric = {
        f.name: number(getattr(rule, f.name), inputs[0], f"{type(rule).__name__}.{f.name}")
        for f in fields(rule)
        if not isinstance(getattr(rule, f.name), str | None)
    }
    return replace(rule, **numeric) if numeric else rule


def _shaped(arrays: tuple[Array, ...], representation: str) -> Any:
    if representation == "structured":
        return Inputs(arrays)
    xp = namespace(arrays[0])
    return xp.concat([flattened(a) for a in arrays], axis=-1)


def _bound(bound: Any, x: Array) -> Array:
    """A bound of the z-box rule as an array of x's shape."""
    xp = namespace(x)
    if isinstance(bound, str):
        if bound not in ("min", "max"):
            raise LRPError(f"ZBox: expected a bound as a number, array, 'min' or 'max'; got {bound!r}")
        return getattr(xp, bound)(x, axis=tuple(range(1, x.ndim)), keepdims=True) + 0 * x
    if isinstance(bound, list | tuple):
        bound = _row(bound, x)
    if not hasattr(bound, "shape"):
        return full(x.shape, number(bound, x, "ZBox bound"), x)
    checked("ZBox bound", bound)
    same_arithmetic("x", x, "ZBox bound", bound)
    if bound.ndim == 1 and bound.shape[0] == x.shape[1]:
        bound = xp.reshape(bound, (1, -1, *(1,) * (x.ndim - 2)))
    if tuple(bound.shape) not in (tuple(x.shape), tuple(x.shape[1:]), (1, x.shape[1], *(1,) * (x.ndim - 2))):
        raise LRPError(
            f"ZBox: expected a bound as a number, one per channel ({x.shape[1]},) or of x's shape {tuple(x.shape)}; "
            f"got shape {tuple(bound.shape)}"
        )
    return bound + 0 * x


def _row(values: Any, x: Array) -> Array:
    row = full((len(values),), 0, x)
    for k, value in enumerate(values):
        row[k] = number(value, x, "ZBox bound")
    return row


def _check_box(x: Array, low: Array, high: Array) -> None:
    xp = namespace(x)
    for wrong, text in (
        (low > high, "expected low <= high"),
        (x < low, "expected x >= low"),
        (x > high, "expected x <= high"),
    ):
        if bool(xp.any(wrong)):
            first = int(xp.argmax(xp.astype(xp.reshape(wrong, (-1,)), xp.int8)))
            at = [float(xp.reshape(a, (-1,))[first]) for a in (low, x, high)]
            raise LRPError(f"ZBox: {text}; at flat index {first} low={at[0]}, x={at[1]}, high={at[2]}; widen the bounds")


def _only_moves(layer: Layer, affine: Affine) -> None:
    """Refuse Pass where an output mixes several inputs."""
    xp = namespace(affine.y)
    ones = structured(affine.maps, affine.inputs)[0].connections().contributions().rows()
    if bool(xp.any(ones > 1)):
        raise LRPError(f"Pass: {type(layer).__name__} mixes several inputs in one output; use Zero, Norm or Flat")


def _tuple(value: Any) -> tuple[Array, ...]:
    return value if isinstance(value, tuple) else (value,)
