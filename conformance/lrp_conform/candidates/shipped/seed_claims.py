"""What each seed listing claims to compute, and how it becomes a candidate.

A listing enters `SYSTEMS` under its key with an INFO and a `run(case)`. `run`
declines whatever is outside the claim, and lets no floating-point warning out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lrp_conform.builders import Unsupported
from lrp_conform.candidates.shipped.numpy_layers import Array, NumpyLayer, from_node

Case = Mapping[str, Any]
Node = Mapping[str, Any]
Rule = Mapping[str, Any]
Result = dict[str, Any]
Listing = Callable[[NumpyLayer, Any, Array, Rule], Any]

SYSTEMS: dict[str, tuple[dict[str, Any], Callable[[Case], Result]]] = {}

# The conventions a listing can meet, at the only value it knows.
CONVENTIONS = {
    "split": "joint",
    "empty_half": "keep",
    "parameterization": "difference",
    "padding": "absent",
    "alpha1_from": "alpha1",
    "linearization": "affine",
}


GEOMETRY = [
    *(f"spatial.{axes}" for axes in (1, 2, 3)),
    *(f"conv.{what}" for what in ("stride", "dilation", "groups", "padding", "asymmetric-padding", "output-padding")),
    *(f"pool.{what}" for what in ("dilation", "padding", "asymmetric-padding", "exclude-padding")),
]


def register(key: str, features: list[str], answer: Callable[[Case, Node, Rule], Result]) -> None:
    def run(case: Case) -> Result:
        try:
            if len(case["nodes"]) != 1:
                raise Unsupported("one layer at a time")
            node = case["nodes"][0]
            rule = case["rules"][node["name"]]
            check_claim(features, node, rule)
            with np.errstate(all="ignore"):
                return answer(case, node, rule)
        except Unsupported as why:
            return {"unsupported": str(why)}

    info = {
        "name": f"seeds/{key}",
        "version": "1",
        "features": features,
        "dtypes": ["float64", "float32"],  # 1e-7 lies below float16's normal range
        "devices": ["cpu"],
        "relevance_init": "arbitrary",
    }
    SYSTEMS[key] = (info, run)


def check_claim(features: Sequence[str], node: Node, rule: Rule) -> None:
    """Decline what is not claimed, whoever asks."""
    halves = rule["rule"] == "alpha-beta" and (rule["alpha"], rule["beta"]) == (1, 0)
    wanted = [f"op.{node['op']}", "rule.alpha1-beta0" if halves else f"rule.{rule['rule']}"]
    if rule["rule"] != "pattern":
        wanted += [f"bias.{rule['bias']}", f"stabilizer.{rule['stabilizer']['kind']}"]
    conventions = {**rule, "linearization": node.get("attrs", {}).get("linearization", "affine")}
    wanted += [f"{name}.{conventions.get(name, known)}" for name, known in CONVENTIONS.items()]
    known_features = {*features, *(f"{name}.{known}" for name, known in CONVENTIONS.items())}
    if missing := [feature for feature in wanted if feature not in known_features]:
        raise Unsupported("not claimed: " + ", ".join(missing))


def claims(ops: Sequence[str], rules: Sequence[str], bias: Sequence[str]) -> list[str]:
    features = [f"op.{op}" for op in ops] + [f"rule.{rule}" for rule in rules] + [f"bias.{mode}" for mode in bias]
    return [*features, "stabilizer.none", *GEOMETRY, *(f"bounds.{kind}" for kind in ("scalar", "channel", "array"))]


def listing(key: str, ops: Sequence[str], rules: Sequence[str], bias: Sequence[str]) -> Callable[[Listing], Listing]:
    """Register a function (layer, x, relevance, rule) -> relevance with what it claims to compute."""

    def decorate(compute: Listing) -> Listing:
        def answer(case: Case, node: Node, rule: Rule) -> Result:
            given = case["x"]
            parts = list(given) if isinstance(given, (list, tuple)) else [given]
            x = parts if node["op"] == "add" else parts[0]
            dtype = parts[0].dtype
            layer = from_node(node, dtype)
            return {"y": layer(x), "relevance": compute(layer, x, np.asarray(case["relevance"]).astype(dtype), rule)}

        register(key, claims(ops, rules, bias), answer)
        return compute

    return decorate
