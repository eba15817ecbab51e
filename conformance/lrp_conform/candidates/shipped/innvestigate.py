"""iNNvestigate: an LRP analyzer for a Keras model, a single layer or a network.

A network under one of the library's own analyzers gets that analyzer by its name; any other gets a rule per layer. The
relevance of every node is what the library keeps on request (`reverse_keep_tensors`).

An analyzer explains the values of one output neuron, or of all. Any other relevance arrives through the hook that the
library has for it, `_head_mapping`, which its own gradient analyzers redefine in the same way.

A rule gets the parameters that its analyzer or its class takes: epsilon, alpha and beta, low and high, and whether to
keep the bias. The library has no choice of stabilizer (the epsilon rule adds a signed one, the others replace exact
zeros by 1e-7), and w-square, flat, z-plus and the bounded rule never see a bias: these run as they come.

Batch norm is fused, as every analyzer of the library does; the rule it has for batch norm alone raises TypeError.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import numpy as np

from lrp_conform.builders import Unsupported

try:
    _VERSION = metadata.version("innvestigate")
except metadata.PackageNotFoundError:
    _VERSION = "not installed"

_FEATURES = {
    "op": "dense conv conv-transpose avg-pool global-avg-pool max-pool batch-norm add concat flatten reshape permute pad crop "
    "upsample embedding activation identity dropout",
    "spatial": "1 2 3",
    "network": "sequence branches",
    "conv": "groups dilation stride padding asymmetric-padding output-padding",
    "pool": "padding asymmetric-padding",
    "activation": "relu leaky-relu",
    "slope": "channel",
    "rule": "zero epsilon alpha-beta alpha1-beta0 alpha-beta-x z-plus z-plus-fast w-square flat z-box norm pass gradient",
    "stabilizer": "none signed_add replace_zero",
    "bias": "absorb split ignore square full_in_both",
    "bounds": "scalar channel array",
    "quadrants": "several",
    "alpha1_from": "beta1",
    "padding": "counted",
    "linearization": "variance_squared gradient",
}

INFO: dict[str, Any] = {
    "name": "innvestigate",
    "version": _VERSION,
    "features": [f"{kind}.{name}" for kind, names in _FEATURES.items() for name in names.split()],
    "dtypes": ["float64", "float32"],
    "devices": ["cpu"],
    "relevance_init": "arbitrary",
}

_WITH_KERNEL = {"dense", "conv", "conv-transpose", "batch-norm"}
_SUMS = {"avg-pool", "global-avg-pool", "add"}
_ANALYZERS = {
    "alpha2_beta1": "lrp.alpha_2_beta_1",
    "alpha2_beta1_ignore_bias": "lrp.alpha_2_beta_1_IB",
    "alpha1_beta0": "lrp.alpha_1_beta_0",
    "alpha1_beta0_ignore_bias": "lrp.alpha_1_beta_0_IB",
    "deep_taylor": "deep_taylor",
    "bounded_deep_taylor": "deep_taylor.bounded",
}
_CLASSES = {
    "lrp.z": "ZRule",
    "lrp.epsilon": "EpsilonRule",
    "lrp.alpha_beta": "AlphaBetaRule",
    "lrp.z_plus": "ZPlusRule",
    "lrp.z_plus_fast": "ZPlusFastRule",
    "lrp.w_square": "WSquareRule",
    "lrp.flat": "FlatRule",
}
_PLAIN = {"z-plus": "lrp.z_plus", "z-plus-fast": "lrp.z_plus_fast", "w-square": "lrp.w_square", "flat": "lrp.flat"}


def run(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return the output of the case's layer and iNNvestigate's relevance for each of its inputs."""
    lib = _libraries()
    lib.keras.backend.clear_session()  # every further model in TensorFlow's one graph slows the next
    lib.keras.backend.set_floatx(case["dtype"])
    nodes, network = case["nodes"], len(case["nodes"]) > 1
    x = list(case["x"]) if isinstance(case["x"], (list, tuple)) else [case["x"]]
    inputs, values = lib.graph(nodes, x)
    model = lib.keras.Model(inputs, values[nodes[-1]["name"]])
    whole = lib.keras.Model(inputs, lib.keras.layers.Flatten()(model.output))  # analyzers take outputs along one axis
    name, options = _network(lib, case, whole) if network else _rule(lib, nodes[0], case["rules"][nodes[0]["name"]])
    analyzer = _arriving(lib, name, case["relevance"])(whole, neuron_selection_mode="all", **options)
    answer = {"y": model.predict_on_batch(x), "relevance": analyzer.analyze(x)}
    return {**answer, "nodes": analyzer.at(values, nodes)} if network else answer


