"""Dialects: what each library returns on V0, and how dialects, rules and layers behave as values.

V0: weight (1, -1), bias -1, x (1, 1), R = -1, so the contributions are (1, -1) and z = -1.
"""

import pickle
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest

import lrp_ref as lrp
from lrp_conform.cases.numbers import float_array
from lrp_conform.cases.operators import OPERATORS, Operator
from lrp_conform.cases.question import Question
from lrp_conform.making.derivations import Plainest

V0 = (lrp.Dense(np.array([[1.0, -1.0]]), np.array([-1.0])), np.array([1.0, 1.0]), np.array([-1.0]))
INN, ZEN, CAP, TBX, JULIA, INS, LXT = (
    lrp.DIALECTS[name]
    for name in (
        "innvestigate-2.1",
        "zennit-1.0",
        "captum-0.9",
        "lrp_toolbox",
        "relevancepropagation.jl",
        "innsight",
        "lxt-2.1",
    )
)

# What a library returns, with the derivation where it is not the reference's number.
KNOWN: dict[str, tuple[lrp.Dialect, Any, tuple[float, float]]] = {
    "innvestigate alpha1-beta0": (INN, lrp.AlphaBeta(1, 0), (-1e7, 0)),  # 1 + b = 0, replaced by 1e-7
    "innvestigate alpha2-beta1": (INN, lrp.AlphaBeta(2, 1), (-2e7, 0.5)),
    "innvestigate epsilon": (INN, lrp.Epsilon(0.1), (1 / 1.1, -1 / 1.1)),
    "innvestigate zero": (INN, lrp.Zero(), (1, -1)),
    "innvestigate w-square": (INN, lrp.WSquare(), (-0.5, -0.5)),
    "innvestigate z-box": (INN, lrp.ZBox(-2, 2), (-0.75, -0.25)),
    "zennit alpha1-beta0": (ZEN, lrp.AlphaBeta(1, 0), (-1, 0)),
    "zennit alpha2-beta1": (ZEN, lrp.AlphaBeta(2, 1), (-2, 0.5)),
    "zennit w-square": (ZEN, lrp.WSquare(), (-1 / 3, -1 / 3)),  # b^2 = 1 joins 1 + 1
    "zennit flat": (ZEN, lrp.Flat(), (-0.5, -0.5)),
    "zennit gamma": (ZEN, lrp.Gamma(0.25), (2 / 3, -5 / 6)),  # the generalised rule: (1, -5/4) over -3/2
    "zennit z-plus": (ZEN, lrp.ZPlus(), (-1, 0)),
    "zennit z-box": (ZEN, lrp.ZBox(-2, 2), (-0.75, -0.25)),
    "zennit-0.5 w-square": (lrp.DIALECTS["zennit-0.5"], lrp.WSquare(), (-1 / 3, -1 / 3)),
    "captum alpha1-beta0": (CAP, lrp.AlphaBeta(1, 0), (-1e9, 0)),  # 1 + b = 0, plus 1e-9
    "captum z-plus": (CAP, lrp.ZPlus(), (-1e9, 0)),
    "captum gamma": (CAP, lrp.Gamma(0.25), (5 / 3, -4 / 3)),
    "lrp_toolbox alpha2-beta1": (TBX, lrp.AlphaBeta(2, -1, parameterization="sum"), (-2, 0.5)),
    "lrp_toolbox epsilon": (TBX, lrp.Epsilon(0.1), (1 / 1.1, -1 / 1.1)),
    "julia alpha2-beta1": (JULIA, lrp.AlphaBeta(2, 1), (-2, 0.5)),
    "julia zero": (JULIA, lrp.Zero(), (1, -1)),
    "innsight alpha-half": (INS, lrp.AlphaBeta(0.5, 0.5, parameterization="sum"), (-0.5, -0.25)),
    "lxt epsilon": (LXT, lrp.Epsilon(0.1), (1 / 0.9, -1 / 0.9)),  # -1 + 0.1, without the sign
}


def layer_of(row: Operator) -> Any:
    """The plainest layer of an operator."""
    node, inputs = row.drawn(Plainest())
    seed = {"shape": [1], "data": ["1"]}
    return Question(node, {}, {**inputs, "relevance": seed}).arrays(lambda data: float_array(data, "float64"))[0]


LAYERS: list[Any] = [
    *map(layer_of, OPERATORS.values()),
    lrp.Conv(np.ones((1, 1, 2)), None, 1, ((1, 0),), 2, 1),
    lrp.AvgPool((2,), count_include_pad=False),
    lrp.MaxPool((2,), ties="split"),
    lrp.Activation("leaky-relu", "ratio", 0.25),
    lrp.Slice(1, 0, 4, 2),
]
RULES: list[Any] = [rule() for rule in lrp.RULES.values()]


