"""Laws that hold for every input, in rationals: what a formula alone does not show."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from strategies import EXACT_KINDS, INSEPARABLE, MIXING, OPS, RATIONAL, fits, placed, questions, rules, tensors

import lrp_ref as lrp
from lrp_conform.cases import model
from lrp_conform.cases.numbers import exact_array
from lrp_conform.cases.question import Question

Asked = tuple[Any, Any, Any, Any, dict[str, Any]]
some = examples(4, 12)
KINDS = tuple(kind for kind in EXACT_KINDS if kind != "abs_share")
everywhere = pytest.mark.parametrize("rule", lrp.RULES)


def asked(question: Question) -> Asked:
    """(layer, x, relevance, rule, conventions), in Fractions."""

    def read(data: dict[str, Any]) -> Any:
        return exact_array(data, Fraction)

    rule, stabilizer, bias = model.rule(question.rule, read)
    return *question.arrays(read), rule, {"stabilizer": stabilizer, "bias": bias}


def anywhere(data: Any, rule: str, ops: tuple[str, ...] = OPS) -> Asked:
    """The rule on some layer it has a meaning on."""
    op = data.draw(st.sampled_from([op for op in ops if fits(rule, op)]))
    kinds = EXACT_KINDS if rule not in INSEPARABLE else KINDS
    return asked(data.draw(questions(rule, op, kinds=kinds)))


def received(layer: Any, x: Any, relevance: Any, rule: Any, conventions: dict[str, Any]) -> list[Any]:
    found = lrp.propagate(layer, x, relevance, rule, **conventions).relevance
    return list(found) if isinstance(found, tuple) else [found]


def assert_same(ours: Any, theirs: Any) -> None:
    ours, theirs = (a if isinstance(a, list) else [a] for a in (ours, theirs))
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert (a == b).all()


@everywhere
@some
@given(data=st.data())
def test_no_relevance_is_lost_from_the_account(rule: str, data: Any) -> None:
    layer, x, relevance, rule_, conventions = anywhere(data, rule)
    result = lrp.propagate(layer, x, relevance, rule_, **conventions)
    result.ledger.check()
    assert (result.ledger.imbalance() == 0).all()
    totals = result.ledger.totals()
    assert totals["arrived"] == sum(totals[name] for name in ("received", "bias", "stabilizer", "dropped"))
    assert totals["arrived"] == relevance.sum()


@everywhere
@some
@given(data=st.data())
def test_without_bias_and_stabiliser_all_that_has_a_denominator_arrives(rule: str, data: Any) -> None:
    layer, x, relevance, rule_, _ = anywhere(data, rule, ("dense", "sum-pool", "flatten", "add"))
    if getattr(rule_, "split", None) or isinstance(rule_, lrp.Gradient | lrp.AlphaBetaX):
        return
    layer = replace(layer, bias=None) if isinstance(layer, lrp.Dense) else layer
    ledger = lrp.propagate(layer, x, relevance, rule_).ledger
    whole = ledger.dropped == 0
    assert (ledger.rho[whole & (relevance != 0)] == 1).all() if not isinstance(rule_, lrp.Epsilon) else True
    assert (ledger.bias == 0).all()


@everywhere
@some
@given(data=st.data())
def test_linear_in_the_relevance(rule: str, data: Any) -> None:
    layer, x, r, rule_, conventions = anywhere(data, rule)
    s = exact_array(data.draw(tensors(RATIONAL, r.shape)), Fraction)
    factor = data.draw(st.sampled_from((Fraction(3), Fraction(-2, 7))))
    both = received(layer, x, r + factor * s, rule_, conventions)
    apart = zip(received(layer, x, r, rule_, conventions), received(layer, x, s, rule_, conventions), strict=True)
    assert_same(both, [a + factor * b for a, b in apart])


@everywhere
@some
@given(data=st.data())
def test_samples_of_a_batch_do_not_meet(rule: str, data: Any) -> None:
    layer, x, relevance, rule_, conventions = anywhere(data, rule, tuple(op for op in OPS if op != "embedding"))
    if isinstance(rule_, lrp.ZBox) and any(hasattr(b, "shape") for b in (rule_.low, rule_.high)):
        rule_ = lrp.ZBox(-9, 9, rule_.padding)
    whole = received(layer, x, relevance, rule_, conventions)
    for n in range(relevance.shape[0]):
        one = tuple(a[n : n + 1] for a in x) if isinstance(x, tuple) else x[n : n + 1]
        assert_same(received(layer, one, relevance[n : n + 1], rule_, conventions), [a[n : n + 1] for a in whole])


def test_std_scaled_alone_couples_the_samples_of_a_batch() -> None:
    layer = lrp.Dense(lrp.exact([[1]]))
    x, relevance = lrp.exact([[1], [3]]), lrp.exact([[1], [1]])
    stabilizer = lrp.Stabilizer("std_scaled", 1)  # deviation of (1, 3): 1; of (1): 0
    both = lrp.propagate(layer, x, relevance, lrp.Zero(), stabilizer=stabilizer).relevance
    alone = lrp.propagate(layer, x[:1], relevance[:1], lrp.Zero(), stabilizer=stabilizer).relevance
    assert both.tolist() == [[Fraction(1, 2)], [Fraction(3, 4)]]
    assert alone.tolist() == [[1]]


@everywhere
@some
@given(data=st.data())
def test_a_second_call_gives_the_same_answer(rule: str, data: Any) -> None:
    question = anywhere(data, rule)
    assert_same(received(*question), received(*question))


@pytest.mark.parametrize("rule", [rule for rule in lrp.RULES if fits(rule, "dense")])
@some
@given(data=st.data())
def test_the_order_of_neurons_does_not_matter(rule: str, data: Any) -> None:
    layer, x, relevance, rule_, conventions = anywhere(data, rule, ("dense",))
    if isinstance(rule_, lrp.ZBox):
        rule_ = lrp.ZBox("min", 9)
    rows = data.draw(st.permutations(range(layer.weight.shape[0])))
    columns = data.draw(st.permutations(range(layer.weight.shape[1])))
    bias = None if layer.bias is None else layer.bias[rows]
    shuffled = lrp.Dense(layer.weight[rows][:, columns], bias)
    there = received(shuffled, x[:, columns], relevance[:, rows], rule_, conventions)
    assert_same(there, [received(layer, x, relevance, rule_, conventions)[0][:, columns]])


@everywhere
@some
@given(data=st.data())
def test_messages_sum_to_relevance_and_to_rho(rule: str, data: Any) -> None:
    layer, x, relevance, rule_, conventions = anywhere(data, rule)
    table = lrp.messages(layer, x, relevance, rule_, **conventions)
    result = lrp.propagate(layer, x, relevance, rule_, representation="explicit", **conventions)
    parts = result.relevance if isinstance(result.relevance, tuple) else (result.relevance,)
    flat = np.concatenate([a.reshape(a.shape[0], -1) for a in parts], axis=-1)
    assert_same(table.sum(axis=1), flat)
    if conventions["bias"] != "share":
        assert_same(table.sum(axis=2), (result.ledger.rho * relevance).reshape(relevance.shape[0], -1))


@pytest.mark.parametrize("rule", [rule for rule in lrp.RULES if fits(rule, "dense")])
@some
@given(data=st.data())
def test_batch_axes_may_be_none_or_two(rule: str, data: Any) -> None:
    layer, x, relevance, rule_, conventions = anywhere(data, rule, ("dense",))
    rule_ = lrp.ZBox(-9, 9) if isinstance(rule_, lrp.ZBox) else rule_
    (whole,) = received(layer, x, relevance, rule_, conventions)
    for n in range(x.shape[0]):
        assert_same(received(layer, x[n], relevance[n], rule_, conventions), whole[n])
    twice = [np.stack([a, a, a]) for a in (x, relevance, whole)]
    assert_same(received(layer, twice[0], twice[1], rule_, conventions), twice[2])


EQUAL = {
    "alpha-beta(1, 0) without bias is z-plus": (lrp.AlphaBeta(1, 0), "ignore", lrp.ZPlus(), "ignore"),
    "alpha-beta(1, 0) is z-plus with its bias": (lrp.AlphaBeta(1, 0), "split", lrp.ZPlus(), "absorb"),
    "gamma(0) is zero": (lrp.Gamma(0), None, lrp.Zero(), None),
    "squared gamma(0) is zero": (lrp.Gamma(0, "squared"), None, lrp.Zero(), None),
    "gamma(0) without bias is norm": (lrp.Gamma(0), "ignore", lrp.Norm(), None),
    "the bias of a box is nothing": (lrp.ZBox(-9, 9), "absorb", lrp.ZBox(-9, 9), "ignore"),
    "one quadrant each is alpha-beta by halves": (
        lrp.AlphaBeta(2, 1, split="half"), "split", lrp.AlphaBetaX(2, 2, 1, 1), "split",
    ),
    "both parameterizations of alpha-beta": (
        lrp.AlphaBeta(2, 1), "split", lrp.AlphaBeta(2, -1, parameterization="sum"), "split",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EQUAL)
@some
@given(data=st.data())
def test_equal_rules(name: str, data: Any) -> None:
    ours, our_bias, theirs, their_bias = EQUAL[name]
    layer, x, relevance, *_ = anywhere(data, "zero")
    mine = received(layer, x, relevance, ours, {"bias": our_bias})
    assert_same(mine, received(layer, x, relevance, theirs, {"bias": their_bias}))


@given(data=st.data())
@examples(30, 60)
def test_z_plus_fast_is_z_plus_where_no_input_is_negative(data: Any) -> None:
    layer, x, relevance, *_ = anywhere(data, "zero", ("dense", "conv", "conv-transpose"))
    assert_same(received(layer, abs(x), relevance, lrp.ZPlusFast(), {}), received(layer, abs(x), relevance, lrp.ZPlus(), {}))


def test_z_plus_fast_differs_where_an_input_is_negative() -> None:
    """(w x)+ = (2, 6), but w+ x = (2, 0)."""
    question = lrp.Dense(lrp.exact([[2, -3]])), lrp.exact([1, -2]), lrp.exact([8])
    assert lrp.propagate(*question, lrp.ZPlus()).relevance.tolist() == [2, 6]
    assert lrp.propagate(*question, lrp.ZPlusFast()).relevance.tolist() == [8, 0]


@given(data=st.data())
@examples(30, 60)
def test_generalised_gamma_of_zero_is_zero_where_the_output_is_not(data: Any) -> None:
    layer, x, relevance, *_ = anywhere(data, "zero", MIXING)
    y = layer.affine(*(x if isinstance(x, tuple) else (x,))).y
    relevance = np.where(y == 0, Fraction(0), relevance)
    ours = received(layer, x, relevance, lrp.GeneralizedGamma(0), {})
    assert_same(ours, received(layer, x, relevance, lrp.Zero(), {}))


@given(data=st.data())
@examples(30, 60)
def test_flat_is_w_square_of_equal_weights(data: Any) -> None:
    layer, x, relevance, *_ = anywhere(data, "zero", ("dense", "conv", "conv-transpose"))
    ones = replace(layer, weight=0 * layer.weight + 1)
    padding = data.draw(st.sampled_from(("absent", "counted")))
    ours = received(ones, x, relevance, lrp.WSquare(padding), {})
    assert_same(ours, received(ones, x, relevance, lrp.Flat(padding), {}))
    assert_same(ours, received(layer, x, relevance, lrp.Flat(padding), {}))


@pytest.mark.parametrize("op", ["avg-pool", "sum-pool", "global-avg-pool", "add", "flatten", "upsample"])
@some
@given(data=st.data())
def test_norm_is_zero_on_layers_without_parameters(op: str, data: Any) -> None:
    layer, x, relevance, *_ = anywhere(data, "zero", (op,))
    assert_same(received(layer, x, relevance, lrp.Norm(), {}), received(layer, x, relevance, lrp.Zero(), {}))


@pytest.mark.parametrize("rule", [rule for rule in lrp.RULES if fits(rule, "dense") and rule != "z-box"])
@some
@given(data=st.data())
def test_a_kernel_as_large_as_the_image_is_dense(rule: str, data: Any) -> None:
    channels, size, out = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3)))
    weight, bias, x, relevance = (
        exact_array(data.draw(tensors(RATIONAL, shape)), Fraction)
        for shape in ((out, channels, size), (out,), (2, channels, size), (2, out))
    )
    spec = data.draw(rules(rule, [x.shape], kinds=KINDS))
    rule_, stabilizer, mode = model.rule(spec)
    conventions = {"stabilizer": stabilizer, "bias": mode}
    dense = received(lrp.Dense(weight.reshape(out, -1), bias), x.reshape(2, -1), relevance, rule_, conventions)
    conv = received(lrp.Conv(weight, bias), x, relevance[..., None], rule_, conventions)
    assert_same(conv, [dense[0].reshape(x.shape)])


@pytest.mark.parametrize("rule", ["zero", "epsilon", "alpha-beta", "z-plus", "z-plus-fast", "gamma", "generalized-gamma"])
@some
@given(data=st.data())
def test_batch_norm_is_dense_with_a_diagonal_weight(rule: str, data: Any) -> None:
    """Under rules for which a connection of weight zero hands on nothing."""
    question, seen = data.draw(placed("batch-norm").filter(lambda q: q[0].node["attrs"]["linearization"] == "affine"))
    spec = data.draw(rules(rule, seen, "batch-norm", KINDS))
    spec["bias"] = "ignore" if spec["bias"] == "redistribute" else spec["bias"]  # which counts connections
    layer, x, relevance, rule_, conventions = asked(question.replace(rule=spec))
    affine = layer.affine(x)
    scale = (affine.maps[0].weight + 0 * x[:1]).reshape(-1)
    weight = 0 * np.outer(scale, scale)
    np.fill_diagonal(weight, scale)
    dense = lrp.Dense(weight, affine.bias.reshape(-1))
    batch = x.shape[0]
    theirs = received(dense, x.reshape(batch, -1), relevance.reshape(batch, -1), rule_, conventions)
    assert_same(received(layer, x, relevance, rule_, conventions), [theirs[0].reshape(x.shape)])
