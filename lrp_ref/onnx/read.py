"""From a file to a checked graph with its tensors in memory. Nothing in the file is trusted."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from lrp_ref.arrays import LRPError

OLDEST = 7
LONGEST = 240  # of what is quoted from other packages' errors
MOST_FILE_BYTES = 2**31  # of the file itself: protobuf's own limit; large tensors live outside it
MOST_NODES = 10**6
TYPES = [TensorProto.DataType.Value(name) for name in (
    "FLOAT", "DOUBLE", "FLOAT16", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
)]  # fmt: skip
DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class Model:
    """A checked graph: `tensors` are its initialisers, `name` is what errors call the file."""

    name: str
    graph: GraphProto
    opset: int
    tensors: dict[str, Any]


def read(path: str | PathLike[str]) -> Model:
    """The model in a file. Raises `LRPError`, one line that begins with the file's name, for what is no valid model."""
    file = Path(path)
    try:
        model = parsed(file)
        opset = _opset(model)
        model = _inlined(model)
        _check(model)
        return Model(file.name, model.graph, opset, _tensors(model.graph, file.parent))
    except LRPError as error:
        raise LRPError(f"{file.name}: {one_line(error)}") from None


def one_line(error: Exception) -> str:
    """An error's message on one line, whatever names from the file it quotes."""
    return " ".join(str(error).split()) or type(error).__name__


def parsed(file: Path) -> ModelProto:
    """The message in a file, unchecked. Raises `LRPError`, without the file's name, for what is none."""
    try:
        if file.stat().st_size >= MOST_FILE_BYTES:
            raise LRPError("larger than the 2 GiB of a protobuf file; export its weights as external data")
        model = ModelProto()
        model.ParseFromString(file.read_bytes())
        return model
    except OSError as error:
        raise LRPError(f"cannot be read: {error.strerror or error}") from None
    except DecodeError:
        raise LRPError("no ONNX model, or a truncated one: its bytes are no protobuf message; export it again") from None


def _opset(model: ModelProto) -> int:
    """The version of the default operator set."""
    versions = [o.version for o in model.opset_import if o.domain in DOMAINS]
    newest = onnx.defs.onnx_opset_version()
    if not model.HasField("graph") or len(versions) != 1:
        raise LRPError(f"no ONNX model: expected a graph and one default operator set, got {len(versions)} sets")
    if versions[0] < OLDEST:
        raise LRPError(f"opset {versions[0]}; expected {OLDEST} or newer: convert it with onnx.version_converter")
    if versions[0] > newest:
        raise LRPError(f"opset {versions[0]}; the installed onnx {onnx.__version__} knows up to {newest}: upgrade onnx")
    return int(versions[0])


def _inlined(model: ModelProto) -> ModelProto:
    """The model with its own functions written out."""
    if not model.functions:
        return model
    bodies = {(f.domain, f.name): f.node for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def size(nodes: Iterable[NodeProto], within: tuple[tuple[str, str], ...] = ()) -> int:
        total = 0
        for node in nodes:
            call = (node.domain, node.op_type)
            if call in within:
                raise LRPError(f"the function {call[1]!r} calls itself; export the model again")
            if call in bodies and call not in sizes:
                sizes[call] = size(bodies[call], (*within, call))
            total += sizes.get(call, 1)
        return total

    if size(model.graph.node) > MOST_NODES:
        raise LRPError(f"more than {MOST_NODES} nodes once its functions are written out; export the model again")
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:  # the inliner is C++, and raises what it likes
        raise LRPError(f"its functions cannot be written out: {one_line(error)[:LONGEST]}") from None


def _check(model: ModelProto) -> None:
    """The package's own checker, on the model with inputs in place of its tensors, which may be gigabytes."""
    graph = model.graph
    if not graph.node:
        raise LRPError("a graph without nodes; export the model again")
    if graph.sparse_initializer:
        raise LRPError("sparse tensors; store them dense")
    skeleton = ModelProto()
    skeleton.CopyFrom(_without_tensors(model))
    try:
        known = {value.name for value in graph.input}
        for tensor in graph.initializer:
            if tensor.name not in known:
                skeleton.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
            known.add(tensor.name)
        for value in [*skeleton.graph.input, *skeleton.graph.output]:
            if value.type.HasField("tensor_type") or not value.HasField("type"):
                value.type.tensor_type.shape.SetInParent()  # one that is left out is open, though the checker wants one
        onnx.checker.check_model(skeleton)
    except Exception as error:  # ValidationError, and what C++ makes of malformed messages
        raise LRPError(f"not a valid model: {one_line(error)[:LONGEST]}") from None


def _without_tensors(model: ModelProto) -> ModelProto:
    graph = GraphProto(name="graph", node=model.graph.node, input=model.graph.input, output=model.graph.output)
    return ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, graph=graph)


def _tensors(graph: GraphProto, folder: Path) -> dict[str, Any]:
    """The initialisers as arrays; those outside the file are read from `folder` and nowhere else."""
    tensors: dict[str, Any] = {}
    for tensor in graph.initializer:
        if not tensor.name or tensor.name in tensors:
            raise LRPError(f"two initialisers are called {tensor.name!r}; export the model again")
        tensors[tensor.name] = array(tensor, folder)
        tensor.Clear()  # the array holds the data now
    return tensors


def array(tensor: TensorProto, folder: Path | None = None) -> Any:
    """A tensor as a NumPy array. Raises `LRPError` where its data are not what its type and shape say."""
    if tensor.data_type not in TYPES:
        known = [name for name, value in TensorProto.DataType.items() if value == tensor.data_type]
        raise LRPError(
            f"tensor {tensor.name!r} is of type {known[0] if known else tensor.data_type}; expected floats or integers"
        )
    dtype, count = helper.tensor_dtype_to_np_dtype(tensor.data_type), prod(tensor.dims)
    if any(n < 0 for n in tensor.dims):
        raise LRPError(f"tensor {tensor.name!r} has shape {tuple(tensor.dims)}; expected sizes >= 0")
    try:
        if tensor.data_location == TensorProto.EXTERNAL:
            return _outside(tensor, folder, dtype, count)
        return numpy_helper.to_array(tensor)
    except LRPError:
        raise
    except Exception as error:  # whatever data of the wrong type or size lead to
        raise LRPError(f"tensor {tensor.name!r} of shape {tuple(tensor.dims)}: {one_line(error)[:LONGEST]}") from None


def _outside(tensor: TensorProto, folder: Path | None, dtype: Any, count: int) -> Any:
    """A tensor whose data lie in another file of the folder."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location, what = entries.get("location", ""), f"tensor {tensor.name!r}: external data"
    if folder is None or not location:
        raise LRPError(f"{what} without a file; export the model again")
    home, file = folder.resolve(), (folder / location).resolve()
    if Path(location).is_absolute() or not file.is_relative_to(home):
        raise LRPError(f"{what} in {location!r}, outside the model's folder; move the file beside the model")
    if not file.is_file():
        raise LRPError(f"{what} in {location!r}, which is no file; put it beside the model")
    offset, needed = int(entries.get("offset") or 0), count * dtype.itemsize
    length = int(entries.get("length") or needed)
    size = file.stat().st_size
    if offset < 0 or length != needed or offset + needed > size:
        raise LRPError(f"{what}: expected {needed} bytes from {offset}, got {length} of the file's {size}; export it again")
    return np.fromfile(file, dtype.newbyteorder("<"), count, offset=offset).astype(dtype, copy=False).reshape(tensor.dims)
