"""What the reference says of a network that is written as nodes and one explicit rule entry per node."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cached_property
from glob import escape
from typing import Any

import lrp_ref as lrp
from lrp_conform.cases import model
from lrp_conform.cases.numbers import exact_array, float_array
from lrp_ref.composites import Assign, Composite
from lrp_ref.network.explain import backward
from lrp_ref.network.graph import inputs_of
from lrp_ref.rules import CONVENTIONS
from lrp_ref.stabilizers import NONE, Stabilizer

Array = Any
Json = dict[str, Any]


@dataclass(frozen=True)
class WrittenNetwork:
    """A network as a case writes it: nodes, a rule entry per node, and the inputs with the relevance at the output."""

    nodes: list[Json]
    rules: dict[str, Json]
    inputs: dict[str, Json]

    @property
    def names(self) -> list[str]:
        """The network's inputs: what nodes read and no node is."""
        return [name for name in self.inputs if name != "relevance"]

    @property
    def output(self) -> str:
        """The node whose value the network returns."""
        return str(self.nodes[-1]["name"])

    def network(self, dtype: str | None = None) -> lrp.Network:
        """The nodes as a network, in rationals or at `dtype`."""
        read = reader(dtype)
        built = []
        for node in self.nodes:
            params = {name: read(data) for name, data in node["params"].items()}
            built.append(lrp.Node(node["name"], model.layer(node, params), node["inputs"]))
        return lrp.Network(built, self.names, [self.output])

    def composite(self, dtype: str | None = None) -> Composite:
        """The rule entries as a composite, every convention given."""
        read = reader(dtype)
        entries = []
        for name, entry in self.rules.items():
            rule, stabilizer, bias = model.rule(entry, read)
            entries.append(Assign(rule, name=escape(name), stabilizer=stabilizer, bias=bias))
        return Composite(entries, "the case's rules")

    def x(self, dtype: str | None = None) -> dict[str, Array]:
        """Input name -> array."""
        return {name: reader(dtype)(self.inputs[name]) for name in self.names}

    def explain(self, dtype: str | None = None, bounds: str | bool = False) -> lrp.Explanation:
        """The relevance at every node and input, in rationals or at `dtype`."""
        seed = reader(dtype)(self.inputs["relevance"])
        return self.network(dtype).explain(self.x(dtype), self.composite(dtype), seed=seed, at="all", bounds=bounds)

    @cached_property
    def exact(self) -> lrp.Explanation:
        """The explanation in rationals."""
        return self.explain()

    @cached_property
    def values(self) -> Mapping[str, Array]:
        """The exact value of every node and input."""
        found: Mapping[str, Array] = self.network().forward(self.x(), at="all")
        return found

    @cached_property
    def messages(self) -> Mapping[tuple[str, str], Array]:
        """(node, what it reads) -> the exact relevance that the node hands to it."""
        net, arriving = self.network(), {self.output: exact_array(self.inputs["relevance"])}
        steps = backward(net, self.composite().assign(net), dict(self.values), arriving)
        return {(s.node.name, name): r for s in steps for name, r in zip(inputs_of(s.node), s.received, strict=True)}


def reader(dtype: str | None) -> Any:
    """What reads a tensor: exactly, or at `dtype`."""
    return exact_array if dtype is None else lambda data: float_array(data, dtype)


def explicit_rules(nodes: list[Json], composite: Composite) -> tuple[list[Json], dict[str, Json]]:
    """The nodes as relevance sees them, and one rule entry per node with every convention the composite gives it."""
    net = unbiased(WrittenNetwork(nodes, {}, {name: {} for name in _read_from_outside(nodes)}).network())
    assigned = composite.assign(net)
    seen, rules = [], {}
    for node in nodes:
        name = node["name"]
        layer, rule, stabilizer, bias = settled(assigned[name], net[name].layer)
        attrs = {key: getattr(layer, key) or v if key in ("linearization", "ties") else v for key, v in node["attrs"].items()}
        seen.append({**node, "attrs": attrs})
        rules[name] = entry(rule, stabilizer, bias)
    return seen, rules


def unbiased(net: lrp.Network) -> lrp.Network:
    """The network with batch norms that leave it to a composite's dialect as what relevance sees them."""

    def left(layer: Any) -> Any:
        return replace(layer, linearization=None) if isinstance(layer, lrp.BatchNorm) else layer

    return replace(net, nodes=[replace(node, layer=left(node.layer)) for node in net.nodes])


def _read_from_outside(nodes: list[Json]) -> list[str]:
    inner = {node["name"] for node in nodes}
    return list(dict.fromkeys(name for node in nodes for name in node["inputs"] if name not in inner))


def settled(entry: Assign, layer: Any) -> tuple[Any, Any, Stabilizer, str]:
    """Layer, rule, stabiliser and bias mode, as `propagate` settles them: the entry, its dialect, the reference."""
    seen, rule, stabilizer, bias = entry.seen(layer), entry.rule, entry.stabilizer, entry.bias
    if entry.dialect is not None:
        seen, rule, stabilizer, bias = entry.dialect.apply(seen, rule, stabilizer, bias)
    if stabilizer is None:
        stabilizer = Stabilizer("signed_add", rule.epsilon) if rule.name == "epsilon" else NONE
    return seen, rule, stabilizer, rule.bias[0] if bias is None else bias


def entry(rule: Any, stabilizer: Stabilizer, bias: str, number: Callable[[Any], Any] | None = None) -> Json:
    """The rule entry of a case, every convention said; `number`: how a parameter is written, usually as text."""
    given = {f.name: getattr(rule, f.name) for f in fields(rule)}
    words = {name: CONVENTIONS[name][0][0] if v is None else v for name, v in given.items() if name in CONVENTIONS}
    numbers = {name: (number or _number)(v) for name, v in given.items() if name not in CONVENTIONS}
    signs = {"kind": stabilizer.kind, "epsilon": _number(stabilizer.epsilon), "sign_at_zero": str(stabilizer.sign_at_zero)}
    return {"rule": rule.name, **words, **numbers, "stabilizer": signs, "bias": bias}


def _number(value: Any) -> str:
    """A parameter as text: the decimal that a float is written as, which is what its library means."""
    return str(Fraction(repr(float(value))) if isinstance(value, float) else Fraction(value))
