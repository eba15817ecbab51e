"""LXT: the rules of `lxt.explicit`, as functions and as wrappers around a torch module.

A dense layer is `linear_epsilon`, a sum of two inputs `add2`, a global average `mean`; any other linear layer goes into
the module rule `EpsilonRule`. `UniformRule` shares relevance equally among the inputs of a sum, and `IdentityRule` hands
it through a layer that keeps the shape. LXT adds epsilon without regard to the sign of the denominator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from types import SimpleNamespace
from typing import Any

from lrp_conform.builders import Unsupported

try:
    _VERSION = metadata.version("lxt")
except metadata.PackageNotFoundError:
    _VERSION = "not installed"

_FEATURES = {
    "op": "dense conv conv-transpose avg-pool sum-pool global-avg-pool batch-norm add activation lrn identity dropout",
    "spatial": "1 2 3",
    "conv": "groups dilation stride padding output-padding",
    "pool": "padding exclude-padding",
    "activation": "relu leaky-relu elu softplus sigmoid tanh silu clip hard-sigmoid",
    "slope": "channel",
    "rule": "zero epsilon norm flat pass",
    "stabilizer": "none signed_add unsigned_add",
    "bias": "absorb ignore",
}

INFO: dict[str, Any] = {
    "name": "lxt",
    "version": _VERSION,
    "features": [f"{kind}.{name}" for kind, names in _FEATURES.items() for name in names.split()],
    "dtypes": ["float64", "float32", "float16"],
    "devices": ["cpu"],
    "relevance_init": "arbitrary",
}

_ONE_TO_ONE = {"activation", "batch-norm", "lrn", "identity", "dropout"}
_BIASED = {"bias", "beta"}  # parameters that enter the denominator of the epsilon rule


def run(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return the output of the case's layer and LXT's relevance for each of its inputs."""
    lib = _libraries()
    if len(case["nodes"]) != 1:
        raise Unsupported("this adapter asks one layer at a time")
    dtype, device = getattr(lib.torch, case["dtype"]), case.get("device", "cpu")
    several = isinstance(case["x"], (list, tuple))
    x = [lib.tensor(array, dtype, device).requires_grad_() for array in (case["x"] if several else [case["x"]])]
    graph, _ = lib.build(case["nodes"], x, add=lambda count: lib.Sum())
    node, step = case["nodes"][0], graph.steps[0]
    y = _explained(lib, node, case["rules"][node["name"]], step)(*x)
    relevance = lib.torch.autograd.grad(y, x, lib.tensor(case["relevance"], dtype, device))
    parts = [part.detach().cpu().numpy() for part in relevance]
    return {"y": y.detach().cpu().numpy(), "relevance": parts if several else parts[0]}


def _explained(lib: SimpleNamespace, node: Mapping[str, Any], rule: Mapping[str, Any], step: Any) -> Callable[..., Any]:
    """Return the layer as a function whose gradient is relevance by the rule."""
    name, op, F = rule["rule"], node["op"], lib.functional
    if name == "pass" and op in _ONE_TO_ONE:
        identity: Callable[..., Any] = lib.rules.IdentityRule(step)
        return identity
    if name == "flat" and op == "add":
        uniform: Callable[..., Any] = lib.rules.UniformRule(step)
        return uniform
    if name not in {"zero", "epsilon", "norm"} or op in _ONE_TO_ONE - {"batch-norm"}:
        raise Unsupported(f"lxt has no rule {name} for {op}")
    if rule["bias"] == "ignore" and not _BIASED.isdisjoint(node.get("params", {})):
        raise Unsupported("lxt cannot leave the bias out of the denominator")
    epsilon = 0.0 if rule["stabilizer"]["kind"] == "none" else float(rule["stabilizer"]["epsilon"])
    if op == "dense":
        return lambda x: F.linear_epsilon(x, step.weight, step.bias, epsilon)
    if op == "add" and len(node["inputs"]) == 2:
        return lambda a, b: F.add2(a, b, epsilon=epsilon)
    if op == "global-avg-pool":  # `mean` adds its epsilon to the sum
        return lambda x: F.mean(x, tuple(range(2, x.ndim)), True, epsilon * x[0, 0].numel())
    wrapped: Callable[..., Any] = lib.rules.EpsilonRule(step, epsilon)
    return wrapped


@cache
def _libraries() -> SimpleNamespace:
    try:
        import torch
        from lxt.explicit import functional, rules
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(f"{missing.name} is missing: pip install torch, and pip install --no-deps lxt") from None
    except Exception as error:  # a broken installation raises what it likes
        raise ImportError(f"lxt cannot be imported: {type(error).__name__}: {error}") from None
    from lrp_conform.builders.torch import build, tensor

    class Sum(torch.nn.Module):
        def forward(self, *x: Any) -> Any:
            return sum(x[1:], x[0])

    return SimpleNamespace(torch=torch, functional=functional, rules=rules, build=build, tensor=tensor, Sum=Sum)
