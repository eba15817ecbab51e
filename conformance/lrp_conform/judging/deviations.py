"""The catalogue of what an implementation may do instead: one row per named convention and per known mistake.

A deviation turns a case's question into the one that the deviating implementation answers. A *convention* is
legitimate somewhere (a library does it, and says or shows so); a *mistake* is wrong everywhere. Everything that names
what was done asks these rows: the judge, one at a time, in pairs and as a library has them (below); the card, every
combination of their topics (`diagnosis/readings.py`); networks, each at every node (`judging/network_deviations.py`); and
`compare`, each at the nodes that deviate (`compare/hints.py`). Goldens store which ones they can tell apart, and the
self-test runs every row as a candidate.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

from lrp_conform.cases.question import Question
from lrp_conform.judging import mistakes
from lrp_conform.judging.changes import (  # fmt: skip
    ONE_TO_ONE,
    POOLS,
    WEIGHTED,
    Change,
    activation,
    always,
    attr,
    beta_alone,
    bias,
    decimal,
    epsilon_of,
    has_beta,
    has_bias,
    linear,
    positive_variance,
    rule,
    stabilizer,
    word,
)
from lrp_ref.dialects import DIALECTS
from lrp_ref.layers.normalization import LINEARIZATIONS as NORMS
from lrp_ref.rules import CONVENTIONS


@dataclass(frozen=True)
class Deviation:
    """A named deviation.

    kind: "convention" or "mistake". topic, value: what it is about, and what is done there; of one topic one thing is done.
    instead: the question it answers, None where it has no meaning. shows: whether it may show on the data of a question.
    stored: whether the goldens of this edition list it; a new row waits for the next one, so that goldens keep their bytes.
    """

    name: str
    title: str
    kind: str
    topic: str
    value: str
    instead: Change
    shows: Callable[[Question], bool] = always
    stored: bool = True

    @property
    def mistake(self) -> bool:
        return self.kind == "mistake"

    def change(self, question: Question) -> Question | None:
        """The question it answers, or None where it says nothing."""
        changed = self.instead(question)
        return changed if changed is not None and self.shows(question) else None


def applicable(question: Question) -> Iterator[tuple[Deviation, Question]]:
    """The deviations that say something about this question, each with the question it answers."""
    for deviation in BY_NAME.values():
        changed = deviation.change(question)
        if changed is not None:
            yield deviation, changed


def pairs(question: Question) -> Iterator[tuple[tuple[Deviation, Deviation], Question]]:
    """Two conventions at once, such as a weight-only split with the full bias."""
    found = [d for d, _ in applicable(question) if not d.mistake]
    for first, second in combinations(found, 2):
        if first.topic == second.topic:
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
        if not any(d.topic == counted.topic for d in by):
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


def _row(
    name: str,
    title: str,
    instead: Change,
    shows: Callable[[Question], bool] = always,
    topic: str = "",
    value: str = "",
    kind: str = "convention",
    stored: bool = True,
) -> Deviation:
    """A row; its name is its topic and value, where it is not said otherwise."""
    before, _, after = name.partition(".")
    return Deviation(name, title, kind, topic or before, value or after, instead, shows, stored)


def _only(*names: str) -> Callable[[str], bool]:
    return names.__contains__


def _linear_or_pass(name: str) -> bool:
    return linear(name) or name == "pass"


_ROWS = (
    _row("bias.split", "bias split by sign", bias("split"), has_bias),
    _row("bias.absorb", "bias kept, in the rule's own form (b+ in z-plus)", bias("absorb"), has_bias),
    _row("bias.ignore", "bias ignored", bias("ignore"), has_bias),
    _row("bias.full_in_both", "full bias in every denominator", bias("full_in_both"), has_bias),
    _row("bias.raw", "bias left raw, not modified with the weights", bias("raw"), has_bias),
    _row("bias.square", "bias squared, in the denominator", bias("square"), has_bias),
    _row("bias.redistribute", "bias handed to the inputs in equal parts", bias("redistribute"), has_bias),
    _row("bias.share", "relevance reduced by the bias's share of |z| + |b|", bias("share"), has_bias),
    *(
        _row(f"{name}.{value}", f"{what}: {value}", word(name, value), topic="gamma" if name == "kind" else name)
        for name, (values, what) in CONVENTIONS.items()
        if name != "parameterization"  # another parameterisation is another alpha and beta, which a case always spells out
        for value in values
    ),
    _row("rule.generalized-gamma", "the generalised gamma rule", rule(_only("gamma"), "generalized-gamma", None),
         topic="gamma", value="generalized"),
    _row("rule.gamma", "the original gamma rule", rule(_only("generalized-gamma"), "gamma", None),
         topic="gamma", value="original"),
    _row("rule.norm-keeps-bias", "the bias kept in the denominator", rule(_only("norm"), "zero", "absorb"),
         topic="bias", value="absorb"),
    _row("rule.z-plus-fast", "positive weights, inputs not split", rule(_only("z-plus"), "z-plus-fast", None),
         topic="split", value="weight"),
    _row("rule.z-plus", "positive contributions of both signs", rule(_only("z-plus-fast"), "z-plus", None),
         topic="split", value="joint"),
    _row("rule.zero", "LRP-0 where values are only moved: x R / x", rule(_only("pass"), "zero", "ignore"),
         value="proportional"),
    _row("rule.flat", "equal shares, whatever the values", rule(linear, "flat", "ignore", POOLS), value="equal"),
    _row("rule.abs-z", "shares by magnitude", rule(linear, "abs-z", "ignore", POOLS), value="by magnitude"),
    _row("rule.gradient", "the plain gradient, no rule", rule(_linear_or_pass, "gradient", "ignore")),
    *(_row(f"ties.{value}", f"ties of max pooling: {value}", attr("max-pool", "ties", value))
      for value in ("first", "last", "split")),
    _row("linearization.average", "max-pool seen as: average", attr("max-pool", "linearization", "average")),
    *(_row(f"linearization.{seen}", f"batch-norm seen as: {seen}", attr("batch-norm", "linearization", seen),
           positive_variance if seen == "without_epsilon" else always)
      for seen in NORMS),
    _row("linearization.gradient", "the activation's gradient", activation("gradient", "gradient")),
    _row("linearization.ratio", "the activation's ratio f(x) / x", activation("ratio", "zero")),
    _row("linearization.taylor", "response norms to first order in the neighbours", attr("lrn", "linearization", "taylor")),
    _row("batch-norm.quotient-1e-7", "quotient by (x - mean) y, stabilised by 1e-7: 0 at x = mean",
         mistakes.batch_norm_quotient(Fraction(1e-7)), topic="linearization"),
    _row("stabilizer.none", "no stabiliser", stabilizer("none", "0")),
    _row("stabilizer.signed_add-1e-6", "a signed epsilon of 1e-6", stabilizer("signed_add", decimal("1e-6"))),
    _row("stabilizer.signed_add-1e-9", "a signed epsilon of 1e-9", stabilizer("signed_add", decimal("1e-9"))),
    _row("stabilizer.replace_zero-1e-7", "exact zeros replaced by 1e-7", stabilizer("replace_zero", decimal("1e-7"))),
    _row("stabilizer.signed_add", "epsilon added with the sign of z", stabilizer("signed_add", None)),
    _row("stabilizer.unsigned_add", "epsilon added without a sign", stabilizer("unsigned_add", None)),
    _row("stabilizer.clip", "magnitudes clipped from below", stabilizer("clip", None)),
    _row("stabilizer.replace_zero", "exact zeros replaced", stabilizer("replace_zero", None)),
    _row("stabilizer.abs_share", "shares by magnitude", stabilizer("abs_share", None)),
    _row("stabilizer.sign-at-zero-0", "sgn(0) = 0", stabilizer("signed_add", None, "0")),
    _row("stabilizer.sign-at-zero-minus", "sgn(0) = -1", stabilizer("signed_add", None, "-1")),
    _row("rule.abs-z-of-weights", "shares by magnitude, weights included", rule(linear, "abs-z", None, WEIGHTED),
         value="by magnitude", stored=False),
    _row("rule.pass", "a pass (relevance unchanged)", rule(linear, "pass", "ignore", ONE_TO_ONE), stored=False),
    _row("bias.beta-alone", "beta ignored, the mean kept", beta_alone, has_beta, value="beta ignored, the mean kept",
         stored=False),
    _row("mistake.epsilon-1000-times-smaller", "epsilon a thousand times too small", epsilon_of(Fraction(1, 1000)),
         kind="mistake"),
    _row("mistake.epsilon-1000-times-larger", "epsilon a thousand times too large", epsilon_of(Fraction(1000)),
         kind="mistake"),
    *(_row(f"mistake.{name}", title, change, kind="mistake") for name, title, change in mistakes.MISTAKES),
    _row("mistake.first-input-twice", "the first input's relevance handed to every input", mistakes.first_input_twice,
         topic="rule", value="the first input's, twice", kind="mistake"),
)  # fmt: skip
BY_NAME = {row.name: row for row in _ROWS}


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
