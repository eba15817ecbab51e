"""Gauges of float32 data that overflow float32 are those of the same data in float64."""

from typing import Any

import numpy as np
import pytest

import lrp_ref as lrp

ROW = np.array([[1e-18, 2e-18, -0.5e-18]])
LAYERS: dict[str, tuple[Any, Any]] = {
    "dense": (lambda c: lrp.Dense(c(np.array([[1e-3, 2e-3, 1e-3], [3e-3, -1e-3, 1e-3]])), c(np.array([1e-22, -1e-22]))), ROW),
    "convolution": (lambda c: lrp.Conv(c(np.array([[[1e-3, 2e-3]], [[3e-3, -1e-3]]])), c(np.array([1e-22, 0.0]))), ROW[None]),
    "average": (lambda c: lrp.AvgPool((2,)), ROW[None]),
    "maximum": (lambda c: lrp.MaxPool((2,)), ROW[None]),
    "response norm": (lambda c: lrp.LRN(3), ROW),
}  # fmt: skip


def explained(layer: Any, x: Any, rule: Any, kind: type) -> tuple[Any, Any]:
    """The result and the gauges at `kind` of float32 data."""
    cast = lambda a: a.astype(np.float32).astype(kind)  # noqa: E731
    made, x = layer(cast), cast(x)
    relevance = np.full(made.affine(x).y.shape, 1e17, dtype=kind)
    return lrp.propagate(made, x, relevance, rule), lrp.bounds(made, x, relevance, rule)


@pytest.mark.parametrize("rule", [lrp.Zero(), lrp.ZPlus(), lrp.Flat()], ids=lambda rule: rule.name)
@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
def test_ledgers_and_bounds_of_huge_quotients_are_finite(case: tuple[Any, Any], rule: Any) -> None:
    single, narrow = explained(*case, rule, np.float32)
    double, wide = explained(*case, rule, np.float64)
    assert np.isfinite(single.relevance).all()
    single.ledger.check()
    assert 0 < single.ledger.tolerance[0] < 1e-2 * abs(single.relevance).sum()
    for B, near in zip(wide.allowed("float32"), narrow.allowed("float32"), strict=True):
        assert np.allclose(near, B, rtol=1e-3)
        assert (abs(single.relevance - double.relevance) <= near).all()


def test_an_imbalance_is_still_found() -> None:
    single, _ = explained(*LAYERS["dense"], lrp.Zero(), np.float32)
    wrong = lrp.Ledger(single.ledger.arrived * 2, single.ledger.received, single.ledger.columns, single.ledger.bound)
    with pytest.raises(lrp.LRPError, match="does not balance"):
        wrong.check()


def test_small_numbers_stay_in_float32() -> None:
    layer, x = lrp.Dense(np.ones((2, 3), np.float32)), np.ones((1, 3), np.float32)
    found = lrp.bounds(layer, x, np.ones((1, 2), np.float32), lrp.Zero())
    assert {a.dtype for a in (*found.G, *found.H, *found.S)} == {np.dtype(np.float32)}
