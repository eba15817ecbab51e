"""What an implementation may have taken a network's rules for: named conventions, namesakes, whole libraries."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from glob import escape
from itertools import chain
from typing import Any

from lrp_conform.cases import model
from lrp_conform.cases.network import NetworkCase
from lrp_conform.cases.network_reference import WrittenNetwork, explicit_rules
from lrp_conform.cases.presets import PRESETS
from lrp_conform.cases.question import Question
from lrp_conform.judging.changes import linear
from lrp_conform.judging.deviations import BY_NAME
from lrp_ref.composites import Assign, Composite
from lrp_ref.dialects import DIALECTS, Dialect
from lrp_ref.rules import CONVENTIONS

Json = dict[str, Any]


@dataclass(frozen=True)
class Hypothesis:
    """Another reading of a case: its name, what it is in words, and the question it answers."""

    name: str
    title: str
    asked: WrittenNetwork


def hypotheses(case: NetworkCase) -> Iterator[Hypothesis]:
    """Every reading that differs from the case's own: one convention at every node, a namesake, a library's dialect."""
    for found in chain(_conventions(case.asked), _namesakes(case), _libraries(case.asked)):
        if (found.asked.nodes, found.asked.rules) != (case.asked.nodes, case.asked.rules):
            yield found


def _conventions(asked: WrittenNetwork) -> Iterator[Hypothesis]:
    """One convention at every node that it says something about."""
    for deviation in BY_NAME.values():
        if deviation.mistake:
            continue
        nodes, rules = list(asked.nodes), dict(asked.rules)
        for k, node in enumerate(asked.nodes):
            changed = deviation.change(Question(node, rules[node["name"]], {}))
            if changed is not None:
                nodes[k], rules[node["name"]] = changed.node, changed.rule
        yield Hypothesis(deviation.name, deviation.title, replace(asked, nodes=nodes, rules=rules))


def _namesakes(case: NetworkCase) -> Iterator[Hypothesis]:
    """The composites of other libraries that have this composite's name."""
    own = case.composite
    for preset in PRESETS:
        if preset.name == own["name"] and preset.library != own["library"]:
            options = {name: own["options"].get(name, v) for name, v in preset.options.items()}
            other = replace(preset, options=options)
            nodes, rules = explicit_rules(_as_computed(case.asked.nodes), other.composite())
            title = f"{preset.name} as {preset.library} means it"
            yield Hypothesis(f"{preset.library}.{preset.name}", title, replace(case.asked, nodes=nodes, rules=rules))


def _as_computed(nodes: list[Json]) -> list[Json]:
    """The nodes before a composite let relevance see them otherwise."""
    usual = {"batch-norm": "affine", "activation": "identity", "max-pool": "winner"}
    return [
        {**node, "attrs": {**node["attrs"], "linearization": usual[node["op"]]}} if node["op"] in usual else node
        for node in nodes
    ]


# Whether a rule's stabiliser is the one that was asked for; the others have the library's own.
KEPT: dict[str, Callable[[str], bool]] = {
    "": lambda rule: True,
    ", its stabilisers included, but for LRP-0 and LRP-epsilon": linear,
    ", its stabilisers included": lambda rule: False,
}


def _libraries(asked: WrittenNetwork) -> Iterator[Hypothesis]:
    """Every rule as a library means it: with the stabilisers that were asked for, and with its own."""
    for dialect in DIALECTS.values():
        nodes = [_layer_of(dialect, node) for node in asked.nodes]
        for said, kept in KEPT.items():
            entries = [_entry_of(dialect, node, asked.rules[node["name"]], kept) for node in nodes]
            seen, rules = explicit_rules(nodes, Composite(entries, dialect.name))
            title = f"every rule as {dialect.library} {dialect.version} means it{said}"
            yield Hypothesis(dialect.name, title, replace(asked, nodes=seen, rules=rules))


def _layer_of(dialect: Dialect, node: Json) -> Json:
    """The node with the library's conventions of its layer."""
    words = dialect.layers.get(type(_layer(node)).__name__, {})
    return {**node, "attrs": {**node["attrs"], **{name: w for name, w in words.items() if name in node["attrs"]}}}


def _layer(node: Json) -> Any:
    return WrittenNetwork([node], {}, {name: {} for name in node["inputs"]}).network().nodes[0].layer


def _entry_of(dialect: Dialect, node: Json, entry: Json, kept: Callable[[str], bool]) -> Assign:
    """The rule with its parameters and without its conventions, which the dialect gives."""
    fixed = dialect.unasked.get(type(_layer(node)).__name__)
    if fixed is not None:
        return Assign(fixed[0], name=escape(node["name"]), stabilizer=fixed[1])
    rule, stabilizer, _ = model.rule(entry)
    said = {f.name: None for f in fields(rule) if f.name in CONVENTIONS and f.name != "parameterization"}
    plain = replace(rule, **said)
    return Assign(plain, name=escape(node["name"]), stabilizer=stabilizer if kept(rule.name) else None, dialect=dialect)
