"""How far an honest floating-point evaluation may lie from the exact relevance: a theorem per element.

Standard model: fl(a o b) = (a o b)(1 + delta), |delta| <= u, plus underflow; gamma_k = k u / (1 - k u). With the work
gauge A_ji >= |n_ji| of every admissible way of forming a contribution, fan-in m, fan-out n, and per part

    Z_j = sum_i A_ji + |c_j|,   kappa_j = Z_j / |D_j|,   rho_j = gamma_(m+3) kappa_j + 2u
    G_i = sum |scale_j| A_ji |R_j| / |D_j|,   H_i = the same sum weighted by kappa_j

the first-order bound is B_i = u [(n + 7) G_i + (m + 3) H_i]. `allowed` returns the rigorous form

    B_i = [((1 + gamma_(n+4))(1 + u) - 1 + 2u) G_i + gamma_(m+3) H_i] / (1 - max_j rho_j) + eta S_i

for any summation order, blocking, fused operations, and the plans x * (W^T (R / D)), (n R) / D and (n / D) R.
The derivation follows the error analysis of inner products in Higham, Accuracy and Stability of Numerical
Algorithms (2002, doi:10.1137/1.9780898718027), ch. 3.
"""

from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from operator import add
from typing import Any

import numpy as np

from lrp_ref.algebra.contributions import Separable, Structured
from lrp_ref.algebra.rounding import SMALLEST, UNIT_ROUNDOFF, gamma
from lrp_ref.arrays import Array, LRPError, absolute, all_finite, count_of, flattened, full, is_exact, namespace, number, where
from lrp_ref.biases import MODES
from lrp_ref.dialects import Dialect
from lrp_ref.layers import Layer
from lrp_ref.layers.maps import DenseMap
from lrp_ref.propagation.settle import Problem, settle
from lrp_ref.propagation.shares import Share, as_tuple, normalized, parts_of
from lrp_ref.rules import Part, Rule
from lrp_ref.stabilizers import Stabilizer
from lrp_ref.text.printing import shapes


@dataclass(frozen=True, eq=False)
class Gauges:
    """The gauges of one propagation. G, H, S: one array per input, shaped as the input.

    Y: sum_i |w_ji x_i| + |b_j|, the forward gauge, shaped as the output. fan_in and fan_out count the roundings behind
    one denominator and one input's sum; kappa is the largest condition number of a denominator that relevance meets.
    total_G, total_H: per sample, the gauges of the total, in which errors of a denominator move relevance between
    inputs without changing more than the row sum.
    """

    G: tuple[Array, ...]
    H: tuple[Array, ...]
    S: tuple[Array, ...]
    Y: Array
    fan_in: int
    fan_out: int
    kappa: Any
    total_G: Array
    total_H: Array

    def __repr__(self) -> str:
        fans = f"fan in {self.fan_in}, fan out {self.fan_out}"
        return f"Gauges(inputs {shapes(self.G)}, output {tuple(self.Y.shape)}; {fans}, kappa {float(self.kappa):.3g})"

    def __str__(self) -> str:
        """The same, and the largest bound at every dtype."""
        bounds = {dtype: max((float(B.max()) for B in self.allowed(dtype) if B.size), default=0.0) for dtype in UNIT_ROUNDOFF}
        return f"{self!r}\nlargest bound: " + ", ".join(f"{dtype} {B:.3g}" for dtype, B in bounds.items())

    def allowed(self, dtype: str) -> tuple[Any, ...]:
        """The rigorous bound B of every element at `dtype` ("float64", "float32", "float16", "bfloat16").

        One float64 array per input, shaped as the input; infinite where the condition number leaves nothing.
        """
        columns = zip(self.G, self.H, self.S, strict=True)
        return tuple(
            allowed(in_float64(G), in_float64(H), in_float64(S), self.fan_in, self.fan_out, float(self.kappa), dtype)
            for G, H, S in columns
        )


