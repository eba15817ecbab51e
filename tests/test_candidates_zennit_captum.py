"""The adapters of zennit and captum return what hand calculation says these libraries return."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from lrp_conform.builders import Unsupported

Case = dict[str, Any]

NONE = {"kind": "none", "epsilon": 0.0, "sign_at_zero": 1}
V0 = {"weight": np.array([[1.0, -1.0]]), "bias": np.array([-1.0])}


def signed(epsilon: float) -> dict[str, Any]:
    return {"kind": "signed_add", "epsilon": epsilon, "sign_at_zero": 1}


def node(op: str, params: Mapping[str, Any] | None = None, name: str = "n", inputs: Any = ("x",), **attrs: Any) -> Case:
    return {"name": name, "op": op, "inputs": list(inputs), "attrs": attrs, "params": dict(params or {})}


def case(layer: Case, rule: Mapping[str, Any], x: Any, relevance: Any, dtype: str = "float64") -> Case:
    rule = {"stabilizer": NONE, "bias": "absorb"} | dict(rule)
    return {
        "nodes": [layer],
        "rules": {layer["name"]: rule},
        "x": x,
        "relevance": relevance,
        "dtype": dtype,
        "device": "cpu",
    }


def v0(**rule: Any) -> Case:
    return case(node("dense", V0), rule, np.array([[1.0, 1.0]]), np.array([[-1.0]]))


@pytest.fixture(scope="module")
def zennit() -> Any:
    pytest.importorskip("torch", reason="torch is not installed")
    import torchvision_shim

    torchvision_shim.install()
    pytest.importorskip("zennit", reason="zennit is not installed")
    importlib.import_module("torch").set_num_threads(1)
    return importlib.import_module("lrp_conform.candidates.shipped.zennit")


@pytest.fixture(scope="module")
def captum() -> Any:
    pytest.importorskip("captum", reason="captum is not installed")
    importlib.import_module("torch").set_num_threads(1)
    return importlib.import_module("lrp_conform.candidates.shipped.captum")


def composed(adapter: Any, given: Case) -> np.ndarray:
    """Relevance of a one-hot candidate for any R, by linearity, for one input and one sample."""
    seeds, total = np.ravel(given["relevance"]), 0.0
    for target, seed in enumerate(seeds):
        got = adapter.run({key: value for key, value in given.items() if key != "relevance"} | {"target": target})
        total = total + seed / np.ravel(got["y"])[target] * got["relevance"]
    return np.asarray(total)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"rule": "zero"}, [1, -1]),
        ({"rule": "zero", "stabilizer": {"kind": "clip", "epsilon": 2.0}}, [0.5, -0.5]),
        ({"rule": "zero", "stabilizer": {"kind": "rms_scaled", "epsilon": 0.25}}, [0.8, -0.8]),
        ({"rule": "epsilon", "epsilon": 1.0, "stabilizer": signed(1.0)}, [0.5, -0.5]),
        ({"rule": "alpha-beta", "alpha": 2.0, "beta": 1.0, "bias": "split"}, [-2, 0.5]),
        ({"rule": "alpha-beta", "alpha": 2.0, "beta": 1.0, "bias": "ignore"}, [-2, 1]),
        ({"rule": "generalized-gamma", "gamma": 0.25}, [2 / 3, -5 / 6]),
        ({"rule": "w-square", "bias": "ignore"}, [-1 / 3, -1 / 3]),
        ({"rule": "flat", "bias": "ignore"}, [-0.5, -0.5]),
        ({"rule": "z-plus", "bias": "ignore"}, [-1, 0]),
        ({"rule": "z-box", "low": -2.0, "high": 2.0, "bias": "ignore"}, [-0.75, -0.25]),
        ({"rule": "z-box", "low": np.array([-2.0, -2.0]), "high": np.full((1, 2), 2.0)}, [-0.75, -0.25]),
    ],
)
def test_zennit_on_the_canonical_vector(zennit: Any, rule: dict[str, Any], expected: list[float]) -> None:
    got = zennit.run(v0(**rule))

    np.testing.assert_array_equal(got["y"], [[-1.0]])
    np.testing.assert_allclose(got["relevance"], [expected], rtol=1e-15)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"rule": "zero"}, [1, -1]),
        ({"rule": "epsilon", "epsilon": 1.0, "stabilizer": signed(1.0)}, [0.5, -0.5]),
        ({"rule": "gamma", "gamma": 0.25}, [5 / 3, -4 / 3]),
        ({"rule": "z-plus", "stabilizer": signed(1e-9)}, [-1e9, 0]),
        ({"rule": "z-plus", "bias": "ignore"}, [-1, 0]),
        ({"rule": "alpha-beta", "alpha": 1.0, "beta": 0.0, "bias": "split", "stabilizer": signed(1e-9)}, [-1e9, 0]),
    ],
)
def test_captum_on_the_canonical_vector(captum: Any, rule: dict[str, Any], expected: list[float]) -> None:
    own = 0 if rule["rule"] in ("zero", "epsilon") or "stabilizer" in rule else 2e-9  # the other rules always add captum's 1e-9
    np.testing.assert_allclose(composed(captum, v0(**rule)), [expected], rtol=max(own, 1e-15))


def forward(layer: Case, x: np.ndarray) -> np.ndarray:
    import torch

    from lrp_conform.builders.torch import build

    return build([layer], [torch.from_numpy(x)], add=lambda count: torch.nn.Identity())[1].numpy()


def convolution(axes: int, transposed: bool = False, **attrs: Any) -> Case:
    rng = np.random.default_rng(7)
    shape = (4, 2, *(3, 2, 2)[:axes])  # two groups: 4 channels to 4, transposed or not
    params = {"weight": rng.standard_normal(shape), "bias": rng.standard_normal(4)}
    return node("conv-transpose" if transposed else "conv", params, **attrs)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_conserves_all_but_the_bias(zennit: Any, captum: Any, axes: int, transposed: bool, dtype: str) -> None:
    layer = convolution(axes, transposed, stride=[2] * axes, padding=[[1, 1]] * axes, dilation=[1] * axes, groups=2)
    rng = np.random.default_rng(3)
    x = rng.standard_normal((1, 4, *(5, 4, 4)[:axes]))
    output = forward(layer, x)
    relevance = rng.standard_normal(output.shape)
    given = case(layer, {"rule": "zero"}, x, relevance, dtype)

    got = zennit.run(given)

    assert got["relevance"].dtype == got["y"].dtype == np.dtype(dtype)
    bias = layer["params"]["bias"].reshape((1, -1) + (1,) * axes)
    expected = relevance.sum() - (bias / output * relevance).sum()
    tolerance = {"float64": 1e-9, "float32": 1e-2, "float16": np.inf}[dtype]
    assert abs(got["relevance"].sum(dtype="float64") - expected) < tolerance
    if dtype == "float64":
        np.testing.assert_allclose(composed(captum, given), got["relevance"], rtol=1e-9, atol=1e-12)


POOL = {"kernel": [2, 2], "stride": [2, 2], "padding": [[0, 0], [0, 0]], "dilation": [1, 1]}
SQUARE = np.array([[[[1.0, 2.0], [-1.0, 4.0]]]])
NORM = {"gamma": np.array([2.0]), "beta": np.array([1.0]), "mean": np.array([3.0]), "variance": np.array([0.75])}


@pytest.mark.parametrize(
    ("layer", "rule", "expected"),
    [
        (node("avg-pool", **POOL), "zero", [1, 2, -1, 4]),
        (node("sum-pool", **POOL), "zero", [1, 2, -1, 4]),
        (node("global-avg-pool"), "norm", [1, 2, -1, 4]),
        (node("max-pool", **POOL), "pass", [0, 0, 0, 6]),
        (node("max-pool", **POOL), "zero", [0, 0, 0, 6]),
        (node("activation", function="tanh"), "pass", [6, 6, 6, 6]),
        (node("batch-norm", NORM, epsilon=0.25), "pass", [6, 6, 6, 6]),
        (node("batch-norm", NORM, epsilon=0.25), "zero", [-4, -24, 12 / 7, 16]),
    ],
)
def test_layers_without_kernel(zennit: Any, captum: Any, layer: Case, rule: str, expected: list[float]) -> None:
    relevance = np.full(forward(layer, SQUARE).shape, 6.0)
    given = case(layer, {"rule": rule}, SQUARE, relevance)

    for got in (zennit.run(given)["relevance"], composed(captum, given)):
        np.testing.assert_allclose(np.ravel(got), expected, rtol=1e-8)


def test_addition_hands_each_input_its_share(zennit: Any, captum: Any) -> None:
    layer = node("add", inputs=("x0", "x1"))
    given = case(layer, {"rule": "norm"}, [np.array([[1.0]]), np.array([[3.0]])], np.array([[4.0]]))

    assert [part.item() for part in zennit.run(given)["relevance"]] == [1.0, 3.0]
    assert [part.item() for part in captum.run(given | {"target": 0})["relevance"]] == [1.0, 3.0]


def test_layers_in_a_chain(zennit: Any, captum: Any) -> None:
    nodes = [
        node("dense", {"weight": np.array([[1.0, 1.0], [1.0, -1.0]])}, name="a"),
        node("activation", name="b", inputs=("a",), function="relu"),
        node("dense", {"weight": np.array([[2.0, 1.0]])}, name="c", inputs=("b",)),
    ]
    rules = {
        name: {"rule": rule, "stabilizer": NONE, "bias": "absorb"}
        for name, rule in (("a", "zero"), ("b", "pass"), ("c", "zero"))
    }
    given = {"nodes": nodes, "rules": rules, "x": np.array([[3.0, 1.0]]), "dtype": "float64", "device": "cpu"}

    np.testing.assert_allclose(zennit.run(given | {"relevance": np.array([[10.0]])})["relevance"], [[9.0, 1.0]])
    np.testing.assert_allclose(captum.run(given | {"target": 0})["relevance"], [[9.0, 1.0]])


def test_declines_what_the_libraries_cannot_express(zennit: Any, captum: Any) -> None:
    uneven = convolution(1, padding=[[1, 0]], groups=2)
    with pytest.raises(Unsupported, match="same amount"):
        zennit.run(case(uneven, {"rule": "zero"}, np.ones((1, 4, 5)), np.ones((1, 4, 4))))
    with pytest.raises(Unsupported, match="sign of zero"):
        zennit.run(v0(rule="zero", stabilizer=signed(1.0) | {"sign_at_zero": 0}))
    with pytest.raises(Unsupported, match="alpha-beta"):
        captum.run(v0(rule="alpha-beta", alpha=2.0, beta=1.0) | {"target": 0})


@pytest.mark.parametrize("name", ["zennit", "captum"])
def test_names_what_to_install(name: str) -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        f"from lrp_conform.candidates.shipped import {name} as adapter\n"
        "try: adapter.run({})\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "pip install torch" in done.stdout
