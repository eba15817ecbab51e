"""Bounds that were once too small, or given where nothing was known: each is sound now, or refused in one line."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pytest

import lrp_ref as lrp
from lrp_ref.algebra.contributions import Inputs
from lrp_ref.layers import DenseMap, Drift, Routed, fixed
from lrp_ref.layers.activation import FUNCTIONS
from lrp_ref.layers.drift import inherited
from lrp_ref.rules import Part


def f(a: Any) -> np.ndarray:
    return np.asarray(a, np.float32)


def worst(make: Any, x: Any, composite: Any, **how: Any) -> float:
    """The largest error of float32 in units of its bound, float64 on the same numbers being the truth."""
    how = {"seed": "one", **how}
    found = make(np.float32).explain(f(x), composite, bounds=True, at="all", **how)
    exact = make(np.float64).explain(f(x).astype(np.float64), composite, bounds="float64", at="all", **how)
    ratios = [0.0]
    for name, B in found.bounds.at.items():
        error = np.abs(found.at[name].astype(np.float64) - exact.at[name])
        allowed = B + exact.bounds.at[name]
        assert (error[allowed == 0] == 0).all(), name
        ratios += [*(error[allowed > 0] / allowed[allowed > 0])]
    return float(max(ratios))


def everywhere(*rules: Any) -> lrp.Composite:
    return lrp.Composite([lrp.Assign(rule, name=name) for name, rule in zip("ab", rules, strict=False)])


def test_a_bias_that_cancels_is_shared_within_its_bound() -> None:
    gamma, mean, variance = f(1.3), f(0.7), f(1.69)
    beta = f(gamma / np.sqrt(np.float64(variance)) * mean)

    def make(dtype: Any) -> lrp.Network:
        parts = (np.asarray([a], np.float32).astype(dtype) for a in (gamma, beta, mean, variance))
        return lrp.Network([lrp.Node("a", lrp.BatchNorm(*parts, epsilon=0))])

    for bias in lrp.Zero.bias:
        entry = lrp.Assign(lrp.Zero(), bias=bias, stabilizer=lrp.Stabilizer("signed_add", 1e-7))
        assert worst(make, [[1e-6]], lrp.Composite([entry])) <= 1, bias


@pytest.mark.parametrize("kind", ["rms_scaled", "std_scaled"])
@pytest.mark.parametrize("size", [1e-25, 1e-3, 1e25])
def test_squares_neither_underflow_nor_overflow_in_a_stabiliser(kind: str, size: float) -> None:
    def make(dtype: Any) -> lrp.Network:
        return lrp.Network([lrp.Node("a", lrp.Dense(f([[1, 1], [1, 3]]).astype(dtype)))])

    composite = lrp.Composite([lrp.Assign(lrp.Zero(), stabilizer=lrp.Stabilizer(kind, 0.25))])
    assert worst(make, [[size, 2 * size]], composite) <= 1


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_slope_that_is_a_difference_is_off_by_what_it_is_made_of(function: str) -> None:
    slope = 1000 if function == "elu" else None
    layer, x, R = lrp.Activation(function, "gradient", slope), f([[8, 5.1, 30, -1.278, -8.1]]), f([[1, 1, 1, 1, 1]])
    assert worst(lambda dtype: lrp.Network([lrp.Node("a", layer)]), x, everywhere(lrp.Gradient())) <= 1
    wide, wide_R = x.astype(np.float64), R.astype(np.float64)
    allowed = lrp.bounds(layer, wide, wide_R, lrp.Gradient()).allowed("float32")[0]
    exact = lrp.propagate(layer, wide, wide_R, lrp.Gradient()).relevance
    assert (np.abs(lrp.propagate(layer, x, R, lrp.Gradient()).relevance - exact) <= allowed).all()


@pytest.mark.parametrize("x", [[[0.3, -80.123, -95.77]], [[0.3, -110, 0.1]]])
def test_a_softmax_underflows_within_its_bound(x: Any) -> None:
    def alone(dtype: Any) -> lrp.Network:
        return lrp.Network([lrp.Node("a", lrp.Softmax())])

    assert worst(alone, x, everywhere(lrp.Pass()), target=1, seed="logit") <= 1
    probability = lrp.Network([lrp.Node("a", lrp.Identity())])
    assert worst(lambda dtype: probability, x, everywhere(lrp.Pass()), target=1, seed="probability") <= 1


def test_a_sum_that_rounds_to_exactly_0_may_be_another() -> None:
    W, x = cancelling()
    rows = np.stack([W[0], W[0]])

    def make(dtype: Any) -> lrp.Network:
        first = lrp.Dense(np.concatenate([W, rows]).astype(dtype))
        return lrp.Network([lrp.Node("a", first), lrp.Node("b", lrp.Dense(f([[0, 0, 1, -1]]).astype(dtype)))])

    found = make(np.float32).explain(x, everywhere(lrp.Flat(), lrp.Zero()), seed="one", bounds=True, at="all")
    assert (found.at["a"] == 0).all()  # dropped, for the sum is 0
    assert (found.bounds.at["a"][0, 2:] > 1e9).all()
    assert "a" in found.bounds.says_nothing


# Rules of one's own ---------------------------------------------------------------------------------------------------


def cancelling() -> tuple[np.ndarray, np.ndarray]:
    """Weights and x whose two hidden values are equal, but for the rounding of another order."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        w = f(rng.normal(size=40))
        W, x = np.stack([w, w[rng.permutation(40)]]), np.full((1, 40), 0.3, np.float32)
        net = lrp.Network([lrp.Node("a", lrp.Dense(W)), lrp.Node("b", lrp.Dense(f([[1, -1]])))])
        if net.explain(x, everywhere(lrp.Flat(), lrp.Flat()), seed="one").output[0, 0] > 0:
            return W, x
    raise AssertionError("no seed rounds two orders apart")