def bounds(
    layer: Layer,
    x: Any,
    relevance: Array,
    rule: Rule,
    *,
    stabilizer: Stabilizer | None = None,
    bias: str | None = None,
    dialect: Dialect | str | None = None,
) -> Gauges:
    """How far an honest evaluation of `propagate` with the same arguments may lie from the exact relevance, element by element.

    A gauge is a sum of magnitudes: how much is added up, cancelled and divided on the way to one element, in the arithmetic
    of x (in float64 where that overflows). Gauges do not depend on the dtype that is judged; `allowed(dtype)` turns them into
    the bound B of every element at that dtype. |error| <= B holds for any order of summation, any blocking and fused
    operations; with tau = |error| / B, the largest tau tells how much of what is allowed was used.

    >>> import numpy as np
    >>> import lrp_ref as lrp
    >>> W, b, x, R = (np.asarray(a, np.float32) for a in ([[5, -1]], [-1], [[1, 1]], [[1]]))
    >>> single = lrp.propagate(lrp.Dense(W, b), x, R, lrp.Zero()).relevance  # 5/3 and -1/3, rounded
    >>> W, b, x, R = map(lrp.exact, (W, b, x, R))
    >>> gauges = lrp.bounds(lrp.Dense(W, b), x, R, lrp.Zero())
    >>> (B,) = gauges.allowed("float32")  # one array per input
    >>> [f"{bound:.2g}" for bound in B[0]]
    ['2e-06', '3.9e-07']
    >>> error = np.abs(lrp.exact(single) - lrp.propagate(lrp.Dense(W, b), x, R, lrp.Zero()).relevance)
    >>> bool((error <= B).all())
    True

    Raises what `propagate` raises.
    """
    problem = settle(layer, x, relevance, rule, stabilizer, bias, dialect)
    shares = list(normalized(problem))
    with np.errstate(over="ignore", invalid="ignore"):
        found = gauges(problem, shares)
    fits = is_exact(problem.arrived) or all(map(all_finite, (*found.G, *found.H, *found.S, found.total_G, found.total_H)))
    return found if fits else gauges(*_widened(problem, shares))


def gauges(problem: Problem, shares: list[Share]) -> Gauges:
    """The gauges of a settled problem and its normalised parts."""
    affine, weights, inputs = problem.affine, problem.weights, problem.inputs
    zero = 0 * problem.arrived
    m, n = fan(problem)
    forward = (weights * inputs).gauge().rows() + _bias_work(problem) + zero
    columns, kappa, total_H = [], number(0, zero), zero
    for share in shares:
        A = share.part.n.gauge()
        Z = A.rows() + constant_work(problem, share, forward) + zero
        live = share.active != 0
        D = where(live, absolute(share.stabilized), 1)
        condition = where(live, Z / D, 0)
        if share.part.over is not None:
            condition = 0 * condition if share.part.over_work is None else where(live, share.part.over_work / D, 0)
        if problem.bias == "share":
            total = absolute((weights * inputs).rows() + zero)
            condition = condition + where(total != 0, forward / where(total != 0, total, 1), 0) + 1
        t = absolute(share.s)
        columns.append(_column(problem, A, share, t, condition, m))
        if problem.bias == "redistribute":
            added = share.stabilized - share.d
            spread = absolute(share.part.c) + absolute(added) + where(added != 0, absolute(share.stabilized), 0)
            flat = weights.connections().contributions()
            count = flat.rows() + zero
            u = t * where(count != 0, spread / where(count != 0, count, 1), 0)
            columns.append(_column(problem, flat, share, u, condition + 1, m))
        serves = live & (problem.arrived != 0)
        seen = namespace(zero).reshape(where(serves, condition, 0), (-1,))
        if count_of(zero):
            kappa = max([kappa, *seen]) if is_exact(zero) else max(kappa, float(namespace(zero).max(seen)))
        handed = share.d - share.part.c - (0 if share.padding is None else share.padding)
        if problem.bias == "redistribute":  # what the bias and the stabiliser took is handed on too
            handed = handed + share.part.c + share.stabilized - share.d
        total_H = total_H + absolute(handed * t) * condition
    G, H, S = ([reduce(add, (c[k][i] for c in columns)) for i in range(len(affine.inputs))] for k in range(3))
    per_sample = [_per_sample(g) for g in G]
    return Gauges(
        G=tuple(G), H=tuple(H), S=tuple(S), Y=forward, fan_in=m, fan_out=n, kappa=kappa,
        total_G=reduce(add, per_sample), total_H=_per_sample(total_H),
    )  # fmt: skip


