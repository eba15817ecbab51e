"""Tiny networks, each under every composite of `lrp_conform.cases.presets`."""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

from lrp_conform.cases.network_reference import WrittenNetwork, explicit_rules
from lrp_conform.cases.presets import HIGH, LOW, PRESETS, LibraryComposite
from lrp_conform.making.recipes.common import Draw, Spec, integers


@dataclass(frozen=True)
class Architecture:
    """A network and its data: what every case on it shares. `target`: per sample the output that relevance arrives at."""

    name: str
    story: str
    nodes: list[Spec]
    x: Spec
    target: list[int]
    outputs: int

    @property
    def inputs(self) -> dict[str, Spec]:
        """x, and the relevance at one output of every sample."""
        arriving = [RELEVANCE if j == t else 0 for t in self.target for j in range(self.outputs)]
        return {"x": self.x, "relevance": integers((len(self.target), self.outputs), arriving)}


RELEVANCE = 24  # neither 1 nor an output: what is seeded otherwise shows


@dataclass(frozen=True)
class NetworkRecipe:
    """One case before its answers are computed; `also`: presets of the library that give every node the same rule."""

    id: str
    architecture: Architecture
    preset: LibraryComposite
    nodes: list[Spec]
    rules: dict[str, Spec]
    also: tuple[str, ...] = ()

    @property
    def asked(self) -> WrittenNetwork:
        return WrittenNetwork(self.nodes, self.rules, self.architecture.inputs)


# Networks -------------------------------------------------------------------------------------------------------------


class Builder:
    """Nodes one after the other, their parameters drawn; a node reads the one before it unless it says otherwise."""

    def __init__(self, seed: str) -> None:
        self.draw = Draw(seed)
        self.nodes: list[Spec] = []

    def __call__(self, name: str, op: str, *inputs: str, params: dict[str, Spec] | None = None, **attrs: Any) -> None:
        reads = list(inputs) or [self.nodes[-1]["name"] if self.nodes else "x"]
        self.nodes.append({"name": name, "op": op, "inputs": reads, "attrs": attrs, "params": params or {}})

    def weights(self, *shape: int) -> dict[str, Spec]:
        """Small integers, none of them zero; biases between integers, so that no output of integers is zero."""
        bias = [self.draw.choice(("-3/2", "-1/2", "1/2", "3/2")) for _ in range(shape[0])]
        return {"weight": self.draw.tensor(*shape, zeros=False), "bias": integers(shape[:1], bias)}

    def dense(self, name: str, out: int, into: int, *inputs: str) -> None:
        self(name, "dense", *inputs, params=self.weights(out, into))

    def conv(self, name: str, shape: tuple[int, ...], *inputs: str, stride: int = 1) -> None:
        geometry = {"stride": [stride] * 2, "padding": [[0, 0], [0, 0]], "dilation": [1, 1], "groups": 1}
        self(name, "conv", *inputs, params=self.weights(*shape), **geometry)

    def relu(self, name: str, *inputs: str) -> None:
        self(name, "activation", *inputs, function="relu", linearization="identity")

    def pool(self, name: str, op: str, *inputs: str) -> None:
        own = {"ties": "first", "linearization": "winner", "dilation": [1, 1]}
        rest = own if op == "max-pool" else {"dilation": [1, 1], "count_include_pad": True}
        self(name, op, *inputs, kernel=[2, 2], stride=[2, 2], padding=[[0, 0], [0, 0]], **rest)

    def done(self, name: str, story: str, x: tuple[int, ...], target: list[int]) -> Architecture:
        """The architecture on random inputs of this shape; its output has as many elements as its last bias."""
        image = self.draw.tensor(*x, low=LOW, high=HIGH)
        outputs = prod(self.nodes[-1]["params"]["bias"]["shape"])
        return Architecture(name, story, self.nodes, image, target, outputs)


def mlp(seed: int, target: list[int]) -> Architecture:
    """Dense layers only, two samples."""
    add = Builder(f"network.mlp/{seed}")
    add.dense("dense1", 4, 4)
    add.relu("relu1")
    add.dense("dense2", 3, 4)
    add.relu("relu2")
    add.dense("dense3", 3, 3)
    return add.done("mlp", "Three dense layers, ReLU between; two samples, each explained for another output.", (2, 4), target)


def convnet(seed: int, target: list[int]) -> Architecture:
    """A convolution, max pooling, dense layers."""
    add = Builder(f"network.convnet/{seed}")
    add.conv("conv", (2, 1, 2, 2))
    add.relu("relu1")
    add.pool("pool", "max-pool")
    add("flat", "flatten")
    add.dense("dense1", 3, 8)
    add.relu("relu2")
    add.dense("dense2", 2, 3)
    return add.done("convnet", "Convolution, ReLU, max pooling, flatten, two dense layers.", (1, 1, 5, 5), target)


def residual(seed: int, target: list[int]) -> Architecture:
    """Batch norm, a skip connection, average pooling. variance + epsilon = 4^2, and variance^2 + epsilon = 6^2."""
    add = Builder(f"network.residual/{seed}")
    norm = {name: add.draw.tensor(2, low=-2, high=2, zeros=False) for name in ("beta", "mean")}
    norm = {"gamma": integers((2,), [4, 8]), **norm, "variance": integers((2,), [5, 5])}
    add.conv("conv1", (2, 1, 2, 2))
    add("norm", "batch-norm", params=norm, epsilon="11", linearization="affine")
    add.relu("relu1")
    add.conv("conv2", (2, 2, 1, 1), "relu1")
    add("sum", "add", "conv2", "relu1")
    add.relu("relu2")
    add.pool("pool", "avg-pool")
    add("flat", "flatten")
    add.dense("dense", 3, 8)
    story = "Convolution, batch norm, ReLU, a convolution with a skip connection around it, average pooling, dense."
    return add.done("residual", story, (1, 1, 5, 5), target)


def branches(seed: int, target: list[int]) -> Architecture:
    """Two branches that read the same input, joined."""
    add = Builder(f"network.branches/{seed}")
    add.conv("left", (2, 1, 2, 2), "x", stride=2)
    add.relu("relu1")
    add.conv("right", (1, 1, 3, 3), "x")
    add.relu("relu2")
    add("both", "concat", "relu1", "relu2", axis=1)
    add("flat", "flatten")
    add.dense("dense", 3, 12)
    story = "Two convolutions that read the same input, joined by channels, then a dense layer."
    return add.done("branches", story, (1, 1, 4, 4), target)


def architectures() -> list[Architecture]:
    """Every network. The seeds are those whose data let the float32 bounds speak at every node under every composite."""
    return [mlp(1, [2, 1]), convnet(5, [1]), residual(7, [0]), branches(5, [0])]


# Recipes --------------------------------------------------------------------------------------------------------------


def recipes() -> dict[str, list[NetworkRecipe]]:
    """A group per library: every preset on every network, presets that mean the same there as one case."""
    found: dict[str, list[NetworkRecipe]] = {}
    for preset in PRESETS:
        cases = found.setdefault(f"network/{preset.library}", [])
        for architecture in architectures():
            nodes, rules = explicit_rules(architecture.nodes, preset.composite())
            same = [k for k, r in enumerate(cases) if (r.architecture, r.nodes, r.rules) == (architecture, nodes, rules)]
            for k in same:
                cases[k] = replace(cases[k], also=(*cases[k].also, preset.name))
            if not same:
                slug = f"network.{preset.library}.{preset.name}.{architecture.name}".replace("_", "-")
                cases.append(NetworkRecipe(slug, architecture, preset, nodes, rules))
    return found
