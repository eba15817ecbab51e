"""Turns the nodes of a case into a torch module, with its parameters copied into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lrp_conform.builders import Unsupported

Node = Mapping[str, Any]
Step = Callable[..., Tensor]

_ACTIVATIONS: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "relu": lambda attrs: nn.ReLU(),
    "leaky-relu": lambda attrs: nn.LeakyReLU(float(attrs["slope"])),
    "elu": lambda attrs: nn.ELU(),
    # The stock threshold of 20 would replace log(1 + exp(x)) by x with an error of 2e-9.
    "softplus": lambda attrs: nn.Softplus(threshold=80.0),
    "sigmoid": lambda attrs: nn.Sigmoid(),
    "tanh": lambda attrs: nn.Tanh(),
    "silu": lambda attrs: nn.SiLU(),
    "clip": lambda attrs: nn.Hardtanh(attrs.get("low", -float("inf")), attrs.get("high", float("inf"))),
    "hard-sigmoid": lambda attrs: nn.Hardsigmoid(),
}


class NetworkModule(nn.Module):
    """Steps called in the order of their nodes; the last one's result is the output.

    Steps are modules, but for what a user would write as a function (a concatenation, which has no module).
    """

    def __init__(self, nodes: Sequence[Node], inputs: Sequence[str], steps: Sequence[Step]) -> None:
        super().__init__()
        self.wiring = [(node["name"], tuple(node["inputs"])) for node in nodes]
        self.inputs = tuple(inputs)
        self.steps = tuple(steps)
        self.held = nn.ModuleList(step for step in steps if isinstance(step, nn.Module))  # so that torch knows of them

    def forward(self, *x: Tensor) -> Tensor:
        return self.values(*x)[self.wiring[-1][0]]

    def values(self, *x: Tensor) -> dict[str, Tensor]:
        """The value of every input and node."""
        values = dict(zip(self.inputs, x, strict=True))
        for (name, sources), step in zip(self.wiring, self.steps, strict=True):
            values[name] = step(*[values[source] for source in sources])
        return values


class Stacked(nn.Module):
    """Hands several inputs to a module of one input, stacked along a new last axis."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *x: Tensor) -> Tensor:
        y: Tensor = self.inner(torch.stack(x, dim=-1))
        return y


def tensor(array: Any, dtype: torch.dtype, device: str = "cpu") -> Tensor:
    """Return a copy of an array that shares no memory with it."""
    return torch.tensor(np.asarray(array), dtype=dtype, device=device)


def build(
    nodes: Sequence[Node], x: Sequence[Tensor], add: Callable[[int], nn.Module], functions: Sequence[str] = ("concat",)
) -> tuple[NetworkModule, Tensor]:
    """Return the module in evaluation mode, and its output for x.

    add: makes the module of an addition. functions: the ops that are called as functions, of those that have one.
    """
    inner = {node["name"] for node in nodes}
    outer = {source for node in nodes for source in node["inputs"]} - inner
    names = sorted(outer, key=lambda name: (len(name), name))
    values = dict(zip(names, x, strict=True))
    steps = []
    with torch.no_grad():
        for node in nodes:
            taken = [values[source] for source in node["inputs"]]
            step = add(len(taken)) if node["op"] == "add" else _step(node, taken[0], functions)
            values[node["name"]] = _forward(step, taken)
            steps.append(step)
    return NetworkModule(nodes, names, steps).eval(), values[nodes[-1]["name"]].detach()


def _forward(step: Step, taken: list[Tensor]) -> Tensor:
    try:
        return step(*taken)
    except (NotImplementedError, RuntimeError) as error:
        if "not implemented for" in str(error):  # torch has no kernel for this dtype on this device
            raise Unsupported(f"torch: {error}") from None
        raise


