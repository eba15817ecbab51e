"""Whether a JSON value is a golden file: cheap enough for every load, so that no case fails later on what it holds.

The schema says what each value is; here stands what no schema can say: how values agree with each other.
"""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from jsonschema_rs import Draft202012Validator, ValidationError, ValidationErrorKind

from lrp_conform.cases import model
from lrp_conform.cases.numbers import check_size, check_tensor
from lrp_conform.cases.schema import schema

Json = dict[str, Any]


class Malformed(ValueError):
    """What is wrong with a case: one line that starts with the path to it, and can be printed."""

    def __init__(self, line: str) -> None:
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))


def check_file(file: Any) -> None:
    """Raise `Malformed` unless `file` is a golden file."""
    _check_schema(file, "", _validator())
    for index, case in enumerate(file["cases"]):
        _check_agreement(case, f"cases[{index}]")


def check_case(case: Any, at: str) -> None:
    """Raise `Malformed` unless `case` is one that a candidate can be asked and an answer held against."""
    _check_schema(case, at, _validator("any-case"))
    _check_agreement(case, at)


# The schema -------------------------------------------------------------------------------------------------------------


@cache
def _validator(part: str | None = None) -> Draft202012Validator:
    """The schema of a file, or of one definition."""
    whole = schema()
    return Draft202012Validator(whole if part is None else {"$ref": f"#/$defs/{part}", "$defs": whole["$defs"]})


def _check_schema(value: Any, at: str, validator: Draft202012Validator) -> None:
    try:
        error = next(iter(validator.iter_errors(value)), None)
    except ValueError as refusal:  # nested too deeply, or text that is no Unicode
        raise Malformed(f"{at or 'the file'}: {' '.join(str(refusal).split())[:200]}") from None
    if error is not None:
        raise Malformed(f"{path_of(error, at)}: {reason_of(error)}")


def path_of(error: ValidationError, at: str = "") -> str:
    """The path to what is wrong, as one writes it."""
    steps = [f"[{step}]" if isinstance(step, int) else f".{step[:40]}" for step in error.instance_path]
    return (at + "".join(steps)).removeprefix(".") or "the file"


def reason_of(error: ValidationError) -> str:
    """What was expected there, in one line."""
    got = json.dumps(error.instance, ensure_ascii=False)[:80]
    kind, message = error.kind, " ".join(error.message.split())
    if isinstance(kind, ValidationErrorKind.Pattern | ValidationErrorKind.AnyOf):
        return f"expected {_about(error)}; got {got}"
    if isinstance(kind, ValidationErrorKind.Enum):
        return f"expected one of {', '.join(map(str, kind.options))}; got {got}"[:400]
    return message[:300]


def _about(error: ValidationError) -> str:
    """What the schema says of the value: the nearest description above the keyword that it breaks."""
    part: Any = schema()
    said = "another value"
    for step in error.schema_path:
        part = part[step]
        said = part.get("description", said) if isinstance(part, dict) else said
    return said[0].lower() + said[1:].rstrip(".")


# What no schema can say -------------------------------------------------------------------------------------------------


def _check_agreement(case: Json, at: str) -> None:
    for part in ("model", "rules", "inputs", "expected", "ledger", "gauges", "conservation", "dialects", "bounds", "radius"):
        _check_numbers(case.get(part), f"{at}.{part}")
    (_network if "composite" in case else _layer)(case, at)


def _check_numbers(part: Any, at: str) -> None:
    """As many numbers as a shape says, and each within reach of a double."""
    try:
        if isinstance(part, str):
            check_size(part)
        elif isinstance(part, dict) and "shape" in part and part.keys() & {"data", "file"}:
            check_tensor(part)
        elif isinstance(part, dict | list):
            for key, each in part.items() if isinstance(part, dict) else enumerate(part):
                _check_numbers(each, f"{at}[{key}]" if isinstance(key, int) else f"{at}.{key[:40]}")
    except Malformed:
        raise
    except ValueError as error:
        raise Malformed(f"{at}: {error}") from None


def _layer(case: Json, at: str) -> None:
    """A case of one node: its tensors are those of the node's inputs, and have the shapes of what they speak of."""
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
    _node(node, f"{at}.model.nodes[0]")
    gauges = case["gauges"]
    for gauge in "GHS":
        same = {k: t["shape"] for k, t in gauges[gauge].items()} == {k: t["shape"] for k, t in answers.items()}
        _require(same, f"{at}.gauges.{gauge}", "a tensor for each of expected.relevance, of its shape")
    _require(gauges["Y"]["shape"] == case["expected"]["y"]["shape"], f"{at}.gauges.Y", "a tensor of the shape of expected.y")
    batch = [[t["shape"][:1]] * 3 for t in answers.values()]
    totals = [t["shape"] for t in case["conservation"].values()]
    _require(not totals or [totals] == batch[:1], f"{at}.conservation", "one number per sample")


def _network(case: Json, at: str) -> None:
    """A case of several nodes: every node has a rule, reads what comes before it, and has its relevance."""
    nodes, inputs = case["model"]["nodes"], [name for name in case["inputs"] if name != "relevance"]
    _require("relevance" in case["inputs"] and bool(inputs), f"{at}.inputs", "the relevance at the output, and an input")
    known = set(inputs)
    for k, node in enumerate(nodes):
        place = f"{at}.model.nodes[{k}]"
        _require(known.issuperset(node["inputs"]), f"{place}.inputs", "inputs of the network or nodes before this one")
        _require(node["name"] not in known, f"{place}.name", "a name of its own")
        _node(node, place)
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


def _rule(spec: Json, at: str) -> None:
    """Whether the reference takes the rule's parameters together."""
    if spec["rule"] != "pattern":
        _built(lambda: model.rule(spec, lambda data: np.zeros(data["shape"])), at)


def _node(node: Json, at: str) -> None:
    """Whether the reference takes the node's attributes and the shapes of its parameters."""
    _built(lambda: model.layer(node, {name: np.ones(t["shape"]) for name, t in node["params"].items()}), at)


def _built(build: Callable[[], object], at: str) -> None:
    try:
        build()
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise Malformed(f"{at}: {reason[:200]}") from None
