"""One question being drawn: what was offered on which axis, and what was taken."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from itertools import combinations
from math import prod
from typing import Any, TypeVar

import numpy as np

import lrp_ref as lrp
from lrp_conform.cases import entries, model
from lrp_conform.cases.operators import OPERATORS
from lrp_conform.cases.operators.row import Shape
from lrp_conform.cases.question import Question
from lrp_ref.stabilizers import KINDS

Json = dict[str, Any]
T = TypeVar("T")
Value = tuple[str, str]  # an axis, and a value on it
Pair = tuple[Value, Value]
NUMBERS = "numbers"
SIZES = {"1": 0, "2^27": 27, "2^-27": -27}
HOLDS = {
    "x": (NUMBERS, "zeros of both signs", "a sample of zeros"),
    "bias": (NUMBERS, "zeros"),
    "relevance": (NUMBERS, "a sample of zeros", "one output a sample"),
}


class Trial:
    """A question about a layer of `op` from a seeded chooser that remembers; its numbers are there once `write` draws them.

    `features`: what may be needed; a value that is one of the others is not taken. `wishes`: what to take where it is offered.
    `plain`: how often the plainest value is taken, from 0 to 1.
    """

    exact, wide = False, True

    def __init__(self, op: str, features: frozenset[str], seed: str, wishes: Mapping[str, str], plain: float) -> None:
        self._random, self._row, self.refused = random.Random(seed), OPERATORS[op], _refused(features)
        self._wishes, self._plain = wishes, plain
        self._blank: list[tuple[Json, Sequence[str] | None, str, str]] = []
        self.offered: dict[str, list[str]] = {}
        self.taken: dict[str, str] = {}
        rules = [name for name in lrp.RULES if entries.fits(name, self._row) and entries.called(name) & features]
        rule = self.choice("rule", rules or [*lrp.RULES])
        node, inputs = self._row.drawn(self)
        y, seen = _shapes(node, inputs)
        spec = entries.drawn(rule, self, self._row, seen, [*KINDS])
        self.question = Question(node, spec, {**inputs, "relevance": self.tensor("relevance", y)})

    @property
    def pairs(self) -> set[Pair]:
        """Every two values that are taken together."""
        return set(combinations(sorted(self.taken.items()), 2))

    def takes(self, values: Iterable[Value]) -> bool:
        """Whether all of these values are taken."""
        return all(self.taken.get(axis) == label for axis, label in values)

    @property
    def features(self) -> frozenset[str]:
        """What an implementation must support to be asked."""
        q = self.question
        return frozenset(model.features([q.node], {q.node["name"]: q.rule}, q.inputs))

    @property
    def work(self) -> int:
        """About as many products as its answer takes: outputs times what one of them reads, and not less than all numbers."""
        q = self.question
        sizes = {name: prod(t["shape"]) for name, t in (q.node["params"] | q.inputs).items()}
        reads = prod(q.node["params"]["weight"]["shape"][1:]) if OPERATORS[q.node["op"]].weighted else 1
        return int(max(sizes["relevance"] * reads * prod(q.node["attrs"].get("kernel", ())), sum(sizes.values())))

    def choice(self, axis: str, values: Sequence[T], more: Sequence[T] = ()) -> T:
        every = [*values, *more]
        if not axis:
            return self._random.choice(every)
        every = [value for value in every if not self._refuses(axis, value)] or every
        labels = list(map(str, every))
        if self._wishes.get(axis) in labels:
            k = labels.index(self._wishes[axis])
        else:
            k = 0 if self._random.random() < self._plain else self._random.randrange(len(every))
        self.offered[axis], self.taken[axis] = labels, labels[k]
        return every[k]

    def _refuses(self, axis: str, value: Any) -> bool:
        """Whether a value needs a feature that is refused: by its name, or by what the operator says of the attribute."""
        rows = (a for a in self._row.attrs if a.name == axis)
        needed = (name for a in rows for name, needs in a.features.items() if name in self.refused and needs(value))
        return axis != "rule" and (f"{axis}.{value}" in self.refused or any(needed))

    def tensor(self, name: str, shape: Shape, among: Sequence[str] | None = None) -> Json:
        """A tensor whose numbers `write` draws."""
        role, size = name.rstrip("0123456789"), "1"
        holds = self.choice(f"{role} holds", HOLDS[role]) if among is None and role in HOLDS else NUMBERS
        if among is None and role in ("x", "relevance"):
            size = self.choice(f"{role} of size", list(SIZES))
        found: Json = {"shape": list(shape), "data": []}
        self._blank.append((found, among, holds, size))
        return found

    def write(self) -> Question:
        """The question with its numbers: few bits each, so that all formats hold them."""
        for found, among, holds, size in self._blank:
            count, batch = prod(found["shape"]), max(1, found["shape"][0])
            each = max(1, count // batch)
            data = self._random.choices(list(among) if among else _numbers(SIZES[size]), k=count)
            if holds == "zeros":
                data = ["0"] * count
            if holds == "zeros of both signs":
                data = [self._random.choice((text, "0", "-0.0")) for text in data]
            if holds == "a sample of zeros":
                first = self._random.randrange(batch) * each
                data[first : first + each] = ["0"] * each
            if holds == "one output a sample":
                kept = {k * each + self._random.randrange(each) for k in range(batch)}
                data = [text if k in kept else "0" for k, text in enumerate(data)]
            found["data"] = data
        return self.question


@cache
def _numbers(exponent: int) -> list[str]:
    return [str(Fraction(sign * n, 8) * Fraction(2) ** exponent) for n in range(1, 32) for sign in (1, -1)]


@cache
def _refused(features: frozenset[str]) -> frozenset[str]:
    return model.needed_features() - features


def _shapes(node: Json, inputs: dict[str, Json]) -> tuple[Shape, list[Shape]]:
    """The shapes of the output, and of the inputs as relevance sees them."""
    layer = model.layer(node, {name: np.ones(t["shape"]) for name, t in node["params"].items()})
    kind = np.int64 if model.index_input(node) else np.float64
    affine = layer.affine(*(np.zeros(t["shape"], kind) for t in inputs.values()))
    return tuple(affine.y.shape), [tuple(a.shape) for a in affine.inputs]
