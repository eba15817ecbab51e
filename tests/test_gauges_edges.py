"""Single inputs at the edge of a format or of a definition, with the answer worked out beside them."""

from fractions import Fraction

import numpy as np
import pytest
from flint import fmpq

import lrp_ref as lrp
from lrp_conform.cases.numbers import floats
from lrp_ref.propagation.gauges import allowed


@pytest.mark.parametrize("gamma", [0.25, np.float32(0.25), np.float64(0.25), Fraction(1, 4), fmpq(1, 4)], ids=repr)
def test_a_parameter_may_be_any_kind_of_number(gamma: object) -> None:
    """V0 under gamma = 1/4: (5/4, -1) over 5/4 - 1 - 1 = -3/4, times -1."""
    v0 = lrp.Dense(lrp.exact([[1, -1]]), lrp.exact([-1])), lrp.exact([1, 1]), lrp.exact([-1])
    assert lrp.propagate(*v0, lrp.Gamma(gamma)).relevance.tolist() == [Fraction(5, 3), Fraction(-4, 3)]


def test_exact_converts_without_rounding() -> None:
    given = [1, 0.1, "17/90", np.float32(0.1), np.int64(3), fmpq(2, 3), Fraction(1, 7)]
    expected = [1, Fraction(0.1), Fraction(17, 90), Fraction(float(np.float32(0.1))), 3, Fraction(2, 3), Fraction(1, 7)]
    assert lrp.exact(given).tolist() == expected
    assert lrp.exact(2).shape == ()
    assert lrp.exact(np.zeros((0, 3))).shape == (0, 3)


def test_the_extremes_of_a_sample_are_no_bounds_on_its_padding() -> None:
    """x = (2, 4), kernel (1, 1), one tap of padding in front: n = x - 2, and there 0 - 0; so d = 0 and 0 + 2."""
    layer, x, relevance = lrp.Conv(lrp.exact([[[1, 1]]]), padding=((1, 0),)), lrp.exact([[[2, 4]]]), lrp.exact([[[5, 7]]])
    result = lrp.propagate(layer, x, relevance, lrp.ZBox("min", "max", "counted"))
    assert result.relevance.tolist() == [[[0, 7]]]
    assert result.ledger.dropped.tolist() == [[[5, 0]]]


def test_padding_may_lie_outside_the_box() -> None:
    """x = (2, 4) in [1, 9]; the tap on padding is 0 - 1 = -1: d = 1 - 1 = 0 is dropped, and 1 + 3 = 4."""
    layer, x, relevance = lrp.Conv(lrp.exact([[[1, 1]]]), padding=((1, 0),)), lrp.exact([[[2, 4]]]), lrp.exact([[[5, 8]]])
    result = lrp.propagate(layer, x, relevance, lrp.ZBox(1, 9, "counted"))
    assert result.relevance.tolist() == [[[2, 6]]]
    assert result.ledger.dropped.tolist() == [[[5, 0]]]


@pytest.mark.parametrize("rule", [lrp.GeneralizedGamma(0.25), lrp.ZBox(-3, 3)], ids=lambda rule: rule.name)
def test_absolute_shares_balance_in_floats_where_only_the_explicit_matrix_has_them(rule: object) -> None:
    layer, x, relevance = lrp.Dense(np.array([[1.0, -2.0], [3.0, 1.0]])), np.array([[1.0, 2.0]]), np.array([[5.0, 7.0]])
    stabilizer = lrp.Stabilizer("abs_share", 0.125)
    result = lrp.propagate(layer, x, relevance, rule, stabilizer=stabilizer, representation="explicit")
    result.ledger.check()
    assert (result.relevance > 0).all()


@pytest.mark.parametrize("epsilon", [2.0**-10, 2.0**-14])
def test_a_small_denominator_in_float16_warns_of_nothing_and_balances(epsilon: float) -> None:
    """The work behind 1 / epsilon^2 lies beyond the format, the relevance does not."""
    layer, x, relevance = (
        lrp.Dense(np.array([[1, -1]], np.float16)),
        np.array([[1, 1]], np.float16),
        np.array([[1]], np.float16),
    )
    result = lrp.propagate(layer, x, relevance, lrp.Epsilon(epsilon))
    result.ledger.check()
    assert result.relevance.tolist() == [[1 / epsilon, -1 / epsilon]]


def test_the_bound_covers_a_redistributed_stabiliser() -> None:
    """d = 0 + 2 + 2 and epsilon = 2^-10: float16 rounds d + epsilon to 4, and the input 0 lives on the share of epsilon."""
    x = [np.array([[v]], np.float16) for v in (0, 2, 2)]
    relevance, epsilon = np.array([[2]], np.float16), lrp.Stabilizer("drop", Fraction(1, 1024))
    exact = [lrp.exact(a) for a in x]
    asked = {"stabilizer": epsilon, "bias": "redistribute"}
    got = lrp.propagate(lrp.Add(), x, relevance, lrp.Zero(), **asked).relevance
    want = lrp.propagate(lrp.Add(), exact, lrp.exact(relevance), lrp.Zero(), **asked).relevance
    found = lrp.bounds(lrp.Add(), exact, lrp.exact(relevance), lrp.Zero(), **asked)
    errors = [abs(Fraction(float(a.item())) - b.item()) for a, b in zip(got, want, strict=True)]
    limits = [
        allowed(*map(floats, gauge), found.fan_in, found.fan_out, float(found.kappa), "float16").item()
        for gauge in zip(found.G, found.H, found.S, strict=True)
    ]
    assert all(error <= limit for error, limit in zip(errors, limits, strict=True))
    assert max(errors) > 0


def test_a_half_that_is_empty_leaves_everything_to_the_other() -> None:
    """w x = (1, 2), no negative half: alpha = 2 doubles the relevance, unless the factors are rescaled."""
    question = lrp.Dense(lrp.exact([[1, 2]])), lrp.exact([1, 1]), lrp.exact([3])
    assert lrp.propagate(*question, lrp.AlphaBeta(2, 1)).relevance.tolist() == [2, 4]
    assert lrp.propagate(*question, lrp.AlphaBeta(2, 1, empty_half="rescale")).relevance.tolist() == [1, 2]


def test_an_explicit_layer_of_many_inputs_is_wired_correctly_in_float16() -> None:
    """float16 counts to 2048 only."""
    x = np.ones((1, 2100), np.float16)
    relevance = np.arange(2100, dtype=np.float16).reshape(1, 2100) / 16
    result = lrp.propagate(lrp.Flatten(), x, relevance, lrp.Flat(), representation="explicit")
    assert np.array_equal(result.relevance, relevance)


@pytest.mark.parametrize("representation", ["structured", "explicit"])
def test_an_empty_batch_gives_an_empty_answer(representation: str) -> None:
    for layer, inner, out in (
        (lrp.Dense(np.ones((3, 2))), (2,), (3,)),
        (lrp.Conv(np.ones((1, 1, 2, 2))), (1, 3, 3), (1, 2, 2)),
        (lrp.MaxPool((2, 2)), (1, 2, 2), (1, 1, 1)),
        (lrp.AvgPool((2, 2)), (1, 2, 2), (1, 1, 1)),
    ):
        result = lrp.propagate(layer, np.ones((0, *inner)), np.ones((0, *out)), lrp.AlphaBeta(), representation=representation)
        assert result.relevance.shape == (0, *inner)
        result.ledger.check()
