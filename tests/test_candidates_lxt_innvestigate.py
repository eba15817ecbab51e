"""The adapters of lxt and iNNvestigate return what hand calculation says these libraries return.

iNNvestigate needs TensorFlow and an old NumPy. Where this environment has neither, LRP_INNVESTIGATE_PYTHON names the
Python of one that has, and the adapter runs there.
"""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from test_candidates_zennit_captum import NONE, NORM, POOL, SQUARE, Case, case, node, signed, v0

import lrp_conform
from lrp_conform.builders import Unsupported
from lrp_conform.candidates import adapter

PACKAGES = Path(lrp_conform.__file__).parents[1]
SERVE = """
import os, pickle, sys, warnings
answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
warnings.simplefilter("ignore")
from lrp_conform.candidates.shipped import innvestigate as adapter
while True:
    try:
        case = pickle.load(sys.stdin.buffer)
    except EOFError:
        break
    try:
        answer = adapter.run(case)
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    pickle.dump(answer, answers, protocol=4)
    answers.flush()
"""


@pytest.fixture(scope="module")
def lxt() -> Any:
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("lxt", reason="lxt is not installed")
    importlib.import_module("torch").set_num_threads(1)
    return importlib.import_module("lrp_conform.candidates.shipped.lxt")


@pytest.fixture(scope="module")
def innvestigate() -> Iterator[Any]:
    python = os.environ.get("LRP_INNVESTIGATE_PYTHON")
    if python is None:
        pytest.importorskip("innvestigate", reason="iNNvestigate is not installed, and LRP_INNVESTIGATE_PYTHON is not set")
    env = os.environ | {"PYTHONPATH": str(PACKAGES), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [python or sys.executable, "-c", SERVE]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env
    ) as process:

        def run(given: Case) -> dict[str, Any]:
            pickle.dump(given, process.stdin, protocol=4)
            process.stdin.flush()
            answer = pickle.load(process.stdout)
            if "error" in answer:
                raise RuntimeError(answer["error"])
            return answer

        yield SimpleNamespace(run=run)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"rule": "zero"}, [1, -1]),
        ({"rule": "epsilon", "epsilon": 0.5, "stabilizer": signed(0.5)}, [2, -2]),  # -1 + 0.5: the sign of z is not asked
    ],
)
def test_lxt_on_the_canonical_vector(lxt: Any, rule: dict[str, Any], expected: list[float]) -> None:
    got = lxt.run(v0(**rule))

    np.testing.assert_array_equal(got["y"], [[-1.0]])
    np.testing.assert_array_equal(got["relevance"], [expected])


@pytest.mark.parametrize(
    ("layer", "rule", "expected"),
    [
        (node("avg-pool", **POOL), {"rule": "zero"}, [1, 2, -1, 4]),
        (node("global-avg-pool"), {"rule": "norm", "bias": "ignore"}, [1, 2, -1, 4]),
        (node("global-avg-pool"), {"rule": "zero", "stabilizer": signed(1.5)}, [0.5, 1, -0.5, 2]),  # on the mean, 1.5
        (node("activation", function="tanh"), {"rule": "pass"}, [6, 6, 6, 6]),
        (node("batch-norm", NORM, epsilon=0.25), {"rule": "pass"}, [6, 6, 6, 6]),
        (node("batch-norm", NORM, epsilon=0.25), {"rule": "zero"}, [-4, -24, 12 / 7, 16]),
    ],
)
def test_lxt_on_other_layers(lxt: Any, layer: Case, rule: dict[str, Any], expected: list[float]) -> None:
    shape = (1, 1, 1, 1) if layer["op"].endswith("pool") else SQUARE.shape

    got = lxt.run(case(layer, rule, SQUARE, np.full(shape, 6.0)))

    np.testing.assert_allclose(np.ravel(got["relevance"]), expected, rtol=1e-14)


def addition(rule: str, *x: float) -> Case:
    layer = node("add", inputs=tuple(f"x{k}" for k in range(len(x))))
    return case(layer, {"rule": rule}, [np.array([[value]]) for value in x], np.array([[12.0]]))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (addition("zero", 1, 3), [3, 9]),
        (addition("flat", 1, 3), [6, 6]),
        (addition("zero", 1, 2, 3), [12, 12, 12]),  # R / z times 1 * 2 * 3: the inputs share one gradient, multiplied in place
    ],
)
def test_lxt_on_sums(lxt: Any, given: Case, expected: list[float]) -> None:
    assert [part.item() for part in lxt.run(given)["relevance"]] == expected


