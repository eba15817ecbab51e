"""From the nodes and rules of a case to layers and rules of the reference."""

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from operator import contains
from typing import Any

import numpy as np

import lrp_ref as lrp
from conformance.numbers import exact_array, parse
from lrp_ref.layers.activation import FUNCTIONS
from lrp_ref.layers.lrn import LINEARIZATIONS as LRN_LINEARIZATIONS
from lrp_ref.layers.normalization import LINEARIZATIONS as NORM_LINEARIZATIONS
from lrp_ref.rules import CONVENTIONS
from lrp_ref.stabilizers import KINDS

Params = dict[str, Any]
Array = Any


def _geometry(attrs: Params) -> Params:
    return {name: _pairs(attrs[name]) if name == "padding" else tuple(attrs[name]) for name in attrs if name in _GEOMETRIC}


_GEOMETRIC = ("kernel", "stride", "padding", "dilation", "output_padding")


def _pairs(value: Any) -> tuple[tuple[int, int], ...]:
    return tuple((int(b), int(e)) for b, e in value)


LAYERS: dict[str, Callable[[Params, Params], Any]] = {
    "dense": lambda p, a: lrp.Dense(p["weight"], p.get("bias")),
    "conv": lambda p, a: lrp.Conv(p["weight"], p.get("bias"), groups=a.get("groups", 1), **_geometry(a)),
    "conv-transpose": lambda p, a: lrp.ConvTranspose(p["weight"], p.get("bias"), groups=a.get("groups", 1), **_geometry(a)),
    "avg-pool": lambda p, a: lrp.AvgPool(count_include_pad=a.get("count_include_pad", True), **_geometry(a)),
    "sum-pool": lambda p, a: lrp.SumPool(**_geometry(a)),
    "global-avg-pool": lambda p, a: lrp.GlobalAvgPool(),
    "max-pool": lambda p, a: lrp.MaxPool(ties=a["ties"], linearization=a["linearization"], **_geometry(a)),
    "batch-norm": lambda p, a: lrp.BatchNorm(
        p["gamma"], p["beta"], p["mean"], p["variance"], parse(a["epsilon"]), a["linearization"]
    ),
    "add": lambda p, a: lrp.Add(),
    "concat": lambda p, a: lrp.Concat(a["axis"]),
    "flatten": lambda p, a: lrp.Flatten(),
    "reshape": lambda p, a: lrp.Reshape(tuple(a["shape"])),
    "permute": lambda p, a: lrp.Permute(tuple(a["axes"])),
    "pad": lambda p, a: lrp.Pad(_pairs(a["padding"]), parse(a["value"])),
    "crop": lambda p, a: lrp.Crop(_pairs(a["crop"])),
    "upsample": lambda p, a: lrp.Upsample(tuple(a["scale"])),
    "embedding": lambda p, a: lrp.Embedding(p["weight"], a["reduce"]),
    "activation": lambda p, a: _activation(a),
    "lrn": lambda p, a: lrp.LRN(a["size"], parse(a["alpha"]), parse(a["beta"]), parse(a["bias"]), a["linearization"]),
    "scale": lambda p, a: lrp.Scale(p.get("weight"), p.get("bias")),
    "slice": lambda p, a: lrp.Slice(a["axis"], a["begin"], a["end"], a["step"]),
    "identity": lambda p, a: lrp.Identity(),
    "dropout": lambda p, a: lrp.Dropout(parse(a["rate"])),
    "softmax": lambda p, a: lrp.Softmax(a["axis"]),
}
SPATIAL = (
    "conv",
    "conv-transpose",
    "avg-pool",
    "sum-pool",
    "global-avg-pool",
    "max-pool",
    "batch-norm",
    "pad",
    "crop",
    "upsample",
)


NUMERIC = ("epsilon", "value", "slope", "low", "high", "alpha", "beta", "bias", "rate")  # attributes that are numbers


def numeric(attrs: Params) -> Params:
    """The attributes that are numbers, as `Fraction`s; one number per channel as a tuple."""
    given = {name: attrs[name] for name in NUMERIC if name in attrs}
    return {name: tuple(map(parse, v)) if isinstance(v, list) else parse(v) for name, v in given.items()}


def _activation(attrs: Params) -> lrp.Activation:
    given = numeric(attrs)
    return lrp.Activation(attrs["function"], attrs["linearization"], given.get("slope"), given.get("low"), given.get("high"))


