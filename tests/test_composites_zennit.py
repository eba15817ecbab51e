"""zennit's own composites on a torch module return what the presets of the same name return, within the bounds."""

from typing import Any

import numpy as np
import pytest

import lrp_ref as lrp

torch = pytest.importorskip("torch", reason="torch is not installed")
ZEN = lrp.composites.zennit
NAMES = (
    "EpsilonPlus", "EpsilonAlpha2Beta1", "EpsilonPlusFlat", "EpsilonAlpha2Beta1Flat", "EpsilonGammaBox", "ExcitationBackprop",
)  # fmt: skip


@pytest.fixture(scope="module")
def zennit() -> Any:
    import torchvision_shim

    torchvision_shim.install()
    return pytest.importorskip("zennit.composites", reason="zennit is not installed")


@pytest.fixture
def module(zennit: Any) -> Any:
    """Convolution, batch norm, ReLU, a residual sum around a grouped convolution, both poolings, linear; float64."""
    from zennit.layer import Sum

    nn = torch.nn

    class Residual(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.relu = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
            self.branch, self.sum, self.relu2 = nn.Conv2d(4, 4, 3, padding=1, groups=2), Sum(), nn.ReLU()
            self.average, self.max, self.dense = nn.AvgPool2d(2), nn.MaxPool2d(2, 1), nn.Linear(4, 3)

        def forward(self, x: Any) -> Any:
            h = self.relu(self.norm(self.conv(x)))
            h = self.relu2(self.sum(torch.stack([self.branch(h), h], -1)))
            return self.dense(self.max(self.average(h)).flatten(1))

    torch.manual_seed(0)
    found = Residual().to(torch.float64).eval()
    with torch.no_grad():
        for p in (found.norm.weight, found.norm.bias, found.norm.running_mean):
            p.normal_()
        found.norm.running_var.uniform_(0.5, 2)
    return found


def network(module: Any) -> lrp.Network:
    def numpy(*names: str) -> list[np.ndarray]:
        state = {name: value.detach().numpy().copy() for name, value in module.state_dict().items()}
        return [state[name] for name in names]

    norm = numpy(*(f"norm.{name}" for name in ("weight", "bias", "running_mean", "running_var")))
    return lrp.Network(
        [
            lrp.Node("conv", lrp.Conv(*numpy("conv.weight", "conv.bias"))),
            lrp.Node("norm", lrp.BatchNorm(*norm, 1e-5)),
            lrp.Node("relu", lrp.Activation()),
            lrp.Node("branch", lrp.Conv(*numpy("branch.weight", "branch.bias"), padding=1, groups=2)),
            lrp.Node("sum", lrp.Add(), ("branch", "relu")),
            lrp.Node("relu2", lrp.Activation()),
            lrp.Node("average", lrp.AvgPool((2, 2))),
            lrp.Node("max", lrp.MaxPool((2, 2), 1)),
            lrp.Node("flat", lrp.Flatten()),
            lrp.Node("dense", lrp.Dense(*numpy("dense.weight", "dense.bias"))),
        ]
    )


@pytest.mark.parametrize("merged", [False, True], ids=["norm passes", "norm merged"])
@pytest.mark.parametrize("name", NAMES)
def test_the_preset_is_the_library(name: str, merged: bool, zennit: Any, module: Any) -> None:
    from zennit.canonizers import NamedMergeBatchNorm

    x = torch.rand(2, 2, 6, 6, dtype=torch.float64) * 2 - 1
    box = (torch.full_like(x, -1), torch.full_like(x, 1)) if name == "EpsilonGammaBox" else ()
    snake = "".join("_" * (k > 0 and c.isupper()) + c.lower() for k, c in enumerate(name))
    preset = getattr(ZEN, snake)(*((-1, 1) if box else ()))
    canonizers = [NamedMergeBatchNorm([(["conv"], "norm")])] if merged else []
    net = network(module)  # read before zennit touches the weights
    net = lrp.transforms.merge_batch_norm(net) if merged else net
    asked = x.clone().requires_grad_()
    with getattr(zennit, name)(*box, canonizers=canonizers).context(module) as modified:
        (relevance,) = torch.autograd.grad(modified(asked), asked, torch.eye(3, dtype=torch.float64)[[1, 1]])
    found = net.explain(x.numpy(), preset, target=1, seed="one", bounds=True)
    assert "x" not in found.bounds.says_nothing
    assert (np.abs(found.relevance - relevance.numpy()) <= 2 * found.bounds.relevance).all()


@pytest.mark.parametrize("name", NAMES)
def test_modules_without_a_rule_get_the_gradient(name: str, zennit: Any) -> None:
    class Scaled(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return x * torch.tensor([2.0, -1, 0.5, 1], dtype=x.dtype)[:, None, None] + 0.25

    nn = torch.nn
    torch.manual_seed(3)
    module = nn.Sequential(
        nn.Conv2d(2, 4, 2), nn.LocalResponseNorm(3, alpha=2.0), Scaled(), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )
    module = module.to(torch.float64).eval()
    state = [value.numpy().copy() for value in module.state_dict().values()]
    factor = lrp.Scale(np.array([2, -1, 0.5, 1])[:, None, None], np.full((1, 1, 1), 0.25))
    layers = [lrp.Conv(*state[:2]), lrp.LRN(3, alpha=2.0), factor, lrp.Activation(), lrp.Flatten(), lrp.Dense(*state[2:])]
    net = lrp.Network([lrp.Node(f"n{k}", layer) for k, layer in enumerate(layers)])
    x = torch.rand(2, 2, 3, 3, dtype=torch.float64) * 2 - 1
    box = (torch.full_like(x, -1), torch.full_like(x, 1)) if name == "EpsilonGammaBox" else ()
    snake = "".join("_" * (k > 0 and c.isupper()) + c.lower() for k, c in enumerate(name))
    preset = getattr(ZEN, snake)(*((-1, 1) if box else ()))
    asked = x.clone().requires_grad_()
    with getattr(zennit, name)(*box).context(module) as modified:
        (relevance,) = torch.autograd.grad(modified(asked), asked, torch.eye(3, dtype=torch.float64)[[1, 1]])
    found = net.explain(x.numpy(), preset, target=1, seed="one", bounds=True)
    assert "x" not in found.bounds.says_nothing
    assert (np.abs(found.relevance - relevance.numpy()) <= 2 * found.bounds.relevance).all()
