"""Laws that every explanation obeys, checked on the user's own layer or model, without goldens.

With R_in = f(x, R) and rounding aside:

- repeated call: f(x, R) again is f(x, R), bit for bit;
- scaling: f(x, 4 R) = 4 f(x, R), bit for bit, and f(x, 0) = 0;
- linear in R: f(x, 2 R - 3 R') = 2 f(x, R) - 3 f(x, R');
- batch: a sample's relevance is what it is alone, and in whatever order the samples come;
- channels: with weights at hand, permuted inputs give permuted relevance, permuted outputs the same;
- conservation: sum R_in = sum R minus what bias, stabiliser and drops take, by the ledger of the reference;
- reference: f is the rule on the layer's own matrix.

How much rounding allows is computed, not chosen. Linearity: with x fixed the denominators are the same, rounded or not, so
only products and sums differ, by gamma_k max_i sum_j |C_ij R_j| where C_ij is what output j hands to input i. Where
denominators are computed anew, their errors act as relative perturbations of x would, which are tried: gamma_k times the
largest |f(x (1 + h s), R) - f(x, R)| / h over signs s, too. The last two laws have the reference's own bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

import lrp_ref as lrp
from lrp_conform.diagnosis import jacobian
from lrp_conform.running import ask
from lrp_ref.algebra.rounding import UNIT_ROUNDOFF

Array = np.ndarray
Explain = Callable[[Array, Array], tuple[Array, Array]]
WIDEST = 12  # outputs that relevance is put on, so that each of them can be asked alone
SIGNS = 8  # perturbations of x that are tried
VACUOUS = 0.1  # of the largest relevance: an allowance above that says nothing


@dataclass(frozen=True)
class Outcome:
    """One law: held, broken, or (None) not decided, and why; where it broke, the first index, and both sides."""

    law: str
    held: bool | None
    note: str = ""
    index: tuple[int, ...] | None = None
    got: float | None = None
    expected: float | None = None
    allowed: float | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """What the user gives: f as `explain`, samples x (two or more), and whatever else is known of the layer.

    layer, rule, conventions: a layer and a rule of `lrp_ref`, and `stabilizer` and `bias` for `lrp_ref.propagate`.
    forward, jacobian: the layer as a function x -> y, and x -> dy/dx (out, in) of one sample where it is not affine.
    make, weight, bias: (weight, bias) -> explain, and the parameters: weight (out, in, ...), bias (out,).
    """

    explain: Explain
    x: Array
    relevance: Array
    layer: Any = None
    rule: Any = None
    conventions: dict[str, Any] = field(default_factory=dict)
    forward: Callable[[Array], Array] | None = None
    jacobian: Callable[[Array], Array] | None = None
    make: Callable[[Array, Array], Explain] | None = None
    weight: Array | None = None
    bias: Array | None = None


@dataclass(frozen=True, eq=False)
class Reference:
    """What the reference gives for x and R, how far rounding may be from it, and by which rule on what."""

    expected: Array
    bound: Array
    note: str


def from_target(explain_target: Callable[[Array, int], tuple[Array, Array]]) -> Explain:
    """f for a library that explains one output at a time: R_in = sum_j (R_j / y_j) explain_target(x, j)."""

    def run_one(asked: dict[str, Any]) -> dict[str, Array]:
        y, relevance = explain_target(asked["x"], asked["target"])
        return {"y": np.asarray(y), "relevance": np.asarray(relevance)}

    def explain(x: Array, relevance: Array) -> tuple[Array, Array]:
        answer = ask.compose(run_one, {"x": x, "relevance": relevance, "dtype": str(x.dtype)})
        return answer["y"], answer["relevance"]

    return explain


def check(subject: Subject, seed: int = 0) -> list[Outcome]:
    """Every law that can be checked with what is given, in the order of the module's text."""
    trial = _Trial(subject, seed)
    laws = (_repeated, _scaled, _linear, _batch, _channels, _conserves, _agrees)
    return [outcome for law in laws for outcome in law(trial)]


