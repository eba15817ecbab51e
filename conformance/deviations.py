"""What an implementation may do instead: the named conventions, and the known mistakes.

A deviation turns a case's question into the one that the deviating implementation answers. A *convention* is
legitimate somewhere (a library does it, and says or shows so); a *mistake* is wrong everywhere. The judge looks
for the deviation that reproduces an answer, goldens store which ones they can tell apart, and the self-test
runs every mistake as a candidate.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

from conformance import mistakes
from conformance.case import Question
from conformance.numbers import parse, write
from lrp_ref.dialects import DIALECTS
from lrp_ref.rules import CONVENTIONS, RULES

Change = Callable[[Question], Question | None]


@dataclass(frozen=True)
class Deviation:
    """A named deviation: `change` gives the question it answers, or None where it cannot apply."""

    name: str
    title: str
    mistake: bool
    change: Change


def applicable(question: Question) -> Iterator[tuple[Deviation, Question]]:
    """The deviations that say something about this question, each with the question it answers."""
    for deviation in _ALL:
        changed = deviation.change(question)
        if changed is not None:
            yield deviation, changed


def pairs(question: Question) -> Iterator[tuple[tuple[Deviation, Deviation], Question]]:
    """Two conventions at once, such as a weight-only split with the full bias."""
    found = [d for d, _ in applicable(question) if not d.mistake]
    for first, second in combinations(found, 2):
        if first.name.split(".")[0] == second.name.split(".")[0]:
            continue
        once = first.change(question)
        twice = None if once is None else second.change(once)
        if twice is not None:
            yield (first, second), twice


def padded(question: Question) -> Iterator[tuple[tuple[Deviation, ...], Question]]:
    """Two conventions at once, on a convolution that counts its padding as well."""
    counted = BY_NAME["padding.counted"]
    changed = counted.change(question)
    for by, twice in pairs(changed) if changed is not None else ():
        if not any(d.name.startswith("padding.") for d in by):
            yield (*by, counted), twice


def libraries(question: Question) -> Iterator[tuple[tuple[Deviation, ...], Question]]:
    """Everything that a known library does at once, as its dialect records it."""
    rule, layer = question.rule["rule"], question.node["op"]
    for dialect in DIALECTS.values():
        names = [f"bias.{dialect.biases[rule]}"] if rule in dialect.biases else []
        for key, value in dialect.rules.get(rule, {}).items():
            names.append(f"{key}.{value}")
        names += [f"linearization.{v}" for v in dialect.layers.get("BatchNorm", {}).values() if layer == "batch-norm"]
        stabilizer = dialect.stabilizers.get(rule, dialect.stabilizers["*"])
        names.append(f"stabilizer.{stabilizer.kind}-{stabilizer.epsilon:.0e}".replace("e-0", "e-"))
        chosen = tuple(name for name in names if name in BY_NAME)
        changed = apply(chosen, question) if len(chosen) > 2 else None  # one and two at once are tried anyway
        if changed is not None:
            yield tuple(BY_NAME[name] for name in chosen), changed


def _rule_word(name: str, word: str) -> Change:
    def change(q: Question) -> Question | None:
        if name not in q.rule or q.rule[name] == word or q.rewrite is not None:
            return None
        if name == "padding" and q.node["op"] != "conv":
            return None
        return q.with_rule(**{name: word})

    return change


def _bias(mode: str) -> Change:
    def change(q: Question) -> Question | None:
        if mode == q.rule["bias"] or mode not in RULES[q.rule["rule"]].bias or not _has_bias(q):
            return None
        return q.with_rule(bias=mode)

    return change


def _has_bias(q: Question) -> bool:
    bias = q.node["params"].get("bias")
    return q.node["op"] == "batch-norm" or (bias is not None and any(parse(v) for v in bias["data"]))


def _stabilizer(kind: str, epsilon: str | None, sign: str = "1") -> Change:
    """Another stabiliser; epsilon None keeps the case's own."""

    def change(q: Question) -> Question | None:
        given = q.rule["stabilizer"]
        if kind == "abs_share" and q.rule["rule"] not in ("zero", "epsilon", "norm"):
            return None
        if epsilon is None and given["kind"] == "none" and kind not in ("none", "drop", "abs_share"):
            return None
        if kind in ("none", "drop") and given["kind"] in ("none", "drop"):
            return None
        new = {"kind": kind, "epsilon": given["epsilon"] if epsilon is None else epsilon, "sign_at_zero": sign}
        return None if new == given else q.with_rule(stabilizer=new)

    return change