def test_lxt_keeps_the_bias_in_the_denominator(lxt: Any) -> None:
    with pytest.raises(Unsupported, match="bias"):
        lxt.run(v0(rule="zero", bias="ignore"))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"rule": "zero"}, [1, -1]),
        ({"rule": "zero", "bias": "ignore"}, [-1e7, 1e7]),
        ({"rule": "epsilon", "epsilon": 1.0, "stabilizer": signed(1.0)}, [0.5, -0.5]),
        ({"rule": "norm", "bias": "ignore", "stabilizer": signed(0.5)}, [-2, 2]),
        ({"rule": "alpha-beta", "alpha": 1.0, "beta": 0.0, "bias": "split"}, [-1e7, 0]),
        ({"rule": "alpha-beta", "alpha": 2.0, "beta": 1.0, "bias": "split"}, [-2e7, 0.5]),
        ({"rule": "alpha-beta", "alpha": 2.0, "beta": 1.0, "bias": "ignore"}, [-2, 1]),
        ({"rule": "alpha-beta-x", "alpha0": 1.0, "alpha1": 0.0, "beta0": 0.0, "beta1": 0.0}, [-1, 0]),
        ({"rule": "z-plus"}, [-1, 0]),
        ({"rule": "z-plus-fast"}, [-1, 0]),
        ({"rule": "w-square", "bias": "square"}, [-0.5, -0.5]),
        ({"rule": "flat", "bias": "ignore"}, [-0.5, -0.5]),
        ({"rule": "z-box", "low": -2.0, "high": 2.0, "bias": "ignore"}, [-0.75, -0.25]),
        ({"rule": "z-box", "low": np.array([-2.0, -2.0]), "high": np.full((1, 2), 2.0)}, [-0.75, -0.25]),
    ],
)
def test_innvestigate_on_the_canonical_vector(innvestigate: Any, rule: dict[str, Any], expected: list[float]) -> None:
    got = innvestigate.run(v0(**rule))

    np.testing.assert_array_equal(got["y"], [[-1.0]])
    np.testing.assert_allclose(got["relevance"], [expected], rtol=1e-14)


CONV = node("conv", {"weight": np.array([[[1.0, 2.0]], [[3.0, 4.0]]])}, stride=[1], padding=[[1, 0]], dilation=[1], groups=1)


@pytest.mark.parametrize(
    ("layer", "rule", "x", "relevance", "expected"),
    [
        (CONV, "zero", [[1, 1]], [[2, 3], [4, 7]], [[2 + 1 + 4 + 3, 2 + 4]]),
        (CONV, "flat", [[1, 1]], [[2, 4], [6, 8]], [[1 + 2 + 3 + 4, 2 + 4]]),  # one half of 2 and of 6 is lost to the padding
        (node("avg-pool", **POOL), "zero", SQUARE[0], [[[6]]], [[[1, 2], [-1, 4]]]),
        (node("max-pool", **POOL), "pass", SQUARE[0], [[[6]]], [[[0, 0], [0, 6]]]),
        (node("flatten"), "pass", [[1, 2], [3, 4]], [5, 6, 7, 8], [[5, 6], [7, 8]]),
    ],
)
def test_innvestigate_takes_channels_first(
    innvestigate: Any, layer: Case, rule: str, x: Any, relevance: Any, expected: Any
) -> None:
    given = case(layer, {"rule": rule}, np.array([x], dtype=float), np.array([relevance], dtype=float))

    np.testing.assert_allclose(innvestigate.run(given)["relevance"], [expected], rtol=1e-14)


def test_innvestigate_squares_the_variance_of_a_batch_norm(innvestigate: Any) -> None:
    params = {name: np.array([value]) for name, value in (("gamma", 2.0), ("beta", 1.0), ("mean", 3.0), ("variance", 2.0))}
    given = case(node("batch-norm", params, epsilon=5.0), {"rule": "zero"}, np.array([[6.0]]), np.array([[12.0]]))

    np.testing.assert_allclose(innvestigate.run(given)["relevance"], [[12 * 4 / (4 + 1 - 1)]], rtol=1e-14)


def test_innvestigate_hands_relevance_to_several_inputs_and_samples(innvestigate: Any) -> None:
    layer, x = node("add", inputs=("x0", "x1")), [np.array([[1.0], [2.0]]), np.array([[3.0], [2.0]])]

    got = innvestigate.run(case(layer, {"rule": "zero"}, x, np.array([[4.0], [6.0]]), "float32"))

    assert [part.tolist() for part in got["relevance"]] == [[[1.0], [3.0]], [[3.0], [3.0]]]
    assert {part.dtype for part in got["relevance"]} == {got["y"].dtype} == {np.dtype("float32")}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (v0(rule="gamma", gamma=0.25), "no rule gamma for dense"),
        (v0(rule="alpha-beta", alpha=0.5, beta=-0.5), "alpha >= 1"),
        (case(node("avg-pool", **POOL), {"rule": "flat"}, SQUARE, np.ones((1, 1, 1, 1))), "no rule flat for avg-pool"),
    ],
)
def test_innvestigate_declines_what_it_cannot_express(innvestigate: Any, given: Case, why: str) -> None:
    with pytest.raises(RuntimeError, match=f"Unsupported.*{why}"):
        innvestigate.run(given)


@pytest.mark.parametrize(("name", "library"), [("lxt", "torch"), ("innvestigate", "tensorflow")])
def test_imports_nothing_but_numpy_and_names_what_to_install(name: str, library: str) -> None:
    script = (
        f"import sys; sys.modules.update(dict.fromkeys(['lrp_ref', 'scipy', 'flint', {library!r}]))\n"
        f"from lrp_conform.candidates.shipped import {name} as adapter\n"
        "try: adapter.run({})\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=PACKAGES)

    assert "pip install" in done.stdout


@pytest.mark.parametrize("name", ["lxt", "innvestigate"])
def test_declares_features_that_cases_have(name: str) -> None:
    (candidate,) = adapter.load(f"lrp_conform.candidates.shipped.{name}")

    assert candidate.name == name
    assert NONE["kind"] in {feature.removeprefix("stabilizer.") for feature in candidate.features}
