"""The layers that models from files need: affine maps at x whose two representations agree, and gradients that are ones."""

from typing import Any

import numpy as np
import pytest

import lrp_ref as lrp
from lrp_ref.layers.activation import FUNCTIONS

X = lrp.exact([[[1, -2, 3], [-4, 5, -6], ["1/2", 7, "-1/3"], [2, 2, -1]]])
LAYERS: dict[str, Any] = {
    "slice of channels": lrp.Slice(1, 1, 4, 2),
    "slice of pixels": lrp.Slice(2, 1),
    "scale": lrp.Scale(X[0], lrp.exact([["1/2"], [3], [-1], [0]])),
    "shift": lrp.Scale(None, lrp.exact([[1, -2, 3]])),
    "local response normalisation": lrp.LRN(3, alpha=3, beta=1, bias=2),
    "its tangent": lrp.LRN(3, alpha=3, beta=1, bias=2, linearization="gradient"),
    "its expansion": lrp.LRN(2, alpha=1, beta=2, linearization="taylor"),
    "of even size": lrp.LRN(2, alpha=1, beta=2),
    "clip": lrp.Activation("clip", "gradient", low=-2, high=3),
    "clip above": lrp.Activation("clip", "ratio", low=None, high=3),
    "hard sigmoid": lrp.Activation("hard-sigmoid", "gradient", slope=lrp.exact("1/4").item()),
    "slopes per channel": lrp.Activation("leaky-relu", "gradient", slope=(0, 1, lrp.exact("1/4").item(), -1)),
}


def passed(layer: Any) -> Any:
    return lrp.propagate(layer, X, X, lrp.Pass())


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("rule", [lrp.Zero(), lrp.Gradient(), lrp.AlphaBeta(2, 1), lrp.Flat()], ids=lambda rule: rule.name)
def test_matrices_and_structure_agree_exactly(layer: Any, rule: Any) -> None:
    y = layer.affine(X).y
    relevance = y + lrp.exact(1)
    found, explicit = (lrp.propagate(layer, X, relevance, rule, representation=r) for r in ("structured", "explicit"))
    assert (found.relevance == explicit.relevance).all()
    found.ledger.check()
    explicit.ledger.check()


@pytest.mark.parametrize("layer", [v for v in LAYERS.values() if v.affine(X).is_sum], ids=repr)
def test_the_output_is_weights_times_inputs_plus_bias(layer: Any) -> None:
    affine = layer.affine(X)
    assert (affine.maps[0].apply(X) + affine.bias == affine.y).all()


def test_local_response_normalisation_by_hand() -> None:
    """Channels 1, 2, 3 at one pixel, size 3: scales 1 + (1 + 4), 1 + (1 + 4 + 9), 1 + (4 + 9)."""
    y = lrp.LRN(3, alpha=3, beta=1).affine(lrp.exact([[1, 2, 3]])).y
    assert [str(v) for v in y[0]] == ["1/6", "2/15", "3/14"]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_tangent_of_a_response_norm_is_its_difference_quotient(size: int) -> None:
    layer, x, step = lrp.LRN(size, alpha=2.0, linearization="gradient"), np.asarray([[0.5, -1.5, 2.0, 0.25]]), 1e-6
    jacobian, _ = layer.affine(x).maps[0].entries(x).dense()
    for k, shift in enumerate(step * np.eye(4)):
        quotient = (layer.affine(x + shift).y - layer.affine(x - shift).y) / (2 * step)
        assert np.allclose(jacobian[0, :, k], quotient[0], atol=1e-8)


def test_the_first_order_of_a_response_norm_is_its_value_without_neighbours_plus_their_slopes() -> None:
    """Binder et al. 2016: y_c(x_c alone) + sum over neighbours of dy_c / dx_k x_k."""
    x = X[:, :, 0]
    whole, tangent = (lrp.LRN(3, 3, 1, 2, word).affine(x) for word in ("taylor", "gradient"))
    alone = lrp.LRN(1, 1, 1, 2).affine(x).y  # alpha / size as before
    slopes = tangent.maps[0].entries(x).dense()[0][0].copy()
    np.fill_diagonal(slopes, 0)
    assert (whole.maps[0].apply(x) == alone + (slopes @ x[0])[None]).all()