def _step(node: Node, x: Tensor, functions: Sequence[str]) -> Step:
    op, attrs = node["op"], node.get("attrs") or {}
    maker = _FUNCTIONS.get(op) if op in functions else _MAKERS.get(op)
    if maker is None:
        raise Unsupported(f"there is no torch module for {op}")
    return maker(node, attrs, x)


def _fill(module: nn.Module, like: Tensor, **arrays: Any) -> nn.Module:
    for name, array in arrays.items():
        if array is not None:
            setattr(module, name, nn.Parameter(tensor(array, like.dtype, str(like.device)), requires_grad=False))
    return module


def _dense(node: Node, attrs: Mapping[str, Any], x: Tensor) -> nn.Module:
    weight, bias = node["params"]["weight"], node["params"].get("bias")
    module = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    return _fill(module, x, weight=weight, bias=bias)


def _convolution(node: Node, attrs: Mapping[str, Any], x: Tensor) -> nn.Module:
    weight, bias = node["params"]["weight"], node["params"].get("bias")
    axes, groups, transposed = weight.ndim - 2, int(attrs.get("groups", 1)), node["op"] == "conv-transpose"
    options: dict[str, Any] = {
        "stride": _per_axis(attrs, "stride", axes, 1),
        "padding": _symmetric(attrs, axes),
        "dilation": _per_axis(attrs, "dilation", axes, 1),
    }
    if transposed:
        options["output_padding"] = _per_axis(attrs, "output_padding", axes, 0)
        if any(
            o >= max(s, d) for o, s, d in zip(options["output_padding"], options["stride"], options["dilation"], strict=True)
        ):
            raise Unsupported("torch wants an output padding below the stride or the dilation")
        channels = weight.shape[0], weight.shape[1] * groups
    else:
        channels = weight.shape[1] * groups, weight.shape[0]
    kind = _of_dimension("ConvTranspose" if transposed else "Conv", axes)
    module = kind(*channels, weight.shape[2:], groups=groups, bias=bias is not None, device="meta", **options)
    return _fill(module, x, weight=weight, bias=bias)


