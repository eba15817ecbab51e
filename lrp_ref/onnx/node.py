"""One node of the graph, as the builders of its layers see it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import helper

from lrp_ref.layers import Layer
from lrp_ref.network.graph import Node
from lrp_ref.onnx.fold import Constant, NoLayer, Value, axes_of


@dataclass(frozen=True)
class Chain:
    """Layers, each reading the one before it; the first reads the values `reads`."""

    layers: Sequence[Layer]
    reads: Sequence[str]


@dataclass(frozen=True)
class Operation:
    """A node of the graph whose operands are known, asked for its output number `index`.

    shapes: of its outputs, (batch, ...). made: the network's nodes so far, and `readers` how many read each. A builder
    returns a `Chain`, or the layers of one that reads every computed operand; it raises `NoLayer` where none exists.
    """

    kind: str
    operands: Sequence[Value | Constant | None]
    attributes: Mapping[str, Any]
    shapes: Sequence[tuple[int, ...]]
    index: int
    opset: int
    batches: tuple[int, int]
    convert: Callable[[Any], Any]
    made: Mapping[str, Node]
    readers: Mapping[str, int]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the output."""
        return self.shapes[self.index]

    @property
    def sample(self) -> tuple[int, ...]:
        """The shape of one sample of the output."""
        return self.shape[1:]

    @property
    def x(self) -> Value:
        """The first operand, which is computed."""
        return self.value(0)

    def value(self, k: int) -> Value:
        """Operand k, which is computed."""
        operand = self.operands[k] if k < len(self.operands) else None
        if not isinstance(operand, Value):
            raise NoLayer(f"its operand {k} is {'a constant' if operand else 'missing'}; expected a computed value")
        return operand

    def values(self) -> list[Value]:
        """All operands, which are computed."""
        return [self.value(k) for k in range(len(self.operands))]

    def has(self, k: int) -> bool:
        """Whether there is an operand k."""
        return k < len(self.operands) and self.operands[k] is not None

    def constant(self, k: int) -> Any:
        """Operand k, a constant that does not depend on the batch size, as an array."""
        operand = self.operands[k] if self.has(k) else None
        if not isinstance(operand, Constant):
            raise NoLayer(f"its operand {k} is {'computed' if operand else 'missing'}; expected a constant")
        if operand.other is not None:
            raise NoLayer(f"its operand {k} depends on the batch size; expected a constant")
        return operand.array

    def parameter(self, k: int) -> Any:
        """Constant operand k in the arithmetic of the network; None where there is none."""
        return self.converted(self.constant(k), f"operand {k}") if self.has(k) else None

    @property
    def type(self) -> Any:
        """The dtype of the computed operands."""
        return helper.tensor_dtype_to_np_dtype(next(v.type for v in self.operands if isinstance(v, Value)))

    def converted(self, a: Any, what: str = "a constant") -> Any:
        """An array of the model's float type in the arithmetic of the network."""
        if a.dtype != self.type:
            raise NoLayer(f"{what} is {a.dtype} beside {self.type}; export the model in one type")
        return self.convert(a)

    def spread(self, a: Any) -> Any:
        """A constant without its batch axis, which must not matter: an array that broadcasts against one sample."""
        a = a.reshape((1,) * (len(self.shape) - a.ndim) + a.shape)
        if a.ndim != len(self.shape) or not (a[:1] == a).all():
            raise NoLayer(f"a constant of shape {a.shape} differs from sample to sample")
        return a[0]

    def number(self, name: str, default: float) -> float:
        """A float attribute; ONNX keeps them, and their defaults, in float32."""
        return float(np.float32(self.attributes.get(name, default)))

    def setting(self, name: str, k: int, default: Any) -> Any:
        """What old opsets give as an attribute, and new ones as operand k."""
        if name in self.attributes:
            return self.attributes[name]
        return self.constant(k) if self.has(k) else default

    def axes(self, k: int) -> tuple[int, ...] | None:
        """The axes, given as an attribute or as operand k; None for all of them."""
        return axes_of(self.attributes, self.constant(k) if self.has(k) else None, len(self.x.shape))

    def axis(self, default: int) -> int:
        """The attribute `axis`, not that of the batch."""
        axis = int(self.attributes.get("axis", default)) % len(self.x.shape)
        if axis == 0:
            raise NoLayer("it works along the batch axis; expected samples apart from each other")
        return axis

    def expect(self, name: str, *allowed: Any) -> None:
        """Refuse an attribute that is given and has none of the values allowed."""
        if self.attributes.get(name, allowed[0]) not in allowed:
            raise NoLayer(f"{name}={self.attributes[name]!r}; expected {' or '.join(map(repr, allowed))}")
