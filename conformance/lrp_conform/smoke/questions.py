"""What the smoke checks ask: small layers of integers without any symmetry, as questions under a rule."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrp_conform.cases.layer import Case
from lrp_conform.cases.numbers import tensor
from lrp_conform.cases.question import Question
from lrp_conform.smoke.model_mistakes import layer_of

Spec = dict[str, Any]


@dataclass(frozen=True)
class LayerQuestion:
    """A question without a rule: the node, and the shapes of its inputs."""

    op: str
    shapes: tuple[tuple[int, ...], ...]
    params: Mapping[str, Any]
    attrs: Spec

    @property
    def name(self) -> str:
        """Layers of one name are checked together."""
        axes = len(self.shapes[0]) - 2
        return f"{self.op} along {axes} ax{'i' if axes == 1 else 'e'}s" if axes else self.op

    def question(self, rule: Spec, bits: int = 0) -> Question:
        """Asked under `rule`; the inputs carry so many bits behind the point."""
        names = ["x"] if len(self.shapes) == 1 else [f"x{k}" for k in range(len(self.shapes))]
        node = {
            "name": "layer",
            "op": self.op,
            "inputs": names,
            "attrs": self.attrs,
            "params": {name: tensor(np.asarray(array, dtype=object)) for name, array in self.params.items()},
        }
        third = (2**bits // 3) / 2**bits  # every second bit is set, so that an answer of any precision shows its own
        xs = {
            name: tensor(numbers(shape, k).astype(float) + numbers(shape, k + 5).astype(float) * third)
            for k, (name, shape) in enumerate(zip(names, self.shapes, strict=True))
        }
        y = layer_of(Question(node, rule, xs)).y
        relevance = np.where(y == 0, 0, numbers(y.shape, 9))  # where y is 0, one-hot answers compose to nothing
        return Question(node, rule, {**xs, "relevance": tensor(relevance)})


def numbers(shape: tuple[int, ...], seed: int = 0) -> Any:
    """Small integers, none of them 0, without any symmetry."""
    flat = [(5 * k * k + 3 * k + 7 * seed + (k * seed) % 5) % 13 - 6 or 7 for k in range(math.prod(shape))]
    return np.array(flat, dtype=object).reshape(shape)


def _conv(axes: int, op: str = "conv", square: bool = True, **attrs: Any) -> LayerQuestion:
    kernel = (3, 2, 1)[-axes:] if axes < 3 else (2, 1, 2)
    given = {"stride": [1] * axes, "padding": [[0, 0]] * axes, "dilation": [1] * axes, "groups": 1, **attrs}
    if op == "conv-transpose":
        given["output_padding"] = [0] * axes
    other = 2 if square else 3
    weight = numbers((other, 2, *kernel) if op == "conv" else (2, other, *kernel), 1)
    return LayerQuestion(op, ((2, 2, *(5, 4, 3)[:axes]),), {"weight": weight, "bias": numbers((other,), 2)}, given)


def layers() -> Iterator[LayerQuestion]:
    """The layers that are asked about, those first that tell most."""
    for out in (3, 2):  # a square weight shows what another shape would only raise at
        yield LayerQuestion("dense", ((2, 3),), {"weight": numbers((out, 3), 1), "bias": numbers((out,), 2)}, {})
    for axes in (2, 1, 3):
        for op in ("conv", "conv-transpose"):
            yield _conv(axes, op)
            yield _conv(axes, op, square=False)
            yield _conv(axes, op, padding=[[1, 1]] * axes)
            yield _conv(axes, op, padding=[[k % 2, 1] for k in range(axes)])
            yield _conv(axes, op, stride=[2, 1, 1][:axes])
            yield _conv(axes, op, dilation=[1, 2, 1][-axes:])
        pool = {"kernel": [2, 1, 2][:axes], "stride": [1, 2, 1][:axes], "padding": [[0, 0]] * axes, "dilation": [1] * axes}
        x = ((2, 3, *(5, 4, 3)[:axes]),)
        yield LayerQuestion("avg-pool", x, {}, {**pool, "count_include_pad": True})
        yield LayerQuestion("sum-pool", x, {}, pool)
        yield LayerQuestion("max-pool", x, {}, {**pool, "ties": "first", "linearization": "winner"})
        params = {"gamma": numbers((2,), 1), "beta": numbers((2,), 2), "mean": numbers((2,), 3), "variance": [3, 15]}
        yield LayerQuestion("batch-norm", ((2, 2, *(3, 2, 2)[:axes]),), params, {"epsilon": "1", "linearization": "affine"})
    yield LayerQuestion("add", ((2, 3), (2, 3)), {}, {})
    yield LayerQuestion("concat", ((2, 3), (2, 2)), {}, {"axis": 1})


def bare_case(question: Question, features: frozenset[str]) -> Case:
    """A question as a case, so that it is asked as every other one is."""
    y = tensor(np.asarray(layer_of(question).y))
    none: Spec = {"G": {}, "H": {}, "S": {}, "Y": tensor(np.zeros(y["shape"])), "fan_in": 0, "fan_out": 0, "kappa": "0"}
    data: Spec = {
        "id": "smoke",
        "uid": "",
        "model": {"nodes": [question.node]},
        "rules": {"layer": question.rule},
        "inputs": question.inputs,
        "features": sorted(features),
        "expected": {"y": y, "relevance": {}},
        "gauges": none,
        "representable_in": ["float64", "float32", "float16"],
    }
    return Case(data, "smoke")
