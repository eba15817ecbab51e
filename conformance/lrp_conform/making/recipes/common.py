"""What recipes are made of: small integer data, complete rule entries, and relevance that divides without remainder."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd, lcm, prod
from typing import Any

import numpy as np
from flint import fmpq

from lrp_conform.cases.numbers import exact_array, rational, tensor
from lrp_conform.cases.question import Question, pose
from lrp_ref.arrays import absolute
from lrp_ref.propagation.settle import Problem
from lrp_ref.propagation.shares import Share, normalized
from lrp_ref.rules import CONVENTIONS, RULES

Spec = dict[str, Any]
PRECISION = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}


@dataclass(frozen=True)
class Recipe:
    """One case before its answers are computed."""

    id: str
    node: Spec
    rule: Spec
    inputs: dict[str, Spec]
    flags: tuple[str, ...] = ()
    comment: str = ""
    references: tuple[str, ...] = ()
    status: str = "core"
    hand: dict[str, Sequence[str]] = field(default_factory=dict)  # values derived on paper, checked against the reference
    exact: bool = False  # promised to be exact in float32 at least

    @property
    def question(self) -> Question:
        return Question(self.node, self.rule, self.inputs, ball="irrational" in self.flags)


@dataclass(frozen=True)
class Search:
    """A case whose data are searched for once it is built; its id is known before."""

    id: str
    run: Callable[[], Recipe]


def spec(rule: str, *, stabilizer: Spec | None = None, bias: str | None = None, **given: Any) -> Spec:
    """A complete rule entry: every parameter as a string, every convention spelled out."""
    kind = RULES[rule]
    words = {name: values[0] for name, (values, _) in CONVENTIONS.items() if name in kind.__dataclass_fields__}
    numbers = {name: v if isinstance(v, str | list | dict) else str(Fraction(v)) for name, v in given.items()}
    if stabilizer is None:
        stabilizer = signed(numbers["epsilon"]) if rule == "epsilon" else NONE
    return {"rule": rule, **words, **numbers, "stabilizer": stabilizer, "bias": bias or kind.bias[0]}


def stab(kind: str, epsilon: Any = 0, sign_at_zero: int = 1) -> Spec:
    return {"kind": kind, "epsilon": str(Fraction(epsilon)), "sign_at_zero": str(sign_at_zero)}


def signed(epsilon: Any) -> Spec:
    return stab("signed_add", epsilon)


NONE = stab("none")


def node(op: str, params: dict[str, Spec] | None = None, inputs: Sequence[str] = ("x",), **attrs: Any) -> Spec:
    return {"name": "layer", "op": op, "inputs": list(inputs), "attrs": attrs, "params": params or {}}


def integers(shape: Sequence[int], values: Sequence[Any]) -> Spec:
    """A tensor of the given numbers."""
    return {"shape": list(shape), "data": [str(Fraction(v)) if not isinstance(v, str) else v for v in values]}


class Draw:
    """Reproducible data: everything follows from the case's id."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def tensor(self, *shape: int, low: int = -3, high: int = 3, zeros: bool = True, denominator: int = 1) -> Spec:
        values: list[Fraction] = []
        while len(values) < prod(shape):
            v = self._random.randint(low * denominator, high * denominator)
            if v or zeros:
                values.append(Fraction(v, denominator))
        return integers(shape, values)

    def significant(self, *shape: int, bits: int = 11, scale: int = 2) -> Spec:
        """Awkward numbers of both signs with `bits` significant bits: representable down to that format."""
        values: list[Fraction] = []
        for _ in range(prod(shape)):
            mantissa = self._random.randint(2 ** (bits - 1), 2**bits - 1) | 1
            exponent = self._random.randint(-scale, scale)
            values.append(self._random.choice((1, -1)) * Fraction(mantissa, 2 ** (bits - 1)) * Fraction(2) ** exponent)
        return integers(shape, values)

    def choice(self, values: Sequence[Any]) -> Any:
        return self._random.choice(values)

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high)


def outputs(question_node: Spec, inputs: dict[str, Spec]) -> np.ndarray:
    """The layer's exact output."""
    probe = Question(question_node, {}, {**inputs, "relevance": integers((1,), [1])})
    layer, x, _ = probe.arrays(exact_array)
    y: np.ndarray = layer.affine(*(x if isinstance(x, tuple) else (x,))).y
    return y


