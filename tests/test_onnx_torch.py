"""A network that torch exports, with batch norms and residual sums: loaded, it returns what torch returns."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lrp_ref as lrp

pytest.importorskip("onnx", reason="onnx is not installed: nothing that torch exports is loaded")
torch: Any = pytest.importorskip("torch", reason="torch is not installed: nothing is exported")


class Block(torch.nn.Module):  # type: ignore[misc]
    """x + norm(conv(relu(norm(conv(x)))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        convs = [torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2)]
        norms = [torch.nn.BatchNorm2d(channels) for _ in range(2)]
        self.path = torch.nn.Sequential(convs[0], norms[0], torch.nn.ReLU(), convs[1], norms[1])

    def forward(self, x: Any) -> Any:
        return torch.relu(x + self.path(x))


class Residual(torch.nn.Module):  # type: ignore[misc]
    """A small residual network on images (N, 3, 16, 16), with five logits."""

    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        stem = [nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.PReLU(6), nn.MaxPool2d(3, 2, ceil_mode=True)]
        self.images = nn.Sequential(*stem, Block(6), nn.AvgPool2d(2), nn.Dropout())
        self.rows = nn.Sequential(nn.Linear(6 * 2 * 2, 8), nn.ReLU6(), nn.Linear(8, 5))

    def forward(self, x: Any) -> Any:
        x = self.images(x)
        return self.rows(x.view(x.size(0), -1))


def trained() -> Any:
    """The network in inference mode, with random parameters and statistics."""
    torch.manual_seed(0)
    network = Residual()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network.eval()


def exported(network: Any, path: Path, **options: Any) -> lrp.Network:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its own successor
        names = {"input_names": ["image"], "output_names": ["logits"], "dynamic_axes": {"image": {0: "batch"}}}
        torch.onnx.export(network, (torch.zeros(1, 3, 16, 16),), str(path), dynamo=False, **names, **options)
    return lrp.load_onnx(path)


def test_what_torch_exports_returns_what_torch_returns(tmp_path: Path) -> None:
    network, x = trained(), np.random.default_rng(0).normal(size=(3, 3, 16, 16)).astype(np.float32)
    loaded = exported(network, tmp_path / "merged.onnx")
    expected = network(torch.asarray(x)).detach().numpy()
    assert loaded.inputs == ("image",)
    assert loaded.outputs == ("logits",)
    assert np.allclose(loaded.forward(x), expected, atol=1e-5)


def test_batch_norms_that_torch_keeps_are_merged_here(tmp_path: Path) -> None:
    network, x = trained(), np.random.default_rng(1).normal(size=(2, 3, 16, 16)).astype(np.float32)
    options = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    loaded = exported(network, tmp_path / "whole.onnx", **options)
    expected = network(torch.asarray(x)).detach().numpy()
    assert np.allclose(loaded.forward(x), expected, atol=1e-5)
    merged = lrp.transforms.merge_batch_norm(loaded)
    assert sum(isinstance(n.layer, lrp.BatchNorm) for n in loaded.nodes) == 3
    assert sum(isinstance(n.layer, lrp.BatchNorm) for n in merged.nodes) == 0
    assert np.allclose(merged.forward(x), expected, atol=1e-5)
    explained = merged.explain(x, lrp.composites.zennit.epsilon_plus(), target=[1, 4])
    explained.ledger.check()
    assert explained.relevance.shape == x.shape
