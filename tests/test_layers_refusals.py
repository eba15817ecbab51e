"""What is refused at the edge of a format, and what counts as the same layer."""

import pickle

import numpy as np
import pytest

import lrp_ref as lrp


@pytest.mark.parametrize(("weight", "rule"), [(300.0, lrp.WSquare()), (60000.0, lrp.Zero())])
def test_an_overflow_is_refused_not_handed_on(weight: float, rule: object) -> None:
    layer, x, one = lrp.Dense(np.full((1, 2), weight, np.float16)), np.full((1, 2), 2, np.float16), np.ones((1, 1), np.float16)
    with pytest.raises(lrp.LRPError, match="Dense: a sum or a quotient overflows float16; use a wider dtype"):
        lrp.propagate(layer, x, one, rule)
    wide = lrp.propagate(lrp.Dense(np.full((1, 2), weight)), x.astype(float), one.astype(float), rule)
    assert np.array_equal(wide.relevance, [[0.5, 0.5]])


@pytest.mark.parametrize(
    "call", [lambda: lrp.Gamma("a"), lambda: lrp.Epsilon("1"), lambda: lrp.AlphaBeta(None, None), lambda: lrp.AlphaBetaX("1")]
)
def test_a_parameter_that_is_no_number_is_refused(call: object) -> None:
    with pytest.raises(lrp.LRPError, match="as a number, got"):
        call()


def test_an_explicit_matrix_too_large_to_build_is_refused() -> None:
    layer, image = lrp.Conv(np.ones((64, 64, 3, 3)), padding=1), np.ones((1, 64, 32, 32))
    with pytest.raises(lrp.LRPError, match=r"4.3e.09 entries; use representation='structured'"):
        lrp.propagate(layer, image, image, lrp.Zero(), representation="explicit")


def test_a_bound_at_an_unknown_format_is_refused() -> None:
    found = lrp.bounds(lrp.Dense(np.ones((1, 1))), np.ones((1, 1)), np.ones((1, 1)), lrp.Zero())
    assert found.allowed("float64")[0].shape == (1, 1)
    with pytest.raises(lrp.LRPError, match="bounds are known for float64"):
        found.allowed("float8")


def test_layers_with_equal_arrays_are_equal() -> None:
    layer = lrp.Dense(np.ones((2, 3)), np.zeros(2))
    assert layer == lrp.Dense(np.ones((2, 3)), np.zeros(2))
    assert layer == pickle.loads(pickle.dumps(layer))
    assert hash(layer) == hash(lrp.Dense(np.ones((2, 3)), np.zeros(2)))
    assert layer != lrp.Dense(np.ones((2, 3)))
    assert layer != lrp.Dense(np.ones((2, 3), np.float32), np.zeros(2, np.float32))
    assert layer != lrp.Flatten()


def test_composites_and_rules_that_hold_arrays_are_equal_where_these_are() -> None:
    def composite(weight: float = 1.0, bound: float = 2.0) -> lrp.Composite:
        entries = [
            lrp.Assign(lrp.Gradient(), name="dense", sees={"weight": np.full((2, 3), weight)}),
            lrp.Assign(lrp.ZBox(np.zeros((1, 3)), np.full((1, 3), bound))),
        ]
        return lrp.Composite(entries)

    assert composite() == composite()
    assert composite() == pickle.loads(pickle.dumps(composite()))
    assert hash(composite()) == hash(composite())
    assert composite() != composite(weight=3.0)
    assert composite() != composite(bound=3.0)
    assert composite() != lrp.Composite(composite().entries[:1])
    assert lrp.ZBox(-1, 1) != lrp.ZBox(np.full((1, 3), -1.0), 1)


def test_the_ledger_of_a_batch_norm_that_shifts_by_another_mean_is_allowed_what_its_bias_costs() -> None:
    """With variance_squared the bias is beta - mean / root, without gamma: it may be larger than beta and gamma mean / root."""
    one, half = np.ones(1, np.float16), np.full(1, 0.5, np.float16)
    layer = lrp.BatchNorm(half, 0 * one, one, one, 1.25, linearization="variance_squared")
    x, relevance = np.array([[[0, 0.5]]], np.float16), np.array([[[0, 1]]], np.float16)
    lrp.propagate(layer, x, relevance, lrp.AlphaBeta(2, 1)).ledger.check()
