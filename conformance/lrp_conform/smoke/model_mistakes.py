"""Which mistake in a harness reproduces y: a weight transposed, a kernel flipped, a sample lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrp_conform.cases import model
from lrp_conform.cases.numbers import float_array
from lrp_conform.cases.question import Question
from lrp_ref.arrays import LRPError

Array = Any


@dataclass(frozen=True)
class LayerNumbers:
    """A layer as numbers: what a mistake changes."""

    op: str
    attrs: dict[str, Any]
    params: dict[str, Array]
    xs: tuple[Array, ...]

    @property
    def y(self) -> Array:
        """The output, in float64."""
        layer = model.layer({"op": self.op, "attrs": self.attrs}, self.params)
        return np.asarray(layer.affine(*self.xs).y)

    def with_param(self, name: str, change: Callable[[Array], Array]) -> LayerNumbers | None:
        """The layer with one parameter changed; None if it has none, or if that changes nothing."""
        if name not in self.params:
            return None
        new = change(self.params[name])
        same = new.shape == self.params[name].shape and np.array_equal(new, self.params[name])
        return None if same else LayerNumbers(self.op, self.attrs, {**self.params, name: new}, self.xs)

    def with_attr(self, name: str, change: Callable[[Any], Any]) -> LayerNumbers | None:
        """The layer with one attribute changed."""
        if name not in self.attrs:
            return None
        new = change(self.attrs[name])
        return None if new == self.attrs[name] else LayerNumbers(self.op, {**self.attrs, name: new}, self.params, self.xs)


def layer_of(question: Question) -> LayerNumbers:
    node = question.node
    xs = tuple(float_array(question.inputs[name], "float64") for name in node["inputs"])
    return LayerNumbers(node["op"], node["attrs"], {n: float_array(t, "float64") for n, t in node["params"].items()}, xs)


def _spatial(kernel: Array) -> Array:
    return np.flip(kernel, tuple(range(2, kernel.ndim)))


def _ones(given: list[int]) -> list[int]:
    return [1] * len(given)


def _grown(by: int) -> Callable[[list[list[int]]], list[list[int]]]:
    return lambda given: [[max(0, b + by), max(0, e + by)] for b, e in given]


Change = Callable[[LayerNumbers], LayerNumbers | None]
Output = tuple[str, Callable[[Array, LayerNumbers], Array]]
# What the layer is taken for.
LAYERS: list[tuple[str, Change]] = [
    (
        "y equals x @ W: the weight is used as (in, out); expected (out, in)",
        lambda a: a.with_param("weight", np.transpose) if a.op == "dense" else None,
    ),
    (
        "the kernel is flipped: that is a convolution; expected a cross-correlation",
        lambda a: a.with_param("weight", _spatial) if a.op == "conv" else None,
    ),
    (
        "the kernel is flipped; expected the transpose of a cross-correlation",
        lambda a: a.with_param("weight", _spatial) if a.op == "conv-transpose" else None,
    ),
    (
        "the weight's first two axes are swapped",
        lambda a: a.with_param("weight", lambda w: np.swapaxes(w, 0, 1)) if a.op != "dense" else None,
    ),
    ("the bias is missing", lambda a: a.with_param("bias", lambda b: 0 * b)),
    ("the bias is added twice", lambda a: a.with_param("bias", lambda b: 2 * b)),
    ("the bias is subtracted", lambda a: a.with_param("bias", lambda b: -b)),
    ("the bias is in reverse order", lambda a: a.with_param("bias", lambda b: b[::-1])),
    ("the weight's first axis is in reverse order", lambda a: a.with_param("weight", lambda w: w[::-1])),
    ("the weight's second axis is in reverse order: channels swapped", lambda a: a.with_param("weight", lambda w: w[:, ::-1])),
    ("the padding is missing", lambda a: a.with_attr("padding", lambda p: [[0, 0] for _ in p])),
    ("the padding is one too wide on every side", lambda a: a.with_attr("padding", _grown(1))),
    ("the padding is one too narrow on every side", lambda a: a.with_attr("padding", _grown(-1))),
    ("the padding's begin and end are swapped", lambda a: a.with_attr("padding", lambda p: [[e, b] for b, e in p])),
    ("the padding's axes are in reverse order", lambda a: a.with_attr("padding", lambda p: p[::-1])),
    ("the stride is taken for 1", lambda a: a.with_attr("stride", _ones)),
    ("the strides are in reverse order", lambda a: a.with_attr("stride", lambda s: s[::-1])),
    ("the dilation is taken for 1", lambda a: a.with_attr("dilation", _ones)),
    ("the kernel's sizes are in reverse order", lambda a: a.with_attr("kernel", lambda k: k[::-1])),
    ("gamma is missing", lambda a: a.with_param("gamma", np.ones_like)),
    ("beta is missing", lambda a: a.with_param("beta", np.zeros_like)),
    ("the mean is missing", lambda a: a.with_param("mean", np.zeros_like)),
    ("the variance is taken for the standard deviation", lambda a: a.with_param("variance", np.square)),
    ("the inputs are in reverse order", lambda a: LayerNumbers(a.op, a.attrs, a.params, a.xs[::-1]) if len(a.xs) > 1 else None),
]
# What becomes of y.
OUTPUTS: list[Output] = [
    ("the samples are in reverse order", lambda y, a: y[::-1]),
    ("the channels are in reverse order", lambda y, a: y[:, ::-1]),
    ("only the first sample is there, without its batch axis", lambda y, a: y[0]),
    ("only the first sample is there", lambda y, a: y[:1]),
    ("every sample is the first one", lambda y, a: np.broadcast_to(y[:1], y.shape)),
    ("the samples are added up", lambda y, a: y.sum(0)),
    ("the samples are added up, and the batch axis kept", lambda y, a: y.sum(0, keepdims=True)),
    ("y is transposed: batch last", lambda y, a: np.moveaxis(y, 0, -1)),
    ("y has its channels last", lambda y, a: np.moveaxis(y, 1, -1)),
    ("y has its channels first, before the batch axis", lambda y, a: np.swapaxes(y, 0, 1)),
    ("y is flattened", lambda y, a: y.reshape(len(y), -1)),
    ("y is flattened, batch and all", lambda y, a: y.reshape(-1)),
    ("y went through a ReLU", lambda y, a: np.maximum(y, 0)),
    ("y is the sum over the window; expected the mean", lambda y, a: y * np.prod(a.attrs.get("kernel", [1]))),
    ("y is the mean over the window; expected the sum", lambda y, a: y / np.prod(a.attrs.get("kernel", [1]))),
    ("y is the input", lambda y, a: a.xs[0]),
    ("y is 0", lambda y, a: 0 * y),
]


SAME: Output = ("", lambda y, a: y)


def explanations(question: Question, y: Array, off: float) -> Iterator[str]:
    """The mistakes, single before paired, that give this `y` up to `off`."""
    right = layer_of(question)
    layers = [(told, new) for told, change in LAYERS if (new := change(right)) is not None]
    plain = [("", right), *layers]
    pairs = ((f"{a}; and {b}", new) for a, layer in layers for b, change in LAYERS if (new := change(layer)) is not None)
    stages: list[tuple[Iterable[tuple[str, LayerNumbers]], Sequence[Output]]] = [
        (plain[:1], OUTPUTS), (layers, [SAME]), (layers, OUTPUTS), (pairs, [SAME]),
    ]  # fmt: skip
    for changed, outputs in stages:
        for told, layer in changed:
            try:
                out = layer.y
            except (LRPError, ValueError):  # no such layer
                continue
            for word, change in outputs:
                if close(change(out, layer), y, off):
                    yield "; and ".join(filter(None, (told, word)))


def close(expected: Array, got: Array, off: float) -> bool:
    """Whether two arrays agree in shape, and in values up to `off`."""
    return bool(expected.shape == np.shape(got) and np.all(np.abs(np.asarray(got, np.float64) - expected) <= off))


def difference(right: Any, y: Any) -> str:
    if right.shape != y.shape:
        return f"y has shape {y.shape}; expected {right.shape}"
    at = np.unravel_index(int(np.argmax(np.abs(right - y))), right.shape)
    return f"y{[int(k) for k in at]} = {float(y[at]):.6g}; expected {float(right[at]):.6g}"


def far(a: Any, b: Any) -> float:
    return float(np.abs(np.asarray(b, np.float64) - np.asarray(a, np.float64)).max())


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return bool(np.array_equal(a, b, equal_nan=True))
    return bool(a == b)


def arrays(value: Any) -> Iterator[Any]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from arrays(part)
