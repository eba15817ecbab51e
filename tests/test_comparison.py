"""A library's relevance beside the reference's: where it deviates is named, whatever the error before or behind it."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lrp_ref as lrp
from lrp_conform.compare import Comparison, Given, compare
from lrp_ref.composites import named

COMPOSITE = "zennit.epsilon_plus"
TARGET = np.asarray([1, 0])


@pytest.fixture(scope="module")
def net() -> lrp.Network:
    """Convolution, ReLU, a residual sum around a convolution, average pooling, dense; weights that float32 holds."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32).astype(np.float64)

    return lrp.Network(
        [
            lrp.Node("conv", lrp.Conv(normal(3, 2, 3, 3), normal(3))),
            lrp.Node("relu", lrp.Activation()),
            lrp.Node("branch", lrp.Conv(normal(3, 3, 3, 3), normal(3), padding=1)),
            lrp.Node("sum", lrp.Add(), ("branch", "relu")),
            lrp.Node("pool", lrp.AvgPool((2, 2))),
            lrp.Node("flat", lrp.Flatten()),
            lrp.Node("dense", lrp.Dense(normal(3, 12), normal(3))),
        ]
    )


@pytest.fixture(scope="module")
def x() -> Any:
    return np.random.default_rng(1).normal(size=(2, 2, 6, 6)).astype(np.float32)


def library(net: lrp.Network, x: Any, composite: Any = COMPOSITE, planted: Callable[..., Any] = lambda name, r: r) -> Given:
    """A float32 library: the reference's own rules at float32, and something `planted` in what arrives at a node."""
    small = lrp.Network([lrp.Node(n.name, narrow(n.layer), n.inputs) for n in net.nodes])
    values = small.forward(x, at="all")
    rules = (named(composite) if isinstance(composite, str) else composite).assign(small)
    arriving = {"dense": np.eye(3, dtype=np.float32)[TARGET] * values["dense"]}
    seen = {}
    for node in reversed(small.nodes):
        seen[node.name] = arriving[node.name] = planted(node.name, arriving[node.name])
        reads = tuple(values[name] for name in node.inputs or ())
        received = rules[node.name].propagate(node.layer, reads, arriving[node.name], values[node.name]).relevance
        for name, r in zip(node.inputs or (), received, strict=True):
            arriving[name] = arriving[name] + r if name in arriving else r
    given = {"x": planted("x", arriving["x"]), **seen}
    return Given(given, {name: a for name, a in values.items() if name != "x"})


def narrow(layer: Any) -> Any:
    arrays = {name: getattr(layer, name, None) for name in ("weight", "bias")}
    return replace(layer, **{name: a.astype(np.float32) for name, a in arrays.items() if a is not None})


def judged(net: lrp.Network, x: Any, given: Given, composite: Any = COMPOSITE, **options: Any) -> Comparison:
    return compare(net, x, given, composite, target=TARGET, **options)


def test_an_honest_float32_library_agrees_at_every_node(net: lrp.Network, x: Any) -> None:
    found = judged(net, x, library(net, x))
    assert found.verdict == "agrees"
    assert found.passed
    assert {c.verdict for c in (*found.nodes, *found.forward)} == {"agrees"}
    assert {c.value for c in found.nodes} == {"dense", "flat", "pool", "sum", "branch", "relu", "conv", "x"}
    assert found.unseen == ()


@pytest.mark.parametrize("node", ["flat", "sum", "relu", "conv", "x"])
def test_a_planted_deviation_is_named_where_it_is(net: lrp.Network, x: Any, node: str) -> None:
    given = library(net, x, planted=lambda name, r: r * np.float32(1.001) if name == node else r)
    found = judged(net, x, given)
    assert found.verdict == "deviates"
    assert [c.value for c in found.deviations] == [node]
    assert set(found.deviations[0].nodes) == {n.name for n in net.readers(node)}


def test_one_wrong_element_is_found_with_its_index(net: lrp.Network, x: Any) -> None:
    def planted(name: str, r: Any) -> Any:
        if name == "conv":
            r = r.copy()
            r[1, 2, 0, 3] += np.float32(0.01) * np.abs(r).max()
        return r

    (wrong,) = judged(net, x, library(net, x, planted=planted)).deviations
    assert (wrong.nodes, wrong.index) == (("relu",), (1, 2, 0, 3))