def _decimal(text: str) -> str:
    """A decimal epsilon as the double that every library holds."""
    return write(Fraction(float(text)))


def _attr(op: str, name: str, word: Any) -> Change:
    def change(q: Question) -> Question | None:
        applies = q.node["op"] == op and q.node["attrs"].get(name) != word
        if op == "batch-norm" and word == "without_epsilon" and applies:
            applies = all(parse(v) > 0 for v in q.node["params"]["variance"]["data"])
        return q.with_attrs(**{name: word}) if applies else None

    return change


def _activation(word: str, rule: str) -> Change:
    """Another linearisation of an activation or of a response norm, under the rule that goes with it."""

    def change(q: Question) -> Question | None:
        if q.node["op"] not in ("activation", "lrn") or q.node["attrs"]["linearization"] == word:
            return None
        return q.with_attrs(linearization=word).replace(
            rule={"rule": rule, "stabilizer": q.rule["stabilizer"], "bias": RULES[rule].bias[0]}
        )

    return change


def _rule(names: tuple[str, ...], other: str, bias: str | None, ops: tuple[str, ...] = (), **extra: str) -> Change:
    """Another rule in its place, with the parameters that both have; bias None keeps the case's mode."""

    def change(q: Question) -> Question | None:
        if q.rule["rule"] not in names or (ops and q.node["op"] not in ops) or q.rewrite is not None:
            return None
        kept = {k: v for k, v in q.rule.items() if k in ("stabilizer", "gamma", "low", "high")}
        mode = bias or (q.rule["bias"] if q.rule["bias"] in RULES[other].bias else RULES[other].bias[0])
        words = {k: values[0] for k, (values, _) in CONVENTIONS.items() if k in RULES[other].__dataclass_fields__}
        return q.replace(rule={**words, **kept, **extra, "rule": other, "bias": mode})

    return change


def _epsilon_of(factor: Fraction) -> Change:
    def change(q: Question) -> Question | None:
        given = q.rule["stabilizer"]
        if parse(given["epsilon"]) == 0 or q.rule["rule"] == "gradient":
            return None
        return q.with_rule(stabilizer={**given, "epsilon": write(parse(given["epsilon"]) * factor)})

    return change


_POOLS = ("avg-pool", "sum-pool", "global-avg-pool", "add", "max-pool")
_EXACT_ZERO = ("zero", "epsilon", "norm")

