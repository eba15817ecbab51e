"""Hypothesis strategies of questions: a node, its inputs, and a rule with every convention, as golden files spell them."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

from hypothesis import strategies as st

from lrp_conform.cases import entries
from lrp_conform.cases.numbers import exact_array
from lrp_conform.cases.operators import OPERATORS
from lrp_conform.cases.question import Question
from lrp_conform.making.derivations import inseparable
from lrp_ref.rules import RULES
from lrp_ref.stabilizers import KINDS, Stabilizer

Json = dict[str, Any]
Draw = Callable[[Any], Any]
__all__ = ["INSEPARABLE", "fits", "nodes", "placed", "questions", "rules", "tensors"]

RATIONAL = ("0", "0", "1", "-1", "2", "-2", "3", "-3", "1/2", "-1/2", "1/3", "-5/3")
DYADIC = ("0", "0", "1", "-1", "2", "-2", "3", "-3", "1/2", "-1/2", "3/2", "-5/2")  # few bits: sums are exact in float32
COARSE = ("0", "1", "-1", "2", "-2", "1/2", "-1/2")  # and in float16

INSEPARABLE = tuple(name for name in RULES if inseparable(name))
OPS = tuple(name for name, row in OPERATORS.items() if row.rational)
MIXING = tuple(name for name in OPS if OPERATORS[name].mixes)  # Pass refuses (most)
SCALED_KINDS = tuple(kind for kind in KINDS if Stabilizer(kind).coupled)  # their roots are irrational
EXACT_KINDS = tuple(kind for kind in KINDS if kind not in SCALED_KINDS)


def fits(rule: str, op: str) -> bool:
    """Whether the rule has a meaning on the op."""
    return entries.fits(rule, OPERATORS[op])


def tensors(values: tuple[str, ...], shape: tuple[int, ...]) -> st.SearchStrategy[Json]:
    """Golden tensors of `shape` with elements among `values`."""
    data = st.lists(st.sampled_from(values), min_size=prod(shape), max_size=prod(shape))
    return data.map(lambda elements: {"shape": list(shape), "data": elements})


@dataclass(frozen=True)
class Hypothesis:
    """Hypothesis as the chooser of an operator's instance, and of a rule's entry."""

    draw: Draw
    values: tuple[str, ...] = RATIONAL
    exact: bool = True
    wide: bool = False
    refused: frozenset[str] = frozenset()

    def choice(self, axis: str, values: Any, more: Any = ()) -> Any:
        return self.draw(st.sampled_from(values))

    def tensor(self, name: str, shape: tuple[int, ...], among: Any = None) -> Json:
        return dict(self.draw(tensors(tuple(among or self.values), shape)))


@st.composite
def nodes(draw: Draw, op: str, values: tuple[str, ...] = RATIONAL) -> tuple[Json, dict[str, Json]]:
    """A node of `op` and its inputs."""
    return OPERATORS[op].drawn(Hypothesis(draw, values))


@st.composite
def rules(draw: Draw, name: str, seen: list[tuple[int, ...]], op: str = "dense", kinds: tuple[str, ...] = EXACT_KINDS) -> Json:
    """The rule `name` with every convention, for inputs of the shapes `seen`."""
    return entries.drawn(name, Hypothesis(draw), OPERATORS[op], seen, kinds)


@st.composite
def placed(draw: Draw, op: str, values: tuple[str, ...] = RATIONAL) -> tuple[Question, list[tuple[int, ...]]]:
    """A layer of `op` with inputs and arriving relevance (and no rule yet), and the shapes that relevance sees."""
    node, inputs = draw(nodes(op, values))
    blank = Question(node, {}, {**inputs, "relevance": {"shape": [1], "data": ["0"]}})
    layer, x, _ = blank.arrays(lambda data: exact_array(data, Fraction))
    affine = layer.affine(*(x if isinstance(x, tuple) else (x,)))
    relevance = draw(tensors(values, affine.y.shape))
    return blank.replace(inputs={**inputs, "relevance": relevance}), [tuple(a.shape) for a in affine.inputs]


@st.composite
def questions(
    draw: Draw, rule: str, op: str, values: tuple[str, ...] = RATIONAL, kinds: tuple[str, ...] = EXACT_KINDS
) -> Question:
    """The rule `rule` on a layer of `op`."""
    question, seen = draw(placed(op, values))
    return question.replace(rule=draw(rules(rule, seen, op, kinds)))
