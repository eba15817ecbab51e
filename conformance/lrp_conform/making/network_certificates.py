"""A second derivation of a network's answer: the scalar loops of the second oracle, node by node, in rationals."""

from fractions import Fraction
from typing import Any

from lrp_conform.cases.network_reference import WrittenNetwork
from lrp_conform.cases.numbers import rational
from lrp_conform.making.derivations import from_tests

Json = dict[str, Any]
COLUMNS = ("bias", "stabilizer", "dropped")


def disagreement(asked: WrittenNetwork) -> str | None:
    """What the second oracle says otherwise, or what is wrong with the ledger; None if nothing is."""
    values, arriving, lost = chained(asked)
    exact = asked.exact
    for what, ours, theirs in (("value", asked.values, values), ("relevance", exact.at, arriving)):
        for name, array in reversed(list(ours.items())):
            if [rational(v) for v in array.reshape(-1)] != theirs[name]["data"]:
                return f"{what} of {name}: the second oracle says otherwise"
    for name, account in exact.ledger.nodes.items():
        for column in COLUMNS:
            if [rational(v) for v in getattr(account, column)] != lost[name][column]:
                return f"ledger of {name}, {column}: the second oracle says otherwise"
    return "the ledger does not balance" if any(gap != 0 for gap in exact.ledger.imbalance()) else None


def chained(asked: WrittenNetwork) -> tuple[dict[str, Json], dict[str, Json], dict[str, Json]]:
    """Value and relevance at every node and input, and per node the ledger's columns in sums per sample.

    The oracle knows one layer: it is asked node by node, first for the values, then in reverse order for the relevance.
    Raises NoSourceTree in a wheel, which has no oracle.
    """
    explain = from_tests("oracle").explain
    values = {name: _exact(asked.inputs[name]) for name in asked.names}
    for node in asked.nodes:
        said = _said(explain, asked, node, values, None)["y"]
        y = asked.values[node["name"]]  # the oracle gives none where relevance sees another map than the layer's
        values[node["name"]] = said or {"shape": list(y.shape), "data": [rational(v) for v in y.reshape(-1)]}
    arriving = {asked.output: _exact(asked.inputs["relevance"])}
    lost: dict[str, Json] = {}
    for node in reversed(asked.nodes):
        said = _said(explain, asked, node, values, arriving[node["name"]])
        batch = values[node["name"]]["shape"][0]
        lost[node["name"]] = {column: _per_sample(said["ledger"][column]["data"], batch) for column in COLUMNS}
        for name, handed in said["relevance"].items():
            before = arriving.get(name, {"data": [Fraction(0)] * len(handed["data"])})["data"]
            total = [a + b for a, b in zip(before, handed["data"], strict=True)]
            arriving[name] = {"shape": handed["shape"], "data": total}
    return values, arriving, lost


def _said(explain: Any, asked: WrittenNetwork, node: Json, values: dict[str, Json], relevance: Json | None) -> Json:
    """The oracle's answer about one node; where no relevance is given, about zeros of the output's shape."""
    if relevance is None:
        shape = list(asked.values[node["name"]].shape)
        relevance = {"shape": shape, "data": [Fraction(0)] * asked.values[node["name"]].size}
    given = {name: values[name] for name in node["inputs"]} | {"relevance": relevance}
    inputs = {name: {"shape": t["shape"], "data": [str(v) for v in t["data"]]} for name, t in given.items()}
    case = {"model": {"nodes": [node]}, "rules": {node["name"]: asked.rules[node["name"]]}, "inputs": inputs}
    return dict(explain(case))


def _exact(tensor: Json) -> Json:
    return {"shape": tensor["shape"], "data": [Fraction(v) for v in tensor["data"]]}


def _per_sample(data: list[Fraction], batch: int) -> list[Fraction]:
    size = len(data) // batch
    return [sum(data[n * size : (n + 1) * size], Fraction(0)) for n in range(batch)]