@pytest.mark.parametrize("name", KNOWN)
def test_on_v0_a_dialect_returns_the_librarys_number(name: str) -> None:
    dialect, rule, expected = KNOWN[name]
    result = lrp.propagate(*V0, rule, dialect=dialect)
    assert np.allclose(result.relevance, expected, rtol=1e-5, atol=1e-7)
    result.ledger.check()


def test_every_dialect_has_a_number() -> None:
    assert {dialect.name for dialect, _, _ in KNOWN.values()} == set(lrp.DIALECTS)


@pytest.mark.parametrize("dialect", lrp.DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_explicit_stabiliser_and_bias_win_over_the_dialect(dialect: lrp.Dialect) -> None:
    given: dict[str, Any] = {"stabilizer": lrp.Stabilizer(), "bias": "split"}
    result = lrp.propagate(*V0, lrp.AlphaBeta(2, 1, split="joint"), dialect=dialect, **given)
    assert result.relevance.tolist() == [-2, 0.5]


def test_explicit_conventions_of_a_rule_win_over_the_dialect() -> None:
    layer, x, relevance = lrp.Dense(np.array([[2.0, -3.0]])), np.array([1.0, -2.0]), np.array([8.0])

    def answer(**conventions: str) -> list[float]:
        found = lrp.propagate(layer, x, relevance, lrp.AlphaBeta(1, 0, **conventions), dialect=CAP, bias="ignore").relevance
        return [round(float(v), 6) for v in found]

    assert answer() == [8, 0]  # split by the weight alone: w+ x = (2, 0)
    assert answer(split="joint") == [2, 6]  # (w x)+ = (2, 6)


def test_an_explicit_kind_of_gamma_stays_the_original_rule() -> None:
    found = lrp.propagate(*V0, lrp.Gamma(0.25, "original"), dialect=ZEN).relevance
    assert np.allclose(found, (5 / 3, -4 / 3), rtol=1e-5)


def test_explicit_ties_and_linearizations_win_over_the_dialect() -> None:
    x, relevance = np.array([[[3.0, 3.0]]]), np.array([[[1.0]]])
    free, last = (lrp.propagate(p, x, relevance, lrp.Flat(), dialect=TBX).relevance for p in _pools())
    assert np.allclose(free, 0.5)
    assert last.tolist() == [[[0, 1]]]
    one, variance = np.ones(1), np.array([4.0])
    for linearization, factor in ((None, 1 / 16.5**0.5), ("affine", 1 / 4.5**0.5)):
        layer = lrp.BatchNorm(one, one, one, variance, 0.5, linearization)
        found = lrp.propagate(layer, np.array([[3.0]]), np.array([[1.0]]), lrp.Gradient(), dialect=INN).relevance
        assert np.allclose(found, factor)


def _pools() -> tuple[lrp.MaxPool, lrp.MaxPool]:
    return lrp.MaxPool((2,)), lrp.MaxPool((2,), ties="last")


def test_a_sum_in_innsight_hands_out_equal_parts() -> None:
    x = (np.array([[3.0]]), np.array([[-1.0]]))
    found = lrp.propagate(lrp.Add(), x, np.array([[4.0]]), lrp.Zero(), dialect=INS).relevance
    assert np.allclose(np.concatenate(found), 2)


def test_a_dialect_of_an_exact_layer_stays_exact() -> None:
    exact = (lrp.Dense(lrp.exact([[1, -1]]), lrp.exact([-1])), lrp.exact([1, 1]), lrp.exact([-1]))
    found = lrp.propagate(*exact, lrp.AlphaBeta(1, 0), dialect=INN).relevance
    assert found.tolist() == [-1 / lrp.exact(1e-7).item(), 0]


@pytest.mark.parametrize("value", [*lrp.DIALECTS.values(), *RULES, lrp.Stabilizer("clip", 0.5)], ids=lambda value: value.name if hasattr(value, "name") else "stabilizer")  # fmt: skip # noqa: E501
def test_dialects_rules_and_stabilisers_are_values(value: Any) -> None:
    again = pickle.loads(pickle.dumps(value))
    assert again == value
    assert again is not value
    assert repr(again) == repr(value)
    assert type(value).__name__ in repr(value)
    if not isinstance(value, lrp.Dialect):
        assert hash(again) == hash(value)
    with pytest.raises(FrozenInstanceError):
        value.name_of_nothing = 1


def test_different_values_differ() -> None:
    assert len({repr(value) for value in RULES}) == len(RULES)
    assert lrp.Epsilon(0.1) != lrp.Epsilon(0.2)
    assert lrp.AlphaBeta(split="half") != lrp.AlphaBeta()
    assert lrp.Stabilizer("clip") != lrp.Stabilizer("drop")
    assert replace(ZEN, version="0.9") != ZEN
    assert lrp.Zero() != lrp.Norm()


def test_boxes_with_arrays_compare_by_their_numbers() -> None:
    box: Callable[[float], Any] = lambda low: lrp.ZBox(np.array([low, -1.0]), 2)  # noqa: E731
    assert box(-3) == box(-3)
    assert box(-3) != box(-2)
    assert box(-3) != lrp.ZBox(-3, 2)
    assert lrp.ZBox(-3, 2) == lrp.ZBox(-3, 2)
    assert lrp.ZBox() != lrp.Zero()
    assert pickle.loads(pickle.dumps(box(-3))) == box(-3)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_layers_print_and_pickle(layer: Any) -> None:
    again = pickle.loads(pickle.dumps(layer))
    assert type(layer).__name__ in repr(layer)
    assert repr(again) == repr(layer)
    with pytest.raises(FrozenInstanceError):
        layer.axes = 3


def test_every_layer_stands_for_an_operator() -> None:
    assert {type(layer).__name__ for layer in LAYERS} == {kind.__name__ for kind in lrp.layers.registered()}


UNKNOWN: dict[str, tuple[dict[str, Any], str]] = {
    "a convention": ({"rules": {"gamma": {"knid": "squared"}}}, "rules: gamma has no convention 'knid'; known are kind"),
    "a convention of none": ({"rules": {"epsilon": {"nosuch": "x"}}}, "rules: epsilon has no convention 'nosuch'"),
    "a number": ({"rules": {"gamma": {"gamma": 2}}}, "rules: gamma has no convention 'gamma'; known are kind"),
    "a value": ({"rules": {"gamma": {"kind": "cubed"}}}, "rules: gamma: kind is one of original, squared; got 'cubed'"),
    "a rule": ({"rules": {"gama": {"kind": "squared"}}}, "no rule 'gama'; did you mean 'gamma'? known are zero, epsilon, "),
    "another rule": ({"rules": {"gamma": {"rule": "nosuch"}}}, "no rule 'nosuch'; known are zero, epsilon, "),
    "the other's convention": (
        {"rules": {"gamma": {"rule": "generalized-gamma", "kind": "squared"}}},
        "rules: generalized-gamma has no convention 'kind'; known are branch, at_zero",
    ),
    "no table": ({"rules": {"gamma": "squared"}}, "rules: expected 'gamma' with its conventions by name, got 'squared'"),
    "no tables": ({"layers": "BatchNorm"}, "layers: expected a table by name, got 'BatchNorm'"),
    "a rule's stabiliser": ({"stabilizers": {"zeor": lrp.Stabilizer()}}, "no rule 'zeor'; did you mean 'zero'?"),
    "no stabiliser": (
        {"stabilizers": {"zero": "signed_add"}},
        "stabilizers: expected 'zero' with a lrp_ref.Stabilizer, got 'signed_add'",
    ),
    "a bias mode": ({"biases": {"flat": "absorb"}}, "biases: flat is one of ignore; got 'absorb'"),
    "a bias mode of all": ({"biases": {"*": "absrob"}}, r"biases: \* is one of absorb, "),
    "a layer's rule": ({"layer_rules": {"Add": "flta"}}, "no rule 'flta'; did you mean 'flat'?"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_dialect_of_unknown_names_is_refused_when_it_is_made(name: str) -> None:
    tables, text = UNKNOWN[name]
    with pytest.raises(lrp.LRPError, match=f"^dialect mine: {re.escape(text) if '*' not in text else text}"):
        lrp.Dialect("mine", "a library", "1", **{"stabilizers": {}, **tables})


def test_a_field_that_a_layer_does_not_have_is_refused_when_the_dialect_is_applied() -> None:
    one = np.ones(1)
    layer = lrp.BatchNorm(one, one, one, one, 0.0)
    mine = lrp.Dialect("mine", "a library", "1", {}, layers={"BatchNorm": {"linearisation": "centered"}})
    with pytest.raises(lrp.LRPError, match=r"^dialect mine: layers: BatchNorm has no 'linearisation'; it has .*linearization"):
        lrp.propagate(layer, np.ones((2, 1)), np.ones((2, 1)), lrp.Zero(), dialect=mine)


def test_a_dialect_may_settle_the_bias_of_every_other_rule() -> None:
    mine = lrp.Dialect("mine", "a library", "1", {}, biases={"*": "ignore", "epsilon": "absorb"})
    for rule, mode in ((lrp.Zero(), "ignore"), (lrp.Epsilon(0.1), "absorb")):
        got, want = (lrp.propagate(*V0, rule, **how).relevance for how in ({"dialect": mine}, {"bias": mode}))
        assert np.array_equal(got, want, equal_nan=True)


def test_a_convention_of_the_rule_that_takes_its_place_is_not_asked_of_a_rule_that_stays() -> None:
    tables = {"rules": {"gamma": {"rule": "generalized-gamma", "branch": "unbiased"}}}
    mine = lrp.Dialect("mine", "a library", "1", {}, **tables)
    squared = lrp.Gamma(0.25, kind="squared")
    got, want = (lrp.propagate(*V0, squared, dialect=how).relevance for how in (mine, None))
    assert np.array_equal(got, want)
