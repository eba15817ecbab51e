"""The dialect cards of the libraries that are installed, against what is known of them."""

import importlib

import pytest
from inline import Asked, Output, candidate

from lrp_conform.candidates import adapter
from lrp_conform.diagnosis.card import UNKNOWN, Card, card
from lrp_conform.diagnosis.probes import probe


def of(one: adapter.Candidate) -> Card:
    answers, own = probe(one)
    return card(answers, own, one.one_hot)


def named(name: str) -> Card:
    importlib.import_module("torch").set_num_threads(1)
    (one,) = adapter.load(name)
    return of(one)


@pytest.fixture(scope="module")
def zennit() -> Card:
    pytest.importorskip("torch", reason="torch is not installed")
    import torchvision_shim

    torchvision_shim.install()
    pytest.importorskip("zennit", reason="zennit is not installed")
    return named("zennit")


def test_the_card_of_zennit(zennit: Card) -> None:
    assert zennit["sign at zero"] == "+1"
    assert zennit["bias of alpha-beta"] == "as asked: ignore, split"
    assert zennit["split of alpha-beta"] == "joint"
    assert zennit["bias of z-plus"].startswith("split: ")  # b+ in the denominator, where z-plus has none
    assert zennit["bias of z-plus"].endswith("whatever is asked")
    assert zennit["bias of w-square"].startswith("square: ")
    assert zennit["kind of generalized-gamma"] == "generalized"
    assert zennit["branch of generalized-gamma"] == "biased"
    assert zennit["z = 0 of generalized-gamma"] == "drop"
    assert zennit["padding taps of flat"] == "absent"
    assert zennit["ties of max pooling"] == "first"
    assert "proportional" in zennit["residual"]
    assert zennit["stabilizer of alpha-beta"] == "as asked: clip, none, rms_scaled, signed_add"
    assert not [row for row in zennit.rows if UNKNOWN in row.finding or row.topic.startswith("precision")]


def test_the_card_of_zennit_as_it_comes(zennit: Card) -> None:
    """With the library's own stabiliser left in place: 1e-6, signed, on every rule."""
    import torch
    from zennit import rules

    hooks = {"zero": rules.Epsilon, "w-square": rules.WSquare, "flat": rules.Flat, "z-plus": rules.ZPlus}

    def run(asked: Asked) -> Output:
        params = asked["nodes"][0]["params"]
        layer = torch.nn.Linear(*params["weight"].shape[::-1])
        layer.weight.data, layer.bias.data = (torch.tensor(params[name]) for name in ("weight", "bias"))
        x = torch.tensor(asked["x"], requires_grad=True)
        hooks[asked["rules"]["layer"]["rule"]]().register(layer)
        y = layer(x)
        (found,) = torch.autograd.grad(y, x, torch.tensor(asked["relevance"]))
        return {"y": y.detach().numpy(), "relevance": found.numpy()}

    features = ["op.dense", *(f"rule.{name}" for name in hooks), "bias.absorb", "bias.ignore", "stabilizer.none"]
    found = of(candidate(run, features))
    for name in hooks:
        assert found[f"stabilizer of {name}"].startswith("signed_add, epsilon 1e-06")


def test_the_card_of_captum() -> None:
    pytest.importorskip("captum", reason="captum is not installed")
    found = named("captum")
    assert found["split of alpha1-beta0"] == found["split of z-plus"] == "weight"
    assert "full_in_both where split is asked" in found["bias of alpha1-beta0"]
    assert "raw where absorb is asked" in found["bias of gamma"]
    assert found["kind of gamma"] == "original"
    assert "signed_add, epsilon 1e-09 where none is asked" in found["stabilizer of gamma"]
    assert "epsilon measured: 1e-09" in found["stabilizer of gamma"]
    assert found["residual"] == found["average pooling"] == "proportional"
    assert found["sign at zero"] == "+1"
    assert found["rule of pass on max-pool"] == "proportional"  # its epsilon rule stands there


def test_the_card_of_lxt() -> None:
    pytest.importorskip("lxt", reason="lxt is not installed")
    if "lxt" not in adapter.names():
        pytest.skip("lxt has no entry point")
    found = named("lxt")
    assert found["stabilizer of epsilon"].startswith("unsigned_add, epsilon as asked")
    assert "equal" in found["residual"]
    assert "proportional" in found["residual"]
    assert "unsigned_add" in found["stabilizer of epsilon on avg-pool"]


def test_the_cards_of_the_seeds() -> None:
    found = {one.name.partition("/")[2]: of(one) for one in adapter.load("seeds")[:-1]}
    assert "full_in_both where split is asked" in found["2-alpha-beta"]["bias of alpha-beta"]
    for key, rule in (("2-alpha-beta", "alpha-beta"), ("4-z-rule", "zero"), ("8-z-plus-fast", "z-plus-fast")):
        assert found[key][f"stabilizer of {rule}"].startswith("replace_zero, epsilon 1e-07")
    assert "mistake.one-gradient" in found["9-one-gradient-bounded"]["stabilizer of z-box"]
    assert found["6-w-square-flat"]["padding taps of flat"] == "absent"
    assert found["7-pool-add"]["residual"] == "proportional"
