"""Operators that multiply and add: dense layers, convolutions, normalisations, and constants on one side."""

from dataclasses import replace
from typing import Any

import numpy as np

from lrp_ref.arrays import number
from lrp_ref.layers import LRN, Activation, Add, BatchNorm, Conv, ConvTranspose, Dense, Layer, Scale
from lrp_ref.onnx.fold import Constant, NoLayer, Value
from lrp_ref.onnx.node import Chain, Operation
from lrp_ref.onnx.windows import geometry, transposed

Built = Chain | list[Layer]


def gemm(op: Operation) -> Built:
    """alpha x B + beta C."""
    op.expect("transA", 0)
    weight = op.parameter(1)
    weight = weight if op.attributes.get("transB", 0) else weight.T
    bias = op.converted(np.ascontiguousarray(np.broadcast_to(op.spread(op.constant(2)), op.sample))) if op.has(2) else None
    alpha, beta = op.number("alpha", 1), op.number("beta", 1)
    weight = weight if alpha == 1 else weight * number(alpha, weight)
    return [Dense(weight, bias if bias is None or beta == 1 else bias * number(beta, bias))]


def matmul(op: Operation) -> Built:
    """x B, for a matrix B that is given."""
    if isinstance(op.operands[0], Constant) or isinstance(op.operands[1], Value) or op.constant(1).ndim != 2:
        raise NoLayer("it multiplies by a computed matrix, or from the left; expected x times one matrix that is given")
    return [Dense(op.parameter(1).T)]


def conv(op: Operation) -> Built:
    """A convolution."""
    weight = op.parameter(1)
    at = geometry(op, weight.shape[2:])
    op.expect("kernel_shape", list(at.kernel))
    return [Conv(weight, op.parameter(2), at.stride, at.padding, at.dilation, op.attributes.get("group", 1))]


def conv_transpose(op: Operation) -> Built:
    """A transposed convolution."""
    weight = op.parameter(1)
    op.expect("kernel_shape", list(weight.shape[2:]))
    return [ConvTranspose(weight, op.parameter(2), groups=op.attributes.get("group", 1), **transposed(op, weight.shape[2:]))]


def batch_norm(op: Operation) -> Built:
    """Batch normalisation with the statistics that are stored."""
    op.expect("training_mode", 0)
    op.expect("spatial", 1)
    gamma, beta, mean, variance = (op.parameter(k) for k in range(1, 5))
    return [BatchNorm(gamma, beta, mean, variance, op.number("epsilon", 1e-5))]


def lrn(op: Operation) -> Built:
    """Local response normalisation."""
    alpha, beta, bias = (op.number(name, default) for name, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1)))
    return [LRN(op.attributes["size"], alpha, beta, bias)]


def add(op: Operation) -> Built:
    """A sum of computed values, or of one and a constant."""
    if not any(isinstance(operand, Constant) for operand in op.operands):
        shapes = {value.shape for value in op.values()}
        if len(shapes) > 1:
            raise NoLayer(f"it adds values of different shapes {' and '.join(map(str, sorted(shapes)))}")
        return [Add()]
    x, constant = _constant_and(op)
    return _biased(op, x, constant) or diagonal(op, bias=constant)


def subtract(op: Operation) -> Built:
    """x - c or c - x."""
    x, constant = _constant_and(op)
    if op.operands[0] is x:
        return _biased(op, x, -constant) or diagonal(op, bias=-constant)
    return diagonal(op, weight=-np.ones((), constant.dtype), bias=constant)


def multiply(op: Operation) -> Built:
    """c x; and x sigmoid(x), which is silu."""
    for k in (0, 1):
        gate, x = op.operands[k], op.operands[1 - k]
        if isinstance(gate, Value) and isinstance(x, Value):
            made = op.made.get(gate.name)
            if made is not None and made.layer == Activation("sigmoid") and made.inputs == (x.name,):
                return Chain([Activation("silu")], [x.name])
    return diagonal(op, weight=_constant_and(op)[1])


def divide(op: Operation) -> Built:
    """x / c."""
    op.value(0)
    constant = op.constant(1)
    if not (constant != 0).all() or constant.dtype.kind != "f":
        raise NoLayer("it divides by 0, or integers")
    return diagonal(op, weight=1 / constant)


def negate(op: Operation) -> Built:
    """-x."""
    return diagonal(op, weight=-np.ones((), op.type))


def diagonal(op: Operation, weight: Any = None, bias: Any = None) -> Built:
    """weight x + bias. What is constant along all axes but the channels' is a batch norm with mean 0 and variance 1."""
    given = {name: op.spread(a) for name, a in (("weight", weight), ("bias", bias)) if a is not None}
    if next(v.shape for v in op.operands if isinstance(v, Value)) != op.shape:
        raise NoLayer(f"a constant widens its operand to {op.sample}; expected one that fits into it")
    if any(n > 1 for a in given.values() for n in a.shape[1:]):
        return [Scale(**{name: op.converted(a) for name, a in given.items()})]
    rows = {name: np.ascontiguousarray(np.broadcast_to(a.reshape(-1), op.shape[1:2])) for name, a in given.items()}
    zero, one = (np.full(op.shape[1:2], n, op.type) for n in (0, 1))
    gamma, beta, mean, variance = map(op.converted, (rows.get("weight", one), rows.get("bias", zero), zero, one))
    return [BatchNorm(gamma, beta, mean, variance, epsilon=0)]


def _constant_and(op: Operation) -> tuple[Value, Any]:
    """The computed operand and the constant one of two."""
    found = [k for k, operand in enumerate(op.operands) if isinstance(operand, Value)]
    if len(op.operands) != 2 or len(found) != 1:
        raise NoLayer("it combines several computed values; expected one, and a constant")
    return op.value(found[0]), op.constant(1 - found[0])


def _biased(op: Operation, x: Value, constant: Any) -> Chain | None:
    """The layer with weights that computes x, with the constant as its bias, where it has none and no one else reads x."""
    made = op.made.get(x.name)
    if made is None or not isinstance(made.layer, Dense | Conv | ConvTranspose) or op.readers[x.name] > 1:
        return None
    axis = len(op.sample) - 1 if isinstance(made.layer, Dense) else 0
    bias = op.spread(constant)
    if made.layer.bias is not None or x.shape != op.shape or bias.size != bias.shape[axis]:
        return None
    row = np.ascontiguousarray(np.broadcast_to(bias.reshape(-1), op.sample[axis : axis + 1]))
    return Chain([replace(made.layer, bias=op.converted(row))], made.inputs or ())
