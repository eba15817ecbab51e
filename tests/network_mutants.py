"""Answers to network cases: right ones in floats, and wrong ones as implementations get networks wrong."""

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from lrp_conform.cases.network import NetworkCase
from lrp_conform.cases.network_reference import WrittenNetwork
from lrp_conform.cases.numbers import float_array, parse

Array = Any
Json = dict[str, Any]
Messages = list[tuple[str, Array]]  # what a value received so far: (from which node, relevance)
Answer = dict[str, Any]
Sum = Callable[[str, Messages], Array]


def whole(value: str, messages: Messages) -> Array:
    """What every reader of a value handed to it, added up."""
    return reduce(add, (r for _, r in messages))


def answer(
    case: NetworkCase,
    dtype: str = "float64",
    asked: WrittenNetwork | None = None,
    arrives: Sum = whole,
    hands: Sum | None = None,
) -> Answer:
    """y, the relevance of the input and of every node, in floats.

    asked: the question that the way back answers, the forward pass being the case's. arrives: what a value makes of its
    messages; hands: what it passes on of them.
    """
    asked = asked or case.asked
    net = asked.network(dtype)
    rules, values = asked.composite(dtype).assign(net), case.asked.network(dtype).forward(asked.x(dtype), at="all")
    received: dict[str, Messages] = {asked.output: [("", float_array(asked.inputs["relevance"], dtype))]}
    at: dict[str, Array] = {}
    for node in reversed(net.nodes):
        messages = received[node.name]
        at[node.name] = arrives(node.name, messages)
        passed = at[node.name] if hands is None else hands(node.name, messages)
        given = tuple(values[name] for name in node.inputs or ())
        found = rules[node.name].propagate(node.layer, given, passed, values[node.name]).relevance
        for name, r in zip(node.inputs or (), found, strict=True):
            received.setdefault(name, []).append((node.name, r))
    inputs = [arrives(name, received[name]) for name in asked.names]
    return {"y": values[asked.output], "relevance": inputs if len(inputs) > 1 else inputs[0], "nodes": at}


def with_rules(case: NetworkCase, **rules: Json) -> WrittenNetwork:
    return replace(case.asked, rules={**case.asked.rules, **rules})


def with_node(case: NetworkCase, name: str, **changes: Any) -> WrittenNetwork:
    """The question with another layer in the place of one; its parameters and attributes are replaced one by one."""

    def changed(node: Json) -> Json:
        return {**node, **{key: {**node[key], **new} for key, new in changes.items()}}

    return replace(case.asked, nodes=[changed(n) if n["name"] == name else n for n in case.asked.nodes])


# Mutants ------------------------------------------------------------------------------------------------------------


def handed_on_too_early(case: NetworkCase) -> Answer:
    """Nodes in a wrong order: relu1 passes relevance on before its second reader has added to it."""
    return answer(case, hands=lambda value, messages: messages[0][1] if value == "relu1" else whole(value, messages))


def branch_dropped(case: NetworkCase) -> Answer:
    """The skip connection hands nothing on."""
    return answer(case, arrives=lambda v, m: whole(v, [(n, r * (0 if (n, v) == ("sum", "relu1") else 1)) for n, r in m]))


def not_summed(case: NetworkCase) -> Answer:
    """The relevance of a value with two readers is what came last."""
    return answer(case, arrives=lambda value, messages: messages[-1][1])


def wrong_sign_of_the_norm(case: NetworkCase) -> Answer:
    """A batch norm merged with + g mean in the place of - g mean."""
    (norm,) = (node for node in case.asked.nodes if node["op"] == "batch-norm")
    mean = norm["params"]["mean"]
    opposite = {**mean, "data": [str(-parse(v)) for v in mean["data"]]}
    return answer(case, asked=with_node(case, norm["name"], params={"mean": opposite}))


def first_and_last_swapped(case: NetworkCase) -> Answer:
    """The first layer gets the last one's rule, and the last one the first's."""
    rules = case.asked.rules
    return answer(case, asked=with_rules(case, dense1=rules["dense3"], dense3=rules["dense1"]))


def ties_to_the_last(case: NetworkCase) -> Answer:
    """Max pooling hands the relevance of a tie to the last of the winners."""
    return answer(case, asked=with_node(case, "pool", attrs={"ties": "last"}))


def started_from_the_output(case: NetworkCase) -> Answer:
    """The relevance starts from the output, and not from what was asked."""
    y = answer(case)["y"]
    return answer(case, arrives=lambda value, messages: y if messages[0][0] == "" else whole(value, messages))


def not_a_number(case: NetworkCase) -> Answer:
    """A division by zero in the middle."""
    found = answer(case)
    for name in ("relu1", "dense1"):
        found["nodes"][name] = found["nodes"][name] * np.nan
    return {**found, "relevance": found["relevance"] * np.nan}


MUTANTS: dict[str, tuple[Callable[[NetworkCase], Answer], str, str | None, str]] = {  # mutant, case, node named, where seen
    "wrong order": (handed_on_too_early, "network.reference.epsilon.residual", "relu1", "norm"),
    "residual branch dropped": (branch_dropped, "network.zennit.epsilon-plus.residual", "sum", "relu1"),
    "shared value not summed": (not_summed, "network.zennit.epsilon-plus.branches", "right", "x"),
    "batch norm of the wrong sign": (wrong_sign_of_the_norm, "network.reference.zero.residual", "norm", "conv1"),
    "first and last swapped": (first_and_last_swapped, "network.zennit.epsilon-plus-flat.mlp", "dense3", "relu2"),
    "ties to the last": (ties_to_the_last, "network.innvestigate.w-square.convnet", "pool", "relu1"),
    "started from the output": (started_from_the_output, "network.reference.epsilon.mlp", None, "dense3"),
    "not a number": (not_a_number, "network.reference.epsilon.mlp", "dense2", "relu1"),
}
