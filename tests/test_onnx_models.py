"""The nine architectures that ship inside the `onnx` package: loaded, run, explained.

Their weights are constants, so that every class comes out alike; with random ones instead, onnxruntime is the judge.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from networks import PRESETS  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from onnx_models import load, runtime  # noqa: E402

import lrp_ref as lrp  # noqa: E402
from lrp_ref.network.graph import inputs_of  # noqa: E402
from lrp_ref.network.node_bounds import forward_error, in_float64_fields  # noqa: E402

FOLDER = Path(onnx.__file__).parent / "backend/test/data/light"
NAMES = (
    "bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19", "zfnet512",
)  # fmt: skip


def named(*quick: str, among: Sequence[str] = NAMES) -> Any:
    """The nine, or some of them; those that are not `quick` for runs that have the time."""
    return pytest.mark.parametrize("name", [n if n in quick else pytest.param(n, marks=pytest.mark.slow) for n in among])


EPSILON_PLUS = PRESETS["zennit.epsilon_plus"]()
WITH_LRN = ("bvlc_alexnet", "inception_v1", "zfnet512")
QUICK = (("bvlc_alexnet", "julia.epsilon_plus"), ("shufflenet", "zennit.epsilon_plus"))


def image() -> Any:
    """What the package's own runner of these models feeds them."""
    count = 3 * 224 * 224
    return (np.arange(count).reshape(1, 3, 224, 224) / count).astype(np.float32)


def randomized(name: str) -> Any:
    """The model with random weights of a size that keeps the activations' in place of its constants."""
    proto, random = onnx.load(FOLDER / f"light_{name}.onnx"), np.random.default_rng(0)
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    made = [node for node in proto.graph.node if node.op_type == "ConstantOfShape"]
    positive = {node.input[4] for node in proto.graph.node if node.op_type == "BatchNormalization"}
    for node in made:
        shape = tuple(shapes[node.input[0]])
        weights = (
            random.normal(size=shape) * np.sqrt(2 / max(np.prod(shape[1:]), 1)) if len(shape) > 1 else random.normal(size=shape)
        )
        weights = abs(weights) + 0.5 if node.output[0] in positive else weights
        proto.graph.initializer.append(numpy_helper.from_array(weights.astype(np.float32), node.output[0]))
        proto.graph.node.remove(node)
    return proto


def test_all_nine_are_here() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.onnx")) == [f"light_{name}.onnx" for name in NAMES]


def in_doubles(network: lrp.Network, x: Any) -> tuple[Any, Any]:
    """The output in float64, and how far an honest float32 one may lie from the exact one, whatever the order of its sums."""
    wide = lrp.Network([replace(node, layer=in_float64_fields(node.layer)) for node in network.nodes], network.inputs)
    values = wide.forward(x.astype(np.float64), at="all")
    errors = {name: 0 * values[name] for name in network.inputs}
    for node in network.nodes:
        given, inherited = ([table[name] for name in inputs_of(node)] for table in (values, errors))
        errors[node.name] = forward_error(node.layer, given, inherited, "float32")
    return values[network.outputs[0]], errors[network.outputs[0]]


@named("inception_v1", "shufflenet", "squeezenet")
def test_the_shipped_output_is_reproduced(name: str) -> None:
    """Before the softmax, which makes e^-1024 of the last bit of a logit of 1e10, and which forgets what all logits share."""
    expected = numpy_helper.to_array(onnx.TensorProto.FromString((FOLDER / f"light_{name}_output_0.pb").read_bytes()))
    network, x = lrp.load_onnx(FOLDER / f"light_{name}.onnx"), image()
    logits = lrp.transforms.strip_softmax(network)
    found, (exact, off) = logits.forward(x), in_doubles(logits, x)
    assert found.dtype == np.float32
    assert np.all(abs(found - exact) <= off)
    assert np.max(off) < 0.05 * np.max(abs(found))  # the bound speaks
    if len(logits.nodes) < len(network.nodes):
        expected, found, off = np.log(expected) - np.log(expected[:, :1]), found - found[:, :1], off + off[:, :1]
    assert found.shape == expected.shape
    assert np.all(abs(found - expected) <= 2 * off)


@cache
def explained(name: str) -> lrp.Network:
    """The model as its users explain it: logits, and batch norms merged where they can be."""
    return lrp.transforms.merge_batch_norm(lrp.transforms.strip_softmax(lrp.load_onnx(FOLDER / f"light_{name}.onnx")))


def balanced() -> Any:
    """Every preset on every model that it has rules for; most of them for runs that have the time."""
    pairs = [(name, preset) for name in NAMES for preset in PRESETS if name not in WITH_LRN or preset != "captum.epsilon"]
    slow = pytest.mark.slow
    return pytest.mark.parametrize(
        ("name", "preset"), [pair if pair in QUICK else pytest.param(*pair, marks=slow) for pair in pairs]
    )


@balanced()
def test_an_explanation_balances(name: str, preset: str) -> None:
    """No preset refuses a node, and what is missing is rounding of all the relevance that passed through the nodes."""
    found = explained(name).explain(image(), PRESETS[preset](), target=0, seed="one")
    assert found.relevance.shape == (1, 3, 224, 224)
    passed = sum(float(np.sum(abs(account.arrived))) for account in found.ledger.nodes.values())
    assert abs(found.ledger.imbalance()[0]) <= 1e-5 * passed


@named("bvlc_alexnet", among=WITH_LRN)
def test_captum_has_no_rule_for_local_response_normalisation(name: str) -> None:
    with pytest.raises(lrp.LRPError, match=r"captum\.epsilon: no rule for \w+ \(LRN\), \w+ \(LRN\); add Assign"):
        PRESETS["captum.epsilon"]().assign(explained(name))


@named("shufflenet")
def test_the_imbalance_is_rounding(name: str) -> None:
    network = lrp.transforms.strip_softmax(lrp.load_onnx(FOLDER / f"light_{name}.onnx"))
    network.explain(image(), EPSILON_PLUS, target=0, seed="one").ledger.check()


@named("shufflenet", "squeezenet")
def test_with_random_weights_onnxruntime_agrees(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    proto, x = randomized(name), np.random.default_rng(1).normal(size=(1, 3, 224, 224)).astype(np.float32)
    network = load(proto, tmp_path)
    logits = lrp.transforms.strip_softmax(network)
    (expected,) = runtime(proto, **{network.inputs[0]: x})
    found = network.forward(x)
    assert np.std(logits.forward(x)) > 0.01
    assert np.allclose(found, expected, rtol=1e-2, atol=1e-5 * np.max(abs(expected)))
