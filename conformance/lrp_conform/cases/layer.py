"""A golden case, and the question it puts to the reference and to a candidate."""

from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from lrp_conform.cases import model
from lrp_conform.cases.numbers import exact_array, float_array, floats, integer_array, parse
from lrp_conform.cases.question import Question, Way

Array = Any

FRESH = "fresh/questions"  # the group of cases that no golden file holds: questions made on the spot
WAYS = tuple(Way(representation, fast) for representation in ("structured", "explicit") for fast in (True, False))


@dataclass(frozen=True)
class Case:
    """One case of a golden file."""

    data: dict[str, Any]
    group: str
    notes: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def id(self) -> str:
        return str(self.data["id"])

    @property
    def uid(self) -> str:
        return str(self.data["uid"])

    @property
    def node(self) -> dict[str, Any]:
        return dict(self.data["model"]["nodes"][0])

    @property
    def rule(self) -> dict[str, Any]:
        return dict(self.data["rules"][self.node["name"]])

    @property
    def features(self) -> frozenset[str]:
        return frozenset(self.data["features"])

    @property
    def feature(self) -> str:
        """The row of the report this case belongs to: its rule on its layer."""
        return f"{model.rule_name(self.rule)} on {self.node['op']}"

    @property
    def together(self) -> tuple[str, ...]:
        """Cases that are judged together have this in common: a dialect is a matter of it."""
        return self.feature, self.rule.get("bias", ""), self.rule.get("stabilizer", {}).get("kind", "")

    @property
    def question(self) -> Question:
        return Question(self.node, self.rule, self.data["inputs"], ball=self.radius > 0)

    @property
    def is_pattern(self) -> bool:
        return bool(self.rule["rule"] == "pattern")

    @property
    def answers(self) -> list[str]:
        """The names of the relevances (or the pattern) that a candidate returns."""
        return list(self.data["expected"]["relevance"])

    @cached_property
    def expected(self) -> dict[str, np.ndarray]:
        """Per input name, the expected relevance as exact numbers."""
        return {name: exact_array(t) for name, t in self.data["expected"]["relevance"].items()}

    @cached_property
    def expected_floats(self) -> dict[str, np.ndarray]:
        return {name: floats(array) for name, array in self.expected.items()}

    @cached_property
    def expected_y(self) -> np.ndarray:
        return exact_array(self.data["expected"]["y"])

    @cached_property
    def radius(self) -> float:
        """How far `expected` may be from the truth; 0 for exact answers."""
        return float(parse(self.data.get("radius", "0")))

    @cached_property
    def gauge(self) -> dict[str, Any]:
        """G, H, S per input name and Y as float64 arrays; fan_in, fan_out, kappa."""
        stored = self.data["gauges"]
        out: dict[str, Any] = {k: {name: floats(exact_array(t)) for name, t in stored[k].items()} for k in ("G", "H", "S")}
        return {
            **out,
            "Y": floats(exact_array(stored["Y"])),
            "fan_in": int(stored["fan_in"]),
            "fan_out": int(stored["fan_out"]),
            "kappa": float(parse(stored["kappa"])),
        }

    def adapter_case(self, dtype: str, device: str = "cpu") -> dict[str, Any]:
        """What an adapter is handed: plain data and arrays, no id, no flag, no expected value."""
        inputs = self.data["inputs"]
        xs = [
            integer_array(inputs[name]) if model.index_input(self.node) else float_array(inputs[name], dtype)
            for name in self.node["inputs"]
        ]
        node = self.node
        return {
            "nodes": [
                {
                    **{k: node[k] for k in ("name", "op")},
                    "inputs": list(node["inputs"]),
                    "attrs": plain_attrs(node),
                    "params": {name: float_array(t, dtype) for name, t in node["params"].items()},
                }
            ],
            "rules": {node["name"]: model.as_floats(self.rule, dtype)},
            "x": xs if len(xs) > 1 else xs[0],
            **({"relevance": float_array(inputs["relevance"], dtype)} if "relevance" in inputs else {}),
            "dtype": dtype,
            "device": device,
        }


def plain_attrs(node: dict[str, Any]) -> dict[str, Any]:
    """The node's attributes with their numbers as Python floats, and lists that the adapter may change."""
    numbers = {name: [*map(float, v)] if isinstance(v, tuple) else float(v) for name, v in model.numeric(node).items()}
    return {**deepcopy(node["attrs"]), **numbers}
