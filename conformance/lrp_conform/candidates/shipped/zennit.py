"""Zennit: its rules as hooks on modules, the relevance as the gradient they return, at every node.

A network under one of zennit's own composites gets that composite by its name; any other gets a rule per node.

Each rule is registered with zennit's own defaults except for the stabilizer, and `zero_params="bias"` is used
where a case leaves the bias out of zero, epsilon, alpha-beta or the generalised gamma rule. The other rules
run as they come, because what they do with a bias is the question. The same code serves zennit 0.5 and 1.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import numpy as np

from lrp_conform.builders import Unsupported

try:
    _VERSION = metadata.version("zennit")
except metadata.PackageNotFoundError:
    _VERSION = "not installed"

_FEATURES = {
    "op": "dense conv conv-transpose avg-pool sum-pool global-avg-pool max-pool batch-norm add concat flatten pad upsample "
    "activation lrn identity dropout softmax",
    "network": "sequence branches",
    "spatial": "1 2 3",
    "conv": "groups dilation stride padding output-padding",
    "pool": "padding exclude-padding",
    "activation": "relu leaky-relu elu softplus sigmoid tanh silu clip hard-sigmoid",
    "slope": "channel",
    "rule": "zero epsilon alpha-beta alpha1-beta0 z-plus generalized-gamma w-square flat z-box norm pass gradient",
    "stabilizer": "none signed_add clip rms_scaled",
    "bias": "absorb split ignore square",
    "bounds": "scalar channel array",
    "linearization": "gradient",
}

INFO: dict[str, Any] = {
    "name": "zennit",
    "version": _VERSION,
    "features": [f"{kind}.{name}" for kind, names in _FEATURES.items() for name in names.split()],
    "dtypes": ["float64", "float32", "float16"],
    "devices": ["cpu"],
    "relevance_init": "arbitrary",
}

_WITH_KERNEL = {"dense", "conv", "conv-transpose"}
_MOVES_VALUES = {"max-pool", "flatten", "pad", "upsample", "concat", "identity", "dropout"}
_ONE_TO_ONE = {"activation", "batch-norm", "lrn", "softmax"}
_STABILIZERS: dict[str, dict[str, bool]] = {
    "signed_add": {},
    "clip": {"clip": True},
    "rms_scaled": {"norm_scale": True},
}


def run(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return the output of the case's layers and zennit's relevance for each of their inputs."""
    lib = _libraries()
    dtype, device = getattr(lib.torch, case["dtype"]), case.get("device", "cpu")
    several = isinstance(case["x"], (list, tuple))
    x = [lib.tensor(array, dtype, device).requires_grad_() for array in (case["x"] if several else [case["x"]])]
    graph, y = lib.build(case["nodes"], x, add=lambda count: lib.Stacked(lib.Sum(dim=-1)))
    handles = _registered(lib, case, graph, x)
    values = graph.values(*x)
    names = [node["name"] for node in case["nodes"]]
    arriving = lib.tensor(case["relevance"], dtype, device)
    relevance = lib.torch.autograd.grad(values[names[-1]], [*x, *(values[name] for name in names)], arriving)
    for handle in handles:  # else the module and its hooks keep each other alive
        handle.remove()
    parts = [part.detach().cpu().numpy() for part in relevance]
    own = parts[: len(x)]
    at = {"nodes": dict(zip(names, parts[len(x) :], strict=True))} if len(names) > 1 else {}
    return {"y": y.cpu().numpy(), "relevance": own if several else own[0], **at}


def _registered(lib: SimpleNamespace, case: Mapping[str, Any], graph: Any, x: list[Any]) -> list[Any]:
    """Put the composite that the case names, or its rules, on the modules; return what takes them off again."""
    composite = case.get("composite") or {}
    if composite.get("library") == "zennit":
        options = {name: _bound(lib, v, x[0]) if name in ("low", "high") else v for name, v in composite["options"].items()}
        named = lib.composites[composite["name"]](**options)
        named.register(graph)
        return [named]
    handles = []
    for node, step in zip(case["nodes"], graph.steps, strict=True):
        hook = _hook(lib, node, case["rules"][node["name"]], x[0])
        if hook is not None:
            handles.append(hook.register(getattr(step, "inner", step)))
    return handles


