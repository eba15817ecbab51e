"""Composites: which rule every node of a network gets."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from importlib import import_module
from types import UnionType
from typing import Any

from lrp_ref.arrays import Array, LRPError
from lrp_ref.dialects import Dialect
from lrp_ref.layers import BatchNorm, Dropout, Identity, Layer, Softmax
from lrp_ref.layers.kinds import RESHAPING, WEIGHTED
from lrp_ref.network.graph import Graph, Node, inputs_of
from lrp_ref.propagation.propagate import Result, propagate
from lrp_ref.rules import RULE
from lrp_ref.stabilizers import Stabilizer
from lrp_ref.text.printing import brief, brief_fields
from lrp_ref.values import ByValue, changed, fields_of, refuse_lacking

REMEDIES = {
    Softmax: ", or strip it with lrp_ref.transforms.strip_softmax",
    BatchNorm: ", or merge it with lrp_ref.transforms.merge_batch_norm",
    Dropout: ", or drop it with lrp_ref.transforms.remove_identity",
    Identity: ", or drop it with lrp_ref.transforms.remove_identity",
}


@dataclass(frozen=True, eq=False)
class Assign(ByValue):
    """The rule of the nodes that match everything given.

    kind: a layer class or several. name: a glob, as "block1.*". when: a predicate of the network and the node.
    position: among the nodes that match so far (among layers with weights where no kind is given), in the network's
    order: "first", "last", an index, or a range; or "input": those that read nothing but the network's inputs, possibly
    reshaped. stabilizer, bias, dialect: as of `propagate`. sees: fields of the layer that relevance sees otherwise, as
    {"linearization": "gradient"}.
    """

    rule: Any
    kind: type | tuple[type, ...] = ()
    name: str = "*"
    position: str | int | range | None = None
    when: Callable[[Graph, Node], bool] | None = None
    stabilizer: Stabilizer | None = None
    bias: str | None = None
    dialect: Dialect | None = None
    sees: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_lacking("Assign: rule", self.rule, RULE, "lrp_ref.Epsilon(1e-6)", "lrp_ref.Rule")
        kinds = self.kind if isinstance(self.kind, tuple) else (self.kind,)
        if not all(isinstance(kind, type | UnionType) for kind in kinds):
            raise LRPError(f"Assign: expected kind as a layer class, or a tuple of them, as lrp_ref.Conv; got {self.kind!r}")
        if not isinstance(self.name, str):
            raise LRPError(f"Assign: expected name as a string, such as 'block1.*'; got {self.name!r}")
        if not isinstance(self.sees, Mapping):
            raise LRPError(f"Assign: expected sees as fields of the layer by name, {{'ties': 'split'}}; got {self.sees!r}")
        if self.position not in ("first", "last", "input", None) and not isinstance(self.position, int | range):
            raise LRPError(f"Assign: position is 'first', 'last', 'input', an index or a range; got {self.position!r}")

    def __repr__(self) -> str:
        return f"Assign({self})"

    def __str__(self) -> str:
        """The rule, what it is for, and the conventions that are given."""
        kinds = self.kind if isinstance(self.kind, tuple) else (self.kind,)
        kind = " | ".join(getattr(k, "__name__", str(k)) for k in kinds)
        held = {f.name: getattr(self, f.name) for f in fields(self)[2:]}
        said = [f"{name}={_told(value)}" for name, value in held.items() if value not in (None, {}, "*")]
        return ", ".join([brief_fields(self.rule), *[kind] * bool(kind), *said])

    def matches(self, net: Graph) -> set[str]:
        """The names of the nodes this entry is for."""
        kinds = self.kind or (WEIGHTED if self.position is not None else object)
        nodes = [node for node in net.nodes if isinstance(node.layer, kinds) and fnmatchcase(node.name, self.name)]
        nodes = [node for node in nodes if self.when is None or self.when(net, node)]
        return {node.name for k, node in enumerate(nodes) if self._at(net, node, k, len(nodes))}

    def _at(self, net: Graph, node: Node, k: int, count: int) -> bool:
        """Whether the k-th of `count` nodes is where this entry belongs."""
        if self.position == "input":
            return reads_inputs_only(net, node)
        if isinstance(self.position, range):
            return k in self.position
        index = {"first": 0, "last": -1}[self.position] if isinstance(self.position, str) else self.position
        return index in (None, k, k - count)

    def propagate(self, layer: Layer, given: tuple[Array, ...], relevance: Array, output: Array) -> Result:
        """The relevance of the layer's inputs, a tuple, by this entry's rule and conventions; `output` is the layer's.

        All of them are known to be finite.
        """
        conventions = {"stabilizer": self.stabilizer, "bias": self.bias, "dialect": self.dialect}
        return propagate(self.seen(layer), given, relevance, self.rule, output=output, trusted=True, **conventions)  # type: ignore[arg-type]

    def seen(self, layer: Any) -> Layer:
        """The layer as relevance sees it."""
        unknown = set(self.sees) - set(fields_of(layer)) if self.sees else set()
        if unknown:
            raise LRPError(f"Assign: {type(layer).__name__} has no {', '.join(sorted(unknown))}; limit the entry with kind=")
        seen: Layer = changed(layer, dict(self.sees))
        return seen


@dataclass(frozen=True)
class Composite:
    """Entries in order: a node takes the first that matches it. Prepend your own: Composite((mine, *preset.entries))."""

    entries: Sequence[Assign]
    name: str = "composite"

    def __post_init__(self) -> None:
        if not isinstance(self.entries, Iterable):
            raise LRPError(f"Composite: expected a list of entries lrp_ref.Assign(rule, kind=...), got {self.entries!r}")
        object.__setattr__(self, "entries", tuple(self.entries))
        for entry in self.entries:
            if not isinstance(entry, Assign):
                raise LRPError(f"Composite: expected entries such as lrp_ref.Assign(rule, kind=...), got {entry!r}")

    def __repr__(self) -> str:
        return f"Composite({self.name!r}, {len(self.entries)} entr{'y' if len(self.entries) == 1 else 'ies'})"

    def __str__(self) -> str:
        """The name, and a line per entry."""
        return "\n".join([self.name, *(f"  {entry}" for entry in self.entries)])

    def assign(self, net: Graph) -> dict[str, Assign]:
        """Node name -> its entry. Raises `LRPError` naming every node that no entry matches."""
        found: dict[str, Assign] = {}
        for entry in self.entries:
            found |= {name: entry for name in entry.matches(net) if name not in found}
        missing = [node for node in net.nodes if node.name not in found]
        if missing:
            kinds = {type(node.layer): None for node in missing}
            nodes = ", ".join(f"{node.name} ({type(node.layer).__name__})" for node in missing)
            advice = "; ".join(f"add Assign(rule, kind={kind.__name__}){REMEDIES.get(kind, '')}" for kind in kinds)
            raise LRPError(f"{self.name}: no rule for {nodes}; {advice}")
        return found


def _told(value: Any) -> str:
    """A convention, in short: dialects by name, stabilisers by kind and epsilon."""
    if isinstance(value, Stabilizer):
        return value.kind if value.kind == "none" else f"{value.kind} {brief(value.epsilon)}"
    return value.name if isinstance(value, Dialect) else brief_fields(value)


def resolved(composite: "Composite | str") -> "Composite":
    """The composite itself, or the preset of the name given: presets lie above, and are looked up when they are named."""
    if not isinstance(composite, str):
        return composite
    preset: Composite = import_module("lrp_ref.composites").named(composite)
    return preset


def reads_inputs_only(net: Graph, node: Node) -> bool:
    """Whether everything the node reads is an input of the network, possibly reshaped."""
    return all(
        name in net.inputs or (isinstance(net[name].layer, RESHAPING) and reads_inputs_only(net, net[name]))
        for name in inputs_of(node)
    )
