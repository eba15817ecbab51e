"""Torch tensors are arrays too: the same text through `array_api_compat`, and the dtype and kind of x come back."""

import numpy as np
import pytest

import lrp_ref as lrp

torch = pytest.importorskip("torch", reason="torch is not installed")
RNG = np.random.default_rng(0)


def t(*shape: int) -> object:
    return torch.tensor(RNG.normal(size=shape), dtype=torch.float32)


ONE_TO_TWO = torch.tensor([1.0, 2.0])
LAYERS = {
    "dense": (lrp.Dense(t(3, 4), t(3)), (2, 4)),
    "conv": (lrp.Conv(t(4, 1, 2, 2), t(4), stride=(2, 1), padding=((1, 0), (0, 1)), groups=2), (2, 2, 4, 4)),
    "conv-transpose": (lrp.ConvTranspose(t(2, 2, 2), None, stride=2), (1, 2, 3)),
    "avg-pool": (lrp.AvgPool((2, 2), padding=1, count_include_pad=False), (1, 2, 4, 4)),
    "max-pool": (lrp.MaxPool((2,)), (1, 2, 4)),
    "batch-norm": (lrp.BatchNorm(ONE_TO_TWO, ONE_TO_TWO, ONE_TO_TWO, ONE_TO_TWO), (2, 2, 3)),
    "upsample": (lrp.Upsample((2, 2)), (1, 1, 2, 2)),
    "pad": (lrp.Pad(1, 2), (1, 1, 3)),
    "tanh": (lrp.Activation("tanh"), (2, 3)),
    "permute": (lrp.Permute((2, 1)), (1, 2, 3)),
}
COUPLED = ("rms_scaled", "std_scaled")
RULES = (
    lrp.Epsilon(0.1),
    lrp.AlphaBeta(2, 1),
    lrp.ZPlus(),
    lrp.Gamma(0.25),
    lrp.GeneralizedGamma(0.25),
    lrp.WSquare(),
    lrp.Flat(),
    lrp.ZBox(-9, 9),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("name", LAYERS)
def test_tensors_go_in_and_come_out_within_the_bound(name: str, rule: object) -> None:
    layer, shape = LAYERS[name]
    x = t(*shape)
    relevance = t(*layer.affine(x).y.shape)
    found = lrp.bounds(layer, x, relevance, rule)
    both = [lrp.propagate(layer, x, relevance, rule, representation=r) for r in ("structured", "explicit")]
    for result in both:
        assert isinstance(result.relevance, torch.Tensor)
        assert (result.relevance.dtype, result.relevance.shape) == (x.dtype, x.shape)
        result.ledger.check()
    # two honest float32 evaluations: each within its bound, so within two bounds of each other
    apart = (both[0].relevance - both[1].relevance).abs().to(torch.float64)
    assert bool((apart <= 2 * found.allowed("float32")[0]).all())


@pytest.mark.parametrize("kind", COUPLED)
def test_stabilisers_that_look_at_all_outputs_have_a_bound(kind: str) -> None:
    layer, shape = LAYERS["dense"]
    x, relevance, stabilizer = t(*shape), t(2, 3), lrp.Stabilizer(kind, 0.1)
    result = lrp.propagate(layer, x, relevance, lrp.Zero(), stabilizer=stabilizer)
    result.ledger.check()
    allowed = lrp.bounds(layer, x, relevance, lrp.Zero(), stabilizer=stabilizer).allowed("float32")[0]
    wide = lrp.Dense(layer.weight.double(), layer.bias.double())
    exact = lrp.propagate(wide, x.double(), relevance.double(), lrp.Zero(), stabilizer=stabilizer).relevance
    assert bool(((result.relevance - exact).abs() <= allowed).all())


def test_a_maximum_of_no_image_is_none() -> None:
    assert lrp.Network([lrp.Node("max", lrp.MaxPool((2, 2), padding=1))]).forward(t(0, 1, 4, 4)).shape == (0, 1, 3, 3)
