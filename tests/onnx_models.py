"""Small ONNX models that tests share, and onnxruntime's answer to them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

import lrp_ref as lrp

FLOAT = onnx.TensorProto.FLOAT


def array(seed: int, *shape: int) -> Any:
    """Random float32 numbers of both signs."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def model(
    nodes: Sequence[NodeProto], shape: Sequence[Any], constants: dict[str, Any] | None = None, opset: int = 17, **more: Any
) -> Any:
    """A graph from x to y; a shape may name an axis that stays open. `more`: inputs, outputs, opsets."""
    inputs = more.pop("inputs", {"x": shape})
    outputs = [helper.make_empty_tensor_value_info(name) for name in more.pop("outputs", ["y"])]
    for value in outputs:
        value.type.tensor_type.elem_type = more.get("type", FLOAT)
    infos = [helper.make_tensor_value_info(name, more.get("type", FLOAT), list(dims)) for name, dims in inputs.items()]
    tensors = [numpy_helper.from_array(a, name) for name, a in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "graph", infos, outputs, tensors)
    opsets = [helper.make_opsetid("", opset), *more.get("opsets", [])]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return onnx.shape_inference.infer_shapes(proto, data_prop=True)  # the outputs' shapes


def single(kind: str, shape: Sequence[int], *operands: Any, opset: int = 17, batch: Any = "N", **attributes: Any) -> Any:
    """A graph of one node, y = kind(x, operands); its first axis is open."""
    names = ["x", *(f"c{k}" if a is not None else "" for k, a in enumerate(operands))]
    node = helper.make_node(kind, names, ["y"], name="node", **attributes)
    constants = {f"c{k}": np.asarray(a) for k, a in enumerate(operands) if a is not None}
    return model([node], [batch, *shape], constants, opset)


def load(proto: Any, folder: Path, **options: Any) -> lrp.Network:
    """The model, by way of a file."""
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return lrp.load_onnx(path, **options)


def runtime(proto: Any, **inputs: Any) -> list[Any]:
    """What onnxruntime returns."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    answers: list[Any] = onnxruntime.InferenceSession(proto.SerializeToString(), options).run(None, inputs)
    return answers