_CONVENTIONS: tuple[tuple[str, str, Change], ...] = (
    ("bias.split", "bias split by sign", _bias("split")),
    ("bias.absorb", "bias kept, in the rule's own form (b+ in z-plus)", _bias("absorb")),
    ("bias.ignore", "bias ignored", _bias("ignore")),
    ("bias.full_in_both", "full bias in every denominator", _bias("full_in_both")),
    ("bias.raw", "bias left raw, not modified with the weights", _bias("raw")),
    ("bias.square", "bias squared, in the denominator", _bias("square")),
    ("bias.redistribute", "bias handed to the inputs in equal parts", _bias("redistribute")),
    ("bias.share", "relevance reduced by the bias's share of |z| + |b|", _bias("share")),
    *(
        (f"{name}.{word}", f"{what}: {word}", _rule_word(name, word))
        for name, (words, what) in CONVENTIONS.items()
        if name != "parameterization"  # another parameterisation is another alpha and beta, which a case always spells out
        for word in words
    ),
    ("rule.generalized-gamma", "the generalised gamma rule", _rule(("gamma",), "generalized-gamma", None)),
    ("rule.gamma", "the original gamma rule", _rule(("generalized-gamma",), "gamma", None)),
    ("rule.norm-keeps-bias", "the bias kept in the denominator", _rule(("norm",), "zero", "absorb")),
    ("rule.z-plus-fast", "positive weights, inputs not split", _rule(("z-plus",), "z-plus-fast", None)),
    ("rule.z-plus", "positive contributions of both signs", _rule(("z-plus-fast",), "z-plus", None)),
    ("rule.zero", "LRP-0 where values are only moved: x R / x", _rule(("pass",), "zero", "ignore")),
    ("rule.flat", "equal shares, whatever the values", _rule(_EXACT_ZERO, "flat", "ignore", _POOLS)),
    ("rule.abs-z", "shares by magnitude", _rule(_EXACT_ZERO, "abs-z", "ignore", _POOLS)),
    ("rule.gradient", "the plain gradient, no rule", _rule((*_EXACT_ZERO, "pass"), "gradient", "ignore")),
    *((f"ties.{word}", f"ties of max pooling: {word}", _attr("max-pool", "ties", word)) for word in ("first", "last", "split")),
    *(
        (f"linearization.{word}", f"{op} seen as: {word}", _attr(op, "linearization", word))
        for op, words in (
            ("max-pool", ("average",)),
            ("batch-norm", ("affine", "centered", "without_epsilon", "variance_squared", "at_mean_zero")),
        )
        for word in words
    ),
    ("linearization.gradient", "the activation's gradient", _activation("gradient", "gradient")),
    ("linearization.ratio", "the activation's ratio f(x) / x", _activation("ratio", "zero")),
    ("linearization.taylor", "response norms to first order in the neighbours", _attr("lrn", "linearization", "taylor")),
    (
        "batch-norm.quotient-1e-7",
        "quotient by (x - mean) y, stabilised by 1e-7: 0 at x = mean",
        mistakes.batch_norm_quotient(Fraction(1e-7)),
    ),
    ("stabilizer.none", "no stabiliser", _stabilizer("none", "0")),
    ("stabilizer.signed_add-1e-6", "a signed epsilon of 1e-6", _stabilizer("signed_add", _decimal("1e-6"))),
    ("stabilizer.signed_add-1e-9", "a signed epsilon of 1e-9", _stabilizer("signed_add", _decimal("1e-9"))),
    ("stabilizer.replace_zero-1e-7", "exact zeros replaced by 1e-7", _stabilizer("replace_zero", _decimal("1e-7"))),
    ("stabilizer.signed_add", "epsilon added with the sign of z", _stabilizer("signed_add", None)),
    ("stabilizer.unsigned_add", "epsilon added without a sign", _stabilizer("unsigned_add", None)),
    ("stabilizer.clip", "magnitudes clipped from below", _stabilizer("clip", None)),
    ("stabilizer.replace_zero", "exact zeros replaced", _stabilizer("replace_zero", None)),
    ("stabilizer.abs_share", "shares by magnitude", _stabilizer("abs_share", None)),
    ("stabilizer.sign-at-zero-0", "sgn(0) = 0", _stabilizer("signed_add", None, "0")),
    ("stabilizer.sign-at-zero-minus", "sgn(0) = -1", _stabilizer("signed_add", None, "-1")),
)

_MISTAKES: tuple[tuple[str, str, Change], ...] = (
    ("mistake.epsilon-1000-times-smaller", "epsilon a thousand times too small", _epsilon_of(Fraction(1, 1000))),
    ("mistake.epsilon-1000-times-larger", "epsilon a thousand times too large", _epsilon_of(Fraction(1000))),
    *((f"mistake.{name}", title, change) for name, title, change in mistakes.MISTAKES),
)

_ALL = tuple(
    [Deviation(name, title, False, change) for name, title, change in _CONVENTIONS]
    + [Deviation(name, title, True, change) for name, title, change in _MISTAKES]
)
BY_NAME = {deviation.name: deviation for deviation in _ALL}


def apply(names: tuple[str, ...], question: Question) -> Question | None:
    """The question after the named deviations, one after the other; None where one of them cannot apply."""
    changed: Question | None = question
    for name in names:
        changed = None if changed is None else BY_NAME[name].change(changed)
    return changed


def applied(names: tuple[str, ...], question: Question) -> Question | None:
    """The question after those of the named deviations that say something about it; None where none of them does."""
    changes = 0
    for name in names:
        changed = BY_NAME[name].change(question)
        if changed is not None:
            question, changes = changed, changes + 1
    return question if changes else None
