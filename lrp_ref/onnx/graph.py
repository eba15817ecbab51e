"""From a checked graph to a network: constants are folded, and every other node becomes the layers that stand for it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import prod
from re import Match, sub
from typing import Any

from onnx import NodeProto, TensorProto, ValueInfoProto

from lrp_ref.arrays import LRPError
from lrp_ref.network.graph import Node, inputs_of
from lrp_ref.network.network import Network
from lrp_ref.onnx.fold import FOLDS, MOST_BYTES, OPEN, Constant, NoLayer, Value, attribute, folded, outputs, shape_of
from lrp_ref.onnx.node import Chain, Operation
from lrp_ref.onnx.operators import ADVICE, OPERATORS
from lrp_ref.onnx.read import DOMAINS, LONGEST, Model, one_line

SHAPES = ("Shape", "Size")
FLOATS = (TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE)


def network(model: Model, shapes: Mapping[str, Sequence[int]], convert: Callable[[Any], Any]) -> Network:
    """The model as a network. Raises `LRPError`, one line that begins with the file's name; see `lrp_ref.load_onnx`."""
    try:
        return _Reader(model, shapes, convert).network()
    except LRPError as error:
        raise LRPError(f"{model.name}: {one_line(error)}") from None


class _Reader:
    """One pass over the nodes in order; what a value is called in the file leads to what is known of it."""

    def __init__(self, model: Model, shapes: Mapping[str, Sequence[int]], convert: Callable[[Any], Any]) -> None:
        self.model, self.convert = model, convert
        self.nodes = _needed(model.graph.node, [value.name for value in model.graph.output])
        read = {name for node in self.nodes for name in node.input} | {value.name for value in model.graph.output}
        inputs = [value for value in model.graph.input if value.name not in model.tensors and value.name in read]
        if not isinstance(shapes, Mapping) or not all(isinstance(shape, Sequence) for shape in shapes.values()):
            raise LRPError(f"shapes: expected input -> the shape of one sample, such as {{'x': (3, 224, 224)}}, got {shapes!r}")
        for name in shapes:
            if name not in [value.name for value in inputs]:
                raise LRPError(f"shapes: no input {name!r}; the inputs are {', '.join(value.name for value in inputs)}")
        self.batches, values = _inputs(inputs, shapes)
        self.known: dict[str, Value | Constant] = {name: Constant(a) for name, a in model.tensors.items()} | values
        self.inputs = list(values)
        self.labels = _labels(self.nodes, [value.name for value in model.graph.output], self.inputs)
        outs = [value.name for value in model.graph.output]
        self.readers = Counter([*(name for node in self.nodes for name in node.input), *outs])
        self.counts = {name: self.readers[name] for name in self.inputs}  # the same, by the names of the network
        self.made: dict[str, Node] = {}
        self.refused: dict[tuple[str, str], list[str]] = {}  # (operator, why) -> the nodes
        self.bytes = 0

    def network(self) -> Network:
        """The network of all nodes that some output depends on."""
        for node in self.nodes:
            if not self._reads_known(node):  # what it reads has been refused, with a shape that nobody knows
                if node.op_type not in (*OPERATORS, *FOLDS, *SHAPES):
                    self._refuse(node, _no_layer(node))
            else:
                try:
                    self._take(node)
                except LRPError as error:
                    self._refuse(node, str(error))
                except NoLayer as error:
                    self._refuse(node, str(error))
                except Exception as error:  # attributes and operands that contradict each other, told by whoever tripped
                    self._refuse(node, f"malformed: {one_line(error)[:LONGEST]}")
        if self.refused:
            count = sum(map(len, self.refused.values()))
            told = "; ".join(f"{', '.join(names)} ({kind}): {why}" for (kind, why), names in self.refused.items())
            raise LRPError(
                f"{count} node(s) cannot be read: {told}. Change them in the framework and export again, or build the "
                "lrp_ref.Network by hand"
            )
        names = []
        for value in self.model.graph.output:
            found = self.known.get(value.name)
            if not isinstance(found, Value):
                raise LRPError(f"output {value.name!r} does not depend on an input; remove it from the graph's outputs")
            if found.name in self.inputs:
                raise LRPError(f"output {value.name!r} is an input itself; remove it from the graph's outputs")
            names.append(found.name)
        alive = _alive(self.made, names)
        read = {name for node in alive for name in inputs_of(node)}
        return Network(alive, [name for name in self.inputs if name in read], names)

    def _take(self, node: NodeProto) -> None:
        """What one node makes of what is known: constants, or layers."""
        if node.domain not in DOMAINS:
            raise NoLayer(f"an operator of the domain {node.domain!r}; expected one of ONNX's own")
        operands = [self.known[name] if name else None for name in node.input]
        attributes = {a.name: attribute(a) for a in node.attribute}
        if node.op_type in SHAPES and operands[0] is not None:
            self.known[node.output[0]] = shape_of(node.op_type, operands[0], attributes, self.batches)
            return
        computed = [operand for operand in operands if isinstance(operand, Value)]
        if computed and node.op_type not in OPERATORS:
            raise NoLayer(_no_layer(node))
        given = {name: operand for name, operand in zip(node.input, operands, strict=True) if operand is not None}
        results = outputs(node, given, self.model.opset, self.readers)
        if not computed:
            self._fold(node, operands, attributes, results)
            return
        for index, name in enumerate(node.output):
            if name and self.readers.get(name):
                self._build(node, operands, attributes, results, index)

    def _fold(self, node: NodeProto, operands: Sequence[Any], attributes: Mapping[str, Any], results: Sequence[Any]) -> None:
        if len([name for name in node.output if name]) != 1:
            raise NoLayer("several outputs of constants; run onnxsim or onnxruntime's offline optimizer first")
        constant = folded(node.op_type, operands, attributes, results[0])
        self.bytes += constant.array.nbytes if constant.array.base is None else 0
        if self.bytes > MOST_BYTES:
            raise LRPError(f"constants of more than {MOST_BYTES >> 30} GiB in all; export them as tensors")
        self.known[node.output[0]] = constant

    def _build(
        self, node: NodeProto, operands: Sequence[Any], attributes: Mapping[str, Any], results: Sequence[Any], index: int
    ) -> None:
        """The layers of one output."""
        if index and node.op_type != "Split":
            raise NoLayer(f"its output {index} is read; expected only its first")
        batch, label = self.batches[0], self.labels[node.output[index]]
        for operand in operands:
            if isinstance(operand, Constant) and operand.other is not None and not self._follows_batch(operand):
                raise NoLayer("a constant that depends on the batch size")
        op = Operation(
            kind=node.op_type, operands=operands, attributes=attributes, shapes=[shape for _, shape in results], index=index,
            opset=self.model.opset, batches=self.batches, convert=self.convert, made=self.made, readers=self.counts,
        )  # fmt: skip
        if prod(op.sample) * 8 > MOST_BYTES:
            raise NoLayer(f"its output has the shape {op.shape}: samples of more than {MOST_BYTES >> 30} GiB")
        chain = OPERATORS[node.op_type](op)
        if not op.shape or op.shape[0] != batch or min(op.shape) < 1:
            seen = "" if batch == OPEN[0] else f", batch {batch}"
            raise NoLayer(f"its output has the shape {op.shape}{seen}: the batch axis does not stay first")
        if not isinstance(chain, Chain):
            chain = Chain(chain, [operand.name for operand in operands if isinstance(operand, Value)])
        reads = list(chain.reads)
        for k, layer in enumerate(chain.layers, start=1):
            name = label if k == len(chain.layers) else f"{label}/{k}"
            self.made[name] = Node(name, layer, tuple(reads))
            reads = [name]
        self.counts[label] = self.readers[node.output[index]]
        self.known[node.output[index]] = Value(label, op.shape, results[index][0])

    def _follows_batch(self, constant: Constant) -> bool:
        """Whether the constant differs between the batch sizes by these sizes themselves, as the shape of a reshape may."""
        first, second = constant.both
        if first.dtype.kind != "i" or first.shape != second.shape:
            return False
        differs = first != second
        return bool((first[differs] == self.batches[0]).all() and (second[differs] == self.batches[1]).all())

    def _refuse(self, node: NodeProto, why: str) -> None:
        told = sub(r"\b\d{4,12}\b", self._size, why)
        self.refused.setdefault((node.op_type, told), []).append(repr(node.name or node.output[0]))
        if self._reads_known(node):
            self._assume(node)

    def _size(self, digits: Match[str]) -> str:
        """A number in a message; "N", or "3N", where it is the batch left open."""
        times, rest = divmod(int(digits[0]), OPEN[0])
        return digits[0] if self.batches != OPEN or rest or not times else f"{times if times > 1 else ''}N"

    def _assume(self, node: NodeProto) -> None:
        """Goes on from a refused node as if it had been read, so that those after it are judged as well."""
        operands = {name: self.known[name] for name in node.input if name}
        if node.domain not in DOMAINS or not any(isinstance(operand, Value) for operand in operands.values()):
            return
        with suppress(Exception):  # where its output's shape does not follow, the search ends
            results = outputs(node, operands, self.model.opset, self.readers)
            for name, (kind, shape) in zip(node.output, results, strict=True):
                if shape and shape[0] == self.batches[0]:
                    self.known.setdefault(name, Value(self.labels[name], shape, kind))

    def _reads_known(self, node: NodeProto) -> bool:
        """Whether everything that a node reads is known."""
        return all(name in self.known for name in node.input if name)


