"""The table of operators and what is asked of rules: every row can be drawn, built, validated, and told by its features."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import prod
from typing import Any, TypeVar

import namespaces
import numpy as np
import pytest
from jsonschema_rs import Draft202012Validator

import lrp_ref as lrp
from lrp_conform.cases import entries, golden, model
from lrp_conform.cases.numbers import float_array
from lrp_conform.cases.operators import OPERATORS
from lrp_conform.cases.operators.functions import rational_functions
from lrp_conform.cases.schema import schema
from lrp_ref.layers.activation import FUNCTIONS
from lrp_ref.layers.affine import affine_of
from lrp_ref.stabilizers import KINDS

Json = dict[str, Any]
T = TypeVar("T")
VALUES = ("0", "1", "-1", "2", "1/2", "-5/3")


@dataclass
class Dice:
    """A seeded chooser."""

    seed: str
    exact: bool = False
    wide: bool = False
    refused: frozenset[str] = frozenset()
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    def choice(self, axis: str, values: Sequence[T], more: Sequence[T] = ()) -> T:
        return self.dice.choice((*values, *(more if self.wide else ())))

    def tensor(self, name: str, shape: tuple[int, ...], among: Sequence[str] | None = None) -> Json:
        return {"shape": list(shape), "data": [self.dice.choice(among or VALUES) for _ in range(prod(shape))]}


def part(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schema()["$defs"]})


NODES, ENTRIES = part("node"), part("rule")


def answered(node: Json, inputs: dict[str, Json]) -> Any:
    """The layer's affine map, in floats."""
    layer = model.layer(node, {name: float_array(t, "float64") for name, t in node["params"].items()})
    read = [float_array(t, "float64") for t in inputs.values()]
    return layer.affine(*(x.astype(np.int64) if model.index_input(node) else x for x in read))


@pytest.mark.parametrize("name", OPERATORS)
def test_whatever_is_drawn_of_an_operator_is_built_and_valid(name: str) -> None:
    row, seen = OPERATORS[name], set()
    for k in range(40):
        node, inputs = row.drawn(Dice(f"{name}/{k}"))
        assert NODES.is_valid(node), next(iter(NODES.iter_errors(node)))
        affine = answered(node, inputs)
        assert affine.y.shape[0] == next(iter(inputs.values()))["shape"][0]
        assert (len(inputs) > 1) == row.several
        found = row.features(node["attrs"], len(next(iter(inputs.values()))["shape"]) - 2)
        assert found <= row.known_features()
        seen |= found
    assert {f for f in row.known_features() if not f.startswith("spatial.")} <= seen


@pytest.mark.parametrize("name", OPERATORS)
def test_exact_instances_are_asked_in_rationals_and_stay_there(name: str) -> None:
    if not OPERATORS[name].rational:
        with pytest.raises(lrp.LRPError):
            fractions(*OPERATORS[name].drawn(Dice(name, exact=True)))
        return
    for k in range(20):
        y = fractions(*OPERATORS[name].drawn(Dice(f"{name}/{k}", exact=True))).y
        assert all(isinstance(value, int | Fraction) for value in y.flat)


def fractions(node: Json, inputs: dict[str, Json]) -> Any:
    layer = model.layer(node, {n: lrp.exact(t["data"]).reshape(t["shape"]) for n, t in node["params"].items()})
    xs = [lrp.exact(t["data"]).reshape(t["shape"]) for t in inputs.values()]
    return layer.affine(*(x.astype(np.int64) if model.index_input(node) else x for x in xs))


def test_a_row_that_cannot_be_drawn_is_refused_with_its_name() -> None:
    with pytest.raises(lrp.LRPError, match="operator dense: expected a way to draw an instance, got none; give its row `draw`"):
        replace(OPERATORS["dense"], draw=None).drawn(Dice("x"))


def test_only_functions_that_fractions_can_be_put_into_are_drawn_where_all_is_exact() -> None:
    assert set(rational_functions()) == {"relu", "leaky-relu", "clip", "hard-sigmoid"} < set(FUNCTIONS)
    drawn = [OPERATORS["activation"].drawn(Dice(f"{k}", exact=exact))[0] for k in range(200) for exact in (True, False)]
    assert {node["attrs"]["function"] for node in drawn[::2]} == set(rational_functions())
    assert {node["attrs"]["function"] for node in drawn[1::2]} == set(FUNCTIONS)


@pytest.mark.parametrize("name", lrp.RULES)
def test_whatever_is_drawn_of_a_rule_is_built_and_valid(name: str) -> None:
    row = OPERATORS["add" if name == "shares" else "conv"]
    shapes = [(2, 3, 4)] * (2 if row.several else 1)
    biases = set()
    for k in range(40):
        spec = entries.drawn(name, Dice(f"{name}/{k}"), row, shapes, [*KINDS])
        assert ENTRIES.is_valid(spec), (spec, next(iter(ENTRIES.iter_errors(spec))))
        rule, _, bias = model.rule(spec)
        assert rule.name == name
        biases.add(bias)
    assert biases == set(lrp.RULES[name].bias)


def test_every_combination_that_a_rule_takes_is_tried_and_no_other() -> None:
    found = entries.combinations("alpha-beta")
    pairs = {(each["parameterization"], each["alpha"], each["beta"]) for each in found}
    assert ("difference", "2", "1") in pairs
    assert ("sum", "1/4", "3/4") in pairs
    assert ("difference", "1/4", "3/4") not in pairs
    assert {each["split"] for each in found if each["empty_half"] == "rescale"} == {"joint"}
    assert entries.combinations("zero") == ({},)


def test_a_parameter_that_no_table_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(entries.PARAMETERS, "gamma")
    with pytest.raises(lrp.LRPError, match="rule gamma: expected gamma in PARAMETERS or CONVENTIONS"):
        entries.properties("gamma")


def test_features_of_the_golden_cases_follow_from_their_rows() -> None:
    for case in golden.load():
        node = case.data["model"]["nodes"][0]
        assert model.features([node], case.data["rules"], case.data["inputs"]) == case.data["features"]
        assert all(map(model.is_feature, case.data["features"]))
    assert not any(map(model.is_feature, ("op.linear", "conv", "", "ties.first", "pool.stride")))


def test_a_node_with_what_its_row_does_not_have_is_refused_in_one_line() -> None:
    with pytest.raises(lrp.LRPError, match=r"dense: expected weight, bias; got 'stride'"):
        OPERATORS["dense"].build({"weight": np.ones((1, 1))}, {"stride": [1]})
    with pytest.raises(lrp.LRPError, match="dense: missing a required argument: 'weight'"):
        OPERATORS["dense"].build({}, {})
    with pytest.raises(ValueError, match="op is one of dense"):
        model.layer({"op": "linear", "attrs": {}}, {})


def test_the_namespaces_are_asked_about_every_operator_and_rule() -> None:
    assert set(namespaces.layers(np.asarray)) == set(OPERATORS)
    assert set(namespaces.RULES) == set(lrp.RULES)


@pytest.mark.parametrize("op", OPERATORS)
def test_a_row_alone_is_enough_for_the_namespaces(op: str) -> None:
    layer, shape, count = namespaces.plainest(op, np.asarray)
    x = np.zeros(shape, np.int64) if OPERATORS[op].indices else np.ones(shape)
    assert affine_of(layer, (x,) * count).y.shape[0] == shape[0]
