"""What does not depend on the values that a network reads: shapes, and constants computed from constants and shapes.

The batch stays free: where a file leaves it open, everything is evaluated for two batch sizes at once, and what comes out
different depends on the batch.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Any

import numpy as np
import onnx.shape_inference
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper

from lrp_ref.arrays import LRPError
from lrp_ref.onnx.read import array

MOST_BYTES = 2**32  # of all folded constants together
MOST_DATA = 1024  # elements of a constant that shape inference is shown: shapes and axes, never weights
OPEN = (7919, 7927)  # the two sizes that stand for a batch left open: primes, which no layer's width is a multiple of


@dataclass(frozen=True)
class Value:
    """Something computed from the network's inputs: the node or input that holds it, its shape (batch, ...), its type."""

    name: str
    shape: tuple[int, ...]
    type: int


@dataclass(frozen=True, eq=False)
class Constant:
    """Something that is not: its array, and the one for the other batch size where that differs."""

    array: Any
    other: Any = None

    @property
    def both(self) -> tuple[Any, Any]:
        """The array for either batch size."""
        return self.array, self.array if self.other is None else self.other


class NoLayer(Exception):
    """Why no layer stands for a node."""


def outputs(
    node: NodeProto, operands: Mapping[str, Value | Constant], opset: int, read: Container[str]
) -> list[tuple[int, tuple[int, ...]]]:
    """(type, shape) of every output by the package's shape inference, (0, ()) for one that is neither known nor in `read`.

    Raises `NoLayer` where what is in `read` does not follow from shapes and small constants.
    """
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError:
        raise NoLayer(f"no operator of opset {opset} is called so") from None
    types, data = {}, {}
    for name, operand in operands.items():
        if isinstance(operand, Value):
            types[name] = helper.make_tensor_type_proto(operand.type, operand.shape)
            continue
        known = operand.array
        types[name] = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(known.dtype), known.shape)
        if known.size <= MOST_DATA:
            data[name] = numpy_helper.from_array(known)
    opsets = [helper.make_opsetid("", opset)]
    found = onnx.shape_inference.infer_node_outputs(schema, node, types, data, opset_imports=opsets)
    shapes: list[tuple[int, tuple[int, ...]]] = []
    for name in node.output:
        tensor = found[name].tensor_type if name in found else None
        sizes = tensor.shape.dim if tensor is not None and tensor.HasField("shape") else None
        if tensor is None or sizes is None or not all(n.HasField("dim_value") for n in sizes):
            if name in read:
                raise NoLayer("its output's shape depends on more than shapes and constants")
            shapes.append((0, ()))
            continue
        shapes.append((tensor.elem_type, tuple(int(n.dim_value) for n in sizes)))
    return shapes


def folded(
    kind: str, operands: Sequence[Constant | None], attributes: Mapping[str, Any], result: tuple[int, tuple[int, ...]]
) -> Constant:
    """The constant that an operator computes from constants; `result` is its type and shape."""
    if kind not in FOLDS:
        raise NoLayer("it is not evaluated on constants; run onnxsim or onnxruntime's offline optimizer first")
    dtype = helper.tensor_dtype_to_np_dtype(result[0])
    _affordable(result[1], dtype)
    with np.errstate(all="ignore"):
        arrays = [np.asarray(FOLDS[kind](attributes, *side)) for side in zip(*(_both(c) for c in operands), strict=True)]
    if not operands:
        arrays = [np.asarray(FOLDS[kind](attributes))] * 2
    first, second = (a.astype(dtype, copy=False) for a in arrays)
    return Constant(first, None if np.array_equal(first, second) else second)


def shape_of(kind: str, operand: Value | Constant, attributes: Mapping[str, Any], batches: tuple[int, int]) -> Constant:
    """What Shape and Size say of a value."""
    if isinstance(operand, Constant):
        shapes = [a.shape for a in operand.both]
    else:
        shapes = [(batch, *operand.shape[1:]) for batch in batches] if operand.shape else [(), ()]
    if kind == "Size":
        first, second = (np.asarray(prod(shape), dtype=np.int64) for shape in shapes)
    else:
        part = slice(attributes.get("start", 0), attributes.get("end"))
        first, second = (np.asarray(shape[part], dtype=np.int64) for shape in shapes)
    return Constant(first, None if np.array_equal(first, second) else second)


def _both(constant: Constant | None) -> tuple[Any, Any]:
    return (None, None) if constant is None else constant.both


def _affordable(shape: tuple[int, ...], dtype: Any) -> None:
    if prod(shape) * dtype.itemsize > MOST_BYTES:
        raise LRPError(f"a constant of shape {shape} takes more than {MOST_BYTES >> 30} GiB; export it as a tensor")


