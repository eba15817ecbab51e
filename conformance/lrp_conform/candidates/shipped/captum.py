"""Captum: LRP with a rule set on every layer, for one target output at a time.

Captum deletes a model's rules after each call, so each call builds its model and sets its rules anew. A layer
that captum refuses for want of a default rule is attributed by the rule that a case names, as its error
message asks for.
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
    _VERSION = metadata.version("captum")
except metadata.PackageNotFoundError:
    _VERSION = "not installed"

_FEATURES = {
    "op": "dense conv conv-transpose avg-pool sum-pool global-avg-pool max-pool batch-norm add concat flatten activation "
    "dropout",
    "network": "sequence branches",
    "activation": "relu",
    "spatial": "1 2 3",
    "conv": "groups dilation stride padding",
    "rule": "zero epsilon gamma alpha1-beta0 z-plus z-plus-fast norm pass gradient",
    "stabilizer": "none signed_add",
    "bias": "absorb split ignore raw full_in_both",
    "split": "weight",
}

INFO: dict[str, Any] = {
    "name": "captum",
    "version": _VERSION,
    "features": [f"{kind}.{name}" for kind, names in _FEATURES.items() for name in names.split()],
    "dtypes": ["float64", "float32", "float16"],
    "devices": ["cpu"],
    "relevance_init": "one-hot",
}

_FUNCTIONS = ("concat", "flatten")  # captum has no rule for nn.Flatten; autograd hands relevance through what is no module
_WITH_KERNEL = {"dense", "conv", "conv-transpose"}


def run(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return the output of the case's layers and captum's attribution of the output element `target`."""
    lib = _libraries()
    dtype, device = getattr(lib.torch, case["dtype"]), case.get("device", "cpu")
    several = isinstance(case["x"], (list, tuple))
    x = tuple(lib.tensor(array, dtype, device).requires_grad_() for array in (case["x"] if several else [case["x"]]))
    if x[0].shape[0] != 1:
        raise Unsupported("captum attributes the same output of every sample: one sample at a time")
    graph, y = lib.build(case["nodes"], x, add=lambda count: _addition(lib, count), functions=_FUNCTIONS)
    if not graph.held:
        raise Unsupported("captum's LRP needs a module")
    for node, step in zip(case["nodes"], graph.steps, strict=True):
        rule = _rule(lib, node, case["rules"][node["name"]])
        if rule is not None:
            step.rule = rule
    index = tuple(int(i) for i in np.unravel_index(case["target"], tuple(y.shape[1:])))
    relevance = lib.LRP(graph).attribute(x, target=index[0] if len(index) == 1 else index)
    parts = [part.detach().cpu().numpy() for part in relevance]
    return {"y": y.cpu().numpy(), "relevance": parts if several else parts[0]}


def _rule(lib: SimpleNamespace, node: Mapping[str, Any], rule: Mapping[str, Any]) -> Any:
    """Return the propagation rule to set on the layer, or None where captum passes relevance through."""
    name, op, bias, rules = rule["rule"], node["op"], rule.get("bias"), lib.rules
    if op in _FUNCTIONS and name in {"pass", "gradient"}:
        return None
    if name == "gradient" and op != "max-pool":
        raise Unsupported(f"captum has no rule that is the gradient of {op}")
    if op == "activation":
        if name == "pass" and node["attrs"]["function"] in {"relu", "tanh"}:
            return None
        raise Unsupported("captum passes relevance through ReLU and Tanh, and refuses other activations")
    if op == "dropout" and name == "pass":
        return None
    if name in {"pass", "gradient"}:
        if op == "batch-norm":
            return rules.IdentityRule()
        if op == "max-pool":
            return rules.EpsilonRule()  # its default there: it has no rule that changes the shape
        raise Unsupported(f"captum has no rule that passes relevance through {op}")
    ignore, stabilizer = bias == "ignore", rule.get("stabilizer") or {"kind": "none"}
    if name in {"zero", "epsilon"} or (name == "norm" and op not in _WITH_KERNEL | {"batch-norm"}):
        if ignore and not node.get("params", {}).keys().isdisjoint({"bias", "beta"}):
            raise Unsupported("captum's EpsilonRule cannot leave the bias out")
        chosen = rules.EpsilonRule()
    elif op not in _WITH_KERNEL:
        raise Unsupported(f"captum has no rule {name} for {op}")
    elif name == "gamma":
        chosen = rules.GammaRule(gamma=rule["gamma"], set_bias_to_zero=ignore)
    elif name in {"z-plus", "z-plus-fast"} or (name == "alpha-beta" and rule["alpha"] == 1 and rule["beta"] == 0):
        chosen = rules.Alpha1_Beta0_Rule(set_bias_to_zero=ignore)
    else:
        raise Unsupported(f"captum has no rule {name} with these parameters")
    if stabilizer["kind"] != "none" or name in {"zero", "epsilon", "norm"}:  # the other rules have 1e-9 and offer no other
        chosen.STABILITY_FACTOR = _stability(stabilizer)
    return chosen


def _stability(stabilizer: Mapping[str, Any]) -> float:
    if stabilizer["kind"] == "none":
        return 0.0
    if stabilizer["kind"] != "signed_add" or stabilizer.get("sign_at_zero", 1) != 1:
        raise Unsupported("captum adds epsilon with the sign of the denominator, and +1 as the sign of zero")
    return float(stabilizer["epsilon"])


def _addition(lib: SimpleNamespace, count: int) -> Any:
    if count != 2:
        raise Unsupported("captum's Addition_Module takes two inputs")
    return lib.Addition_Module()


@cache
def _libraries() -> SimpleNamespace:
    try:
        import torch
        from captum.attr import LRP
        from captum.attr._utils import lrp_rules
        from captum.attr._utils.custom_modules import Addition_Module
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(f"{missing.name} is missing: pip install torch captum") from None
    except Exception as error:  # a broken installation raises what it likes
        raise ImportError(f"captum cannot be imported: {type(error).__name__}: {error}") from None
    from lrp_conform.builders.torch import build, tensor

    return SimpleNamespace(torch=torch, LRP=LRP, rules=lrp_rules, Addition_Module=Addition_Module, build=build, tensor=tensor)
