"""Golden networks: their numbers from two derivations, the verdicts on them, and the first diverging node."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from network_mutants import MUTANTS, Answer, answer

from lrp_conform.candidates.adapter import Candidate
from lrp_conform.cases import golden
from lrp_conform.cases.network import NetworkCase
from lrp_conform.cases.numbers import exact_array, floats
from lrp_conform.cases.presets import PRESETS
from lrp_conform.judging import judge
from lrp_conform.judging.network import NO_NODES
from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import PASSES
from lrp_conform.making.network_certificates import chained, disagreement
from lrp_conform.running import runner

Json = dict[str, Any]
CASES = {case.id: case for case in golden.load_all() if isinstance(case, NetworkCase)}
SOME = [CASES[f"network.{id}"] for id in (
    "reference.alpha2-beta1.convnet", "zennit.epsilon-gamma-box.branches", "zennit.excitation-backprop.residual",
    "innvestigate.sequential-preset-b-flat-until-idx.convnet", "innvestigate.deep-taylor.residual",
    "innvestigate.alpha1-beta0.mlp", "relevance-propagation-jl.epsilon-gamma-box.residual",
)]  # fmt: skip
ids = [case.id for case in SOME]
DTYPES = ("float64", "float32")


# The numbers --------------------------------------------------------------------------------------------------------


def _words(case: NetworkCase) -> list[str]:
    return str(case.data["comment"]).replace(",", " ").split()


def test_every_preset_is_on_every_network_it_says_something_else_on() -> None:
    for preset in PRESETS:
        own = [c for c in CASES.values() if c.composite["library"] == preset.library]
        networks = {c.id.rpartition(".")[2] for c in own if preset.name in (c.composite["name"], *_words(c))}
        assert networks == {"mlp", "convnet", "residual", "branches"}, preset
    assert len(CASES) > 100


@pytest.mark.parametrize("case", SOME, ids=ids)
def test_scalar_loops_chained_node_by_node_give_the_stored_numbers(case: NetworkCase) -> None:
    values, arriving, lost = chained(case.asked)
    stored = case.data["expected"]
    assert [Fraction(v) for v in stored["y"]["data"]] == values[case.asked.output]["data"]
    for name, tensor in {**stored["nodes"], **stored["relevance"]}.items():
        assert [Fraction(v) for v in tensor["data"]] == arriving[name]["data"]
    for name, columns in lost.items():
        assert {k: [Fraction(v) for v in case.data["ledger"]["nodes"][name][k]["data"]] for k in columns} == columns


def test_the_certificate_notices_another_rule_at_one_node() -> None:
    case = CASES["network.zennit.epsilon-plus.mlp"]
    assert disagreement(case.asked) is None
    flat = case.asked.rules["relu1"] | {"rule": "flat", "padding": "absent"}
    other = replace(case.asked, rules={**case.asked.rules, "dense2": flat})
    other.__dict__["exact"] = case.asked.exact
    assert disagreement(other) == "relevance of relu1: the second oracle says otherwise"


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_stored_ledger_balances_exactly_at_every_node_and_in_total(case: NetworkCase) -> None:
    ledger = case.data["ledger"]
    rows = {name: {k: exact_array(t, Fraction) for k, t in row.items()} for name, row in ledger["nodes"].items()}
    total = {k: exact_array(t, Fraction) for k, t in ledger["total"].items()}
    for row in (*rows.values(), total):
        assert (row["arrived"] == row["received"] + row["bias"] + row["stabilizer"] + row["dropped"]).all()
    arrays = [exact_array(t, Fraction) for t in case.data["expected"]["relevance"].values()]
    assert (sum(a.reshape(len(a), -1).sum(axis=1) for a in arrays) == total["received"]).all()
    assert all((total[k] == sum(row[k] for row in rows.values())).all() for k in ("bias", "stabilizer", "dropped"))


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_speak_at_every_node_in_both_formats(case: NetworkCase, dtype: str) -> None:
    for name, bound in case.bounds(dtype).items():
        assert bound.max() <= np.abs(floats(case.expected[name])).max() / 10
    assert case.data["representable_in"] == list(DTYPES)


# Verdicts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", SOME, ids=ids)
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_honest_evaluation_passes_far_inside_its_bound(case: NetworkCase, dtype: str) -> None:
    found = judge.judge(case, answer(case, dtype), dtype)
    assert found.verdict in PASSES
    assert found.hint is None
    assert found.tau is not None
    assert found.tau < 0.1


def test_exact_data_can_be_equal() -> None:
    case = CASES["network.innvestigate.flat.mlp"]
    assert [judge.judge(case, answer(case, dtype), dtype).verdict for dtype in DTYPES] == ["exact", "exact"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_verdict_turns_at_the_bound(dtype: str) -> None:
    case = CASES["network.zennit.epsilon-plus.convnet"]
    right, bound = floats(case.expected["x"]), case.bounds(dtype)["x"]
    for factor, verdict in ((0.5, "conformant"), (2.5, "nonconformant")):
        moved = {**answer(case, dtype), "relevance": (right + factor * bound).astype(dtype)}
        assert judge.judge(case, moved, dtype).verdict == verdict


def test_another_output_is_told_before_relevance_and_float16_is_not_judged() -> None:
    case = CASES["network.zennit.epsilon-plus.mlp"]
    wrong = answer(case)
    assert judge.judge(case, {**wrong, "y": wrong["y"] + 1}, "float64").verdict == "forward-mismatch"
    assert judge.judge(case, wrong, "float16").verdict == "indeterminate"
    assert judge.judge(case, {**wrong, "relevance": wrong["relevance"][:1]}, "float64").verdict == "invalid-output"


# The first diverging node -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_caught_and_the_first_diverging_node_named(name: str) -> None:
    mutant, id, node, seen = MUTANTS[name]
    found = judge.judge(CASES[id], mutant(CASES[id]), "float64")
    assert found.verdict in ("nonconformant", "invalid-output")
    said = f"first diverging node: {node}," if node else "the relevance does not start as asked,"
    assert (found.hint or "").startswith(said)
    assert (found.hint or "").endswith(seen)
    if found.verdict == "nonconformant":
        assert (found.detail.get("node"), found.detail["input"]) == (node, seen)


def test_without_nodes_the_verdict_is_the_same_and_says_that_it_cannot_tell() -> None:
    mutant, id, _, _ = MUTANTS["first and last swapped"]
    found = judge.judge(CASES[id], mutant(CASES[id]) | {"nodes": {}}, "float64")
    assert (found.verdict, found.hint, found.detail["input"]) == ("nonconformant", NO_NODES, "x")
    assert "node" not in found.detail


def test_between_two_nodes_that_are_given_every_node_is_under_suspicion() -> None:
    mutant, id, _, _ = MUTANTS["batch norm of the wrong sign"]
    wrong = mutant(CASES[id])
    seen = {name: wrong["nodes"][name] for name in ("relu2", "conv1")}
    found = judge.judge(CASES[id], wrong | {"nodes": seen}, "float64")
    assert found.detail["node"] == "norm or relu1 or conv2 or sum or relu2"


def test_nodes_of_a_wrong_shape_or_kind_are_not_looked_at() -> None:
    case = CASES["network.zennit.epsilon-plus.mlp"]
    right = answer(case)
    strange = {"dense1": right["nodes"]["dense1"][:1], "relu1": None, "no such node": right["y"], "dense2": "text"}
    for nodes in (strange, None, [1], "text"):
        assert judge.judge(case, {**right, "nodes": nodes}, "float64").verdict == "conformant"


def test_a_wrong_node_beside_a_right_input_is_told() -> None:
    case = CASES["network.zennit.epsilon-plus.mlp"]
    right = answer(case)
    found = judge.judge(case, {**right, "nodes": {**right["nodes"], "relu1": 2 * right["nodes"]["relu1"]}}, "float64")
    assert found.verdict == "conformant"
    assert found.hint == "the input is right, yet first diverging node: dense2, by what it hands to relu1"


# Names --------------------------------------------------------------------------------------------------------------


def results(give: Callable[[NetworkCase], Answer], *chosen: str) -> list[CaseResult]:
    """The results of a candidate that answers these cases."""
    cases = [CASES[id] for id in chosen]
    features = frozenset().union(*(case.features for case in cases))
    pending = {case.data["inputs"]["x"]["shape"][-1] * 1000 + len(case.asked.nodes): case for case in cases}

    def run(asked: Json) -> Answer:
        return give(pending[asked["x"].shape[-1] * 1000 + len(asked["nodes"])])

    candidate = Candidate("mine", "1", features, ("float64",), ("cpu",), False, run)
    return list(runner.run(candidate, cases, ["float64"]))


def reading(case: NetworkCase, title: str) -> Answer:
    """The answer of a reading that the suite knows."""
    from lrp_conform.judging.network_deviations import hypotheses

    found = next((h for h in hypotheses(case) if h.title == title), None)
    return answer(case, asked=None if found is None else found.asked)


@pytest.mark.parametrize(
    ("title", "name", "networks"),
    [
        ("full bias in every denominator", "bias.full_in_both", ("convnet", "branches")),
        ("epsilon_plus as relevance-propagation-jl means it", "relevance-propagation-jl.epsilon_plus", ("branches",)),
        ("every rule as captum 0.9 means it", "captum-0.9", ("convnet",)),
    ],
)
def test_a_reading_is_named_with_the_node_where_it_begins(title: str, name: str, networks: tuple[str, ...]) -> None:
    found = results(lambda case: reading(case, title), *(f"network.zennit.epsilon-plus.{network}" for network in networks))
    assert {(r.verdict, r.judgement.dialect) for r in found} == {("dialect", name)}
    assert all((r.judgement.hint or "").startswith(f"{title}; first diverging node: ") for r in found)


def test_a_reading_that_another_answer_speaks_against_is_no_dialect() -> None:
    first, second = "network.zennit.epsilon-plus.convnet", "network.zennit.epsilon-plus.branches"
    title = "full bias in every denominator"
    found = results(lambda case: reading(case, title) if case.id == first else answer(case), first, second)
    assert [r.verdict for r in found] == ["nonconformant", "conformant"]
    assert found[0].judgement.hint == "first diverging node: conv, by what it hands to x"


def test_an_explainer_of_one_output_is_judged_by_scaling_its_answer() -> None:
    case = CASES["network.reference.epsilon.mlp"]
    net, composite = case.asked.network("float64"), case.asked.composite("float64")

    def run(asked: Json) -> Answer:
        explained = net.explain(asked["x"], composite, target=asked["target"])
        return {"y": explained.output, "relevance": explained.relevance}

    (found,) = runner.run(Candidate("one", "1", case.features, ("float64",), ("cpu",), True, run), [case], ["float64"])
    assert found.verdict == "conformant"