def attribute(given: AttributeProto) -> Any:
    """An attribute as Python values; a tensor as an array."""
    value = helper.get_attribute_value(given)
    if isinstance(value, TensorProto):
        return array(value)
    return value.decode() if isinstance(value, bytes) else value


def _constant(a: Mapping[str, Any]) -> Any:
    for name in ("value_float", "value_floats"):
        if name in a:
            return np.asarray(a[name], np.float32)
    for name in ("value_int", "value_ints"):
        if name in a:
            return np.asarray(a[name], np.int64)
    return a["value"]


def _divided(a: Mapping[str, Any], x: Any, y: Any) -> Any:
    """Integers are cut off towards zero."""
    return x / y if x.dtype.kind == "f" else np.where(y == 0, 0, np.trunc(x / np.where(y == 0, 1, y)))


def _slice(a: Mapping[str, Any], x: Any, *given: Any) -> Any:
    starts, ends, axes, steps = [*(given or (a["starts"], a["ends"], a.get("axes"))), None, None][:4]
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    at = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        backwards = step < 0 and end < -x.shape[axis]  # past the first element
        at[axis] = slice(int(start), None if backwards else int(end), int(step))
    return x[tuple(at)]


def axes_of(attributes: Mapping[str, Any], given: Any, ndim: int) -> tuple[int, ...] | None:
    """Axes, as an attribute or as an operand (newer opsets), counted from the first of `ndim`; None where there are none."""
    axes = attributes.get("axes") if given is None else np.ravel(given)
    return None if axes is None else tuple(int(axis) % ndim for axis in axes)


def _unsqueeze(a: Mapping[str, Any], x: Any, axes: Any = None) -> Any:
    count = len(a["axes"] if axes is None else np.ravel(axes))
    return np.expand_dims(x, axes_of(a, axes, x.ndim + count) or ())


def _reshape(a: Mapping[str, Any], x: Any, shape: Any) -> Any:
    copied = 0 if not a.get("allowzero") else None
    return x.reshape([x.shape[k] if n == copied else int(n) for k, n in enumerate(shape)])


def _reduced(f: Callable[..., Any]) -> Callable[..., Any]:
    def fold(a: Mapping[str, Any], x: Any, axes: Any = None) -> Any:
        found = axes_of(a, axes, x.ndim)
        return f(x, axis=found or None, keepdims=bool(a.get("keepdims", 1)))

    return fold


def _elementwise(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, *xs: f(*xs)


def _dtype(a: Mapping[str, Any]) -> Any:
    return helper.tensor_dtype_to_np_dtype(a["to"])


FOLDS: dict[str, Callable[..., Any]] = {
    "Abs": _elementwise(np.abs),
    "Add": _elementwise(np.add),
    "Cast": lambda a, x: x.astype(_dtype(a)),
    "Ceil": _elementwise(np.ceil),
    "Concat": lambda a, *xs: np.concatenate(xs, axis=a["axis"]),
    "Constant": _constant,
    "ConstantOfShape": lambda a, shape: np.full(shape, *np.ravel(a.get("value", np.zeros(1, np.float32)))),
    "Div": _divided,
    "Equal": _elementwise(np.equal),
    "Exp": _elementwise(np.exp),
    "Expand": lambda a, x, shape: np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(shape))),
    "Flatten": lambda a, x: x.reshape(prod(x.shape[: a.get("axis", 1)]), -1),
    "Floor": _elementwise(np.floor),
    "Gather": lambda a, x, i: np.take(x, i, axis=a.get("axis", 0)),
    "Greater": _elementwise(np.greater),
    "Identity": _elementwise(lambda x: x),
    "Less": _elementwise(np.less),
    "Max": _elementwise(lambda *xs: reduce(np.maximum, xs)),
    "Min": _elementwise(lambda *xs: reduce(np.minimum, xs)),
    "Mul": _elementwise(np.multiply),
    "Neg": _elementwise(np.negative),
    "Not": _elementwise(np.logical_not),
    "Pow": _elementwise(np.power),
    "Range": _elementwise(np.arange),
    "Reciprocal": _elementwise(np.reciprocal),
    "ReduceMax": _reduced(np.max),
    "ReduceMin": _reduced(np.min),
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "Reshape": _reshape,
    "Slice": _slice,
    "Sqrt": _elementwise(np.sqrt),
    "Squeeze": lambda a, x, axes=None: np.squeeze(x, axes_of(a, axes, x.ndim)),
    "Sub": _elementwise(np.subtract),
    "Tile": lambda a, x, repeats: np.tile(x, tuple(repeats)),
    "Transpose": lambda a, x: np.transpose(x, a.get("perm")),
    "Unsqueeze": _unsqueeze,
    "Where": _elementwise(np.where),
}