def of_parts(parts: Any) -> Any:
    """A rule with these parts of (W, x, b, y)."""

    @dataclass(frozen=True)
    class Own:
        name: ClassVar[str] = "own"
        bias: ClassVar[tuple[str, ...]] = ("absorb", "ignore")

        def parts(self, W: Any, x: Any, b: Any, y: Any) -> list[Part]:
            return [parts(W, x, b, y)]

    return Own()


def flat(W: Any) -> Any:
    return W.connections().contributions()


SOUND = {
    "where y != 0": lambda W, x, b, y: Part(flat(W), 0 * b, where=y != 0),
    "where y == 0 is not": lambda W, x, b, y: Part(flat(W), 0 * b, where=~(y == 0)),
    "where y > 0 or y < 0": lambda W, x, b, y: Part(flat(W), 0 * b, where=(y > 0) | (y < 0)),
}
REFUSED = {
    "a comparison as factor": lambda W, x, b, y: Part(flat(W), 0 * b, y > 0),
    "the sign of y": lambda W, x, b, y: Part(flat(W), np.sign(y)),
    "arrays taken out of x": lambda W, x, b, y: Part(W * Inputs(tuple(a * a for a in x.arrays)), 0 * b),
    "a divisor made of y": lambda W, x, b, y: Part(W * x, 0 * b, over=y),
}


@pytest.mark.parametrize("case", SOUND.values(), ids=SOUND)
def test_a_rule_that_asks_where_y_is_zero_is_bounded(case: Any) -> None:
    W, x = cancelling()

    def make(dtype: Any) -> lrp.Network:
        second = lrp.Dense(f([[1, -1]]).astype(dtype))
        return lrp.Network([lrp.Node("a", lrp.Dense(W.astype(dtype))), lrp.Node("b", second)])

    assert worst(make, x, everywhere(lrp.Flat(), of_parts(case))) <= 1


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_rule_of_which_too_little_is_known_is_refused(case: Any) -> None:
    layer = lrp.Dense(f([[1, -1], [2, 1]]), f([1, 2]))
    net = lrp.Network([lrp.Node("a", layer), lrp.Node("b", layer)])
    with pytest.raises(lrp.LRPError, match=r"^node 'b': (bounds are not known for Own|Own.parts: expected).*$"):
        net.explain(f([[1, 2]]), everywhere(lrp.Zero(), of_parts(case)), seed="one", bounds=True)


def test_a_parameter_that_is_made_of_x_is_refused() -> None:
    class Fit:
        name = "fit"
        bias = ("ignore",)

        def __init__(self, low: Any = None) -> None:
            self.low = low

        def fitted(self, inputs: Any, shaped: Any) -> "Fit":
            return Fit(shaped(tuple(1000 * a for a in inputs)))

        def parts(self, W: Any, x: Any, b: Any, y: Any) -> list[Part]:
            return [Part(W * x - W * self.low, 0 * b)]

    net = lrp.Network([lrp.Node("a", lrp.Dense(f([[1, -1], [2, 1]])))])
    with pytest.raises(lrp.LRPError, match="bounds are not known for Fit, whose low is made of x"):
        net.explain(f([[1, 2]]), everywhere(Fit()), seed="one", bounds=True)