def _no_layer(node: NodeProto) -> str:
    return f"no layer stands for this operator; {ADVICE.get(node.op_type, 'use others')}"


def _needed(nodes: Sequence[NodeProto], names: Sequence[str]) -> list[NodeProto]:
    """The nodes that an output depends on, in order."""
    needed, kept = set(names), []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    return kept[::-1]


def _alive(made: Mapping[str, Node], names: Sequence[str]) -> list[Node]:
    """The network's nodes that an output depends on: what was merged into another is not."""
    alive, kept = set(names), []
    for node in reversed(list(made.values())):
        if node.name in alive:
            alive.update(inputs_of(node))
            kept.append(node)
    return kept[::-1]


def _inputs(inputs: Sequence[ValueInfoProto], shapes: Mapping[str, Sequence[int]]) -> tuple[tuple[int, int], dict[str, Value]]:
    """The two batch sizes, and what is known of every input."""
    if not inputs:
        raise LRPError("no output depends on an input; export the model with its input")
    sizes: dict[str, list[int | str]] = {}
    for value in inputs:
        tensor = value.type.tensor_type
        if not value.type.HasField("tensor_type") or tensor.elem_type not in FLOATS:
            raise LRPError(f"input {value.name!r}: expected float16, float32 or float64; export the model with float inputs")
        dims = [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in tensor.shape.dim]
        sizes[value.name] = _filled(value.name, list(dims), shapes.get(value.name))
    batch = {dims[0] for dims in sizes.values() if isinstance(dims[0], int)}
    if len(batch) > 1:
        raise LRPError(f"inputs with batches of {' and '.join(map(str, sorted(batch)))}; export the model with one batch size")
    fixed = next(iter(batch), None)
    batches = OPEN if fixed is None else (fixed, fixed)
    known = {}
    for value in inputs:
        shape = (batches[0], *(int(n) for n in sizes[value.name][1:]))
        known[value.name] = Value(value.name, shape, value.type.tensor_type.elem_type)
    return batches, known


