"""Verdicts on whole networks: the end result by its bound, and the first node whose relevance leaves its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrp_conform.cases.network import NetworkCase
from lrp_conform.cases.numbers import float_array, floats
from lrp_conform.judging.layer import bit_equal, element, forward_mismatch, invalid, ratio, vacuous
from lrp_conform.judging.verdict import Judgement, Target
from lrp_ref.algebra.rounding import UNIT_ROUNDOFF

Array = Any
NO_NODES = "the input is off; the adapter returns no nodes, so that the first diverging one is not known"


def judge(case: NetworkCase, output: dict[str, Any], dtype: str, composed: bool = False) -> Judgement:
    """The verdict on `output`, {"y", "relevance", "nodes"} ("nodes" optional), before dialects are searched."""
    if dtype not in case.data["bounds"]:
        return Judgement("indeterminate", detail={"why": f"no bound is recorded for {dtype}"})
    found, wanted = relevances(output), [case.expected[name] for name in case.answers]
    form = invalid(dict(zip(case.answers, wanted, strict=True)), found, dtype)
    first = divergence(case, output, dtype)
    said = None if first is None else first.text
    if form:
        return Judgement("invalid-output", hint=said if "index" in form else None, detail=form)
    mismatch = forward_mismatch(case.expected_y, output.get("y"), case.bound_y(dtype), dtype)
    if mismatch:
        return Judgement("forward-mismatch", detail=mismatch)
    aim = target(case, dtype, composed)
    tau, (k, at) = ratio(found, aim)
    if tau > 1:
        seen = element(case.answers[k], at, found[k], wanted[k], aim.bound[k]) if first is None else first.detail
        return Judgement("nonconformant", tau, hint=said or NO_NODES, detail=seen)
    inside = f"the input is right, yet {said}" if said else None
    if dtype in case.data["exact_in"] and all(map(bit_equal, found, wanted)):
        return Judgement("exact", tau, hint=inside)
    if vacuous(aim):
        return Judgement("indeterminate", tau, detail={"why": "the bound exceeds a tenth of the relevance at this dtype"})
    return Judgement("conformant", tau, hint=inside)


def relevances(output: Mapping[str, Any]) -> list[Any]:
    """The relevances of an answer in the order of the network's inputs."""
    given = output.get("relevance")
    return list(given) if isinstance(given, list | tuple) else [given]


def target(case: NetworkCase, dtype: str, composed: bool = False) -> Target:
    """The golden relevance of every input, and its bounds.

    `composed`: scaled from the answer to one output, which costs three more roundings.
    """
    want, bounds = [floats(case.expected[name]) for name in case.answers], case.bounds(dtype)
    more = 4 * UNIT_ROUNDOFF[dtype] * composed
    bound = [bounds[name] + more * (np.abs(w) + bounds[name]) for name, w in zip(case.answers, want, strict=True)]
    return Target(tuple(want), tuple(bound))


def zero_is_expected(case: NetworkCase, dtype: str) -> bool:
    """Whether an output that relevance arrives at may honestly be 0 at `dtype`."""
    arrives = float_array(case.data["inputs"]["relevance"], dtype) != 0
    return bool((np.abs(floats(case.expected_y)) <= case.bound_y(dtype))[arrives].any())


# The first diverging node -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Divergence:
    """Where an answer first leaves the truth, walking from the output: at `value`, by what `nodes` hand to it."""

    value: str
    nodes: tuple[str, ...]
    detail: dict[str, Any]
    missing: bool  # what the node hands on is not there at all

    @property
    def text(self) -> str:
        if not self.nodes:
            return f"the relevance does not start as asked, at {self.value}"
        what = "which hands nothing" if self.missing else "by what it hands"
        return f"first diverging node: {self.detail['node']}, {what} to {self.value}"


def divergence(case: NetworkCase, output: Mapping[str, Any], dtype: str) -> Divergence | None:
    """The first value whose relevance is outside its bound, and the nodes that hand it on; None if there is none.

    Only what the answer holds can be seen: between two values that it gives, every node is under suspicion. Where several
    nodes read the value, the one whose message is missing is named if its absence explains what is seen.
    """
    given, bounds = _given(case, output), case.bounds(dtype)
    if not given.keys() - case.answers:
        return None
    for value in (*reversed(list(case.asked.rules)), *case.answers):
        if value not in given:
            continue
        want, got = case.expected[value], given[value]
        tau, (_, at) = ratio([np.where(np.isnan(got), np.inf, got)], Target((floats(want),), (bounds[value],)))
        if tau > 1:
            detail = element(value, at, got, want, bounds[value])
            nodes = _suspects(case, value, given)
            missing = _missing(case, value, got, bounds[value]) if len(nodes) > 1 else None
            nodes = nodes if missing is None else (missing,)
            named = {"node": " or ".join(nodes)} if nodes else {}
            return Divergence(value, nodes, {**detail, **named}, missing is not None)
    return None


def _given(case: NetworkCase, output: Mapping[str, Any]) -> dict[str, Array]:
    """The relevances of an answer that can be compared, by the name of the value."""
    nodes = output.get("nodes")
    table = dict(nodes) if isinstance(nodes, Mapping) else {}
    table |= dict(zip(case.answers, relevances(output), strict=False))
    return {name: a for name, a in table.items() if name in case.expected and _comparable(a, case.expected[name].shape)}


def _comparable(array: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(array, np.ndarray) and array.shape == shape and array.dtype.kind == "f"


def _suspects(case: NetworkCase, value: str, given: Mapping[str, Array]) -> tuple[str, ...]:
    """The nodes between this value and those whose relevance was seen to be right."""
    found: dict[str, None] = {}
    for node in case.asked.nodes:
        if value in node["inputs"]:
            found[node["name"]] = None
            if node["name"] not in given:
                found |= dict.fromkeys(_suspects(case, node["name"], given))
    return tuple(found)


def _missing(case: NetworkCase, value: str, got: Array, bound: Array) -> str | None:
    """The one reader of the value without whose message its relevance would be what was seen."""
    messages = {node: r for (node, name), r in case.asked.messages.items() if name == value}
    for node, message in messages.items():
        rest = floats(case.expected[value] - message)
        if bool((np.abs(got.astype(np.float64) - rest) <= bound).all()):
            return node
    return None
