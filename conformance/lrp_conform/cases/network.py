"""A golden case of a whole network."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from lrp_conform.cases import model
from lrp_conform.cases.layer import plain_attrs
from lrp_conform.cases.network_reference import WrittenNetwork
from lrp_conform.cases.numbers import exact_array, float_array, floats

Array = Any
Json = dict[str, Any]


@dataclass(frozen=True)
class NetworkCase:
    """One network under one composite, with the exact relevance of every node."""

    data: Json
    group: str
    notes: Json = field(default_factory=dict, repr=False)

    @property
    def id(self) -> str:
        return str(self.data["id"])

    @property
    def uid(self) -> str:
        return str(self.data["uid"])

    @property
    def features(self) -> frozenset[str]:
        return frozenset(self.data["features"])

    @property
    def composite(self) -> Json:
        """Library, name and options of the composite that the rules were taken from."""
        return dict(self.data["composite"])

    @property
    def feature(self) -> str:
        """The row of the report this case belongs to: its composite."""
        return f"{self.composite['library']} {self.composite['name']} on network"

    @property
    def together(self) -> tuple[str, ...]:
        """Cases that are judged together have this in common."""
        return (self.feature,)

    @cached_property
    def asked(self) -> WrittenNetwork:
        """The question: nodes, rules, inputs."""
        return WrittenNetwork(self.data["model"]["nodes"], self.data["rules"], self.data["inputs"])

    @property
    def answers(self) -> list[str]:
        """The names of the relevances that a candidate returns."""
        return list(self.data["expected"]["relevance"])

    @cached_property
    def expected(self) -> dict[str, np.ndarray]:
        """Per input, and per node, the exact relevance arriving there."""
        return {name: exact_array(t) for key in ("nodes", "relevance") for name, t in self.data["expected"][key].items()}

    @cached_property
    def expected_y(self) -> np.ndarray:
        return exact_array(self.data["expected"]["y"])

    def bounds(self, dtype: str) -> dict[str, np.ndarray]:
        """Per input, and per node, how far an honest answer at `dtype` may be off."""
        stored = self.data["bounds"][dtype]
        return {name: floats(exact_array(t)) for key in ("nodes", "relevance") for name, t in stored[key].items()}

    def bound_y(self, dtype: str) -> np.ndarray:
        """The same for the output."""
        return floats(exact_array(self.data["bounds"][dtype]["y"]))

    def adapter_case(self, dtype: str, device: str = "cpu") -> Json:
        """What an adapter is handed: plain data and arrays, no id, no flag, no expected value."""
        inputs = self.data["inputs"]
        xs = [float_array(inputs[name], dtype) for name in self.answers]
        return {
            "nodes": [
                {
                    **{key: node[key] for key in ("name", "op")},
                    "inputs": list(node["inputs"]),
                    "attrs": plain_attrs(node),
                    "params": {name: float_array(t, dtype) for name, t in node["params"].items()},
                }
                for node in self.data["model"]["nodes"]
            ],
            "rules": {name: model.as_floats(entry, dtype) for name, entry in self.data["rules"].items()},
            "composite": _plain(self.composite),
            "x": xs if len(xs) > 1 else xs[0],
            "relevance": float_array(inputs["relevance"], dtype),
            "dtype": dtype,
            "device": device,
        }


def _plain(composite: Json) -> Json:
    """The composite with its options as Python numbers."""
    options = {name: v if isinstance(v, int) else float(model.value(v)) for name, v in composite["options"].items()}
    return {**composite, "options": options}