def _in_structure(problem: Problem, shares: list[Share]) -> tuple[Problem, list[Share]]:
    """The denominators at hand over structured contributions, which alone carry the work gauge."""
    twin = problem.structured_twin()
    parts = parts_of(twin, twin.affine.bias)

    def shaped(a: Array, like: Array) -> Array:
        return namespace(like).reshape(a + 0 * like, twin.affine.y.shape)

    moved = []
    for share, part in zip(shares, parts, strict=True):
        arrays = {name: shaped(getattr(share, name), share.d) for name in ("d", "stabilized", "s", "active")}
        some = {"padding": share.padding, "work": share.part.work, "over_work": share.part.over_work}
        some = {name: None if a is None else shaped(a, share.d) for name, a in some.items()}
        padding = some.pop("padding")
        whole = share.part._replace(n=part.n, c=shaped(share.part.c, share.d), **some)
        moved.append(Share(whole, padding=padding, **arrays))
    return twin, moved


def _widened(problem: Problem, shares: list[Share]) -> tuple[Problem, list[Share]]:
    """The same problem and parts with every array in float64."""

    def structure(V: Structured) -> Structured:
        maps = (DenseMap(_wide(m.weight)) if isinstance(m, DenseMap) else m.mapped(_wide) for m in V.maps)  # none lazily
        return Structured(tuple(maps), V.ones.map(_wide))

    def moved(share: Share) -> Share:
        n = Separable(tuple((structure(V), u.map(_wide)) for V, u in share.part.n.terms))
        return Share(Part(n, *map(_wide, share.part[1:])), *map(_wide, share[1:]))

    affine = problem.affine
    fields = {name: _wide(getattr(affine, name)) for name in ("bias", "y", "bias_work")}
    fields["output"] = fields.pop("y")
    affine = replace(affine, inputs=tuple(map(_wide, affine.inputs)), **fields)
    weights, inputs = structure(problem.weights), problem.inputs.map(_wide)
    twin = replace(problem, affine=affine, weights=weights, inputs=inputs, arrived=_wide(problem.arrived))
    return twin, [moved(share) for share in shares]


def _wide(a: Any) -> Any:
    """A float array in float64; masks, numbers and None as they are."""
    is_float = hasattr(a, "dtype") and namespace(a).isdtype(a.dtype, "real floating")
    return namespace(a).astype(a, namespace(a).float64) if is_float else a


def fan(problem: Problem) -> tuple[int, int]:
    """The largest fan-in and fan-out, each with the roundings that a computed weight brings."""
    flat = problem.weights.connections().contributions()
    xp, ones = namespace(problem.arrived), full((1, *problem.affine.y.shape[1:]), 1, problem.arrived)
    rows = flat.rows() if problem.padded is None else problem.padded[0][0].connections().contributions().rows()
    fan_in = round(float(xp.max(rows))) if count_of(rows) else 0
    fan_out = max((round(float(xp.max(a))) if count_of(a) else 0 for a in flat.distribute(ones)), default=0)
    return fan_in + problem.affine.roundings, fan_out + problem.affine.roundings


def _column(problem: Problem, A: Any, share: Share, t: Array, condition: Array, m: int) -> tuple[Any, Any, Any]:
    """G, H and S of one part: how rounding, ill-conditioning and underflow reach every input."""
    live = share.active != 0
    inverse = where(live, 1 / where(live, absolute(share.stabilized), 1), 0)
    G, H = as_tuple(A.distribute(t)), as_tuple(A.distribute(t * condition))
    return G, H, underflow(problem, A, t, inverse, m)