class _Trial:
    """The user's function with relevance on a few outputs, what each of these hands on, and what rounding may do."""

    def __init__(self, subject: Subject, seed: int) -> None:
        self.s, self.random = subject, np.random.default_rng(seed)
        self.x, self.dtype = subject.x, str(subject.x.dtype)
        self.R = self._few(np.asarray(subject.relevance, subject.x.dtype))
        self.R2 = self._few(self.random.permutation(self.R.reshape(-1)).reshape(self.R.shape))
        self.base = self.f(self.x, self.R)
        self.size = prod(self.x.shape[1:]) + prod(self.R.shape[1:])

    @cached_property
    def reference(self) -> Reference | str:
        return _reference(self)

    def f(self, x: Array, R: Array, explain: Explain | None = None) -> Array:
        with np.errstate(all="ignore"):  # what is not finite breaks a law
            _, found = (explain or self.s.explain)(x.copy(), R.copy())
        return np.asarray(found)

    def _few(self, R: Array) -> Array:
        """Relevance on at most a dozen outputs of each sample."""
        flat = R.reshape(len(R), -1).copy()
        for row in flat:
            lit = np.flatnonzero(row)
            row[self.random.permutation(lit)[WIDEST:]] = 0
        return flat.reshape(R.shape)

    def work(self, *relevances: Array) -> Array:
        """Per sample, max_i sum_j |C_ij R_j| over all of the relevances, shaped to broadcast against x."""
        total = np.zeros(self.x.shape)
        for R in relevances:
            flat = R.reshape(len(R), -1)
            for j in range(flat.shape[1]):
                if flat[:, j].any():
                    one = np.zeros_like(flat)
                    one[:, j] = flat[:, j]
                    total += np.abs(self.f(self.x, one.reshape(R.shape)).astype(np.float64))
        return _largest(total)

    def sensitivity(self) -> Array:
        """Per sample, the largest |f(x (1 + h s), R) - f(x, R)| / h over a few sign patterns s."""
        h = UNIT_ROUNDOFF[self.dtype] ** 0.5
        steps = (1 + h * self.random.choice((-1.0, 1.0), self.x.shape) for _ in range(SIGNS))
        moved = [np.abs(self.f((self.x * s).astype(self.x.dtype), self.R).astype(np.float64) - self.base) / h for s in steps]
        return _largest(np.max(moved, axis=0))

    def gamma(self, k: int = 16) -> float:
        """gamma of all the roundings that there can be behind an element."""
        u, n = UNIT_ROUNDOFF[self.dtype], self.size + k
        return n * u / (1 - n * u)

    def outcome(self, law: str, got: Array, expected: Array, allowed: Any, note: str = "") -> Outcome:
        """Held, or broken at the first element that is further off than allowed; undecided where that is too much."""
        got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
        if got.shape != expected.shape:
            return Outcome(law, False, f"shape {got.shape}, expected {expected.shape}")
        bound = np.broadcast_to(np.asarray(allowed, np.float64), got.shape)
        wrong = ~(np.abs(got - expected) <= bound)
        if not wrong.any():
            size = float(np.abs(expected).max(initial=0))
            if size and bound.max(initial=0) > VACUOUS * size:
                return Outcome(law, None, "rounding alone could explain a tenth of the relevance here")
            return Outcome(law, True, note, allowed=float(bound.max(initial=0)))
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        return Outcome(law, False, note, at, float(got[at]), float(expected[at]), float(bound[at]))


def _largest(a: Array) -> Array:
    largest: Array = a.reshape(len(a), -1).max(axis=1)
    return largest.reshape(-1, *[1] * (a.ndim - 1))


def _repeated(t: _Trial) -> Iterator[Outcome]:
    yield t.outcome("repeated call", t.f(t.x, t.R), t.base, 0)


def _scaled(t: _Trial) -> Iterator[Outcome]:
    yield t.outcome("scaling", t.f(t.x, 4 * t.R), 4 * t.base, 0, "4 R")
    nothing = t.f(t.x, 0 * t.R)
    yield t.outcome("no relevance", nothing, 0 * nothing if np.isfinite(nothing).all() else 0 * t.base, 0)


def _linear(t: _Trial) -> Iterator[Outcome]:
    other = t.f(t.x, t.R2)
    got = t.f(t.x, 2 * t.R - 3 * t.R2)
    expected = 2 * t.base.astype(np.float64) - 3 * other.astype(np.float64)
    yield t.outcome("linear in R", got, expected, 2 * t.gamma() * 3 * t.work(t.R, t.R2), "2 R - 3 R'")