def _arriving(lib: SimpleNamespace, name: str, relevance: Any) -> Callable[..., Any]:
    """Return the named analyzer with this relevance at the output, where it would put the output itself."""
    relevance = relevance.reshape(len(relevance), -1)

    def head(analyzer: Any, output: Any) -> Any:
        return lib.keras.layers.Lambda(lambda y: 0 * y + relevance)(output)

    def reverse(analyzer: Any, *args: Any, **options: Any) -> Any:
        """The library's own pass back; the place of every tensor in it is kept."""
        found, reversed_tensors = library._reverse_model(analyzer, *args, **options)
        analyzer.places = {key: entry["nid"] for key, entry in (reversed_tensors or {}).items()}
        return found, reversed_tensors

    def at(analyzer: Any, values: Mapping[str, Any], nodes: Any) -> dict[str, Any]:
        """The relevance of every node, from the tensors that the library kept."""
        kept = dict(analyzer._reversed_tensors)
        names = [node["name"] for node in nodes if id(values[node["name"]]) in analyzer.places]
        return {name: kept[analyzer.places[id(values[name])]] for name in names}

    library = lib.analyzers[name]
    return type("Arriving", (library,), {"_head_mapping": head, "_reverse_model": reverse, "at": at})


def _network(lib: SimpleNamespace, case: Mapping[str, Any], model: Any) -> tuple[str, dict[str, Any]]:
    """Return the analyzer's name and options for a network: that of its composite, or one with a rule per layer."""
    composite = case.get("composite") or {"library": None}
    if composite["library"] == "innvestigate":
        name, options = composite["name"], dict(composite["options"])
        if "idx" in options:
            options["until_layer_idx"] = _keras_index(case["nodes"], model, options.pop("idx"))
        return _ANALYZERS.get(name, f"lrp.{name}"), {**options, "reverse_keep_tensors": True}
    rules: list[tuple[Any, Any]] = []
    norms: list[Any] = [None]
    for node in case["nodes"]:
        analyzer, given = _rule(lib, node, case["rules"][node["name"]])
        if analyzer == "gradient" and node["op"] in _WITH_KERNEL | _SUMS | {"activation"}:
            raise Unsupported(f"iNNvestigate's LRP has no gradient for {node['op']}")
        if node["op"] not in _WITH_KERNEL:
            continue  # the library has one rule for these, which the case asks for
        rule = given["rule"][0][1] if analyzer == "lrp" else partial(getattr(lib.rules, _CLASSES[analyzer]), **given)
        if node["op"] == "batch-norm":
            norms.append(rule)
        elif node["op"] in _WITH_KERNEL:
            rules.append((partial(_is_called, node["name"]), rule))
    return "lrp", {"rule": rules, "bn_layer_rule": norms[-1], "reverse_keep_tensors": True}


def _is_called(name: str, layer: Any) -> bool:
    return bool(layer.name == name)


