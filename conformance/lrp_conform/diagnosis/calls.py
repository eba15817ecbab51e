"""The calls that the adapters of zennit and captum make, as source text; `tests/test_shrink.py` executes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lrp_conform.cases.operators import OPERATORS

ZENNIT = {"alpha-beta": "AlphaBeta", "generalized-gamma": "Gamma", "z-plus": "ZPlus", "w-square": "WSquare", "flat": "Flat"}
STABILIZERS = {"none": "", "signed_add": "", "clip": ", clip=True", "rms_scaled": ", norm_scale=True"}
Node = Mapping[str, Any]
Rule = Mapping[str, Any]


def zennit(node: Node, rule: Rule) -> str | None:
    """The hook that a user of zennit registers for a rule; "" for none, None where there is no short way to say it."""
    name, op, stabilizer = rule["rule"], node["op"], rule["stabilizer"]
    if name == "pass":
        return "zennit.rules.Pass()" if op == "batch-norm" else "" if op == "max-pool" else None
    if stabilizer["kind"] not in STABILIZERS or op == "max-pool":
        return None
    epsilon = 0.0 if stabilizer["kind"] == "none" else stabilizer["epsilon"]
    made = f"zennit.core.Stabilizer(epsilon={epsilon!r}{STABILIZERS[stabilizer['kind']]})"
    unbiased = ", zero_params='bias'" if rule["bias"] == "ignore" else ""
    if name == "norm" or (name in ("zero", "epsilon") and not (OPERATORS[op].weighted or op == "batch-norm")):
        return f"zennit.rules.Norm(stabilizer={made})"
    if name in ("zero", "epsilon"):
        return f"zennit.rules.Epsilon(epsilon={made}{unbiased})"
    if name == "z-box":
        bounds = [f"{rule[end]!r}" for end in ("low", "high") if isinstance(rule[end], float)]
        return f"zennit.rules.ZBox({', '.join(bounds)}, stabilizer={made})" if len(bounds) == 2 else None
    if name not in ZENNIT:
        return None
    first = {"alpha-beta": ("alpha", "beta"), "generalized-gamma": ("gamma",)}.get(name, ())
    more = unbiased if first else ""  # the other rules run as they come
    return f"zennit.rules.{ZENNIT[name]}({''.join(f'{rule[k]!r}, ' for k in first)}stabilizer={made}{more})"


def captum(node: Node, rule: Rule) -> list[str] | None:
    """The lines that set the rule of `layer`; None where there is no short way to say it."""
    name, op, kind = rule["rule"], node["op"], rule["stabilizer"]["kind"]
    ignore = rule["bias"] == "ignore"
    if name == "pass":
        called = {"batch-norm": "IdentityRule()", "max-pool": "EpsilonRule()"}.get(op)
        return None if called is None else [f"layer.rule = lrp_rules.{called}"]
    if name in ("zero", "epsilon", "norm"):
        called = "EpsilonRule()"
    elif name == "gamma":
        called = f"GammaRule(gamma={rule['gamma']!r}, set_bias_to_zero={ignore})"
    elif name in ("z-plus", "z-plus-fast", "alpha-beta"):
        called = f"Alpha1_Beta0_Rule(set_bias_to_zero={ignore})"
    else:
        return None
    lines = [f"layer.rule = lrp_rules.{called}"]
    if kind != "none" or name in ("zero", "epsilon", "norm"):
        lines.append(f"layer.rule.STABILITY_FACTOR = {0.0 if kind == 'none' else rule['stabilizer']['epsilon']!r}")
    return lines