def _filled(name: str, dims: list[int | str], sample: Sequence[int] | None) -> list[int | str]:
    """The sizes of an input, with those of one sample where they are given."""
    stated = f"({', '.join(map(str, dims))})"
    example = f"shapes={{{name!r}: {tuple(n if isinstance(n, int) else 224 for n in dims[1:]) or (3, 224, 224)}}}"
    if sample is not None:
        sample = tuple(sample)
        if dims and (
            len(sample) != len(dims) - 1
            or any(a not in (b, 0) for a, b in zip(dims[1:], sample, strict=True) if isinstance(a, int))
        ):
            raise LRPError(f"input {name!r} has the shape {stated}; got samples of shape {sample}")
        dims = [dims[0] if dims else "?", *sample]
    if len(dims) < 2 or any(isinstance(n, str) for n in dims[1:]):
        raise LRPError(f"input {name!r} leaves its shape open, {stated}; give the shape of one sample, such as {example}")
    if any(isinstance(n, int) and n < 1 for n in dims):
        raise LRPError(f"input {name!r} has the shape {stated}; expected sizes >= 1, the batch axis first")
    return dims


def _labels(nodes: Sequence[NodeProto], names: Sequence[str], inputs: Sequence[str]) -> dict[str, str]:
    """Value -> what the network calls the node that computes it.

    An output is called as in the file; any other by its node's name, if no other node, input or value has the same, or else
    by its own name, which is unique.
    """
    shared = Counter(node.name for node in nodes) + Counter({*inputs, *(name for node in nodes for name in node.output)})
    labels = {}
    for node in nodes:
        for index, value in enumerate(node.output):
            own = index == 0 and value not in names and node.name and shared[node.name] - (node.name == value) == 1
            labels[value] = node.name if own else value
    return labels
