"""Small networks that tests share: as nodes with golden parameters for the second oracle, and as `lrp.Network`."""

from fractions import Fraction
from typing import Any

import numpy as np

import lrp_ref as lrp
from lrp_conform.cases.numbers import exact_array
from lrp_conform.cases.operators import OPERATORS

Json = dict[str, Any]


def tensor(rng: np.random.Generator, *shape: int, values: tuple[str, ...] = ("1", "-1", "2", "-2", "1/2", "-3/2")) -> Json:
    """A golden tensor of random elements."""
    return {"shape": list(shape), "data": [str(v) for v in rng.choice(values, size=int(np.prod(shape)))]}


def node(name: str, op: str, inputs: list[str], params: Json | None = None, **attrs: Any) -> Json:
    return {"name": name, "op": op, "inputs": inputs, "attrs": attrs, "params": params or {}}


def residual_nodes(rng: np.random.Generator) -> list[Json]:
    """Convolution, batch norm, ReLU, a residual sum around a convolution, poolings, concatenation, dense."""
    norm = {name: tensor(rng, 2) for name in ("gamma", "beta", "mean")} | {"variance": {"shape": [2], "data": ["4", "1/4"]}}
    pads = [[1, 1], [1, 1]]
    return [
        node("conv", "conv", ["x"], {"weight": tensor(rng, 2, 1, 2, 2), "bias": tensor(rng, 2)}),
        node("norm", "batch-norm", ["conv"], norm, epsilon="0", linearization="affine"),
        node("relu", "activation", ["norm"], function="relu", linearization="identity"),
        node("branch", "conv", ["relu"], {"weight": tensor(rng, 2, 1, 3, 3), "bias": tensor(rng, 2)}, padding=pads, groups=2),
        node("add", "add", ["branch", "relu"]),
        node("relu2", "activation", ["add"], function="relu", linearization="identity"),
        node("average", "avg-pool", ["relu2"], kernel=[2, 2], stride=[2, 2]),
        node("max", "max-pool", ["relu2"], kernel=[2, 2], stride=[2, 2], ties="first", linearization="winner"),
        node("both", "concat", ["average", "max"], axis=1),
        node("flat", "flatten", ["both"]),
        node("dense", "dense", ["flat"], {"weight": tensor(rng, 3, 16), "bias": tensor(rng, 3)}),
    ]


def network(nodes: list[Json], cast: Any = None, **options: Any) -> lrp.Network:
    """The nodes as a network, in Fractions or in what `cast` makes of them."""

    def read(data: Json) -> Any:
        a = exact_array(data, Fraction)
        return a if cast is None else cast(a)

    built = []
    for n in nodes:
        params = {name: read(data) for name, data in n["params"].items()}
        attrs = {"groups": 1, "stride": 1, "padding": 0, "dilation": 1} | n["attrs"] if n["op"] == "conv" else n["attrs"]
        built.append(lrp.Node(n["name"], layer(n["op"], params, attrs), n["inputs"]))
    return lrp.Network(built, **options)


def layer(op: str, params: Json, attrs: Json) -> Any:
    if op == "conv":
        padding = attrs["padding"] if attrs["padding"] == 0 else tuple(map(tuple, attrs["padding"]))
        return lrp.Conv(params["weight"], params["bias"], attrs["stride"], padding, attrs["dilation"], attrs["groups"])
    return OPERATORS[op].build(params, attrs)


def residual(cast: Any = None, seed: int = 0) -> lrp.Network:
    """`residual_nodes` as a network on x (N, 1, 5, 5)."""
    return network(residual_nodes(np.random.default_rng(seed)), cast)


def image(seed: int = 0, batch: int = 2) -> Any:
    """x (N, 1, 5, 5) for `residual`, in Fractions with few bits."""
    return lrp.exact(np.random.default_rng(seed).integers(-4, 5, size=(batch, 1, 5, 5)) / 2)


def float64(a: Any) -> np.ndarray:
    return a.astype(np.float64)


def float32(a: Any) -> np.ndarray:
    return a.astype(np.float32)


INNVESTIGATE = (
    "z", "epsilon", "w_square", "flat", "alpha2_beta1", "alpha2_beta1_ignore_bias", "alpha1_beta0", "alpha1_beta0_ignore_bias",
    "z_plus", "z_plus_fast", "sequential_preset_a", "sequential_preset_b", "sequential_preset_a_flat",
    "sequential_preset_b_flat", "deep_taylor",
)  # fmt: skip
ZENNIT = ("epsilon_plus", "epsilon_alpha2_beta1", "epsilon_plus_flat", "epsilon_alpha2_beta1_flat")
PRESETS: dict[str, Any] = {
    **{f"innvestigate.{name}": getattr(lrp.composites.innvestigate, name) for name in INNVESTIGATE},
    **{f"zennit.{name}": getattr(lrp.composites.zennit, name) for name in (*ZENNIT, "excitation_backprop")},
    **{f"julia.{name}": getattr(lrp.composites.relevance_propagation_jl, name) for name in ZENNIT},
    "captum.epsilon": lrp.composites.captum.epsilon,
    "innvestigate.until_idx": lambda: lrp.composites.innvestigate.sequential_preset_b_flat_until_idx(1),
    "innvestigate.bounded_z": lambda: lrp.composites.innvestigate.z((-4, 4)),
    "innvestigate.bounded_deep_taylor": lambda: lrp.composites.innvestigate.bounded_deep_taylor(-4, 4),
    "zennit.epsilon_gamma_box": lambda: lrp.composites.zennit.epsilon_gamma_box(-4, 4),
    "zennit.zero_params": lambda: lrp.composites.zennit.epsilon_gamma_box(-4, 4, zero_params="bias"),
    "julia.epsilon_gamma_box": lambda: lrp.composites.relevance_propagation_jl.epsilon_gamma_box(-4, 4),
}
