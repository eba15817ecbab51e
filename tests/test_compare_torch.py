"""Torch models of users, exported and explained by zennit and captum, beside the reference: agreement, and what does not."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lrp_ref as lrp
from lrp_conform.compare import Comparison, compare_torch
from lrp_conform.compare.matching import path_of

pytest.importorskip("onnx", reason="onnx is not installed: no model is exported")
torch = pytest.importorskip("torch", reason="torch is not installed")
nn = torch.nn


@pytest.fixture(autouse=True)
def zennit() -> Iterator[Any]:
    import torchvision_shim

    torchvision_shim.install()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces its next exporter, captum its hooks
        yield pytest.importorskip("zennit.composites", reason="zennit is not installed")


class Block(nn.Module):  # type: ignore[misc, name-defined]
    """relu(x + norm(conv(relu(norm(conv(x))))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.norm1, self.relu1 = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()
        self.conv2, self.norm2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()

    def forward(self, x: Any) -> Any:
        h = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        return self.relu2(self.add(h, x))

    def add(self, a: Any, b: Any) -> Any:
        return a + b


def canonizers() -> list[Any]:
    """Batch norms merged, and a Sum in every block, as zennit does it for torchvision's."""
    from zennit.canonizers import AttributeCanonizer, SequentialMergeBatchNorm
    from zennit.layer import Sum

    def attributes(name: str, module: Any) -> dict[str, Any] | None:
        if not isinstance(module, Block):
            return None
        return {"added": Sum(), "add": lambda a, b: module.added(torch.stack([a, b], -1))}

    return [SequentialMergeBatchNorm(), AttributeCanonizer(attributes)]


class Summed(Block):
    """The same with zennit's Sum in the model itself: its export stacks and sums."""

    def __init__(self, channels: int) -> None:
        from zennit.layer import Sum

        super().__init__(channels)
        self.sum = Sum()

    def add(self, a: Any, b: Any) -> Any:
        return self.sum(torch.stack([a, b], -1))


class Net(nn.Module):  # type: ignore[misc, name-defined]
    """Images (N, 3, 12, 12) to five logits."""

    def __init__(self, block: type[Block]) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU())
        self.block, self.pool, self.rows = block(4), nn.MaxPool2d(2), nn.Linear(16, 5)

    def forward(self, x: Any) -> Any:
        return self.rows(self.pool(self.block(self.stem(x))).flatten(1))


def randomised(model: Any) -> Any:
    """In inference mode, with batch-norm statistics as training leaves them."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def made(block: type[Block]) -> tuple[Any, Any]:
    torch.manual_seed(0)
    return randomised(Net(block)), torch.rand(2, 3, 12, 12) * 4 - 2


QUICK = ("epsilon_alpha2_beta1", "epsilon_plus_flat", "epsilon_gamma_box(-2, 2)", "excitation_backprop")
NAMES = (*QUICK, "epsilon_plus", "epsilon_alpha2_beta1_flat")


@pytest.mark.parametrize("name", QUICK)
def test_zennit_agrees_at_every_node_of_a_residual_network(name: str) -> None:
    found = compare_torch(*made(Block), f"zennit.{name}", canonizers=canonizers())
    assert found.verdict == "agrees"
    assert {c.verdict for c in (*found.nodes, *found.forward)} == {"agrees"}
    assert {name for c in found.nodes for name in c.nodes} == {*found.kinds, "(seed)"}
    assert found.unmatched == found.unseen == ()


def test_a_sum_that_the_model_has_itself_agrees() -> None:
    found = compare_torch(*made(Summed), "zennit.epsilon_plus")
    assert {c.verdict for c in (*found.nodes, *found.forward)} == {"agrees"}


def test_float64_agrees_end_to_end_too() -> None:
    model, x = made(Summed)
    found = compare_torch(model.double(), x, "zennit.epsilon_plus", target=[1, 4], seed="one")
    assert [c.verdict for c in found.whole] == ["agrees"]
    assert {c.verdict for c in found.nodes} == {"agrees"}
    assert found.dtype == "float64"


def test_relevance_may_start_anywhere() -> None:
    model, x = made(Block)
    found = compare_torch(model, x, "zennit.epsilon_plus", seed=torch.rand(2, 5), canonizers=canonizers())
    assert {c.verdict for c in found.nodes} == {"agrees"}
    assert compare_torch(model, x, seed="probability", target="argmax", canonizers=canonizers()).verdict == "agrees"


def test_numbers_that_onnx_rounds_are_the_modules_own() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv1d(2, 3, 3), nn.LeakyReLU(0.1), nn.BatchNorm1d(3), nn.ELU(0.7), nn.Flatten(), nn.Linear(12, 3)]
    found = compare_torch(randomised(nn.Sequential(*layers)).double(), torch.randn(2, 2, 6), "zennit.epsilon_plus")
    assert {c.verdict for c in (*found.nodes, *found.forward, *found.whole)} == {"agrees"}


def test_batch_norms_that_the_exporter_merges_agree_as_well() -> None:
    model, x = made(Summed)
    found = compare_torch(model, x, "zennit.epsilon_plus", export={"training": torch.onnx.TrainingMode.EVAL})
    assert {c.verdict for c in (*found.nodes, *found.forward)} == {"agrees"}
    assert not any(kind == "BatchNorm" for kind in found.kinds.values())


def test_a_residual_sum_without_a_canonizer_is_the_one_node_that_deviates() -> None:
    found = compare_torch(*made(Block), "zennit.epsilon_plus")
    assert found.verdict == "deviates"
    assert {c.nodes for c in found.deviations} == {("/block/Add",)}
    assert {c.hint for c in found.deviations} == {"the library does the plain gradient, no rule, at /block/Add"}


def test_where_two_libraries_mean_something_else_by_one_name_is_named() -> None:
    ours = "relevance_propagation_jl.epsilon_gamma_box(-2, 2, gamma=0.5)"
    found = compare_torch(*made(Block), ours, "zennit.epsilon_gamma_box(-2, 2, gamma=0.5)", canonizers=canonizers())
    assert found.verdict == "deviates"
    assert {c.nodes for c in found.deviations} == {("/block/Add",), ("/block/conv2/Conv",)}
    assert {c.hint for c in found.deviations} == {
        f"the library does the same rule as in zennit-1.0, at {name}" for name in ("/block/Add", "/block/conv2/Conv")
    }


def test_batch_norms_left_in_place_are_found_in_the_values() -> None:
    found = compare_torch(*made(Summed), "zennit.epsilon_plus", canonizers=[])
    assert found.verdict == "deviates"
    assert {found.kinds[c.nodes[0]] for c in found.deviations} == {"Conv"}


def test_the_model_of_the_user_is_left_alone() -> None:
    model, x = made(Summed)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    compare_torch(model.train(), x, "zennit.epsilon_plus")
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def own(model: Any, x: Any) -> Any:
    """Input times gradient: LRP-0, which is what epsilon is but for its epsilon."""
    x.requires_grad_()
    y = model(x)
    (gradient,) = torch.autograd.grad(y[range(len(y)), y.argmax(1)].sum(), x)
    return x * gradient


def test_a_function_of_the_users_own_is_judged_end_to_end() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))
    x = torch.randn(2, 2, 6, 6)
    zero = lrp.Composite(
        [
            lrp.Assign(lrp.Zero(), kind=(lrp.Conv, lrp.Dense)),
            lrp.Assign(lrp.Pass(), kind=lrp.Activation),
            lrp.Assign(lrp.Gradient(), kind=lrp.Flatten),
        ],
        "zero",
    )
    assert compare_torch(model, x, zero, own).verdict == "agrees"
    wrong = compare_torch(model, x, zero, lambda model, x: own(model, x).abs())
    assert (wrong.verdict, wrong.nodes) == ("deviates", ())


def test_a_function_may_show_what_arrives_at_modules() -> None:
    model, x = made(Summed)

    def shown(model: Any, x: Any) -> Any:
        found = explained()
        planted = found.given.relevance["/block/relu1/Relu"] * np.float32(1.5)
        return found.given.relevance["input"], {"block.relu1": planted, "stem.2": found.given.relevance["/stem/stem.2/Relu"]}

    def explained() -> Comparison:
        return compare_torch(model, x, "zennit.epsilon_plus")

    found = compare_torch(model, x, "zennit.epsilon_plus", shown)
    assert [c.value for c in found.deviations] == ["/block/relu1/Relu", "/stem/stem.2/Relu"]


def test_captum_agrees_on_a_plain_network_and_its_residual_sums_are_named() -> None:
    pytest.importorskip("captum", reason="captum is not installed")
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 8, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]

    class Plain(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, twice: bool) -> None:
            super().__init__()
            self.images, self.rows, self.twice = nn.Sequential(*layers), nn.Linear(8, 3), twice

        def forward(self, x: Any) -> Any:
            h = self.images(x).flatten(1)
            return self.rows(h + h if self.twice else h)

    x = torch.randn(2, 2, 6, 6)
    found = compare_torch(Plain(False), x, "captum.epsilon")
    assert {c.verdict for c in (*found.nodes, *found.forward)} == {"agrees"}
    wrong = compare_torch(Plain(True), x, "captum.epsilon")
    assert "/Add" in wrong.deviations[0].nodes


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1"),
        ("/images/images.4/path/path.0/Conv", "images.4.path.0"),
        ("/fc/Gemm", "fc"),
        ("/Flatten", ""),
        ("output", ""),
    ],
)
def test_module_paths_are_read_from_the_names_of_nodes(name: str, path: str) -> None:
    assert path_of(name) == path


class Ahead(nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, x: Any) -> Any:
        return torch.linalg.svd(x.flatten(1)[:, :4, None] @ x.flatten(1)[:, None, :4]).S


def mistaken(what: str) -> Any:
    model, x = made(Summed)
    options: dict[str, Any] = {}
    if what == "shape":
        x = x[:, :2]
    if what == "export":
        model = Ahead()
    if what == "library":
        options["attribute"] = "zenith"
    if what == "relevance":
        options["attribute"] = lambda model, x: x[:, :1]
    if what == "model":
        model = [model]
    if what == "composite":
        options["composite"] = "zennit.epsilon_pluss"
    return lambda: compare_torch(model, x, **options)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("shape", r"the model does not take x of shape \(2, 2, 12, 12\)"),
        ("export", "torch cannot export the model"),
        ("library", "attribute: expected a function of model and x, or a library's composite"),
        ("relevance", r"relevance of 'input': expected shape \(2, 3, 12, 12\), got \(2, 1, 12, 12\)"),
        ("model", "model: expected a torch.nn.Module, got list"),
        ("composite", "zennit has epsilon_gamma_box"),
    ],
)
def test_mistakes_are_told_in_one_line(what: str, message: str) -> None:
    with pytest.raises(lrp.LRPError, match=message) as error:
        mistaken(what)()
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_zennit_agrees_at_every_node_of_torchvisions_resnet(name: str) -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    model, x = randomised(resnet18(weights=None)), torch.rand(1, 3, 64, 64) * 4 - 2
    found = compare_torch(model, x, f"zennit.{name}")
    assert {c.verdict for c in (*found.nodes, *found.forward)} == {"agrees"}
    assert found.verdict == "agrees"
    assert len(found.nodes) == 61
    assert found.unmatched == ()
