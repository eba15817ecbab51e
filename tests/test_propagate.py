"""Three derivations agree with `==` in rationals: the structured rule, the explicit one, and the second oracle."""

from typing import Any

import numpy as np
import pytest
from examples import examples, sweep
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import explain
from strategies import INSEPARABLE, OPS, fits, questions

import lrp_ref as lrp
from lrp_conform.cases.numbers import exact_array, float_array, rational, tensor
from lrp_conform.cases.question import Question, pose, propagated
from lrp_ref.propagation.gauges import allowed, gauges
from lrp_ref.propagation.shares import normalized

PAIRS = [(rule, op) for rule in lrp.RULES for op in OPS if fits(rule, op)]
COLUMNS = ("bias", "stabilizer", "dropped")
few = examples(3, 15)


def evaluated(question: Question, representation: str, read: Any = exact_array) -> tuple[Any, Any]:
    """Relevance and ledger, by the public door."""
    received, ledger = propagated(question, read, representation)
    ledger.check()
    return received, ledger


def plain(question: Question) -> dict[str, Any]:
    """The case as the second oracle takes it; a bound that depends on the data is written out as a tensor."""
    rule = dict(question.rule)
    for name in ("low", "high"):
        if rule.get(name) in ("min", "max"):
            layer, x, _ = question.arrays(exact_array)
            inputs = layer.affine(*(x if isinstance(x, tuple) else (x,))).inputs
            rule[name] = tensor(extreme(inputs[0], rule[name]))
    return {"model": {"nodes": [question.node]}, "rules": {"layer": rule}, "inputs": question.inputs}


def extreme(x: Any, name: str) -> Any:
    """Every element of a sample replaced by the sample's minimum or maximum."""
    flat = x.reshape(x.shape[0], -1)
    return (getattr(flat, name)(axis=1)[:, None] + 0 * flat).reshape(x.shape)


def assert_same(a: Any, b: Any) -> None:
    assert a.shape == b.shape
    assert (a == b).all()


@pytest.mark.parametrize(("rule", "op"), PAIRS)
@few
@given(data=st.data())
def test_structured_explicit_and_oracle_are_equal(rule: str, op: str, data: Any) -> None:
    question = data.draw(questions(rule, op))
    received, ledger = evaluated(question, "explicit")
    if question.rule["stabilizer"]["kind"] != "abs_share" or rule not in INSEPARABLE:
        again, account = evaluated(question, "structured")
        for a, b in zip(received, again, strict=True):
            assert_same(a, b)
        for column in (*COLUMNS, "rho"):
            assert_same(getattr(ledger, column), getattr(account, column))
    per_sample = [b for b in (question.rule["low"], question.rule["high"]) if b in ("min", "max")] if rule == "z-box" else []
    if not per_sample or len(received) == 1:  # the oracle reads bounds of the one input
        known = explain(plain(question))
        for name, r in zip(question.node["inputs"], received, strict=True):
            assert [rational(v) for v in r.reshape(-1)] == known["relevance"][name]["data"]
            assert list(r.shape) == known["relevance"][name]["shape"]
        for column in COLUMNS:
            assert [rational(v) for v in getattr(ledger, column).reshape(-1)] == known["ledger"][column]["data"]


@pytest.mark.parametrize("op", OPS)
@few
@given(data=st.data())
def test_the_output_is_the_oracles(op: str, data: Any) -> None:
    question = data.draw(questions("zero", op))
    layer, x, _ = question.arrays(exact_array)
    y = layer.affine(*(x if isinstance(x, tuple) else (x,))).y
    known = explain(plain(question))["y"]
    assert list(y.shape) == list(known["shape"])
    assert [rational(v) for v in y.reshape(-1)] == known["data"]


@pytest.mark.parametrize("rule", INSEPARABLE)
@given(data=st.data())
@examples(5, 10)
def test_absolute_shares_of_a_sum_of_products_are_refused_with_the_way_out(rule: str, data: Any) -> None:
    question = data.draw(questions(rule, "dense", kinds=("abs_share",)))
    with pytest.raises(lrp.LRPError, match="representation='explicit'"):
        evaluated(question, "structured")


@pytest.mark.parametrize(("rule", "op"), sweep(PAIRS, 4))
@examples(2, 3)
@given(data=st.data())
def test_sparse_is_structured_within_the_bound(rule: str, op: str, data: Any) -> None:
    question = data.draw(questions(rule, op, values=("1", "-1", "2", "-2", "1/2", "-1/2"), kinds=("none", "signed_add")))

    def read(data: dict[str, Any]) -> Any:
        return float_array(data, "float64")

    here, account = evaluated(question, "structured", read)
    there, ledger = evaluated(question, "sparse", read)
    problem, twin = (pose(question, read, representation) for representation in ("structured", "sparse"))
    shares, parts = list(normalized(problem)), list(normalized(twin))
    for a, b in zip(shares, parts, strict=True):
        signs = [np.sign(share.active * share.stabilized).reshape(-1) for share in (a, b)]
        assume(np.array_equal(*signs))  # a rounded zero stands in for an exact one: no bound holds
    found = gauges(problem, shares)
    for a, b, *gauge in zip(here, there, found.G, found.H, found.S, strict=True):
        assert a.dtype == b.dtype == np.float64
        bound = allowed(*gauge, found.fan_in, found.fan_out, float(found.kappa), "float64")
        assert (abs(a - b) <= 2 * bound * (1 + 1e-9)).all()
    assert ledger.bias.shape == account.bias.shape