def layer(node: Params, params: dict[str, Array]) -> Any:
    """The node's layer, with `params` already in some arithmetic."""
    if node["op"] not in LAYERS:
        raise ValueError(f"op is one of {', '.join(LAYERS)}; got {node['op']!r}")
    return LAYERS[node["op"]](params, node["attrs"])


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
        op, attrs, spec = node["op"], node["attrs"], rules[node["name"]]
        found |= {f"op.{op}", f"rule.{rule_name(spec)}"}
        if spec["rule"] == "pattern":
            continue
        found |= {f"stabilizer.{spec['stabilizer']['kind']}", f"bias.{spec['bias']}"}
        axes = len(inputs[node["inputs"][0]]["shape"]) - 2
        if op in SPATIAL and axes:
            found.add(f"spatial.{axes}")
        found |= _geometry_features(op, attrs)
        if spec["stabilizer"]["sign_at_zero"] != "1":
            found.add(f"sign_at_zero.{spec['stabilizer']['sign_at_zero']}")
        found |= {f"{name}.{spec[name]}" for name, (known, _) in CONVENTIONS.items() if spec.get(name, known[0]) != known[0]}
        found |= {f"{name}.{attrs[name]}" for name, usual in _USUAL.items() if attrs.get(name, usual) != usual}
        if spec["rule"] == "alpha-beta-x" and sum(spec[k] != "0" for k in ("alpha0", "alpha1", "beta0", "beta1")) > 1:
            found.add("quadrants.several")
        if spec["rule"] == "z-box":
            found.add(f"bounds.{_bounds_kind(spec)}")
        if op == "activation":
            found.add(f"activation.{attrs['function']}")
            found |= {"slope.channel"} if isinstance(attrs.get("slope"), list) else set()
    return sorted(found)


def rule_name(spec: Params) -> str:
    """The rule's name, with alpha1-beta0 on its own: libraries offer it without the rest of the family."""
    return "alpha1-beta0" if spec["rule"] == "alpha-beta" and (spec["alpha"], spec["beta"]) == ("1", "0") else str(spec["rule"])


_USUAL = {"ties": "first", "reduce": "sum"}


def _geometry_features(op: str, attrs: Params) -> set[str]:
    kind = "conv" if op.startswith("conv") else "pool"
    found = {f"{kind}.{name}" for name in ("stride", "dilation") if kind == "conv" and set(attrs.get(name, [1])) != {1}}
    if kind == "pool" and set(attrs.get("dilation", [1])) != {1}:
        found.add("pool.dilation")
    if attrs.get("groups", 1) != 1:
        found.add("conv.groups")
    if any(attrs.get("output_padding", [0])):
        found.add("conv.output-padding")
    if op in ("pad", "crop"):
        return found
    if any(map(any, attrs.get("padding", []))):
        uneven = any(b != e for b, e in attrs["padding"])
        found.add(f"{kind}.asymmetric-padding" if uneven else f"{kind}.padding")
    if not attrs.get("count_include_pad", True):
        found.add("pool.exclude-padding")
    usual = {"max-pool": "winner", "batch-norm": "affine", "activation": "identity", "lrn": "ratio"}.get(op)
    if attrs.get("linearization", usual) != usual:
        found.add(f"linearization.{attrs['linearization']}")
    return found


def _bounds_kind(spec: Params) -> str:
    low = spec["low"]
    if isinstance(low, dict):
        return "array"
    return "channel" if isinstance(low, list) else "data" if low in ("min", "max") else "scalar"


_KNOWN_FEATURES: dict[str, Callable[[str], bool]] = {
    "op": lambda v: v in LAYERS,
    "rule": lambda v: v in lrp.RULES or v in ("alpha1-beta0", "pattern"),
    "stabilizer": lambda v: v in KINDS,
    "bias": lambda v: any(v in rule.bias for rule in lrp.RULES.values()),
    "spatial": lambda v: v in ("1", "2", "3"),
    "conv": lambda v: v in ("stride", "dilation", "groups", "padding", "asymmetric-padding", "output-padding"),
    "pool": lambda v: v in ("dilation", "padding", "asymmetric-padding", "exclude-padding"),
    "bounds": lambda v: v in ("scalar", "channel", "array", "data"),
    "activation": lambda v: v in FUNCTIONS,
    "quadrants": lambda v: v == "several",
    "slope": lambda v: v == "channel",
    "network": lambda v: v in ("sequence", "branches"),
    "sign_at_zero": lambda v: v in ("0", "-1"),
    "ties": lambda v: v in ("last", "split"),
    "reduce": lambda v: v == "keep",
    "linearization": lambda v: v in ("average", *LRN_LINEARIZATIONS, *NORM_LINEARIZATIONS),
    **{name: partial(contains, known) for name, (known, _) in CONVENTIONS.items()},
}


def is_feature(name: str) -> bool:
    """Whether `name` is a feature that a case can need."""
    kind, _, value = name.partition(".")
    return kind in _KNOWN_FEATURES and bool(_KNOWN_FEATURES[kind](value))


def index_input(node: Params) -> bool:
    """True where x holds indices rather than numbers."""
    return bool(node["op"] == "embedding")


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
