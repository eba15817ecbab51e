"""A question about one layer, and its answer by the reference."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from lrp_conform.cases import model
from lrp_conform.cases.numbers import ball_array, exact_array, float_array, integer_array
from lrp_ref.arrays import LRPError, number
from lrp_ref.kernels import switched
from lrp_ref.propagation.gauges import Gauges, gauges
from lrp_ref.propagation.ledger import Ledger
from lrp_ref.propagation.propagate import propagate
from lrp_ref.propagation.settle import Problem, in_arithmetic, output, settle
from lrp_ref.propagation.shares import as_tuple, normalized
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