def test_another_rule_at_one_node_is_named(net: lrp.Network, x: Any) -> None:
    other = lrp.Composite([lrp.Assign(lrp.Epsilon(1e-6), name="branch"), *named(COMPOSITE).entries])
    (wrong,) = judged(net, x, library(net, x, other)).deviations
    assert set(wrong.nodes) == {"branch", "sum"}
    assert wrong.hint == "the library does epsilon 1e-06, at branch"


def test_a_sum_without_a_rule_is_called_the_plain_gradient(net: lrp.Network, x: Any) -> None:
    other = lrp.Composite([lrp.Assign(lrp.Gradient(), kind=lrp.Add), *named(COMPOSITE).entries])
    found = judged(net, x, library(net, x, other))
    assert [c.value for c in found.deviations] == ["branch", "relu"]
    assert found.deviations[0].hint == "the library does the plain gradient, no rule, at sum"


def test_nodes_that_are_not_shown_are_judged_together(net: lrp.Network, x: Any) -> None:
    def shown(given: Given) -> Given:
        return replace(given, relevance={name: given.relevance[name] for name in ("x", "pool", "dense")})

    assert judged(net, x, shown(library(net, x))).verdict == "agrees"
    found = judged(net, x, shown(library(net, x, planted=lambda name, r: 1.01 * r if name == "branch" else r)))
    assert [set(c.nodes) for c in found.deviations] == [{"conv", "relu", "branch", "sum", "pool"}]
    assert found.unseen == ("conv", "relu", "branch", "sum", "flat")


def test_a_wrong_seed_is_told_from_wrong_rules(net: lrp.Network, x: Any) -> None:
    found = compare(net, x, library(net, x), COMPOSITE, target=TARGET, seed="one")
    assert [c.nodes for c in found.deviations] == [("(seed)",)]


def test_another_model_is_a_forward_mismatch(net: lrp.Network, x: Any) -> None:
    given = library(net, x)
    found = judged(net, x, replace(given, values={**given.values, "branch": given.values["branch"] + np.float32(0.1)}))
    assert found.verdict == "forward-mismatch"
    assert [c.value for c in found.forward if c.verdict == "deviates"] == ["branch"]


def test_a_bound_that_proves_nothing_is_no_pass_unless_close_is_asked_for(net: lrp.Network, x: Any) -> None:
    given = library(net, x).ends(net)
    half = replace(given, relevance={"x": given.relevance["x"].astype(np.float16)})
    found = judged(net, x, half)
    assert (found.verdict, found.passed, found.nodes) == ("unproved", False, ())
    assert "proves nothing" in str(found)
    assert judged(net, x, half, close=0.01).verdict == "close"
    assert judged(net, x, half, close=0.01).passed


def test_the_table_and_the_json_hold_every_judgement(net: lrp.Network, x: Any) -> None:
    found = judged(net, x, library(net, x))
    assert str(found).count("agrees") >= len(found.nodes)
    data = json.loads(found.json())
    assert data["verdict"] == "agrees"
    assert [c["value"] for c in data["nodes"]] == [c.value for c in found.nodes]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"relevance": {"y": 1}}, "expected that of the input 'x'"),
        ({"relevance": {"x": np.zeros((2, 2, 6, 5), np.float32)}}, r"expected shape \(2, 2, 6, 6\), got \(2, 2, 6, 5\)"),
        ({"relevance": {"x": np.zeros((2, 2, 6, 6), np.int64)}}, "expected one of float64, float32"),
        ({"relevance": {"x": np.full((2, 2, 6, 6), np.nan, np.float32)}}, "expected finite numbers"),
        ({"values": {"relo": np.zeros(1, np.float32)}}, "did you mean 'relu'"),
        ({"values": {"relu": np.zeros((2, 3, 4, 4))}}, "expected float32"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_one_line(net: lrp.Network, x: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(lrp.LRPError, match=message) as error:
        judged(net, x, replace(library(net, x), **change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zennit.epsilon_pluss", "zennit has epsilon_gamma_box, epsilon_plus,"),
        ("zenit.epsilon_plus", "did you mean 'zennit.epsilon_plus'"),
        ("epsilon", "no composite 'epsilon'"),
        ("zennit.epsilon_gamma_box", r"it is zennit.epsilon_gamma_box\(low"),
        ("zennit.epsilon_plus(", "expected a name, or a name with literal arguments, such as zennit"),
    ],
)
def test_unknown_composites_are_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(lrp.LRPError, match=message):
        named(text)


def test_composites_are_named_with_their_parameters() -> None:
    assert named("zennit.epsilon_gamma_box(-3, 3, gamma=0.5)").entries[0].rule == lrp.ZBox(-3, 3)
    assert named("captum.epsilon").name == "captum.epsilon"