def test_gauges_count_the_magnitudes_behind_a_weight_that_cancels() -> None:
    """dy / dx = (1 - x^2) / (1 + x^2)^2, next to x = 1."""
    x = np.float32([[1.0001, 0.9999, 1 - 2**-20]])
    layer, one = lrp.LRN(1, 1, 1, linearization="gradient"), np.ones_like(x)
    found = lrp.propagate(layer, x, one, lrp.Gradient()).relevance
    exact = lrp.propagate(layer, lrp.exact(x), lrp.exact(one), lrp.Gradient()).relevance.astype(float)
    (B,) = lrp.bounds(layer, x, one, lrp.Gradient()).allowed("float32")
    assert (abs(found - exact) <= B).all()
    assert (B > 2**-24).all()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_gradients_are_difference_quotients(function: str) -> None:
    layer = lrp.Activation(function, "gradient", slope=0.3, low=-1, high=1.5)
    x, step = np.asarray([[-3.01, -1.3, -0.7, -0.2, 0.2, 0.6, 1.2, 2.3]]), 1e-6
    quotients = (layer.affine(x + step).y - layer.affine(x - step).y) / (2 * step)
    assert np.allclose(layer.affine(x).maps[0].weight, quotients, atol=1e-8)


@pytest.mark.parametrize("function", ["clip", "hard-sigmoid", "elu", "leaky-relu"])
@pytest.mark.parametrize("linearization", ["identity", "gradient", "ratio"])
def test_bounds_through_activations_hold(function: str, linearization: str) -> None:
    random = np.random.default_rng(3)
    weights = [random.normal(size=shape) for shape in ((6, 5), (3, 6))]

    def explained(kind: type) -> Any:
        layer = lrp.Activation(function, linearization, slope=0.4, low=-0.5, high=0.75)
        first, last = (lrp.Dense(w.astype(np.float32).astype(kind)) for w in weights)
        net = lrp.Network([lrp.Node("first", first), lrp.Node("bend", layer), lrp.Node("last", last)])
        x = np.random.default_rng(4).normal(size=(4, 5)).astype(np.float32).astype(kind)
        composite = lrp.Composite([lrp.Assign(lrp.Gradient(), lrp.Activation), lrp.Assign(lrp.Epsilon(0.1))])
        return net.explain(x, composite, target=1, bounds="float32" if kind is np.float64 else False)

    exact, rounded = explained(np.float64), explained(np.float32)
    assert (abs(rounded.relevance - exact.relevance) <= exact.bounds.relevance).all()
    assert exact.bounds.says_nothing == ()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: lrp.LRN(0), "LRN: expected size as an integer >= 1, got 0"),
        (lambda: lrp.LRN(1).affine(lrp.exact([[1]])), "log of a rational is irrational"),
        (lambda: lrp.LRN(3, bias=-1).affine(np.ones((1, 2))), "LRN: expected bias .* > 0 everywhere"),
        (lambda: lrp.LRN(3).affine(np.ones(2)), "LRN: expected x"),
        (lambda: lrp.LRN(3, linearization="hessian"), "LRN: linearization is one of ratio, gradient, taylor; got 'hessian'"),
        (lambda: passed(lrp.LRN(3, beta=1, linearization="taylor")), "Pass: LRN mixes several inputs in one output"),
        (lambda: lrp.Slice(0), "Slice: expected axis and step >= 1"),
        (lambda: lrp.Slice(1, 2, 2), "0 <= begin < end"),
        (lambda: lrp.Slice(1, 0, 5).affine(np.ones((1, 4))), "0 to 5 on axis 1 does not fit x of shape"),
        (lambda: lrp.Slice(2).affine(np.ones((1, 4))), "on axis 2 does not fit"),
        (lambda: lrp.Scale(np.ones(3)).affine(np.ones((1, 4))), "Scale: expected weight that spreads over samples"),
        (lambda: lrp.Activation("leaky-relu", slope=(1, 2)).affine(np.ones((1, 3))), "expected x with 2 channels"),
    ],
)
def test_what_does_not_fit_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(lrp.LRPError, match=message):
        wrong()
