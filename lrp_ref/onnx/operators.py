"""Operator -> the layers that stand for it. An operator is one row of `OPERATORS`."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from lrp_ref.layers import (
    Activation,
    AvgPool,
    Concat,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Identity,
    Layer,
    MaxPool,
    Pad,
    Permute,
    Reshape,
    Slice,
    Softmax,
    SumPool,
)
from lrp_ref.onnx import affine, windows
from lrp_ref.onnx.fold import NoLayer
from lrp_ref.onnx.node import Chain, Operation

LARGEST = float(np.finfo(np.float32).max)  # as a bound of Clip it means none


def reshape(op: Operation) -> list[Layer]:
    """Any operator that keeps the order of a sample's elements."""
    return [Flatten() if len(op.shape) == 2 else Reshape(op.sample)]


def transpose(op: Operation) -> list[Layer]:
    """A permutation of axes."""
    ndim = len(op.x.shape)
    order = tuple(axis % ndim for axis in op.attributes.get("perm", range(ndim)[::-1]))
    if order[0] != 0 or len(set(order)) < ndim:
        raise NoLayer(f"perm {order}: expected every axis once, the batch axis first")
    return [Permute(order[1:])]


def concat(op: Operation) -> list[Layer]:
    """Values joined along an axis."""
    op.values()
    return [Concat(op.axis(1))]


def split(op: Operation) -> list[Layer]:
    """One of several parts along an axis."""
    axis = op.axis(0)
    begin = sum(shape[axis] for shape in op.shapes[: op.index])
    return [Slice(axis, begin, begin + op.shape[axis])]


def cut(op: Operation) -> list[Layer]:
    """Part of the elements along one or several axes."""
    starts, ends = op.setting("starts", 1, []), op.setting("ends", 2, [])
    axes = op.setting("axes", 3, range(len(starts)))
    steps = op.setting("steps", 4, [1] * len(starts))
    layers: list[Layer] = []
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = op.x.shape[int(axis)]
        begin, stop, stride = slice(int(start), int(end), int(step)).indices(size)
        if stride < 1:
            raise NoLayer(f"step {stride}; expected one >= 1")
        if (begin, stop, stride) == (0, size, 1):
            continue
        layers.append(Slice(int(axis) % len(op.x.shape), begin, stop, stride))
    return layers or [Identity()]


def gather(op: Operation) -> list[Layer]:
    """One element along an axis."""
    axis, index = op.axis(0), op.constant(1)
    if index.size != 1:
        raise NoLayer(f"{index.size} indices; expected one")
    k = int(index.item()) % op.x.shape[axis]
    return [Slice(axis, k, k + 1), Reshape(op.sample)]


def pad(op: Operation) -> list[Layer]:
    """Constant padding of any axes but the batch's; negative padding cuts off."""
    op.expect("mode", "constant")
    flat, ndim = [int(n) for n in op.setting("pads", 1, [])], len(op.x.shape)
    axes = [int(axis) % ndim for axis in (op.constant(3) if op.has(3) else range(ndim))]
    ends = dict(zip(axes, zip(flat[: len(axes)], flat[len(axes) :], strict=True), strict=True))
    if any(ends.get(0, (0, 0))):
        raise NoLayer("it pads the batch axis")
    value = float(np.ravel(op.setting("value", 2, 0.0))[0])
    sizes, layers = op.x.shape, list[Layer]()
    for axis, (b, e) in ends.items():
        if min(b, e) < 0:
            layers.append(Slice(axis, max(-b, 0), sizes[axis] - max(-e, 0)))
    added = [tuple(max(n, 0) for n in ends.get(axis, (0, 0))) for axis in range(1, ndim)]
    if not any(map(any, added)):
        return layers or [Identity()]
    if not any(added[0]) and ndim > 2:
        return [*layers, Pad(tuple(added[1:]), value)]
    inner = (n + min(b, 0) + min(e, 0) for n, (b, e) in ((sizes[axis], ends.get(axis, (0, 0))) for axis in range(1, ndim)))
    return [*layers, Reshape((1, *inner)), Pad(tuple(added), value), Reshape(op.sample)]


def softmax(op: Operation) -> list[Layer]:
    """Along one axis; before opset 13 along all axes from `axis` on, as one."""
    axis = op.axis(1 if op.opset < 13 else -1)
    joined = op.sample[axis - 1 :]
    if op.opset >= 13 or prod(joined[1:]) == 1:
        return [Softmax(axis)]
    return [Reshape((*op.sample[: axis - 1], prod(joined))), Softmax(axis), Reshape(op.sample)]


def dropout(op: Operation) -> list[Layer]:
    """Nothing, once training is over."""
    if op.has(2) and op.constant(2).any():
        raise NoLayer("it is in training mode; export the model for inference")
    rate = float(op.setting("ratio", 1, 0.5))
    return [Dropout(rate) if 0 <= rate < 1 else Identity()]


