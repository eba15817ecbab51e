"""A network: a graph of named nodes, each a layer and the names of the values it reads.

    Network([Node("conv", Conv(w, b)), Node("relu", Activation()), Node("sum", Add(), ("relu", "x"))])

A node without `inputs` reads the node listed before it, the first one the network's input. The last node listed is the
output unless `outputs` names others. Nodes may be listed in any order; one layer may serve several nodes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lrp_ref.arrays import Array, LRPError, all_finite, is_exact
from lrp_ref.layers.affine import LAYER, Layer, arity
from lrp_ref.propagation.settle import output
from lrp_ref.text.nearest import nearest
from lrp_ref.text.printing import brief_fields
from lrp_ref.values import refuse_lacking


@dataclass(frozen=True)
class Node:
    """A layer in a network: `name` is what others read it by, `inputs` the names of what it reads, in the layer's order."""

    name: str
    layer: Layer
    inputs: Sequence[str] | None = None


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which every node follows what it reads; `inputs` and `outputs` are names.

    Raises `LRPError` for names that are taken or unknown, cycles, nodes that reach no output and inputs that nobody reads.
    """

    nodes: Sequence[Node]
    inputs: Sequence[str] = ("x",)
    outputs: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("inputs", "outputs"):
            object.__setattr__(self, name, _names(name, getattr(self, name)))
        if not isinstance(self.nodes, Iterable):
            raise LRPError(f"Network: expected a list of nodes, got {type(self.nodes).__name__}")
        linked = _linked(list(self.nodes), self.inputs[:1])
        object.__setattr__(self, "outputs", self.outputs or (linked[-1].name,))
        _check_names(linked, self.inputs, self.outputs)
        object.__setattr__(self, "nodes", _ordered(linked, self.inputs))
        _check_reached(self)

    def __repr__(self) -> str:
        kinds = [f"{node.name} {type(node.layer).__name__}" for node in self.nodes[:6]]
        more = ["..."] * (len(self.nodes) > 6)
        count = f"{len(self.nodes)} node{'s' * (len(self.nodes) != 1)}"
        return f"Network({count}, {', '.join(self.inputs)} -> {', '.join(self.outputs)}: {', '.join([*kinds, *more])})"

    def __str__(self) -> str:
        """A line per node: its name, its layer, and what it reads."""
        width = max(len(node.name) for node in self.nodes)
        rows = [f"  {node.name:{width}}  {brief_fields(node.layer)} of {', '.join(inputs_of(node))}" for node in self.nodes]
        return "\n".join([f"network: {', '.join(self.inputs)} -> {', '.join(self.outputs)}", *rows])

    def __getitem__(self, name: str) -> Node:
        """The node `name`."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise LRPError(f"no node {name!r}; {_meant(name, [node.name for node in self.nodes])}")

    def readers(self, name: str) -> tuple[Node, ...]:
        """The nodes that read the value `name`, in order."""
        return tuple(node for node in self.nodes if name in node.inputs)  # type: ignore[operator]

    def forward(self, x: Any, *, at: Iterable[str] | None = None) -> Any:
        """The output at x, an array with the batch first (name -> array for several inputs).

        Returns an array, or name -> array where the network has several outputs or `at` names what is wanted: nodes,
        inputs, or "all". Raises `LRPError` with the node's name for whatever a layer refuses.
        """
        kept = self.outputs if at is None else self.names_at(at)
        values = run(self, self.named_inputs(x), kept)
        return values[self.outputs[0]] if at is None and len(self.outputs) == 1 else {name: values[name] for name in kept}

    def named_inputs(self, x: Any) -> dict[str, Array]:
        """x as name -> array, one for every input."""
        if not isinstance(x, Mapping):
            if len(self.inputs) > 1 or isinstance(x, tuple | list):
                shape = "{" + ", ".join(f"{name!r}: array" for name in self.inputs) + "}"
                raise LRPError(f"x: expected {shape}, got {type(x).__name__}")
            x = {self.inputs[0]: x}
        if set(x) != set(self.inputs):
            raise LRPError(f"x: expected arrays for {', '.join(self.inputs)}; got {', '.join(map(str, x)) or 'none'}")
        batches = {name: tuple(getattr(a, "shape", ()))[:1] for name, a in x.items()}
        for name, a in x.items():
            if not hasattr(a, "shape"):
                raise LRPError(
                    f"{name}: expected an array, got {type(a).__name__}; use numpy.asarray(...) or lrp_ref.exact(...)"
                )
            if len(a.shape) < 2:
                raise LRPError(f"{name}: expected the batch axis first, got shape {tuple(a.shape)}; one sample is x[None, ...]")
        if len(set(batches.values())) > 1:
            raise LRPError(f"x: expected one batch size, got {', '.join(f'{n} {b[0]}' for n, b in batches.items())}")
        return {name: x[name] for name in self.inputs}

    def names_at(self, at: Iterable[str]) -> tuple[str, ...]:
        """`at` as names of nodes and inputs; "all" is every one of them."""
        known = (*self.inputs, *(node.name for node in self.nodes))
        if at == "all":
            return known
        if not isinstance(at, Iterable):
            raise LRPError(f"at: expected names of nodes and inputs, or 'all'; got {at!r}")
        wanted = (at,) if isinstance(at, str) else tuple(at)
        for name in wanted:
            if name not in known:
                raise LRPError(f"at: no node or input {name!r}; {_meant(name, known)}")
        return wanted


