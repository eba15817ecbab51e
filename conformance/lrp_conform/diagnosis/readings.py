"""Readings of a question: every combination of what the catalogue says may be done instead, stabilisers aside.

A question is first put into the plainest form of its family (z-plus is alpha1-beta0 with a joint split); then, topic by
topic, the rows of `deviations` that have a meaning there are taken or left.
"""

from __future__ import annotations

from collections.abc import Iterator

from lrp_conform.cases import model
from lrp_conform.cases.question import Question
from lrp_conform.judging.changes import AVERAGES, BIASED, ONE_SIDED, ONE_TO_ONE, SUMS, WEIGHTED, hears_bias, linear
from lrp_conform.judging.deviations import BY_NAME
from lrp_ref.arrays import LRPError
from lrp_ref.rules import CONVENTIONS

Reading = tuple[tuple[str, str], ...]  # (topic, value), one for every topic that the question leaves room for
FIRST = ("gamma", "rule")  # topics that put another rule in its place, whose own conventions are not read then
OF_THE_LAYER = ("linearization", "ties")  # topics that are attributes of the layer
UNREAD = ("stabilizer", "mistake")  # topics that are measured, or no convention's
SAME = {  # what another reading says as well: an equal share, and a bias that goes where it would if it were ignored
    *(("rule.gradient", op) for op in AVERAGES),
    *(("bias.redistribute", op) for op in ONE_TO_ONE),
}
AS_ASKED = "as asked"


def readings(question: Question) -> Iterator[tuple[Reading, Question]]:
    """Every reading of a question with the question it makes of it."""
    base = plain(question)
    grown: list[tuple[dict[str, str], Question]] = [({}, base)]
    for topic in _topics():
        more = [({**found, topic: value}, q) for found, read in grown for value, q in _choices(topic, read, base, question)]
        if len(more) > len(grown):
            grown = more
    yield from ((tuple(found.items()), read) for found, read in grown if _built(read))


def family(question: Question) -> str:
    """The rule whose conventions are read: rules that differ by one of them have one name."""
    return model.rule_name(question.rule)


def plain(question: Question) -> Question:
    """The plainest question of a family, from which every member of it is one choice away."""
    rule, op = question.rule["rule"], question.node["op"]
    given = {"stabilizer": question.rule["stabilizer"], "bias": "ignore"}
    if op == "activation" and rule in ("pass", "gradient", "zero"):
        return question.with_attrs(linearization="identity").replace(rule={**given, "rule": "pass"})
    if op in SUMS and (linear(rule) or rule in ("flat", "abs-z")):
        return question.replace(rule={**given, "rule": "norm"})
    if op in BIASED and rule == "norm":
        return question.replace(rule={**given, "rule": "zero"})
    if rule == "generalized-gamma":
        return BY_NAME["rule.gamma"].instead(question) or question
    one_sided = {"alpha": "1", "beta": "0", "parameterization": "difference", "split": own_value(question, "split")}
    if rule in ONE_SIDED:
        return question.replace(rule={**given, **one_sided, "rule": "alpha-beta", "bias": own_value(question, "bias")})
    if rule == "alpha-beta" and question.rule["beta"] == "0":  # there is but one half
        return question.replace(rule={k: v for k, v in question.rule.items() if k != "empty_half"})
    return question


def own_value(question: Question, topic: str) -> str:
    """The value of a topic that the question itself asks for."""
    rule, name = question.rule, str(question.rule["rule"])
    if topic == "bias":
        return "split" if name in ONE_SIDED and rule["bias"] == "absorb" else str(rule["bias"])
    if topic == "rule":
        return {"flat": "equal", "abs-z": "by magnitude"}.get(name, "proportional" if linear(name) else AS_ASKED)
    if topic == "split" and name in ONE_SIDED:
        return {"z-plus": "joint", "z-plus-fast": "weight"}[name]
    if topic == "gamma" and name in ("gamma", "generalized-gamma"):
        return str(rule.get("kind", "generalized"))
    if topic in OF_THE_LAYER:
        return str(question.node["attrs"].get(topic, AS_ASKED))
    return str(rule.get(topic) or (CONVENTIONS[topic][0][0] if topic in CONVENTIONS else AS_ASKED))


def _topics() -> list[str]:
    """The topics of the catalogue that are read, in the order in which they are settled."""
    known = dict.fromkeys(row.topic for row in BY_NAME.values() if row.topic not in UNREAD)
    return [*FIRST, *OF_THE_LAYER, *(topic for topic in known if topic not in (*FIRST, *OF_THE_LAYER))]


def _choices(topic: str, read: Question, base: Question, question: Question) -> list[tuple[str, Question]]:
    """What may be done about a topic: what `read` has, and every row that has a meaning there, in the catalogue's order."""
    rule, op, own = read.rule["rule"], read.node["op"], own_value(read, topic)
    deaf = topic == "bias" and not (op in BIASED and hears_bias(rule))
    deaf |= topic == "linearization" and (rule, op) == ("pass", "batch-norm")
    kept = (base.rule["rule"], question.rule["rule"]) if op in WEIGHTED else (base.rule["rule"],)
    moved = rule not in kept and topic not in FIRST and (op not in WEIGHTED or topic in CONVENTIONS)
    if deaf or moved or read.rewrite is not None or read.after is not None:
        return [(own, read)]
    rows = [row for row in BY_NAME.values() if row.topic == topic]
    found: dict[str, Question] = {} if any(row.value == own for row in rows) else {own: read}
    for row in rows:
        changed = read if row.value == own else row.instead(read)
        if changed is not None and (row.name, op) not in SAME:
            found.setdefault(row.value, changed)
    return list(found.items())


def _built(question: Question) -> bool:
    """Whether the conventions go together."""
    try:
        model.rule(question.rule)
    except LRPError:
        return False
    return True