def reduced(mean: bool) -> Callable[[Operation], list[Layer]]:
    """The mean, or the sum, over any axes but the batch's."""

    def build(op: Operation) -> list[Layer]:
        sizes, axes = op.x.shape, op.axes(1)
        if not axes and op.attributes.get("noop_with_empty_axes", 0):
            return [Identity()]
        axes = axes or tuple(range(len(sizes)))
        if 0 in axes:
            raise NoLayer("it reduces the batch axis; expected samples apart from each other")
        if mean and sorted(axes) == list(range(2, len(sizes))):
            return [GlobalAvgPool()] if op.shape == (*sizes[:2], *(1 for _ in axes)) else [GlobalAvgPool(), *reshape(op)]
        kept = [axis for axis in range(1, len(sizes)) if axis not in axes]
        count = prod(sizes[axis] for axis in axes)
        rows = Reshape((prod(sizes[axis] for axis in kept), count))
        pool = (AvgPool if mean else SumPool)((count,))
        return [Permute((*kept, *sorted(axes))), rows, pool, *reshape(op)]

    return build


def clip(op: Operation) -> list[Layer]:
    """min(high, max(low, x))."""
    low, high = (float(np.ravel(op.setting(name, k, end))[0]) for name, k, end in (("min", 1, -LARGEST), ("max", 2, LARGEST)))
    bounds = (None if low <= -LARGEST else low, None if high >= LARGEST else high)
    if bounds == (None, None):
        return [Identity()]
    return [Activation("relu")] if bounds == (0, None) else [Activation("clip", low=bounds[0], high=bounds[1])]


def prelu(op: Operation) -> list[Layer]:
    """Leaky ReLU with one slope, or one per channel."""
    slopes = op.spread(op.constant(1))
    if any(n > 1 for n in slopes.shape[1:]):
        raise NoLayer(f"slopes of shape {slopes.shape}; expected one per channel")
    row = tuple(float(slope) for slope in slopes.reshape(-1))
    return [Activation("leaky-relu", slope=row[0] if len(set(row)) == 1 else row)]


def hard_sigmoid(op: Operation) -> list[Layer]:
    """min(1, max(0, alpha x + 1/2))."""
    if op.number("beta", 0.5) != 0.5:
        raise NoLayer(f"beta={op.number('beta', 0.5)}; expected 0.5")
    return [Activation("hard-sigmoid", slope=op.number("alpha", 0.2))]


def elu(op: Operation) -> list[Layer]:
    """x, or alpha (exp(x) - 1) where x < 0."""
    alpha = op.number("alpha", 1)
    return [Activation("elu") if alpha == 1 else Activation("elu", slope=alpha)]


def leaky_relu(op: Operation) -> list[Layer]:
    """x, or alpha x where x < 0."""
    return [Activation("leaky-relu", slope=op.number("alpha", 0.01))]


def cast(op: Operation) -> list[Layer]:
    """Nothing, where the type stays."""
    if op.attributes["to"] != op.x.type:
        raise NoLayer("it changes the type of computed values; export the model in one type")
    return [Identity()]


def fixed(layer: Any) -> Callable[[Operation], list[Layer]]:
    """The same layer whatever the attributes."""
    return lambda op: [layer]


Builder = Callable[[Operation], Chain | list[Layer]]
OPERATORS: dict[str, Builder] = {
    "Add": affine.add,
    "AveragePool": windows.average_pool,
    "BatchNormalization": affine.batch_norm,
    "Cast": cast,
    "Clip": clip,
    "Concat": concat,
    "Conv": affine.conv,
    "ConvTranspose": affine.conv_transpose,
    "Div": affine.divide,
    "Dropout": dropout,
    "Elu": elu,
    "Flatten": reshape,
    "Gather": gather,
    "Gemm": affine.gemm,
    "GlobalAveragePool": fixed(GlobalAvgPool()),
    "GlobalMaxPool": lambda op: [MaxPool(op.x.shape[2:])],
    "HardSigmoid": hard_sigmoid,
    "Identity": fixed(Identity()),
    "LRN": affine.lrn,
    "LeakyRelu": leaky_relu,
    "MatMul": affine.matmul,
    "MaxPool": windows.max_pool,
    "Mul": affine.multiply,
    "Neg": affine.negate,
    "PRelu": prelu,
    "Pad": pad,
    "ReduceMean": reduced(mean=True),
    "ReduceSum": reduced(mean=False),
    "Relu": fixed(Activation("relu")),
    "Reshape": reshape,
    "Resize": windows.resize,
    "Sigmoid": fixed(Activation("sigmoid")),
    "Slice": cut,
    "Softmax": softmax,
    "Softplus": fixed(Activation("softplus")),
    "Split": split,
    "Squeeze": reshape,
    "Sub": affine.subtract,
    "Sum": affine.add,
    "Tanh": fixed(Activation("tanh")),
    "Transpose": transpose,
    "Unsqueeze": reshape,
    "Upsample": windows.resize,
}
ADVICE = {
    "LogSoftmax": "export the model up to its logits",
    "QLinearConv": "export the model before it was quantized",
    "QuantizeLinear": "export the model before it was quantized",
    "DequantizeLinear": "export the model before it was quantized",
}
