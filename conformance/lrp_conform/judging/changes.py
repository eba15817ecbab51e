"""What a row of the catalogue may do to a question: another word, bias mode, stabiliser, linearisation or rule in its place.

A change never looks at the data (that is `has_bias`, `positive_variance`), so that it can be read off any question of its kind.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from lrp_conform.cases.numbers import parse, write
from lrp_conform.cases.question import Question
from lrp_ref.algebra.contributions import Explicit
from lrp_ref.arrays import LRPError
from lrp_ref.rules import CONVENTIONS, RULES, Part

Change = Callable[[Question], Question | None]  # the question that is answered instead; None where the change has no meaning

# What neither a rule nor an op says of itself. Ops that add several inputs up without weights, and so can share by any measure:
SUMS = ("avg-pool", "sum-pool", "global-avg-pool", "add")
POOLS = (*SUMS, "max-pool")
AVERAGES = ("avg-pool", "global-avg-pool")  # whose gradient is an equal share
# Ops with weights, and with a bias that relevance may be kept from or handed to:
WEIGHTED = ("dense", "conv", "conv-transpose")
BIASED = (*WEIGHTED, "batch-norm")
ONE_TO_ONE = ("batch-norm", "lrn", "scale")  # ops through which relevance can be handed on unchanged, though values change
ONE_SIDED = ("z-plus", "z-plus-fast")  # both are alpha1-beta0, by a split of its own


@cache
def _parts(rule: str) -> tuple[np.ndarray, tuple[Part, ...]]:
    """w_ji x_i of a small dense layer of both signs, and the parts of a rule there; none where its defaults do not do."""
    w, x, b = np.asarray([[[2.0, -3.0], [-1.0, 4.0]]]), np.asarray([[0.5, -0.25]]), np.asarray([[5.0, -7.0]])
    try:
        found = RULES[rule]().parts(Explicit(w, abs(w) > 0), x, b, (w * x).sum(axis=-1) + b)
    except (LRPError, TypeError):
        found = []
    return w * x, tuple(found)


def linear(rule: str) -> bool:
    """Whether a rule's contributions are w_ji x_i themselves, in one sum: LRP-0 and what differs from it by its stabiliser."""
    z, parts = _parts(rule)
    return len(parts) == 1 and parts[0].over is None and bool((np.asarray(parts[0].n.values) == z).all())


def hears_bias(rule: str) -> bool:
    """Whether the bias enters a denominator of the rule in some mode."""
    return any(bool(np.any(part.c)) for part in _parts(rule)[1])


def always(q: Question) -> bool:
    return True


def has_bias(q: Question) -> bool:
    bias = q.node["params"].get("bias")
    return q.node["op"] == "batch-norm" or (bias is not None and any(parse(v) for v in bias["data"]))


def has_beta(q: Question) -> bool:
    return any(parse(v) for v in q.node["params"]["beta"]["data"])


def positive_variance(q: Question) -> bool:
    return all(parse(v) > 0 for v in q.node["params"]["variance"]["data"])


def word(name: str, value: str) -> Change:
    """Another value of a rule's convention."""

    def change(q: Question) -> Question | None:
        if name not in q.rule or q.rule[name] == value or q.rewrite is not None:
            return None
        if name == "padding" and q.node["op"] != "conv":
            return None
        return q.with_rule(**{name: value})

    return change


def bias(mode: str) -> Change:
    """Another bias mode, where the rule has it."""

    def change(q: Question) -> Question | None:
        return None if mode == q.rule["bias"] or mode not in RULES[q.rule["rule"]].bias else q.with_rule(bias=mode)

    return change


def beta_alone(q: Question) -> Question | None:
    """Batch norm without its beta, the mean kept: where it is centred beta is all the bias there is."""
    if (
        q.node["op"] != "batch-norm"
        or q.node["attrs"]["linearization"] == "centered"
        or "absorb" not in RULES[q.rule["rule"]].bias
    ):
        return None
    params = q.node["params"]
    if "beta" not in params:
        return None
    beta = {**params["beta"], "data": ["0"] * len(params["beta"]["data"])}
    return q.replace(node={**q.node, "params": {**params, "beta": beta}}).with_rule(bias="absorb")


def stabilizer(kind: str, epsilon: str | None, sign: str = "1") -> Change:
    """Another stabiliser; epsilon None keeps the case's own."""

    def change(q: Question) -> Question | None:
        given = q.rule["stabilizer"]
        if kind == "abs_share" and not linear(q.rule["rule"]):
            return None
        if epsilon is None and given["kind"] == "none" and kind not in ("none", "drop", "abs_share"):
            return None
        if kind in ("none", "drop") and given["kind"] in ("none", "drop"):
            return None
        new = {"kind": kind, "epsilon": given["epsilon"] if epsilon is None else epsilon, "sign_at_zero": sign}
        return None if new == given else q.with_rule(stabilizer=new)

    return change


def decimal(text: str) -> str:
    """A decimal epsilon as the double that every library holds."""
    return write(Fraction(float(text)))


def epsilon_of(factor: Fraction) -> Change:
    """The case's own epsilon times a factor."""

    def change(q: Question) -> Question | None:
        given = q.rule["stabilizer"]
        if parse(given["epsilon"]) == 0 or q.rule["rule"] == "gradient":
            return None
        return q.with_rule(stabilizer={**given, "epsilon": write(parse(given["epsilon"]) * factor)})

    return change


def attr(op: str, name: str, value: Any) -> Change:
    """Another attribute of the layer; an average does not ask which maximum wins."""

    def change(q: Question) -> Question | None:
        attrs = q.node["attrs"]
        unasked = (name, attrs.get("linearization")) == ("ties", "average")
        return q.with_attrs(**{name: value}) if q.node["op"] == op and attrs.get(name) != value and not unasked else None

    return change


def activation(seen: str, other: str) -> Change:
    """Another linearisation of an activation or of a response norm, under the rule that goes with it."""

    def change(q: Question) -> Question | None:
        if q.node["op"] not in ("activation", "lrn") or q.node["attrs"]["linearization"] == seen:
            return None
        return q.with_attrs(linearization=seen).replace(
            rule={"rule": other, "stabilizer": q.rule["stabilizer"], "bias": RULES[other].bias[0]}
        )

    return change


def rule(of: Callable[[str], bool], other: str, mode: str | None, ops: tuple[str, ...] = (), **extra: str) -> Change:
    """Another rule in its place, with the parameters that both have; mode None keeps the case's bias mode."""

    def change(q: Question) -> Question | None:
        if not of(q.rule["rule"]) or (ops and q.node["op"] not in ops) or q.rewrite is not None:
            return None
        kept = {k: v for k, v in q.rule.items() if k in ("stabilizer", "gamma", "low", "high")}
        new = mode or (q.rule["bias"] if q.rule["bias"] in RULES[other].bias else RULES[other].bias[0])
        words = {k: values[0] for k, (values, _) in CONVENTIONS.items() if k in RULES[other].__dataclass_fields__}
        return q.replace(rule={**words, **kept, **extra, "rule": other, "bias": new})

    return change
