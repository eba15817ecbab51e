"""Keras models of users, exported by tf2onnx and explained by iNNvestigate, where both are installed."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed: no Keras model is made")
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed: no Keras model is exported")
pytest.importorskip("innvestigate", reason="innvestigate is not installed")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    tf.compat.v1.disable_eager_execution()  # which iNNvestigate asks for
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def given() -> tuple[Any, Any]:
    from keras_export import model

    tf.compat.v1.disable_eager_execution()
    tf.keras.utils.set_random_seed(0)
    return model(), np.random.default_rng(1).normal(size=(2, 8, 8, 2)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["epsilon", "epsilon(0.5)", "alpha2_beta1", "sequential_preset_a", "w_square", "z_plus"])
def test_innvestigate_agrees_at_every_layer_in_one_call(given: tuple[Any, Any], name: str) -> None:
    from lrp_conform.compare import compare_keras

    found = compare_keras(*given, f"innvestigate.{name}")
    assert {c.verdict for c in (*found.nodes, *found.forward)} <= {"agrees", "unproved"}
    assert len(found.nodes) == 9
    assert found.unmatched == ()


@pytest.mark.slow
def test_a_function_of_the_users_own_is_judged(given: tuple[Any, Any]) -> None:
    from lrp_conform.compare import compare_keras

    def constant(model: Any, x: Any) -> Any:
        return np.ones_like(x), {"act": np.ones((2, 6, 6, 3), np.float32)}

    found = compare_keras(*given, "zennit.epsilon_plus", constant, merge_batch_norm=True)
    assert found.verdict == "deviates"


def test_mistakes_are_one_line(given: tuple[Any, Any]) -> None:
    from lrp_conform.compare import compare_keras

    model, x = given
    with pytest.raises(ValueError, match=r"x: expected shape \(N, 8, 8, 2\), got \(2, 8, 8, 1\)"):
        compare_keras(model, x[..., :1])
    with pytest.raises(ValueError, match="composite: iNNvestigate is asked for z, epsilon"):
        compare_keras(model, x, "zennit.epsilon_plus")
    with pytest.raises(ValueError, match=r"model: expected a tf.keras model, got list"):
        compare_keras([model], x)
