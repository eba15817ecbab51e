"""From the nodes and rules of a case to layers and rules of the reference."""

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np

import lrp_ref as lrp
from lrp_conform.cases.numbers import exact_array, parse
from lrp_conform.cases.operators import OPERATORS, Operator
from lrp_ref.rules import CONVENTIONS
from lrp_ref.stabilizers import KINDS

Params = dict[str, Any]
Array = Any


def layer(node: Params, params: dict[str, Array]) -> Any:
    """The node's layer, with `params` already in some arithmetic."""
    return operator(node).build(params, node["attrs"])


def operator(node: Params) -> Operator:
    """The row of the node's op."""
    if node["op"] not in OPERATORS:
        raise ValueError(f"op is one of {', '.join(OPERATORS)}; got {node['op']!r}")
    return OPERATORS[node["op"]]


def numeric(node: Params) -> Params:
    """The node's attributes that are numbers, as `Fraction`s; one number per channel as a tuple."""
    return operator(node).numeric(node["attrs"])


def rule(spec: Params, like: Callable[[Params], Array] = exact_array) -> tuple[Any, lrp.Stabilizer, str]:
    """The rule, stabiliser and bias mode that a case's rule entry spells out; `like` reads tensors."""
    if spec["rule"] not in lrp.RULES:
        raise ValueError(f"rule is one of {', '.join(lrp.RULES)}; got {spec['rule']!r}")
    kind = lrp.RULES[spec["rule"]]
    values = {f.name: value(spec[f.name], like) for f in fields(kind) if f.name in spec}
    stabilizer = spec["stabilizer"]
    return (
        kind(**values),
        lrp.Stabilizer(stabilizer["kind"], parse(stabilizer["epsilon"]), int(stabilizer["sign_at_zero"])),
        spec["bias"],
    )


def value(given: Any, like: Callable[[Params], Array] = exact_array) -> Any:
    """One parameter of a rule: a number, a convention's name, one number per channel, or a tensor."""
    if isinstance(given, dict):
        return like(given)
    if isinstance(given, list):
        return tuple(parse(v) for v in given)
    return given if given in _WORDS else parse(given)


_WORDS = {word for values, _ in CONVENTIONS.values() for word in values} | {"min", "max"}


def features(nodes: list[Params], rules: dict[str, Params], inputs: dict[str, Params]) -> list[str]:
    """What an implementation must support to be asked: ops, rules, stabilisers, bias modes, unusual conventions."""
    found: set[str] = set()
    for node in nodes:
        spec = rules[node["name"]]
        if spec["rule"] == "pattern":
            found |= {f"op.{node['op']}", "rule.pattern"}
            continue
        found |= operator(node).features(node["attrs"], len(inputs[node["inputs"][0]]["shape"]) - 2)
        found |= {f"rule.{rule_name(spec)}", f"stabilizer.{spec['stabilizer']['kind']}", f"bias.{spec['bias']}"}
        if spec["stabilizer"]["sign_at_zero"] != "1":
            found.add(f"sign_at_zero.{spec['stabilizer']['sign_at_zero']}")
        found |= {f"{name}.{spec[name]}" for name, (known, _) in CONVENTIONS.items() if spec.get(name, known[0]) != known[0]}
        if spec["rule"] == "alpha-beta-x" and sum(spec[k] != "0" for k in ("alpha0", "alpha1", "beta0", "beta1")) > 1:
            found.add("quadrants.several")
        if spec["rule"] == "z-box":
            found.add(f"bounds.{_bounds_kind(spec)}")
    return sorted(found)


def rule_name(spec: Params) -> str:
    """The rule's name, with alpha1-beta0 on its own: libraries offer it without the rest of the family."""
    return "alpha1-beta0" if spec["rule"] == "alpha-beta" and (spec["alpha"], spec["beta"]) == ("1", "0") else str(spec["rule"])


BOUNDS = ("scalar", "channel", "array", "data")


def _bounds_kind(spec: Params) -> str:
    low = spec["low"]
    if isinstance(low, dict):
        return "array"
    return "channel" if isinstance(low, list) else "data" if low in ("min", "max") else "scalar"


@cache
def known_features() -> frozenset[str]:
    """Every feature that a case can need."""
    found = {name for row in OPERATORS.values() for name in row.known_features()}
    found |= {f"rule.{name}" for name in (*lrp.RULES, "alpha1-beta0", "pattern")}
    found |= {f"bias.{mode}" for kind in lrp.RULES.values() for mode in kind.bias}
    found |= {f"{name}.{value}" for name, (known, _) in CONVENTIONS.items() for value in known}
    found |= {f"stabilizer.{kind}" for kind in KINDS} | {f"sign_at_zero.{sign}" for sign in ("0", "-1")}
    found |= {f"bounds.{kind}" for kind in BOUNDS} | {"quadrants.several", "network.sequence", "network.branches"}
    return frozenset(found)


@cache
def needed_features() -> frozenset[str]:
    """Those that a case may need: all but the plain value of every convention, which everybody has."""
    return known_features() - {f"{name}.{values[0]}" for name, (values, _) in CONVENTIONS.items()}


def is_feature(name: str) -> bool:
    """Whether `name` is a feature that a case can need."""
    return name in known_features()


def index_input(node: Params) -> bool:
    """True where x holds indices rather than numbers."""
    return operator(node).indices


def as_floats(spec: Params, dtype: str) -> Params:
    """A rule entry as an adapter sees it: Python floats, arrays at `dtype`, words."""
    out: Params = {}
    for name, given in spec.items():
        if name == "stabilizer":
            out[name] = {
                "kind": given["kind"],
                "epsilon": float(parse(given["epsilon"])),
                "sign_at_zero": int(given["sign_at_zero"]),
            }
        elif name in ("rule", "bias", "mask") or isinstance(given, int):
            out[name] = given
        else:
            converted = value(given)
            if isinstance(converted, np.ndarray | tuple):
                out[name] = (
                    np.asarray(
                        [
                            float(v.p) / float(v.q) if hasattr(v, "p") else float(v)
                            for v in np.ravel(np.asarray(converted, dtype=object))
                        ]
                    )
                    .reshape(np.shape(converted))
                    .astype(dtype)
                )
            else:
                out[name] = converted if isinstance(converted, str) else float(converted)
    return out
