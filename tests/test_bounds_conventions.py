"""Bounds where a bias is handed on, a half may be empty, x may be the mean, or weights depend on x."""

from typing import Any

import numpy as np
import pytest

import lrp_ref as lrp

GRADIENT = {"linearization": "gradient"}
BIASED = (lrp.Dense, lrp.Conv, lrp.BatchNorm)


def some(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def network(kind: type, middle: Any) -> lrp.Network:
    """A convolution, what is given (of arrays of `kind`), a batch norm, a ReLU and two dense layers."""

    def cast(a: Any) -> Any:
        return a.astype(kind)

    norm = lrp.BatchNorm(*(cast(some(s, 4)) for s in (1, 2, 3)), cast(abs(some(4, 4)) + 1))
    layers = [
        lrp.Conv(cast(some(5, 4, 2, 2, 2)), cast(some(6, 4))), middle, norm, lrp.Activation(), lrp.Flatten(),
        lrp.Dense(cast(some(7, 5, 16) / 4), cast(some(8, 5))), lrp.Dense(cast(some(9, 3, 5)), cast(some(10, 3))),
    ]  # fmt: skip
    return lrp.Network([lrp.Node(f"n{k}", layer) for k, layer in enumerate(layers)])


def worst(entries: list[lrp.Assign], middle: Any = lrp.Identity(), seed: int = 0) -> float:  # noqa: B008
    """The largest error of float32 in units of its bound, over all nodes; float64 stands for the exact answer."""
    composite = lrp.Composite([*entries, lrp.Assign(lrp.Pass(), (lrp.Activation, lrp.Identity)), lrp.Assign(lrp.Zero())])
    x = some(20 + seed, 3, 2, 3, 3)
    exact = network(np.float64, middle).explain(x.astype(np.float64), composite, target=1, at="all", bounds="float32")
    found = network(np.float32, middle).explain(x, composite, target=1, at="all")
    assert not {"x", "n0"} & set(exact.bounds.says_nothing)
    ratios = [0.0]
    for name, B in exact.bounds.at.items():
        error = abs(found.at[name].astype(np.float64) - exact.at[name])
        assert (error[B == 0] == 0).all(), name
        ratios += [*(error[B > 0] / B[B > 0])]
    return max(ratios)


@pytest.mark.parametrize("bias", ["share", "redistribute"])
@pytest.mark.parametrize(
    "rule", [lrp.Epsilon(0.25), lrp.Gamma(0.5), lrp.GeneralizedGamma(0.5), lrp.AlphaBeta(2, 1)], ids=lambda r: r.name
)
def test_a_bias_that_is_handed_on(rule: Any, bias: str) -> None:
    if bias not in rule.bias:
        assert isinstance(rule, lrp.AlphaBeta)
        return
    stabilizer = lrp.Stabilizer("signed_add", 0.25)
    assert 0 < worst([lrp.Assign(rule, BIASED, bias=bias, stabilizer=stabilizer)]) <= 1


@pytest.mark.parametrize("kind", ["clip", "replace_zero", "unsigned_add", "rms_scaled"])
def test_a_stabiliser_that_is_handed_on(kind: str) -> None:
    assert 0 < worst([lrp.Assign(lrp.Zero(), BIASED, bias="redistribute", stabilizer=lrp.Stabilizer(kind, 0.5))]) <= 1


def test_an_empty_half_that_stays_empty() -> None:
    assert 0 < worst([lrp.Assign(lrp.AlphaBeta(2, 1, empty_half="rescale"), BIASED)]) <= 1


@pytest.mark.parametrize("linearization", [None, "gradient", "taylor"])
@pytest.mark.parametrize(
    "rule",
    [lrp.Gradient(), lrp.Epsilon(0.1), lrp.Gamma(0.5), lrp.Gamma(0.5, "squared"), lrp.WSquare(), lrp.AlphaBeta(2, 1)],
    ids=repr,
)
@pytest.mark.parametrize("alpha", [1, 0.01])
def test_response_norms(rule: Any, linearization: str | None, alpha: float) -> None:
    layer = lrp.LRN(3, alpha=alpha, linearization=linearization)
    entry = lrp.Assign(rule, lrp.LRN, stabilizer=lrp.Stabilizer("signed_add", 0.25))
    assert 0 < worst([entry], layer) <= 1


def test_response_norms_that_hand_on_the_rest_of_y() -> None:
    layer = lrp.LRN(3, alpha=1, linearization="gradient")
    for bias in ("share", "redistribute"):
        assert 0 < worst([lrp.Assign(lrp.Epsilon(0.5), lrp.LRN, bias=bias)], layer) <= 1


@pytest.mark.parametrize("rule", [lrp.Gamma(0.5), lrp.Gamma(0.5, "squared"), lrp.WSquare()], ids=repr)
@pytest.mark.parametrize("function", ["silu", "tanh"])
def test_rules_that_steepen_weights(rule: Any, function: str) -> None:
    entry = lrp.Assign(rule, lrp.Activation, stabilizer=lrp.Stabilizer("signed_add", 0.25), sees=GRADIENT)
    middle = lrp.Activation(function)
    assert 0 < worst([entry, lrp.Assign(lrp.Pass(), lrp.BatchNorm)], middle) <= 1


def bounded(layer: Any, entry: lrp.Assign, first: Any, x: Any) -> Any:
    """The bound at x of `first` and then `layer`, explained from the seed one."""
    net = lrp.Network([lrp.Node("first", lrp.Dense(first)), lrp.Node("layer", layer)])
    composite = lrp.Composite([entry, lrp.Assign(lrp.Zero())])
    return net.explain(x, composite, target=0, seed="one", bounds=True, at=("first",))


def test_where_rounding_decides_whether_x_is_the_mean_both_count() -> None:
    w = np.float32([[0.1, 0.2, -0.3], [1, 1, 1]])
    x = np.ones((1, 3), np.float32)  # the first sum is 0 but for rounding
    one = np.ones(2, np.float32)
    norm = lrp.BatchNorm(one, one, 0 * one, one, linearization="at_mean_zero")
    found = bounded(norm, lrp.Assign(lrp.Gradient(), lrp.BatchNorm), w, x)
    assert found.bounds.at["first"][0, 0] >= 1
    assert worst([lrp.Assign(lrp.Zero(), lrp.BatchNorm, sees={"linearization": "at_mean_zero"})]) <= 1


def test_where_rounding_decides_whether_a_half_is_empty_both_count() -> None:
    w = np.float32([[0.1, 0.2, -0.3], [1, 1, 1]])
    x = np.ones((1, 3), np.float32)
    layer = lrp.Dense(np.float32([[-1, 1]]))  # its negative half is 0 or just below, its positive half is 3
    entry = lrp.Assign(lrp.AlphaBeta(2, 1, empty_half="rescale"), name="layer")
    found = bounded(layer, entry, w, x)
    assert found.bounds.at["first"][0, 1] >= 1  # 1 or 2
