"""A layer of every kind, built in any array-API namespace from the same numbers, and one rule of every name."""

from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from strategies import fits

import lrp_ref as lrp
from lrp_conform.cases import model
from lrp_conform.cases.numbers import float_array
from lrp_conform.cases.operators import OPERATORS

Make = Callable[[np.ndarray], Any]

CHOSEN = {
    rule.name: rule
    for rule in (
        lrp.Zero(), lrp.Epsilon(0.1), lrp.AlphaBeta(2, 1), lrp.ZPlus(), lrp.ZPlusFast(), lrp.Gamma(0.25),
        lrp.GeneralizedGamma(0.25), lrp.WSquare(), lrp.Flat(), lrp.ZBox(-9, 9), lrp.AlphaBetaX(2, 1, 0.5, 0.5), lrp.AbsZ(),
        lrp.Norm(), lrp.Pass(), lrp.Shares((0.25, 0.75)), lrp.Gradient(),
    )
}  # fmt: skip
RULES = {name: CHOSEN.get(name) or kind() for name, kind in lrp.RULES.items()}


class Plainest:
    """Chooses the plainest instance of an operator that nobody chose one of here."""

    exact, wide, refused = False, False, frozenset[str]()

    def choice(self, axis: str, values: Any, more: Any = ()) -> Any:
        return values[0]

    def tensor(self, name: str, shape: tuple[int, ...], among: Any = None) -> dict[str, Any]:
        rng = np.random.default_rng(0)
        data = [str(rng.choice(among)) if among else str(rng.integers(-3, 4)) for _ in range(int(np.prod(shape)))]
        return {"shape": list(shape), "data": data}


def plainest(op: str, make: Make) -> tuple[Any, tuple[int, ...], int]:
    """An instance that the operator's row draws."""
    node, inputs = OPERATORS[op].drawn(Plainest())
    params = {name: make(float_array(data, "float64")) for name, data in node["params"].items()}
    return model.layer(node, params), tuple(inputs[node["inputs"][0]]["shape"]), len(inputs)


def layers(make: Make) -> dict[str, tuple[Any, tuple[int, ...], int]]:
    """op -> its layer, the shape of x, and how many such inputs it takes."""
    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> Any:
        return make(rng.normal(size=shape))

    positive = make(np.array([1.0, 2.0]))
    shape = (1, 2, 4)  # one shape where it does: a namespace that compiles meets few shapes
    chosen = {
        "dense": (lrp.Dense(drawn(2, 4), drawn(2)), (2, 4), 1),
        "conv": (lrp.Conv(drawn(4, 1, 2), drawn(4), stride=2, padding=((1, 0),), groups=2), shape, 1),
        "conv-transpose": (lrp.ConvTranspose(drawn(2, 2, 2), None, padding=1), shape, 1),
        "avg-pool": (lrp.AvgPool((2,), padding=1, count_include_pad=False), shape, 1),
        "sum-pool": (lrp.SumPool((2,), stride=1, dilation=2), shape, 1),
        "global-avg-pool": (lrp.GlobalAvgPool(), shape, 1),
        "max-pool": (lrp.MaxPool((2,), padding=1), shape, 1),
        "batch-norm": (lrp.BatchNorm(positive, positive, positive, positive), shape, 1),
        "add": (lrp.Add(), shape, 2),
        "concat": (lrp.Concat(1), shape, 2),
        "flatten": (lrp.Flatten(), shape, 1),
        "reshape": (lrp.Reshape((4, -1)), shape, 1),
        "permute": (lrp.Permute((2, 1)), shape, 1),
        "pad": (lrp.Pad(((1, 0),), 2), shape, 1),
        "crop": (lrp.Crop(((1, 0),)), shape, 1),
        "upsample": (lrp.Upsample((2,)), shape, 1),
        "embedding": (lrp.Embedding(drawn(3, 4)), (1, 2), 1),
        "activation": (lrp.Activation("leaky-relu", "ratio", slope=(0.25, 0.5)), shape, 1),
        "lrn": (lrp.LRN(2, 0.5, 0.75, 1, "gradient"), shape, 1),
        "scale": (lrp.Scale(drawn(2, 1), drawn(1, 4)), shape, 1),
        "slice": (lrp.Slice(2, 1, 4, 2), shape, 1),
        "identity": (lrp.Identity(), shape, 1),
        "dropout": (lrp.Dropout(), shape, 1),
        "softmax": (lrp.Softmax(), shape, 1),
    }
    return {op: chosen[op] if op in chosen else plainest(op, make) for op in OPERATORS}


LAYERS = tuple(layers(np.asarray))


def posed(op: str, make: Make) -> tuple[Any, tuple[Any, ...], Any]:
    """The layer of `op`, its inputs and the relevance that arrives, in the namespace of `make`."""
    layer, shape, count = layers(make)[op]
    rng = np.random.default_rng(1)
    if OPERATORS[op].indices:
        x: tuple[Any, ...] = (array_namespace(layer.weight).asarray(rng.integers(0, 3, shape)),)
    else:
        x = tuple(make(rng.normal(size=shape)) for _ in range(count))
    return layer, x, make(rng.normal(size=layer.affine(*x).y.shape))


def serving(op: str) -> list[Any]:
    """The rules that have a meaning on `op`."""
    return [rule for name, rule in RULES.items() if fits(name, op)]