def run(
    net: Graph, given: Mapping[str, Array], kept: Iterable[str], progress: Callable[[Node], None] | None = None
) -> dict[str, Array]:
    """The values `kept` of the forward pass; every other value is let go once its last reader has run.

    progress: called with every node that has run.
    """
    values, kept = dict(given), set(kept)
    for node, done in zip(net.nodes, _last_read(net), strict=True):
        with naming(node):
            _refuse_single(node.layer, values[inputs_of(node)[0]])
            known = not any(name in given for name in inputs_of(node))  # what a node returned is finite
            values[node.name] = output(node.layer, *(values[name] for name in inputs_of(node)), trusted=known)
            if not getattr(node.layer, "selects", False):
                _refuse_overflow(values[node.name])
        for name in done - kept:
            del values[name]
        if progress is not None:
            progress(node)
    return values


def inputs_of(node: Node) -> tuple[str, ...]:
    """The names that a node of a network reads."""
    return tuple(node.inputs or ())


class naming:
    """Puts the node's name before what its layer refuses."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, LRPError):
            raise LRPError(f"node {self.node.name!r}: {error}") from None


def _last_read(net: Graph) -> Iterator[set[str]]:
    """For every node, the values that no later node reads."""
    last = {name: node.name for node in net.nodes for name in inputs_of(node)}
    for node in net.nodes:
        yield {name for name in inputs_of(node) if last[name] == node.name}


def _refuse_single(layer: Layer, x: Array) -> None:
    """Else the axis after the missing one would pass for that of classes."""
    if layer.axes is not None and x.ndim == layer.axes:
        shape, kind = tuple(x.shape), type(layer).__name__
        raise LRPError(f"{kind}: expected x with the batch axis first, got shape {shape}; one sample is x[None, ...]")


def _refuse_overflow(y: Array) -> None:
    if not is_exact(y) and not all_finite(y):
        raise LRPError(f"its output overflows {y.dtype}; use a wider dtype, or scale the data")


def _names(what: str, names: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(names, Iterable):
        raise LRPError(f"Network: expected {what} as names, got {names!r}")
    names = (names,) if isinstance(names, str) else tuple(names)
    if what == "inputs" and not names:
        raise LRPError("Network: expected at least one input name, got none")
    for name in names:
        if not isinstance(name, str) or names.count(name) > 1:
            raise LRPError(f"Network: expected {what} as different names, got {name!r} in {names}")
    return names


def _linked(nodes: list[Any], first: Sequence[str]) -> list[Node]:
    """The nodes with their inputs spelled out."""
    if not nodes:
        raise LRPError("Network: expected at least one node, got none")
    linked: list[Node] = []
    for node in nodes:
        if not isinstance(node, Node):
            raise LRPError(f"Network: expected nodes such as Node('conv1', layer), got {type(node).__name__}")
        if not isinstance(node.name, str) or not node.name:
            raise LRPError(f"Network: expected a node's name as a string, got {node.name!r}")
        with naming(node):
            refuse_lacking("layer", node.layer, LAYER, "lrp_ref.Dense(weight)", "lrp_ref.Layer")
        before = [n.name for n in linked[-1:]] or list(first)
        inputs = before if node.inputs is None else [node.inputs] if isinstance(node.inputs, str) else list(node.inputs)
        count = arity(node.layer)
        if not inputs or count not in (None, len(inputs)):
            expected = "at least one input" if count is None else f"{count} input(s)"
            raise LRPError(f"node {node.name!r}: {type(node.layer).__name__} takes {expected}, got {len(inputs)}")
        linked.append(replace(node, inputs=tuple(inputs)))
    return linked


def _check_names(nodes: list[Node], inputs: Sequence[str], outputs: Sequence[str]) -> None:
    names = [node.name for node in nodes]
    for name in names:
        if name in inputs or names.count(name) > 1:
            where = "an input of the network" if name in inputs else "another node"
            raise LRPError(f"node {name!r}: {where} has the same name; rename one of them")
    known = {*inputs, *names}
    for node in nodes:
        for name in inputs_of(node):
            if name not in known:
                raise LRPError(f"node {node.name!r} reads {name!r}, no node or input; {_meant(name, known)}")
    for name in outputs:
        if name not in names:
            raise LRPError(f"output {name!r} is no node; {_meant(name, names)}")


def _ordered(nodes: list[Node], inputs: Sequence[str]) -> tuple[Node, ...]:
    """The nodes in the order listed, as far as every node follows what it reads."""
    ready, placed, waiting = set(inputs), list[Node](), nodes
    while waiting:
        later = []
        for node in waiting:
            if ready.issuperset(inputs_of(node)):
                placed.append(node)
                ready.add(node.name)
            else:
                later.append(node)
        if len(later) == len(waiting):
            raise LRPError(f"nodes read each other in a cycle: {' <- '.join(_cycle(later))}; one of them needs another input")
        waiting = later
    return tuple(placed)


def _cycle(nodes: list[Node]) -> list[str]:
    reads = {node.name: inputs_of(node) for node in nodes}
    path = [nodes[0].name]
    while path.count(path[-1]) < 2:
        path.append(next(name for name in reads[path[-1]] if name in reads))
    return path[path.index(path[-1]) :]


def _check_reached(net: Graph) -> None:
    reached = set(net.outputs)
    for node in reversed(net.nodes):
        if node.name in reached:
            reached.update(inputs_of(node))
    dead = [node.name for node in net.nodes if node.name not in reached]
    if dead:
        raise LRPError(f"nodes that reach no output: {', '.join(dead)}; remove them, or name them in outputs=")
    unread = [name for name in net.inputs if name not in reached]
    if unread:
        raise LRPError(f"inputs that no node reads: {', '.join(unread)}; remove them from inputs=, or read them")


def _meant(name: str, known: Iterable[str]) -> str:
    known = list(known)
    return nearest(str(name), known) or f"known are {', '.join(sorted(known)[:20])}"
