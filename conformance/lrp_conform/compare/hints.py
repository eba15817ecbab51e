"""What a library does where it deviates: the rows of the catalogue, the dialects and the other rules, tried in order."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import chain
from typing import Any

import numpy as np

from lrp_conform.cases import model
from lrp_conform.cases.network_reference import entry, settled
from lrp_conform.cases.numbers import parse
from lrp_conform.cases.question import Question
from lrp_conform.compare.check import agrees
from lrp_conform.judging.deviations import BY_NAME, Deviation
from lrp_ref.arrays import Array, LRPError
from lrp_ref.composites import Assign
from lrp_ref.dialects import DIALECTS, Dialect
from lrp_ref.layers import Activation
from lrp_ref.layers.kinds import MOVING
from lrp_ref.network.graph import Node
from lrp_ref.rules import RULES, AlphaBeta, Epsilon, Gradient, Pass
from lrp_ref.stabilizers import NONE, Stabilizer

FEW = 3  # nodes that may be to blame together and are tried one by one
NEAR = 0.01  # of the largest relevance: what is further off needs no bound to be ruled out
SEEN = ("linearization", "ties")  # fields of a layer that relevance may see otherwise
Alternative = Callable[[Node, Assign], Assign]  # what a node gets in the place of its rule
Otherwise = Callable[[Alternative], tuple[Array, Callable[[], Array]]]


def hint(nodes: Sequence[Node], rules: Mapping[str, Assign], got: Array, otherwise: Otherwise, margin: float) -> str:
    """The first alternative for `nodes` that gives what they handed on, within `margin` times its bound; empty if none does."""
    each = nodes if len(nodes) <= FEW else ()
    for title, tried in chain(_plain(nodes), *(_conventions(node, rules[node.name]) for node in each)):
        try:
            relevance, bound = otherwise(tried)
            if _near(got, relevance) and agrees(got, relevance, margin * bound()):
                return f"the library does {title}"
        except LRPError:  # a rule or convention that this layer does not have
            continue
    return ""


def _near(got: Array, relevance: Array) -> bool:
    return bool(np.abs(got - relevance).max(initial=0) <= NEAR * np.abs(got).max(initial=0))


def _plain(nodes: Sequence[Node]) -> Iterator[tuple[str, Alternative]]:
    """What happens to nodes that the library knows no rule for: first to those of one kind, then to all."""
    gradient, kinds = BY_NAME["rule.gradient"].title, [type(n.layer) for n in nodes if not isinstance(n.layer, MOVING)]
    for kind in dict.fromkeys(kinds):
        named = ", ".join(node.name for node in nodes if type(node.layer) is kind)
        yield (
            f"{gradient}, at {named}",
            lambda node, rule, kind=kind: (  # type: ignore[misc]
                Assign(Gradient(), sees=_slope(node)) if type(node.layer) is kind else rule
            ),
        )
    yield f"{gradient}, at all of these", lambda node, rule: Assign(Gradient(), sees=_slope(node))
    yield BY_NAME["rule.pass"].title, lambda node, rule: Assign(Pass(), stabilizer=NONE)


def _slope(node: Node) -> dict[str, str]:
    return {"linearization": "gradient"} if isinstance(node.layer, Activation) else {}


def _conventions(only: Node, rule: Assign) -> Iterator[tuple[str, Alternative]]:
    """At one node the same rule by other conventions, then other rules, each that differs once."""
    known = [_settled(rule, only)]
    for title, assign in _tried(only, rule):
        try:
            means = _settled(assign, only)
        except LRPError:  # conventions that do not go together
            continue
        if means not in known:
            known.append(means)
            yield f"{title}, at {only.name}", lambda node, rule, assign=assign: assign if node is only else rule  # type: ignore[misc]


def _settled(assign: Assign, node: Node) -> tuple[object, ...]:
    layer, *said = settled(assign, node.layer)
    return (*said, *(getattr(layer, name, None) for name in SEEN))


def _tried(node: Node, rule: Assign) -> Iterator[tuple[str, Assign]]:
    rows = [row for row in BY_NAME.values() if not row.mistake]
    plain = [row for row in rows if row.topic == "bias" or row.name == "stabilizer.none"]  # else a dialect first
    yield from _rows(plain, node, rule)
    for name, dialect in DIALECTS.items():
        yield f"the same rule as in {name}", _as_in(dialect, node, replace(rule, dialect=dialect, stabilizer=None, bias=None))
    for epsilon in sorted({s.epsilon for dialect in DIALECTS.values() for s in dialect.stabilizers.values()}, reverse=True):
        yield f"epsilon {epsilon:g}", Assign(Epsilon(epsilon))
        yield f"epsilon {epsilon:g} without the bias", Assign(Epsilon(epsilon), bias="ignore")
    yield from _rows([row for row in rows if row not in plain], node, rule)
    for title, other in {**{name: kind() for name, kind in RULES.items()}, "alpha1-beta0": AlphaBeta(1, 0)}.items():
        yield from ((f"the rule {title} as in {name}", Assign(other, dialect=dialect)) for name, dialect in DIALECTS.items())


def _as_in(dialect: Dialect, node: Node, rule: Assign) -> Assign:
    """The rule in a library, or the one that its layers have where they take none."""
    fixed = dialect.unasked.get(type(node.layer).__name__)
    return rule if fixed is None else Assign(fixed[0], stabilizer=fixed[1])


def _rows(rows: Sequence[Deviation], node: Node, rule: Assign) -> Iterator[tuple[str, Assign]]:
    """What an assignment can say of the rows: other words, rules, stabilisers and linearisations; none of a user's own rule."""
    if rule.rule.name not in RULES:
        return
    question = _question(node, rule)
    for row in rows:
        changed = row.instead(question)
        if changed is not None and changed.rewrite is None and changed.after is None:
            sees = {name: v for name, v in changed.node["attrs"].items() if v != question.node["attrs"][name]}
            try:
                yield row.title, _assigned(changed.rule, {**rule.sees, **sees})
            except LRPError:  # conventions that do not go together
                continue


def _assigned(spec: Mapping[str, Any], sees: Mapping[str, Any]) -> Assign:
    kind, signs = RULES[spec["rule"]], spec["stabilizer"]
    given = {f.name: spec[f.name] for f in fields(kind) if f.name in spec}
    return Assign(
        kind(**{name: model.value(v) if isinstance(v, str) else v for name, v in given.items()}),
        stabilizer=Stabilizer(signs["kind"], float(parse(signs["epsilon"])), int(signs["sign_at_zero"])),
        bias=spec["bias"],
        sees=sees,
    )


def _question(node: Node, rule: Assign) -> Question:
    """The node's layer and rule as the catalogue sees them: the op by its name, without data; numbers as they are."""
    layer, meant, stabilizer, bias = settled(rule, node.layer)
    op = re.sub("(?<=[a-z])(?=[A-Z])", "-", type(layer).__name__).lower()
    attrs = {name: getattr(layer, name) for name in SEEN if hasattr(layer, name)}
    return Question({"op": op, "attrs": attrs, "params": {}, "inputs": []}, entry(meant, stabilizer, bias, lambda v: v), {})
