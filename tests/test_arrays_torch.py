"""Torch tensors are arrays too: the same text through `array_api_compat`, and the dtype and kind of x come back."""

import numpy as np
import pytest
from namespaces import LAYERS, RULES, posed, serving

import lrp_ref as lrp

torch = pytest.importorskip("torch", reason="torch is not installed")
RNG = np.random.default_rng(0)


def t(*shape: int) -> object:
    return torch.tensor(RNG.normal(size=shape), dtype=torch.float32)


COUPLED = ("rms_scaled", "std_scaled")


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
@pytest.mark.parametrize("op", LAYERS)
def test_tensors_go_in_and_come_out_within_the_bound(op: str, rule: object) -> None:
    if rule not in serving(op):
        return
    layer, x, relevance = posed(op, lambda a: torch.tensor(a, dtype=torch.float32))
    found = lrp.bounds(layer, x, relevance, rule)
    both = [lrp.propagate(layer, x, relevance, rule, representation=r) for r in ("structured", "explicit")]
    for result in both:
        for r in result.relevance:
            assert (type(r), r.dtype) == (torch.Tensor, torch.float32)
        result.ledger.check()
    # two honest float32 evaluations: each within its bound, so within two bounds of each other
    for a, b, bound in zip(*(result.relevance for result in both), found.allowed("float32"), strict=True):
        assert bool(((a - b).abs().to(torch.float64) <= 2 * bound).all())


@pytest.mark.parametrize("kind", COUPLED)
def test_stabilisers_that_look_at_all_outputs_have_a_bound(kind: str) -> None:
    layer, x, relevance = lrp.Dense(t(3, 4), t(3)), t(2, 4), t(2, 3)
    stabilizer = lrp.Stabilizer(kind, 0.1)
    result = lrp.propagate(layer, x, relevance, lrp.Zero(), stabilizer=stabilizer)
    result.ledger.check()
    allowed = lrp.bounds(layer, x, relevance, lrp.Zero(), stabilizer=stabilizer).allowed("float32")[0]
    wide = lrp.Dense(layer.weight.double(), layer.bias.double())
    exact = lrp.propagate(wide, x.double(), relevance.double(), lrp.Zero(), stabilizer=stabilizer).relevance
    assert bool(((result.relevance - exact).abs() <= allowed).all())


def test_a_maximum_of_no_image_is_none() -> None:
    assert lrp.Network([lrp.Node("max", lrp.MaxPool((2, 2), padding=1))]).forward(t(0, 1, 4, 4)).shape == (0, 1, 3, 3)
