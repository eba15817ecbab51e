"""One catalogue of what may be done instead: a row that is added there is known to everything that names what was done."""

from typing import Any

import numpy as np
import pytest
from inline import candidate, results
from network_mutants import answer
from test_comparison import judged, library

import lrp_ref as lrp
from lrp_conform.candidates.adapter import Candidate
from lrp_conform.cases import golden
from lrp_conform.cases.network import NetworkCase
from lrp_conform.cases.operators import OPERATORS
from lrp_conform.compare.hints import _conventions, _question
from lrp_conform.diagnosis.card import card
from lrp_conform.diagnosis.probes import probe
from lrp_conform.judging.changes import hears_bias, linear, rule
from lrp_conform.judging.deviations import BY_NAME, Deviation
from lrp_conform.making import generate
from lrp_conform.running import runner
from lrp_ref.composites import named
from lrp_ref.rules import RULES

ROW = Deviation(
    "house.half-gamma",
    "gamma 1/2 in the place of LRP-epsilon",
    "convention",
    "house",
    "half-gamma",
    rule("epsilon".__eq__, "gamma", None, gamma="1/2"),
    stored=False,
)
FEATURES = ("op.dense", "rule.epsilon", "bias.absorb", "bias.ignore", "stabilizer.signed_add")


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BY_NAME, ROW.name, ROW)


def half_gamma(asked: dict[str, Any]) -> dict[str, Any]:
    """LRP-gamma with gamma = 1/2, whatever rule is asked for: n = (w + w+ / 2) x, c = b + b+ / 2."""
    node, spec, x = asked["nodes"][0], asked["rules"]["layer"], asked["x"]
    w, b = node["params"]["weight"], node["params"]["bias"]
    heavy, bias = (a + np.maximum(a, 0) / 2 for a in (w, b))
    d = x @ heavy.T + (bias if spec["bias"] == "absorb" else 0 * bias)
    eps = w.dtype.type(spec["stabilizer"]["epsilon"])
    return {"y": x @ w.T + b, "relevance": x * ((asked["relevance"] / np.where(d < 0, d - eps, d + eps)) @ heavy)}


def test_the_judge_names_an_added_row() -> None:
    found = results(candidate(half_gamma, FEATURES), dtypes=("float64",))
    assert {r.verdict for r in found} == {"dialect"}
    assert {(r.judgement.dialect, r.judgement.hint) for r in found} == {(ROW.name, ROW.title)}


def test_the_card_names_an_added_row() -> None:
    answers, own = probe(candidate(half_gamma, FEATURES))
    found = card(answers, own)
    assert found["house of epsilon"] == "half-gamma"
    assert found["bias of epsilon"] == "as asked: absorb, ignore"


def test_the_search_of_a_networks_dialect_names_an_added_row() -> None:
    (case,) = (c for c in golden.load_all() if c.id == "network.reference.epsilon.mlp")
    assert isinstance(case, NetworkCase)
    rules = {name: given if (q := _changed(case, name)) is None else q.rule for name, given in case.asked.rules.items()}
    assert rules != case.asked.rules
    mutant = answer(case, asked=type(case.asked)(case.asked.nodes, rules, case.asked.inputs))
    (found,) = runner.run(
        Candidate("mine", "1", case.features, ("float64",), ("cpu",), False, lambda a: mutant), [case], ["float64"]
    )
    assert (found.verdict, found.judgement.dialect) == ("dialect", ROW.name)


def _changed(case: NetworkCase, name: str) -> Any:
    from lrp_conform.cases.question import Question

    (node,) = (node for node in case.asked.nodes if node["name"] == name)
    return ROW.change(Question(node, case.asked.rules[name], {}))


def test_compare_hints_at_an_added_row() -> None:
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=size).astype(np.float32).astype(float) for size in ((4, 6), (3, 4))]
    net = lrp.Network([lrp.Node("hidden", lrp.Dense(weights[0])), lrp.Node("dense", lrp.Dense(weights[1]))])
    x = rng.normal(size=(2, 6)).astype(np.float32)
    composite = named("captum.epsilon(0.01)")
    odd = lrp.Assign(lrp.Gamma(0.5), name="hidden", stabilizer=lrp.Stabilizer("signed_add", 0.01))
    (wrong,) = judged(net, x, library(net, x, lrp.Composite([odd, *composite.entries])), composite).deviations
    assert wrong.hint == f"the library does {ROW.title}, at hidden"


def test_conventions_that_do_not_go_together_are_passed_over_by_the_hints() -> None:
    node = lrp.Node("hidden", lrp.Dense(np.eye(2), np.ones(2)))
    titles = [title for title, _ in _conventions(node, lrp.Assign(lrp.AlphaBeta(2, 1, empty_half="rescale")))]
    assert "bias ignored, at hidden" in titles
    assert not {"what shares a denominator in alpha-beta: half, at hidden", "the same rule as in captum-0.9, at hidden"} & {
        *titles
    }
    assert len(set(titles)) == len(titles)


def test_goldens_do_not_list_an_added_row_before_the_next_edition() -> None:
    (recipe,) = (r for cases in generate.recipes().values() for r in cases if r.id == "dense.epsilon.exact-01")
    (case,) = (c for c in golden.load() if c.id == recipe.id)
    assert generate.build(recipe)["discriminates"] == case.data["discriminates"]


def test_every_row_is_a_convention_or_a_mistake_with_a_topic() -> None:
    assert {row.kind for row in BY_NAME.values()} == {"convention", "mistake"}
    assert all(row.topic and row.value and row.title and row.name == name for name, row in BY_NAME.items())


def test_rules_are_asked_what_a_list_would_have_to_say() -> None:
    assert {name for name in RULES if linear(name)} == {"zero", "epsilon", "norm"}
    deaf = {name for name in RULES if not hears_bias(name)}
    assert deaf == {"flat", "z-box", "norm", "pass", "shares", "gradient"}


def test_a_layer_of_the_reference_is_known_by_the_name_of_its_op() -> None:
    named_so = {
        _question(lrp.Node("n", layer), lrp.Assign(lrp.Zero())).node["op"]
        for layer in (lrp.Dense(np.eye(2)), lrp.MaxPool((2,)), lrp.LRN(3), lrp.GlobalAvgPool(), lrp.Activation())
    }
    assert named_so == {"dense", "max-pool", "lrn", "global-avg-pool", "activation"}
    assert named_so <= set(OPERATORS)
