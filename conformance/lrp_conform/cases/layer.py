"""A golden case, and the question it puts to the reference and to a candidate."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from lrp_conform.cases import model
from lrp_conform.cases.numbers import ball_array, exact_array, float_array, floats, integer_array, parse
from lrp_ref.arrays import LRPError, number
from lrp_ref.engine import as_tuple, normalized, propagate
from lrp_ref.gauges import Gauges, gauges
from lrp_ref.kernels import switched
from lrp_ref.ledger import Ledger
from lrp_ref.problem import Problem, in_arithmetic, output, settle
from lrp_ref.rules import Part, Shaped
from lrp_ref.stabilizers import Stabilizer

Array = Any


class Way(NamedTuple):
    """One of the ways in which `propagate` computes floats; the default is its own."""

    representation: str = "structured"
    fast: bool = True

    def __str__(self) -> str:
        return f"{self.representation}, kernels {'on' if self.fast else 'off'}"


DEFAULT = Way()
WAYS = tuple(Way(representation, fast) for representation in ("structured", "explicit") for fast in (True, False))


@dataclass(frozen=True)
class Setting:
    """What a rewritten rule may use: weights, inputs, the rule, and a part's stabilised denominator."""

    W: Any
    x: Any
    rule: Any
    over: Callable[[Part], Array]


@dataclass(frozen=True)
class Rewritten:
    """A rule whose parts are rewritten before they are normalised: how a known mistake reads as a formula."""

    rule: Any
    rewrite: Callable[[list[Part], Setting], list[Part]]
    stabilizer: Stabilizer

    @property
    def name(self) -> str:
        return f"{self.rule.name}, rewritten"

    @property
    def bias(self) -> tuple[str, ...]:
        return tuple(self.rule.bias)

    @property
    def reads_output(self) -> bool:
        return bool(self.rule.reads_output)

    def fitted(self, inputs: tuple[Array, ...], shaped: Shaped) -> "Rewritten":
        return replace(self, rule=in_arithmetic(self.rule, inputs, shaped))

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        return self.rewrite(self.rule.parts(W, x, b, y), Setting(W, x, self.rule, self._over))

    def _over(self, part: Part) -> Array:
        d = part.n.rows() + part.c
        return self.stabilizer(d, number(self.stabilizer.epsilon, d, "stabilizer epsilon"))


@dataclass(frozen=True)
class Question:
    """What is asked: one layer, one rule, data. Deviations are changes to a question."""

    node: dict[str, Any]
    rule: dict[str, Any]
    inputs: dict[str, Any]
    rewrite: Callable[[list[Part], Setting], list[Part]] | None = None  # a known mistake in the formula
    after: Callable[[tuple[Array, ...]], tuple[Array, ...]] | None = None  # what a known mistake does to the answer
    ball: bool = False  # a root enters: ball arithmetic instead of rationals

    def replace(self, **changes: Any) -> "Question":
        return replace(self, **changes)

    def with_rule(self, **changes: Any) -> "Question":
        return replace(self, rule={**self.rule, **changes})

    def with_attrs(self, **changes: Any) -> "Question":
        return replace(self, node={**self.node, "attrs": {**self.node["attrs"], **changes}})

    def arrays(self, read: Callable[[dict[str, Any]], Array]) -> tuple[Any, Any, Array]:
        """(layer, x, relevance), every tensor read by `read`."""
        params = {name: read(data) for name, data in self.node["params"].items()}
        xs = [
            integer_array(self.inputs[n]) if model.index_input(self.node) else read(self.inputs[n]) for n in self.node["inputs"]
        ]
        x = tuple(xs) if len(xs) > 1 else xs[0]
        return model.layer(self.node, params), x, read(self.inputs["relevance"])


@dataclass(frozen=True, eq=False)
class Answer:
    """What the reference says: relevance per input, the output, the ledger, and the gauges of the bound."""

    relevance: tuple[Array, ...]
    y: Array
    ledger: Any
    gauges: Gauges


def answer(question: Question) -> Answer:
    """The reference's answer in rationals, or in balls where a root enters."""
    read = exact_array if rational_roots(question) else ball_array
    problem = pose(question, read)
    received, ledger = propagated(question, read)
    return Answer(received, problem.affine.y, ledger, gauges(problem, list(normalized(problem))))


def rational_roots(question: Question) -> bool:
    """Whether every root that the question needs is rational; a deviation may need another one than its case."""
    if question.ball or question.node["op"] != "batch-norm":
        return not question.ball
    try:
        layer, x, _ = question.arrays(exact_array)
        layer.affine(x)
    except LRPError:
        return False
    return True


def evaluate(question: Question, dtype: str, way: Way = DEFAULT) -> tuple[Array, tuple[Array, ...]]:
    """What users of the reference get in floating point: y, and the relevance at every input."""

    def read(data: dict[str, Any]) -> Array:
        return float_array(data, dtype)

    with np.errstate(all="ignore"), switched(way.fast):
        layer, x, _ = question.arrays(read)
        return output(layer, *as_tuple(x)), propagated(question, read, way.representation)[0]


def propagated(
    question: Question, read: Callable[[dict[str, Any]], Array], representation: str = "structured"
) -> tuple[tuple[Array, ...], Ledger]:
    """The relevance at every input and the ledger, by the public door."""
    asked, conventions = call(question, read)
    result = propagate(*asked, **conventions, representation=representation)
    received = as_tuple(result.relevance)
    return received if question.after is None else question.after(received), result.ledger


def pose(question: Question, read: Callable[[dict[str, Any]], Array], representation: str = "structured") -> Problem:
    """The question as the engine's problem, in the arithmetic that `read` gives."""
    asked, conventions = call(question, read)
    return settle(*asked, **conventions, representation=representation)


def call(question: Question, read: Callable[[dict[str, Any]], Array]) -> tuple[tuple[Any, Any, Array, Any], dict[str, Any]]:
    """The question as arguments of `propagate`: layer, x, relevance and rule, and the conventions by name."""
    rule, stabilizer, bias = model.rule(question.rule, read)
    if question.rewrite is not None:
        rule = Rewritten(rule, question.rewrite, stabilizer)
    return (*question.arrays(read), rule), {"stabilizer": stabilizer, "bias": bias}


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