def problem(question: Question) -> tuple[Problem, list[Share]]:
    settled = pose(question, exact_array)
    return settled, list(normalized(settled))


def divisible(question_node: Spec, rule: Spec, inputs: dict[str, Spec], draw: Draw) -> Spec | None:
    """Relevance of which every R_j is a small multiple of each of its denominators; None where one is zero."""
    y = outputs(question_node, inputs)
    ones = tensor(np.full(y.shape, fmpq(1), dtype=object))
    _, shares = problem(Question(question_node, rule, {**inputs, "relevance": ones}))
    values = []
    for at in np.ndindex(y.shape):
        flat = (at[0], *at[1:])
        found = [rational(s.stabilized[flat]) for s in shares if s.active[flat] != 0]
        empty = [s for s in shares if s.stabilized[flat] == 0]
        quadrants = rule["rule"] == "alpha-beta-x"  # a single quadrant is often empty: its relevance is dropped
        if not quadrants and (not found or empty):
            return None
        found = found or [Fraction(1)]
        common = Fraction(lcm(*(d.numerator for d in found)), gcd(*(d.denominator for d in found)))
        r = common * draw.choice((1, 2, -1, 3, -2))
        while r in (1, rational(y[flat])):
            r = r * 2
        values.append(r)
    return integers(y.shape, values)


def exact_formats(question: Question) -> list[str]:
    """The formats in which every intermediate of the plans x (W^T (R / D)) and (n R) / D is exact."""
    settled, shares = problem(question)
    twin = pose(question, exact_array, "explicit")
    magnitudes: list[Fraction] = []
    grains: list[int] = []

    def note(values: Any) -> None:
        for v in np.asarray(values, dtype=object).reshape(-1):
            f = rational(v)
            magnitudes.append(abs(f))
            grains.append(f.denominator)

    for array in (*settled.affine.inputs, settled.affine.y, settled.arrived):
        note(array)
    for share, wide in zip(shares, normalized(twin), strict=True):
        gauge = share.part.n.gauge()
        work = absolute(share.part.c) if share.part.work is None else share.part.work
        note(gauge.rows() + work + absolute(share.stabilized - share.d))
        for array in gauge.distribute(absolute(share.s)):
            note(array)
        for values in (
            wide.part.n.values,
            wide.part.n.values * twin.flat(twin.arrived)[..., None],
            wide.s,
            wide.stabilized,
            share.part.c,
        ):
            note(values)
    if any(g & (g - 1) for g in grains):
        return []
    width = max(magnitudes) * max(grains)
    return [name for name, bits in PRECISION.items() if width < 2**bits]


def exact_recipe(slug: str, make: Any, rule: Spec, flags: tuple[str, ...] = (), **how: Any) -> Search:
    """An exact-data case, as `exact_data` finds it."""
    return Search(slug, lambda: exact_data(slug, make, rule, flags, **how))


def exact_data(
    slug: str, make: Any, rule: Spec, flags: tuple[str, ...] = (), *, want: str = "float16", tries: int = 150, **extra: Any
) -> Recipe:
    """An exact-data case: draws until every intermediate is exact in `want`, then in float32 at the least.

    `make(draw)` gives a node and its inputs without the relevance.
    """
    fallback = None
    want = "float32" if rule["stabilizer"]["epsilon"] == "1/64" else want
    for attempt in range(tries):
        draw = Draw(f"{slug}/{attempt}")
        layer, inputs = make(draw)
        relevance = divisible(layer, rule, inputs, draw)
        if relevance is None:
            continue
        whole = {**inputs, "relevance": relevance}
        formats = exact_formats(Question(layer, rule, whole))
        recipe = Recipe(slug, layer, rule, whole, ("exact-data", *flags), exact=True, **extra)
        if want in formats:
            return recipe
        if "float32" in formats and fallback is None:
            fallback = recipe
    if fallback is None:
        raise RuntimeError(f"{slug}: no exact data found in {tries} tries")
    return fallback


def numbered(count: int) -> Iterator[int]:
    return iter(range(1, count + 1))
