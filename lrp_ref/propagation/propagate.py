"""One propagation: a problem settled, its shares handed out, and the account of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, reduce
from operator import add
from typing import Any

import numpy as np

from lrp_ref import kernels
from lrp_ref.arrays import (
    Array,
    LRPError,
    all_finite,
    checked,
    full,
    is_exact,
    namespace,
    where,
)
from lrp_ref.dialects import Dialect
from lrp_ref.layers import Layer
from lrp_ref.propagation.ledger import Ledger
from lrp_ref.propagation.settle import Problem, settle
from lrp_ref.propagation.shares import Share, normalized, received_by, redistributed, shareable
from lrp_ref.rules import Rule
from lrp_ref.stabilizers import Stabilizer
from lrp_ref.text.printing import shapes
from lrp_ref.values import fields_of


@dataclass(frozen=True, eq=False)
class Result:
    """Relevance in the namespace, dtype, device and shape of x; a tuple for a layer of several inputs."""

    relevance: Any
    ledger: Ledger

    def __repr__(self) -> str:
        several = isinstance(self.relevance, tuple)
        return f"Result(relevance {shapes(self.relevance if several else (self.relevance,))})"

    def __str__(self) -> str:
        """The same, and the total of every column of the account."""
        return f"{self!r}\n{self.ledger}"


def propagate(
    layer: Layer,
    x: Any,
    relevance: Array,
    rule: Rule,
    *,
    stabilizer: Stabilizer | None = None,
    bias: str | None = None,
    dialect: Dialect | str | None = None,
    representation: str = "structured",
    output: Array | None = None,
    trusted: bool = False,
) -> Result:
    """Hand the relevance of a layer's output back to its inputs, R_i = sum_k sum_j scale n_ji / stab(d_j) R_j.

    layer: a layer; x: its input (a tuple for several), batch axes first; relevance: an array of the output's shape.
    rule: a rule of `lrp_ref.rules`. stabilizer: default none, and Epsilon's own for Epsilon.
    bias: what becomes of the bias, one of the rule's `bias` modes, the first by default. dialect: or its name, supplies what is
    not given here. representation: "structured", "explicit" (a dense matrix), "sparse" (SciPy, NumPy floats only).
    output: the layer's output at x where you have it, believed as it is: saves a forward pass. trusted: x and relevance are
    known to be finite, so that nobody looks, and relevance that only moves may come back as the same array.

    Layer and rule may be of your own: `lrp_ref.Layer`, `lrp_ref.Rule`.
    Raises `LRPError` for integer or non-finite input, shapes or dtypes that do not fit, parameters or conventions
    that do not exist, and relevance that overflows the dtype. Inputs are never modified.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what overflows is refused in one line
        problem = settle(layer, x, relevance, rule, stabilizer, bias, dialect, representation, output, trusted)
        kernel = kernels.of("received", problem)
        shares = list(normalized(problem)) if kernel is None else []
        received = received_by(problem, shares) if kernel is None else kernel(problem)
    _refuse_inexact(rule, received)
    _refuse_overflow(layer, [*(share.stabilized for share in shares), *(r for r in received if not _same(r, relevance))])
    received = received if trusted else tuple(r.copy() if _same(r, relevance) else r for r in received)
    ledger = _ledger(problem, received, lambda: shares or list(normalized(problem)))
    shaped = tuple(namespace(r).reshape(r, (*problem.lead, *r.shape[1:])) for r in received)
    return Result(shaped if isinstance(x, tuple | list) else shaped[0], ledger)


def _same(received: Array, relevance: Array) -> bool:
    """Whether what was received is the caller's relevance itself, or a view of it."""
    return isinstance(received, np.ndarray) and np.may_share_memory(received, relevance)


def _refuse_overflow(layer: Layer, arrays: list[Array]) -> None:
    """An overflow would hand on infinities, or silently nothing at all."""
    floats = [a for a in arrays if not is_exact(a)]
    if floats and not all_finite(*floats):
        for name, held in fields_of(layer).items():  # a parameter that was written to since the layer was made
            if hasattr(held, "dtype") and hasattr(held, "shape") and held.dtype == floats[0].dtype:
                checked(f"{type(layer).__name__}.{name}", held)
        raise LRPError(
            f"{type(layer).__name__}: a sum or a quotient overflows {floats[0].dtype}; use a wider dtype, or scale the data"
        )


def messages(
    layer: Layer,
    x: Any,
    relevance: Array,
    rule: Rule,
    *,
    stabilizer: Stabilizer | None = None,
    bias: str | None = None,
    dialect: Dialect | str | None = None,
    sparse: bool = False,
) -> Any:
    """The explicit messages R_{i<-j} = sum_k scale n_ji / D_j R_j, (batch, out, in): outputs and inputs flattened.

    Several inputs lie side by side. sparse: instead, a tuple of one `scipy.sparse.csr_array` (out, in) per sample, which
    stores what is connected; NumPy float32 and float64 only. Raises what `propagate` raises.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        problem = settle(layer, x, relevance, rule, stabilizer, bias, dialect, "sparse" if sparse else "explicit")
        shares = list(normalized(problem))
        table = reduce(add, (share.part.n.handed(share.s) for share in shares))
        if problem.bias == "redistribute":
            spread = redistributed(problem, shares)
            table = table + problem.weights.connections().contributions().handed(spread)
    _refuse_overflow(layer, [*(share.stabilized for share in shares), table.values])
    return table.matrices if sparse else table.values


def _refuse_inexact(rule: Rule, received: tuple[Array, ...]) -> None:
    """A float in a formula would turn exact numbers into floats behind the caller's back."""
    if any(isinstance(value, float) for r in received if is_exact(r) for value in r.flat):
        raise LRPError(
            f"{type(rule).__name__}.parts turns exact numbers into floats; hold its numbers in fields, which are converted, "
            "or write them as Fraction(1, 4)"
        )


def _ledger(problem: Problem, received: tuple[Array, ...], shares: Callable[[], list[Share]]) -> Ledger:
    """The account, whose columns are computed when they are read: they cost as much as the relevance."""
    parts = cache(shares)

    def columns() -> dict[str, Array]:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return _columns(problem, parts())

    def bound() -> Array:
        if is_exact(problem.arrived):
            return full((problem.arrived.shape[0],), 0, problem.arrived)
        from lrp_ref.propagation.gauges import ledger_tolerance  # which only checking an account needs

        return ledger_tolerance(problem, parts())

    return Ledger(arrived=problem.arrived, received=received, columns=columns, bound=bound)


def _columns(problem: Problem, shares: list[Share]) -> dict[str, Array]:
    """The ledger's bias, stabilizer, dropped and rho, shaped as the output."""
    xp, arrived = namespace(problem.arrived), problem.flat(problem.arrived)
    kept, withheld = (problem.flat(a) for a in shareable(problem))
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
    columns = {"bias": bias, "stabilizer": stabilizer, "dropped": dropped, "rho": rho}
    return {name: xp.reshape(column + zero, problem.arrived.shape) for name, column in columns.items()}