def _pool(node: Node, attrs: Mapping[str, Any], x: Tensor) -> nn.Module:
    op, axes = node["op"], x.ndim - 2
    kernel = _per_axis(attrs, "kernel", axes, 1)
    dilation, padding = _per_axis(attrs, "dilation", axes, 1), _symmetric(attrs, axes)
    if any(p > (d * (k - 1) + 1) // 2 for p, d, k in zip(padding, dilation, kernel, strict=True)):
        raise Unsupported("torch pools pad by at most half of the window")
    stride = tuple(attrs["stride"]) if "stride" in attrs else kernel
    if op == "max-pool":
        if attrs.get("linearization", "winner") != "winner" or attrs.get("ties", "first") != "first":
            raise Unsupported("torch's max pooling hands a gradient to the first of the largest elements only")
        return _of_dimension("MaxPool", axes)(kernel, stride, padding, dilation)
    if any(d != 1 for d in dilation):
        raise Unsupported("torch has no dilated average pooling")
    if axes == 3 and any(size < wide for size, wide in zip(x.shape[2:], kernel, strict=True)):
        raise Unsupported("torch's average pooling over three axes needs an input as large as its window, without the padding")
    if op == "avg-pool":
        include = bool(attrs.get("count_include_pad", True))
        return _of_dimension("AvgPool", axes)(kernel, stride, padding, count_include_pad=include)
    if axes == 1:
        raise Unsupported("torch has no sum pooling along one axis")
    return _of_dimension("AvgPool", axes)(kernel, stride, padding, divisor_override=1)


def _batch_norm(node: Node, attrs: Mapping[str, Any], x: Tensor) -> nn.Module:
    params = node["params"]
    if attrs.get("linearization", "affine") != "affine":
        raise Unsupported("torch's batch norm is its affine map")
    module = _of_dimension("BatchNorm", max(1, x.ndim - 2))(len(params["gamma"]), eps=float(attrs["epsilon"]))
    module.running_mean = tensor(params["mean"], x.dtype, str(x.device))
    module.running_var = tensor(params["variance"], x.dtype, str(x.device))
    return _fill(module, x, weight=params["gamma"], bias=params["beta"]).eval()


def _activation(node: Node, attrs: Mapping[str, Any], x: Tensor) -> nn.Module:
    if attrs["function"] not in _ACTIVATIONS:
        raise Unsupported(f"there is no torch module for the activation {attrs['function']}")
    if isinstance(attrs.get("slope"), list):
        return _fill(nn.PReLU(len(attrs["slope"])), x, weight=attrs["slope"])
    if attrs["function"] == "hard-sigmoid" and "slope" in attrs:
        raise Unsupported("torch's hard sigmoid has a slope of 1/6")
    return _ACTIVATIONS[attrs["function"]](attrs)


def _response_norm(node: Node, attrs: Mapping[str, Any], x: Tensor) -> nn.Module:
    if attrs["size"] % 2 == 0:
        raise Unsupported("torch's window of an even number of channels reaches one further down than up")
    if x.ndim < 3:
        raise Unsupported("torch normalises responses of images and sequences only")
    return nn.LocalResponseNorm(attrs["size"], attrs["alpha"], attrs["beta"], attrs["bias"])


def _joined(*x: Tensor, axis: int) -> Tensor:
    return torch.cat(x, dim=axis)


def _pad(node: Node, attrs: Mapping[str, Any], x: Tensor) -> nn.Module:
    pairs = [end for pair in reversed(attrs["padding"]) for end in pair]
    return _of_dimension("ConstantPad", len(attrs["padding"]))(tuple(pairs), float(attrs.get("value", 0)))


_FUNCTIONS: dict[str, Callable[[Node, Mapping[str, Any], Tensor], Step]] = {
    "concat": lambda node, attrs, x: partial(_joined, axis=int(attrs["axis"])),
    "flatten": lambda node, attrs, x: partial(torch.flatten, start_dim=1),
}
_MAKERS: dict[str, Callable[[Node, Mapping[str, Any], Tensor], nn.Module]] = {
    "dense": _dense,
    "conv": _convolution,
    "conv-transpose": _convolution,
    "avg-pool": _pool,
    "sum-pool": _pool,
    "max-pool": _pool,
    "global-avg-pool": lambda node, attrs, x: _of_dimension("AdaptiveAvgPool", x.ndim - 2)(1),
    "batch-norm": _batch_norm,
    "activation": _activation,
    "flatten": lambda node, attrs, x: nn.Flatten(1),
    "lrn": _response_norm,
    "identity": lambda node, attrs, x: nn.Identity(),
    "dropout": lambda node, attrs, x: nn.Dropout(attrs["rate"]).eval(),
    "softmax": lambda node, attrs, x: nn.Softmax(attrs["axis"]),
    "pad": _pad,
    "upsample": lambda node, attrs, x: nn.Upsample(scale_factor=tuple(map(float, attrs["scale"]))),
}


def _of_dimension(name: str, axes: int) -> Callable[..., nn.Module]:
    if axes not in (1, 2, 3):
        raise Unsupported(f"torch has no {name} for {axes} spatial axes")
    module: Callable[..., nn.Module] = getattr(nn, f"{name}{axes}d")
    return module


def _per_axis(attrs: Mapping[str, Any], name: str, axes: int, default: int) -> tuple[int, ...]:
    return tuple(int(value) for value in attrs.get(name, [default] * axes))


def _symmetric(attrs: Mapping[str, Any], axes: int) -> tuple[int, ...]:
    pairs = attrs.get("padding", [(0, 0)] * axes)
    if any(begin != end for begin, end in pairs):
        raise Unsupported("torch modules pad both ends of an axis by the same amount")
    return tuple(int(begin) for begin, _ in pairs)