def _keras_index(nodes: Any, model: Any, idx: int) -> int:
    """Return the index among all Keras layers of the layer with weights that is number `idx`, as the library counts."""
    names = [layer.name for layer in model.layers]
    weighted = [node["name"] for node in nodes if node["op"] in _WITH_KERNEL - {"batch-norm"}]
    index = names.index(weighted[idx])
    if [name for name in weighted if names.index(name) <= index] != weighted[: idx + 1]:
        raise Unsupported("Keras orders the layers of this network otherwise")
    return index


def _rule(lib: SimpleNamespace, node: Mapping[str, Any], rule: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the analyzer's name and options, as a user of iNNvestigate would choose them for this rule."""
    name, op, kind = rule["rule"], node["op"], rule["stabilizer"]["kind"]
    bias = rule["bias"] != "ignore" and name != "norm"
    if kind == "replace_zero" and float(rule["stabilizer"]["epsilon"]) != 1e-7:
        raise Unsupported("iNNvestigate replaces exact zeros by 1e-7, and offers no other number")
    if name in {"w-square", "flat", "gradient"} and node["attrs"].get("groups", 1) != 1:
        raise Unsupported(f"on a CPU TensorFlow fails to build the graph of {name} for a grouped convolution")
    if name == "gradient":
        return "gradient", {}
    if op not in _WITH_KERNEL:
        if (name in {"zero", "norm"}) != (op in _SUMS):
            raise Unsupported(f"iNNvestigate has no rule {name} for {op}")
        return "lrp.z", {}
    if name == "epsilon" or (name in {"zero", "norm"} and kind == "signed_add"):
        return "lrp.epsilon", {"epsilon": rule["stabilizer"]["epsilon"], "bias": bias}
    if name in {"zero", "norm"}:
        return ("lrp.z", {}) if bias else _custom(partial(lib.rules.ZRule, bias=False))
    if name == "alpha-beta":
        if rule["alpha"] < 1:
            raise Unsupported("iNNvestigate takes alpha >= 1 only")
        return "lrp.alpha_beta", {"alpha": rule["alpha"], "beta": rule["beta"], "bias": bias}
    if name == "alpha-beta-x":
        alpha, beta = (rule["alpha0"], rule["alpha1"]), (rule["beta0"], rule["beta1"])
        return _custom(partial(lib.rules.AlphaBetaXRule, alpha=alpha, beta=beta, bias=bias))
    if name == "z-box":
        low, high = (_bound(lib, node, rule[end]) for end in ("low", "high"))
        return _custom(partial(lib.rules.BoundedRule, low=low, high=high))
    if name not in _PLAIN:
        raise Unsupported(f"iNNvestigate has no rule {name} for {op}")
    return _PLAIN[name], {}


def _custom(rule: Any) -> tuple[str, dict[str, Any]]:
    """Return the analyzer that applies a rule class of the library with parameters, to every layer."""
    return "lrp", {"rule": [(lambda layer: True, rule)], "bn_layer_rule": rule}


def _bound(lib: SimpleNamespace, node: Mapping[str, Any], bound: Any) -> Any:
    if np.ndim(bound) < 2:
        return bound  # a number, or one per channel, which broadcasts along the last axis
    return lib.channels_last(np.pad(bound, [(0, 0), (0, 0), *node["attrs"].get("padding", [])]))


@cache
def _libraries() -> SimpleNamespace:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow as tf

        tf.compat.v1.disable_eager_execution()  # which iNNvestigate asks for
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # every graph runs once
        from innvestigate.analyzer import analyzers
        from innvestigate.analyzer.relevance_based import relevance_rule
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f'{missing.name} is missing: pip install "tensorflow-cpu==2.14.1" "numpy<2" innvestigate==2.1.2'
        ) from None
    except Exception as error:  # a broken installation raises what it likes
        raise ImportError(f"innvestigate cannot be imported: {type(error).__name__}: {error}") from None
    from lrp_conform.builders.keras import channels_last, graph

    return SimpleNamespace(keras=tf.keras, analyzers=analyzers, rules=relevance_rule, graph=graph, channels_last=channels_last)