def _hook(lib: SimpleNamespace, node: Mapping[str, Any], rule: Mapping[str, Any], x: Any) -> Any:
    """Return the hook a user of zennit would register for this rule, or None where zennit has none."""
    name, op, rules = rule["rule"], node["op"], lib.rules
    if name == "gradient" and op == "softmax":
        raise Unsupported("autograd differentiates the softmax itself")
    if name == "gradient":
        return None  # autograd's gradient is what remains
    if name == "pass":
        if op in _ONE_TO_ONE:
            return rules.Pass()
        if op in _MOVES_VALUES:
            return None
        raise Unsupported(f"zennit's Pass needs a layer that keeps the shape of its input, unlike {op}")
    if op == "concat":
        raise Unsupported("a concatenation is a function, which zennit has no hook for")
    stabilizer = _stabilizer(lib, rule.get("stabilizer") or {"kind": "none"})
    if op in _ONE_TO_ONE - {"batch-norm"} or (op not in _WITH_KERNEL and name not in {"zero", "epsilon", "norm", "flat"}):
        raise Unsupported(f"zennit has no rule {name} for {op}")
    if name == "norm" or (name in {"zero", "epsilon"} and op not in _WITH_KERNEL | {"batch-norm"}):
        return rules.Norm(stabilizer=stabilizer)
    if name == "flat" and op in _MOVES_VALUES | {"batch-norm"}:
        raise Unsupported(f"zennit's Flat replaces the input of {op} by ones, which changes the layer")
    zero_params = "bias" if rule.get("bias") == "ignore" else None
    if rule.get("bias") == "square" and name != "w-square":
        raise Unsupported(f"zennit cannot square the bias in the rule {name}")
    if name in {"zero", "epsilon"}:
        return rules.Epsilon(epsilon=stabilizer, zero_params=zero_params)
    if name == "alpha-beta":
        try:
            return rules.AlphaBeta(rule["alpha"], rule["beta"], stabilizer=stabilizer, zero_params=zero_params)
        except ValueError as error:
            raise Unsupported(f"zennit: {error}") from None
    if name == "generalized-gamma":
        return rules.Gamma(rule["gamma"], stabilizer=stabilizer, zero_params=zero_params)
    if name == "z-box":
        return rules.ZBox(_bound(lib, rule["low"], x), _bound(lib, rule["high"], x), stabilizer=stabilizer)
    plain = {"z-plus": rules.ZPlus, "w-square": rules.WSquare, "flat": rules.Flat}.get(name)
    if plain is None:
        raise Unsupported(f"zennit has no rule {name}")
    return plain(stabilizer=stabilizer)


def _stabilizer(lib: SimpleNamespace, stabilizer: Mapping[str, Any]) -> Any:
    kind = stabilizer["kind"]
    if kind == "none":
        return lib.Stabilizer(epsilon=0.0)
    if kind not in _STABILIZERS:
        raise Unsupported(f"zennit has no stabilizer {kind}")
    if stabilizer.get("sign_at_zero", 1) != 1:
        raise Unsupported("zennit's stabilizers take the sign of zero as +1")
    return lib.Stabilizer(epsilon=stabilizer["epsilon"], **_STABILIZERS[kind])


def _bound(lib: SimpleNamespace, bound: Any, x: Any) -> Any:
    if np.ndim(bound) == 0:
        return float(bound)  # which zennit rounds to float32, whatever the dtype of x
    bound = lib.tensor(bound, x.dtype, x.device)
    return bound.reshape((1, -1) + (1,) * (x.ndim - 2)) if bound.ndim == 1 else bound


@cache
def _libraries() -> SimpleNamespace:
    try:
        import torch
        from zennit import rules
        from zennit.composites import COMPOSITES
        from zennit.core import Stabilizer
        from zennit.layer import Sum
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(f"{missing.name} is missing: pip install torch torchvision zennit") from None
    except Exception as error:  # a broken installation raises what it likes
        raise ImportError(f"zennit cannot be imported: {type(error).__name__}: {error}") from None
    from lrp_conform.builders.torch import Stacked, build, tensor

    return SimpleNamespace(
        torch=torch,
        rules=rules,
        composites=COMPOSITES,
        Stabilizer=Stabilizer,
        Sum=Sum,
        Stacked=Stacked,
        build=build,
        tensor=tensor,
    )