def test_many_products_of_weights_count_their_roundings() -> None:
    def steep(W: Any, x: Any, b: Any, y: Any) -> Part:
        for _ in range(8):
            W = W * W
        return Part(W * x, 0 * b)

    def make(dtype: Any) -> lrp.Network:
        return lrp.Network([lrp.Node("a", lrp.Dense(f([[1.01, 1.013, 0.997]]).astype(dtype)))])

    assert worst(make, [[0.7, 1.1, 1.3]], everywhere(of_parts(steep))) <= 1


# Layers of one's own --------------------------------------------------------------------------------------------------


class Moving:
    """y = W x + b whose bias, or whose weights, move with x."""

    axes = 1

    def __init__(self, drift: Any, bias: bool = True) -> None:
        self.given, self.bias = drift, bias

    def affine(self, x: Any) -> Any:
        if self.bias:
            return lrp.Affine.of([DenseMap(0 * x[0, 0] + np.ones((1, 2), x.dtype))], [x], 1000 * (x[:, :1] - x[:, 1:]) + 1)
        return lrp.Affine.of([Routed(x * x, lambda u: u, lambda s: s)], [x])

    def drift(self, affine: Any, x: Any, e: Any, dtype: str) -> Any:
        return self.given(self, affine, x, e, dtype)


def explained(layer: Any, bounds: Any = True) -> Any:
    nodes = [lrp.Node("a", lrp.Dense(f([[1, 2], [3, -1]]) / 3)), lrp.Node("b", layer)]
    composite = everywhere(lrp.Flat(), lrp.Epsilon(1e-3))
    return lrp.Network(nodes).explain(f([[0.3, 0.7]]), composite, seed="one", target=0, bounds=bounds)


def test_a_bias_that_moves_is_off_by_what_y_and_w_x_are_unless_the_layer_says() -> None:
    def moved(self: Any, affine: Any, x: Any, e: Any, dtype: str) -> Drift:
        return Drift(inherited(affine, e, dtype) + 1000 * (e[0][:, :1] + e[0][:, 1:]))

    def make(dtype: Any) -> lrp.Network:
        first = lrp.Dense((f([[1, 2], [3, -1]]) / 3).astype(dtype))
        return lrp.Network([lrp.Node("a", first), lrp.Node("b", Moving(moved))])

    assert 0 < worst(make, [[0.3, 0.7]], everywhere(lrp.Flat(), lrp.Epsilon(1e-3))) <= 1


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_that_moves_and_says_fixed_is_refused(bias: bool) -> None:
    with pytest.raises(
        lrp.LRPError, match=r"^node 'b': Moving: it says `drift = fixed`, but has other weights or another bias"
    ):
        explained(Moving(fixed, bias))


WRONG = {
    "negative": (lambda *how: Drift(f([[-1]])), "expected output as an array of errors >= 0"),
    "no array": (lambda *how: Drift(0), "expected output as an array of errors >= 0"),
    "nothing": (lambda *how: None, r"Moving.drift: expected a lrp_ref.layers.Drift, got NoneType"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_drift_that_is_none_is_refused(case: Any) -> None:
    given, message = case
    with pytest.raises(lrp.LRPError, match=message):
        explained(Moving(given))


def test_a_drift_that_cannot_be_called_is_refused() -> None:
    layer = Moving(fixed)
    layer.drift = True  # type: ignore[assignment]
    with pytest.raises(lrp.LRPError, match="bounds are not known for Moving"):
        explained(layer)
    layer.drift = lambda affine: Drift(affine.y)  # type: ignore[assignment]
    with pytest.raises(lrp.LRPError, match=r"Moving.drift: .*it is a method drift\(affine, x, e, dtype\)"):
        explained(layer)


@pytest.mark.parametrize("kind", ["rms_scaled", "std_scaled"])
def test_no_sample_has_no_bound_under_a_coupled_stabiliser(kind: str) -> None:
    composite = lrp.Composite([lrp.Assign(lrp.Zero(), stabilizer=lrp.Stabilizer(kind, Fraction(1, 4)))])
    net = lrp.Network([lrp.Node("a", lrp.Dense(f([[1, 1], [1, 3]])))])
    found = net.explain(np.zeros((0, 2), np.float32), composite, seed="one", bounds=True)
    assert found.bounds.relevance.shape == (0, 2)


def test_a_response_norm_at_the_end_of_its_range_is_no_crash() -> None:
    net = lrp.Network([lrp.Node("a", lrp.LRN(2, 1e30, 4, 1e-30, "gradient"))])
    try:
        found = net.explain(f([[1e10, 1e-10]]).astype(np.float64), lrp.Composite([lrp.Assign(lrp.Epsilon(1e-3))]), bounds=True)
    except lrp.LRPError as refusal:
        assert len(str(refusal).splitlines()) == 1  # noqa: PT017
    else:
        assert found.bounds.relevance.shape == (1, 2)
