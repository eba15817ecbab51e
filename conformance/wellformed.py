"""Whether a JSON value is a golden case: cheap enough for every load, so that no case fails later on what it holds.

golden/schema.json says more (and the tests hold every file against it); this says what the code relies on.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

import lrp_ref as lrp
from conformance import model
from conformance.numbers import check_tensor, double, parse

Json = dict[str, Any]
Check = Callable[[Any, str], None]  # of a value and the path to it


class Malformed(ValueError):
    """What is wrong with a case: one line that starts with the path to it."""


def check_case(case: Any, at: str) -> None:
    """Raise `Malformed` unless `case` is one that a candidate can be asked and an answer held against."""
    if isinstance(case, dict) and "composite" in case:
        _check_network(case, at)
        return
    _CASE(case, at)
    _require(len(case["model"]["nodes"]) == 1, f"{at}.model.nodes", "one node")
    (node,) = case["model"]["nodes"]
    name, inputs, answers = node["name"], node["inputs"], case["expected"]["relevance"]
    _require(list(case["rules"]) == [name], f"{at}.rules", f"a rule for the node {name[:40]!r} and no other")
    rule = case["rules"][name]
    _rule(rule, f"{at}.rules.{name[:40]}")
    pattern = rule["rule"] == "pattern"
    wanted = {*inputs} if pattern else {*inputs, "relevance"}
    _require(case["inputs"].keys() == wanted, f"{at}.inputs", f"the tensors {', '.join(sorted(wanted))[:80]}")
    named = ["pattern"] if pattern else inputs
    _require(list(answers) == named, f"{at}.expected.relevance", f"the tensors {', '.join(named)[:80]}")
    _layer(node, f"{at}.model.nodes[0]")
    gauges = case["gauges"]
    for gauge in "GHS":
        same = {k: t["shape"] for k, t in gauges[gauge].items()} == {k: t["shape"] for k, t in answers.items()}
        _require(same, f"{at}.gauges.{gauge}", "a tensor for each of expected.relevance, of its shape")
    _require(gauges["Y"]["shape"] == case["expected"]["y"]["shape"], f"{at}.gauges.Y", "a tensor of the shape of expected.y")
    batch = [[t["shape"][:1]] * 3 for t in answers.values()]
    totals = [t["shape"] for t in case["conservation"].values()]
    _require(not totals or [totals] == batch[:1], f"{at}.conservation", "one number per sample")


def _check_network(case: Any, at: str) -> None:
    """The same of a case of several nodes: every node has a rule, reads what comes before it, and has its relevance."""
    _NETWORK(case, at)
    nodes, inputs = case["model"]["nodes"], [name for name in case["inputs"] if name != "relevance"]
    _require(len(nodes) > 1, f"{at}.model.nodes", "two nodes or more")
    _require("relevance" in case["inputs"] and bool(inputs), f"{at}.inputs", "the relevance at the output, and an input")
    known = set(inputs)
    for k, node in enumerate(nodes):
        place = f"{at}.model.nodes[{k}]"
        _require(known.issuperset(node["inputs"]), f"{place}.inputs", "inputs of the network or nodes before this one")
        _require(node["name"] not in known, f"{place}.name", "a name of its own")
        _layer(node, place)
        known.add(node["name"])
    names = [node["name"] for node in nodes]
    _require(list(case["rules"]) == names, f"{at}.rules", "a rule for every node, in their order")
    for name in names:
        _rule(case["rules"][name], f"{at}.rules.{name[:40]}")
    shapes = _shapes(case["expected"])
    _require(list(case["expected"]["nodes"]) == names, f"{at}.expected.nodes", "the relevance at every node, in their order")
    _require(list(case["expected"]["relevance"]) == inputs, f"{at}.expected.relevance", "the relevance of every input")
    for dtype, bounds in case["bounds"].items():
        _require(_shapes(bounds) == shapes, f"{at}.bounds.{dtype[:40]}", "a bound for every expected number")
    _require({*case["representable_in"]} <= {*case["bounds"]}, f"{at}.representable_in", "formats whose bounds are there")
    _require({*case["ledger"]["nodes"]} == {*names}, f"{at}.ledger.nodes", "an account of every node")


def _shapes(parts: Json) -> Any:
    """The shape of y, and of every relevance."""
    tables = ({name: t["shape"] for name, t in parts[key].items()} for key in ("relevance", "nodes"))
    return parts["y"]["shape"], *tables


def _require(fits: bool, at: str, expected: str) -> None:
    if not fits:
        raise Malformed(f"{at}: expected {expected}")


def _text(value: Any, at: str) -> None:
    _require(isinstance(value, str), at, "a string")


def _count(value: Any, at: str) -> None:
    _require(type(value) is int and 0 <= value < 2**31, at, "a count")


def _number(value: Any, at: str) -> None:
    try:
        double(parse(value))
    except ValueError as error:
        raise Malformed(f"{at}: {error}") from None


def _nonnegative(value: Any, at: str) -> None:
    _number(value, at)
    _require(parse(value) >= 0, at, "a number of 0 or above")


def _tensor(value: Any, at: str) -> None:
    try:
        check_tensor(value)
    except ValueError as error:
        raise Malformed(f"{at}: {error}") from None


def _gauge(value: Any, at: str) -> None:
    _tensor(value, at)
    _require(not any(text.startswith("-") for text in value["data"]), at, "magnitudes")


def _list(check: Check) -> Check:
    def listed(value: Any, at: str) -> None:
        _require(isinstance(value, list), at, "a list")
        for index, each in enumerate(value):
            check(each, f"{at}[{index}]")

    return listed


def _table(check: Check) -> Check:
    def table(value: Any, at: str) -> None:
        _require(isinstance(value, dict), at, "an object")
        for name, each in value.items():
            check(each, f"{at}.{name[:40]}")

    return table


def _record(optional: dict[str, Check] | None = None, **required: Check) -> Check:
    """An object with these fields; others are left alone."""

    def record(value: Any, at: str) -> None:
        _require(isinstance(value, dict), at, "an object")
        for name, check in required.items():
            _require(name in value, at, f"the field {name}")
            check(value[name], f"{at}.{name}")
        for name, check in (optional or {}).items():
            if name in value:
                check(value[name], f"{at}.{name}")

    return record


def _conservation(value: Any, at: str) -> None:
    (_record(total=_tensor, G=_gauge, H=_gauge) if value else _table(_tensor))(value, at)


def _anything(value: Any, at: str) -> None:
    _require(isinstance(value, dict), at, "an object")


_texts = _list(_text)
_NODES = _list(_record(name=_text, op=_text, inputs=_texts, attrs=_anything, params=_table(_tensor)))
_COMMON: dict[str, Any] = {
    "id": _text, "uid": _text, "status": _text, "comment": _text, "flags": _texts, "references": _texts, "features": _texts,
    "representable_in": _texts, "exact_in": _texts, "certificates": _texts,
    "model": _record(nodes=_NODES), "rules": _table(_anything), "inputs": _table(_tensor),
}  # fmt: skip
_ANSWERS: dict[str, Any] = {"relevance": _table(_tensor), "nodes": _table(_tensor)}
_BOUNDS: dict[str, Any] = {"y": _gauge, "relevance": _table(_gauge), "nodes": _table(_gauge)}
_NETWORK = _record(
    **_COMMON, composite=_record(library=_text, name=_text, options=_anything), expected=_record(y=_tensor, **_ANSWERS),
    ledger=_record(nodes=_table(_table(_tensor)), total=_table(_tensor)), bounds=_table(_record(**_BOUNDS)),
)  # fmt: skip
_CASE = _record(
    **_COMMON,
    expected=_record(y=_tensor, relevance=_table(_tensor)),
    ledger=_table(_tensor),
    gauges=_record(
        G=_table(_gauge), H=_table(_gauge), S=_table(_gauge), Y=_gauge, fan_in=_count, fan_out=_count, kappa=_nonnegative
    ),
    conservation=_conservation, dialects=_table(_table(_tensor)), discriminates=_table(_texts),
    optional={"radius": _nonnegative},
)  # fmt: skip
_STABILIZER = _record(kind=_text, epsilon=_nonnegative, sign_at_zero=_text)


def _rule(spec: Json, at: str) -> None:
    """A rule entry with every parameter and convention, in numbers, known words, lists of numbers and tensors."""
    if spec.get("rule") == "pattern":
        _record(mask=_text, batches=_count)(spec, at)
        return
    known = lrp.RULES.get(spec["rule"]) if isinstance(spec.get("rule"), str) else None
    if known is None:
        raise Malformed(f"{at}.rule: expected one of {', '.join(lrp.RULES)}")
    _record(bias=_text, stabilizer=_STABILIZER)(spec, at)
    _require(spec["bias"] in known.bias, f"{at}.bias", f"one of {', '.join(known.bias)}")
    for field in fields(known):
        _require(field.name in spec, at, f"the parameter {field.name}")
    for name in spec.keys() - {"rule", "bias", "stabilizer"}:
        _parameter(spec[name], f"{at}.{name[:40]}")
    _built(lambda: model.rule(spec, lambda data: np.zeros(data["shape"])), at)


def _parameter(value: Any, at: str) -> None:
    if isinstance(value, list):
        _list(_number)(value, at)
    elif isinstance(value, dict):
        _tensor(value, at)
    else:
        _text(value, at)
        _built(lambda: model.value(value), at)


def _layer(node: Json, at: str) -> None:
    """Whether the reference takes the node's attributes and the shapes of its parameters."""
    _built(lambda: model.layer(node, {name: np.ones(t["shape"]) for name, t in node["params"].items()}), at)


def _built(build: Callable[[], object], at: str) -> None:
    try:
        build()
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise Malformed(f"{at}: {reason[:200]}") from None