def _batch(t: _Trial) -> Iterator[Outcome]:
    if len(t.x) < 2:
        yield Outcome("batch", None, "give two samples or more")
        return
    allowed = 2 * t.gamma() * (t.work(t.R) + t.sensitivity())
    alone = np.concatenate([t.f(t.x[n : n + 1], t.R[n : n + 1]) for n in range(len(t.x))])
    yield t.outcome("batch", t.base, alone, allowed, "against each sample alone")
    yield t.outcome("order of samples", t.f(t.x[::-1], t.R[::-1])[::-1], t.base, allowed)


def _channels(t: _Trial) -> Iterator[Outcome]:
    s = t.s
    if s.make is None or s.weight is None:
        return
    bias = np.zeros(s.weight.shape[0], s.weight.dtype) if s.bias is None else s.bias
    allowed = 2 * t.gamma() * (t.work(t.R) + t.sensitivity())
    plain = t.f(t.x, t.R, s.make(s.weight, bias))
    into, out = np.roll(np.arange(t.x.shape[1]), 1), np.roll(np.arange(s.weight.shape[0]), 1)
    moved = t.f(t.x[:, into], t.R, s.make(s.weight[:, into], bias))
    yield t.outcome("permuted inputs", moved, plain[:, into], allowed)
    yield t.outcome("permuted outputs", t.f(t.x, t.R[:, out], s.make(s.weight[out], bias[out])), plain, allowed)


def _conserves(t: _Trial) -> Iterator[Outcome]:
    """sum R_in against sum R minus the ledger of the reference."""
    total, arrived = (a.reshape(len(a), -1).astype(np.float64).sum(axis=1) for a in (t.base, t.R))
    known = t.reference
    if isinstance(known, Reference):
        expected, bound = (a.reshape(len(a), -1).sum(axis=1) for a in (known.expected, known.bound))
        taken = float(np.abs(arrived - expected).max())
        yield t.outcome("conservation", total, expected, bound, f"bias, stabilizer and drops take up to {taken:.3g}")
    else:
        off = float(np.abs(total - arrived).max())
        yield Outcome("conservation", None, f"off by {off:.3g}; the share of the bias is not known: {known}")


def _agrees(t: _Trial) -> Iterator[Outcome]:
    known = t.reference
    if isinstance(known, Reference):
        yield t.outcome("reference", t.base, known.expected, known.bound, known.note)
    else:
        yield Outcome("reference", None, known)


def _reference(t: _Trial) -> Reference | str:
    """What the reference gives, by whatever is known of the layer; or what is missing."""
    s = t.s
    if s.rule is None:
        return "give `rule`, and `layer`, `forward` or `jacobian`"
    if s.layer is not None:
        return Reference(*_of_layer(t), f"{type(s.rule).__name__} on {type(s.layer).__name__}")
    try:
        if s.jacobian is not None:
            matrix = jacobian.from_jacobian(s.jacobian, np.asarray(s.explain(t.x.copy(), t.R.copy())[0]), t.x)
        elif s.forward is not None:
            matrix = jacobian.affine(s.forward, t.x)
        else:
            return "give `layer`, `forward` or `jacobian`"
    except jacobian.NotAffine as why:
        return str(why)
    found = jacobian.relevance_of(matrix, t.x, t.R, s.rule, **s.conventions)
    return Reference(*found, f"{type(s.rule).__name__} on the layer's Jacobian")


def _of_layer(t: _Trial) -> tuple[Array, Array]:
    """What the reference gives on the layer that was named, in float64 at least, and its bound at x's dtype."""
    wide = _widened(t.s.layer)
    values = t.x.astype(np.float64), t.R.astype(np.float64)
    found = lrp.propagate(wide, *values, t.s.rule, **t.s.conventions)
    gauges = lrp.bounds(wide, *values, t.s.rule, **t.s.conventions)
    (bound,), (own,) = gauges.allowed(t.dtype), gauges.allowed("float64")
    return np.asarray(found.relevance), np.asarray(bound) + np.asarray(own)


def _widened(layer: Any) -> Any:
    """The layer with its arrays in float64, which holds every float32."""
    arrays = {f.name: getattr(layer, f.name) for f in fields(layer)}
    return replace(layer, **{n: np.asarray(a, np.float64) for n, a in arrays.items() if isinstance(a, np.ndarray)})
