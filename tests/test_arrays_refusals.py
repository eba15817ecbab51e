"""Arrays that look like ones of numbers and are not: refused in one true line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lrp_ref as lrp
from lrp_ref.kernels import switched

W, B = np.array([[1.0, -1.0]]), np.array([-1.0])
X, R = np.array([[1.0, 2.0]]), np.array([[1.0]])


def matrix(a: Any) -> Any:
    with pytest.warns(PendingDeprecationWarning):
        return np.matrix(a)


OTHERS = {"MaskedArray": np.ma.masked_array, "matrix": matrix}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("place", ["x", "relevance", "Dense.weight"])
def test_an_array_whose_operators_mean_something_else_is_refused(kind: str, place: str) -> None:
    given = {"x": X, "relevance": R, "Dense.weight": W}
    given[place] = OTHERS[kind](given[place])
    with pytest.raises(
        lrp.LRPError, match=f"^{place}: expected a plain array, got {kind}, whose operators mean something else"
    ):
        lrp.propagate(lrp.Dense(given["Dense.weight"], B), given["x"], given["relevance"], lrp.Zero())


def test_an_array_on_the_disk_is_a_plain_one(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    layer = lrp.Dense(W, B)
    assert np.array_equal(
        lrp.propagate(layer, mapped, R, lrp.Zero()).relevance, lrp.propagate(layer, X, R, lrp.Zero()).relevance
    )


def test_integers_of_numpy_are_no_exact_numbers() -> None:
    x = np.empty((1, 2), object)
    x[...] = np.int32(1)
    with pytest.raises(lrp.LRPError, match=r"^x\[0, 0\]: expected an exact number, got int32 np.int32\(1\); use lrp_ref.exact"):
        lrp.propagate(lrp.Dense(lrp.exact(W), lrp.exact(B)), x, lrp.exact(R), lrp.Zero())


def test_arrays_of_two_libraries_are_told_apart_by_their_library() -> None:
    jnp = pytest.importorskip("jax.numpy")
    layer = lrp.Dense(jnp.asarray(W, jnp.float32), jnp.asarray(B, jnp.float32))
    with pytest.raises(lrp.LRPError, match=r"^Dense.weight is an array of jax\w*, but x is one of numpy; convert one"):
        lrp.propagate(layer, X.astype(np.float32), R.astype(np.float32), lrp.Zero())


def test_a_name_alone_is_nothing_that_relevance_sees() -> None:
    with pytest.raises(lrp.LRPError, match=r"^Assign: expected sees as fields of the layer by name, .*; got 'nosuch'$"):
        lrp.Assign(lrp.Zero(), sees="nosuch")  # type: ignore[arg-type]


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "plain"])
@pytest.mark.parametrize("call", [lrp.propagate, lrp.messages])
def test_a_parameter_that_was_spoilt_since_is_named_where_its_numbers_show(call: Any, kernels: bool) -> None:
    layer = lrp.Dense(W.copy(), B)
    layer.weight[0, 1] = np.nan
    with switched(kernels), pytest.raises(lrp.LRPError, match=r"^Dense.weight\[0, 1\]: expected a finite number, got nan"):
        call(layer, X, R, lrp.ZPlus())
    layer.weight[0, 1] = 1e308
    with switched(kernels), pytest.raises(lrp.LRPError, match=r"^Dense: a sum or a quotient overflows float64"):
        call(layer, 10 * X, R, lrp.ZPlus())
