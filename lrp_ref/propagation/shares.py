"""Every row of a rule's contributions, normalised: the quotients that hand relevance out."""

from collections.abc import Iterator
from functools import reduce
from math import prod
from operator import add
from typing import Any, NamedTuple

from lrp_ref.arrays import Array, LRPError, absolute, full, namespace, only_read, where
from lrp_ref.biases import MODES
from lrp_ref.propagation.parts import refuse_no_parts, settled
from lrp_ref.propagation.settle import Problem
from lrp_ref.propagation.unread import Unread
from lrp_ref.rules import Part
from lrp_ref.values import refuse_call


class Share(NamedTuple):
    """One part, normalised: d, the stabilised D, and the quotients s = scale R / D that its rows hand out."""

    part: Part
    d: Array
    stabilized: Array
    s: Array
    active: Array  # scale where the part serves and D is not zero, else 0
    padding: Array | None  # what taps on padding add to d


def normalized(problem: Problem) -> Iterator[Share]:
    """Every part with its denominators and quotients."""
    affine, stabilizer = problem.affine, problem.stabilizer
    bias = problem.flat(affine.bias)
    arrived = problem.flat(shareable(problem)[0])
    serves = None if affine.serves is None else problem.flat(affine.serves)
    parts = parts_of(problem, bias)
    wide = _padding_rows(problem, parts, bias)
    for named, padding in zip(parts, wide, strict=True):
        shared = stabilizer.magnitudes and named.over is None
        part = named._replace(n=absolute(named.n), c=absolute(named.c)) if shared else named
        d = part.n.rows() + part.c + 0 * arrived
        d = d if padding is None else d + padding
        stabilized = stabilizer(d, problem.epsilon) if part.over is None else part.over + 0 * d
        part = part if part.over is None else part._replace(over=stabilized)
        live = stabilizer.live(d, stabilized) if part.over is None else stabilized != 0
        for mask in (part.where, serves):
            live = live if mask is None else live & mask
        active = where(live, part.scale * full(d.shape, 1, d), 0)
        s = active * arrived / where(live, stabilized, 1)
        yield Share(part, d, stabilized, s, active, padding)


def parts_of(problem: Problem, bias: Array) -> list[Part]:
    """The rule's parts, with the bias as its mode has it, and rescaled where the rule has it so."""
    rule, like = problem.rule, problem.arrived
    name = type(rule).__name__
    parts = [settled(f"{name}.parts", part, bias, like) for part in stated(problem, bias, output_of(problem))]
    if not hasattr(rule, "rescaled"):
        return parts
    rescaled = rule.rescaled(parts)
    refuse_no_parts(f"{name}.rescaled", rescaled)
    return [settled(f"{name}.rescaled", part, bias, like) for part in rescaled]


def stated(problem: Problem, bias: Any, y: Any) -> list[Part]:
    """The rule's own parts, with the bias as its mode has it."""
    mode, rule = MODES[problem.bias], problem.rule
    given = (problem.weights, problem.inputs, only_read(bias) if mode.seen else 0 * bias, only_read(y))
    try:
        parts: list[Part] = rule.parts(*given)
    except (TypeError, ValueError) as error:
        refuse_call(f"{type(rule).__name__}.parts", rule.parts, "parts(W, x, b, y)", given)
        if "read-only" in str(error):
            raise LRPError(
                f"{type(rule).__name__}.parts writes into what it is given ({error}); write b = 2 * b, no b *= 2"
            ) from None
        raise
    refuse_no_parts(f"{type(rule).__name__}.parts", parts)
    return [part._replace(c=bias) for part in parts] if mode.whole else parts


def output_of(problem: Problem) -> Any:
    """y, as the rule's formula has it: refused where the rule says that it does not read it, so that it need not be formed."""
    return problem.flat(problem.affine.y) if getattr(problem.rule, "reads_output", True) else Unread(problem.rule)


def received_by(problem: Problem, shares: list[Share]) -> tuple[Array, ...]:
    """The relevance at every input, (batch, ...)."""
    handed = [as_tuple(share.part.n.distribute(share.s)) for share in shares]
    if problem.bias == "redistribute":
        spread = redistributed(problem, shares)
        handed.append(as_tuple(problem.weights.connections().contributions().distribute(spread)))
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


def redistributed(problem: Problem, shares: list[Share]) -> Array:
    """Per output, what the bias and the stabiliser took, divided by the number of connections."""
    taken = reduce(add, ((share.part.c + share.stabilized - share.d) * share.s for share in shares))
    count = problem.weights.connections().contributions().rows() + 0 * taken
    return where(count != 0, taken, 0) / where(count != 0, count, 1)


def shareable(problem: Problem) -> tuple[Array, Array]:
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


def _padding_rows(problem: Problem, parts: list[Part], bias: Array) -> list[Array | None]:
    """Per part, what taps on padding add to the denominator where padding counts."""
    if problem.padded is None:
        return [None] * len(parts)
    (weights, inputs), rule = problem.padded
    wide = rule.parts(weights, inputs, bias, output_of(problem))
    return [w.n.rows() - p.n.rows() for w, p in zip(wide, parts, strict=True)]


def as_tuple(value: Any) -> tuple[Array, ...]:
    """A distribution as one array per input: explicit representations return them side by side in one."""
    return value if isinstance(value, tuple) else (value,)