def underflow(problem: Problem, A: Any, t: Array, inverse: Array, m: int) -> tuple[Array, ...]:
    """S, how many smallest numbers of the format every input may be off by: t = |scale R / D|, inverse = 1 / |D|."""
    one = full(inverse.shape, 1, inverse)
    through = as_tuple(A.distribute(one + (m + 3) * t * inverse))
    size = as_tuple(problem.weights.connections().contributions().distribute(t + inverse + one))
    return tuple(a + (absolute(x) + 1) * s + 1 for a, x, s in zip(through, problem.affine.inputs, size, strict=True))


def constant_work(problem: Problem, share: Share, forward: Array) -> Array:
    """The magnitudes behind c_j, behind taps on padding, and behind a stabiliser that depends on other outputs."""
    part = share.part
    work = absolute(part.c) if part.work is None else part.work
    extra = _bias_work(problem) - absolute(problem.affine.bias)
    work = work + (2 * extra if MODES[problem.bias].seen else 0)
    if share.padding is not None:
        work = work + absolute(share.padding)
    if not problem.stabilizer.known:
        kind = problem.stabilizer.kind
        raise LRPError(
            f"bounds are not known for the stabilizer {kind!r}: say in its row of KINDS if it is coupled or has a pole"
        )
    if problem.stabilizer.coupled:
        xp = namespace(forward)
        work = work + problem.epsilon * ((xp.max(forward) if count_of(forward) else 0) + absolute(share.stabilized - share.d))
        work = work + absolute(share.stabilized - share.d) * count_of(share.d)
    return work


def in_float64(a: Array) -> Array:
    """A gauge as float64: exact ones rounded, arrays of other namespaces at their own highest precision."""
    xp = namespace(a)
    return np.asarray([float(v) for v in a.reshape(-1)]).reshape(a.shape) if is_exact(a) else xp.astype(a, xp.float64)


def _bias_work(problem: Problem) -> Array:
    return absolute(problem.affine.bias) if problem.affine.bias_work is None else problem.affine.bias_work


def _per_sample(a: Array) -> Array:
    return namespace(a).sum(flattened(a), axis=-1)


def allowed(G: Any, H: Any, S: Any, fan_in: int, fan_out: int, kappa: float, dtype: str) -> Any:
    """The rigorous bound B of every element at `dtype`, as float64; infinite where the condition number is hopeless."""
    if dtype not in UNIT_ROUNDOFF:
        raise LRPError(f"bounds are known for {', '.join(UNIT_ROUNDOFF)}; got dtype {dtype!r}")
    u, eta = UNIT_ROUNDOFF[dtype], SMALLEST[dtype]
    rho = gamma(fan_in + 3, u) * kappa + 2 * u
    if not rho < 1:
        return G * 0 + float("inf")
    spread = (1 + gamma(fan_out + 4, u)) * (1 + u) - 1 + 2 * u
    return (spread * G + gamma(fan_in + 3, u) * H) / (1 - rho) + eta * S


def ledger_tolerance(problem: Problem, shares: list[Share]) -> Array:
    """Per sample, how far the audit identity may be off in floats: every element's bound, and the sums."""
    if not hasattr(problem.weights, "maps"):
        problem, shares = _in_structure(problem, shares)
    dtype = str(problem.arrived.dtype).rsplit(".", 1)[-1]
    if dtype != "float16":  # whose range is too small for gauges
        with np.errstate(over="ignore", invalid="ignore"):
            tolerance = _tolerance(problem, shares, dtype)
        if dtype == "float64" or all_finite(tolerance):
            return tolerance
    return _tolerance(*_widened(problem, shares), dtype)


def _tolerance(problem: Problem, shares: list[Share], dtype: str) -> Array:
    """The tolerance at `dtype`, computed in the dtype at hand."""
    found = gauges(problem, shares)
    u = UNIT_ROUNDOFF[dtype]
    terms = problem.arrived.shape[-1] + sum(prod(a.shape[1:]) for a in (*found.G, problem.arrived))
    reach = found.total_G + found.total_H + _per_sample(absolute(problem.arrived))
    elements = reduce(
        add,
        (
            _per_sample(allowed(G, H, S, found.fan_in, found.fan_out, float(found.kappa), dtype))
            for G, H, S in zip(found.G, found.H, found.S, strict=True)
        ),
    )
    return elements + 4 * (terms + 8) * u * reach
