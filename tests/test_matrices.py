"""A layer as matrices: what they say of the layer, dense as sparse, at sizes where dense does not fit, and in files."""

import subprocess
import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import array_api_strict
import numpy as np
import pytest
from flint import arb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from namespaces import posed
from strategies import DYADIC, OPS, fits, placed, questions

import lrp_ref as lrp
from lrp_conform.cases import model
from lrp_conform.cases.numbers import exact_array, float_array
from lrp_ref.arrays import flattened

PAIRS = [(rule, op) for rule in lrp.RULES for op in ("conv", "sum-pool", "concat", "add") if fits(rule, op)]
few = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


def as_tuple(x: Any) -> tuple[Any, ...]:
    return x if isinstance(x, tuple) else (x,)


def in_float64(data: dict[str, Any]) -> Any:
    return float_array(data, "float64")


@pytest.mark.parametrize("op", OPS)
@few
@given(data=st.data())
def test_weight_and_bias_are_the_affine_map_exactly(op: str, data: Any) -> None:
    layer, x, _ = data.draw(placed(op))[0].arrays(exact_array)
    affine, found = layer.affine(*as_tuple(x)), lrp.matrix(layer, x)
    seen = np.concatenate([flattened(a) for a in affine.inputs], axis=-1)
    y = (found.weight @ seen[..., None])[..., 0] + found.bias
    applied = sum(m.apply(a) for m, a in zip(affine.maps, affine.inputs, strict=True)) + affine.bias
    assert (y == flattened(applied)).all()
    if affine.is_sum:
        assert (y == flattened(affine.y)).all()
    assert found.y_shape == affine.y.shape[1:]
    assert found.x_shapes == tuple(a.shape[1:] for a in affine.inputs)
    assert not found.weight[np.broadcast_to(found.wired == 0, found.weight.shape)].any()


@pytest.mark.parametrize("op", OPS)
@few
@given(data=st.data())
def test_sparse_matrices_are_the_dense_ones(op: str, data: Any) -> None:
    layer, x, _ = data.draw(placed(op))[0].arrays(in_float64)
    dense, sparse = lrp.matrix(layer, x), lrp.matrix(layer, x, sparse=True)
    for name in ("weight", "wired"):
        stacked = np.stack([one.toarray() for one in getattr(sparse, name)])
        assert np.array_equal(*np.broadcast_arrays(stacked, getattr(dense, name)))
    assert np.array_equal(sparse.bias, dense.bias)
    assert (sparse.x_shapes, sparse.y_shape) == (dense.x_shapes, dense.y_shape)


@pytest.mark.parametrize(("rule", "op"), PAIRS)
@settings(few, max_examples=3)
@given(data=st.data())
def test_sparse_messages_are_the_dense_ones(rule: str, op: str, data: Any) -> None:
    """Every sum is exact in float64, so that no order of it shows."""
    question = data.draw(questions(rule, op, DYADIC, ("none", "signed_add")))
    layer, x, relevance = question.arrays(in_float64)
    settled, stabilizer, bias = model.rule(question.rule, in_float64)
    given = {"stabilizer": stabilizer, "bias": bias}
    dense = lrp.messages(layer, x, relevance, settled, **given)
    sparse = lrp.messages(layer, x, relevance, settled, sparse=True, **given)
    assert np.array_equal(np.stack([one.toarray() for one in sparse]), dense)


def test_a_convolution_that_no_dense_matrix_holds_takes_the_memory_of_its_connections() -> None:
    rng = np.random.default_rng(0)
    layer = lrp.Conv(rng.normal(size=(64, 64, 3, 3)), rng.normal(size=64), padding=1)
    x, relevance = rng.normal(size=(2, 1, 64, 14, 14))
    with pytest.raises(lrp.LRPError, match=r"an explicit matrix would have 1\.6e\+08 entries; .* or sparse=True"):
        lrp.messages(layer, x, relevance, lrp.Epsilon())
    tracemalloc.start()
    try:
        (found,) = lrp.messages(layer, x, relevance, lrp.Epsilon(), sparse=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.nnz == 64 * 64 * (3 * 14 - 2) ** 2
    assert peak < 100 * found.nnz  # bytes; a dense matrix of float64 has 192 for each of them
    want = lrp.propagate(layer, x, relevance, lrp.Epsilon()).relevance
    bound = lrp.bounds(layer, x, relevance, lrp.Epsilon()).allowed("float64")[0]
    assert (abs(found.sum(axis=0) - want.reshape(-1)) <= 2 * bound.reshape(-1)).all()


def assert_same(a: lrp.Matrix, b: lrp.Matrix) -> None:
    assert (repr(a), a.x_shapes, a.y_shape) == (repr(b), b.x_shapes, b.y_shape)
    assert (a.bias == b.bias).all()
    for name in ("weight", "wired"):
        for one, other in zip(getattr(a, name), getattr(b, name), strict=True):
            assert type(one) is type(other)
            assert one.dtype == other.dtype
            assert not (one != other).sum()
            assert not a.sparse or (one.indices == other.indices).all()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("op", ["conv", "max-pool", "concat"])
def test_what_is_saved_is_loaded(op: str, sparse: bool, tmp_path: Path) -> None:
    layer, x, _ = posed(op, lambda a: a.astype(np.float32))
    found = lrp.matrix(layer, x, sparse=sparse)
    found.save(tmp_path / "map.npz")
    assert_same(lrp.Matrix.load(tmp_path / "map.npz"), found)


def test_rationals_are_saved_as_they_are(tmp_path: Path) -> None:
    found = lrp.matrix(lrp.Dense(lrp.exact([["1/3", 0]]), lrp.exact(["2/7"])), lrp.exact([[1, 2]]))
    found.save(str(tmp_path / "map.npz"))
    back = lrp.Matrix.load(str(tmp_path / "map.npz"))
    assert_same(back, found)
    assert back.weight[0, 0, 0] == Fraction(1, 3)
    assert back.wired.tolist() == [[[1, 1]]]


def test_what_a_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    ball = np.array([[arb(1)]], dtype=object)
    strict = array_api_strict.asarray([[1.0]])
    for a, kind in ((ball, "arb"), (strict, "Array")):
        with pytest.raises(lrp.LRPError, match=f"Matrix.save: expected bias in NumPy floats or rationals, got {kind}"):
            lrp.matrix(lrp.Dense(a), a).save(path)
    assert not path.exists()


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    with pytest.raises(lrp.LRPError, match="cannot be read: No such file"):
        lrp.Matrix.load(path)
    parts = ("weight", "wired", "bias", "x_shape_0", "y_shape")
    for write, line in (
        (lambda: path.write_text("a text"), "no .npz file"),
        (lambda: path.write_bytes(b""), "no .npz file"),
        (lambda: path.write_bytes(b"\x93NUMPY"), "no .npz file"),
        (lambda: path.write_bytes(b"PK\x03\x04 and no more"), "no .npz file"),
        (lambda: np.savez(path, weight=np.array([None])), "no .npz file of numbers: Object arrays"),
        (lambda: np.savez(path, weight=np.ones(3)), "it lacks wired, bias, x_shape_0, y_shape"),
        (lambda: np.savez(path, **dict.fromkeys(parts, np.ones((1, 2)))), "do not fit"),
    ):
        write()
        with pytest.raises(lrp.LRPError, match=line):
            lrp.Matrix.load(path)


def test_a_file_whose_entries_lie_outside_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    lrp.matrix(lrp.Dense(np.ones((2, 3))), np.ones((1, 3)), sparse=True).save(path)
    with np.load(path) as held:
        arrays = dict(held)
    for name, bad in (("columns", arrays["columns"] + 1), ("begins", arrays["begins"][:-1]), ("bias", np.ones((1, 3)))):
        np.savez(path, **{**arrays, name: bad})
        with pytest.raises(lrp.LRPError, match=r"its arrays do not fit x of shapes \(\(3,\),\) and y \(2,\)"):
            lrp.Matrix.load(path)


def test_a_matrix_prints_what_it_is() -> None:
    layer, x = lrp.Dense(np.ones((2, 3)), np.ones(2)), np.ones((4, 3))
    assert repr(lrp.matrix(layer, x)) == "Matrix(weight (1, 2, 3) float64, bias (1, 2))"
    assert repr(lrp.matrix(layer, x, sparse=True)) == "Matrix(weight (1, 2, 3) float64, sparse with 6 entries, bias (1, 2))"


def test_what_has_no_matrix_is_refused() -> None:
    layer = lrp.Dense(np.ones((2, 3)))
    for wrong, line in (
        (lambda: lrp.matrix(layer, np.ones((1, 4))), "expected x with last axis 3, got 4"),
        (lambda: lrp.matrix(layer, np.full((1, 3), np.nan)), "expected a finite number"),
        (lambda: lrp.matrix(layer, (np.ones((1, 3)),) * 2), "expected 1 input"),
        (lambda: lrp.matrix(np.ones(3), np.ones((1, 3))), "layer: expected one such as"),
        (
            lambda: lrp.matrix(lrp.Dense(lrp.exact([[1]])), lrp.exact([[1]]), sparse=True),
            "takes NumPy float32 and float64, got object; use 'explicit', or sparse=False",
        ),
    ):
        with pytest.raises(lrp.LRPError, match=line):
            wrong()


def test_only_a_sparse_matrix_imports_scipy() -> None:
    program = """
import sys, numpy as np, lrp_ref as lrp
layer, x = lrp.Conv(np.ones((2, 1, 3))), np.ones((1, 1, 5))
lrp.matrix(layer, x), lrp.messages(layer, x, np.ones((1, 2, 3)), lrp.Epsilon())
assert "scipy" not in sys.modules
lrp.matrix(layer, x, sparse=True)
assert "scipy" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    "text", ["1e999999999", "1/0", "1/00", "0.5", "1e5", "nan", "1_0", " 1", "+1", "1/-2", "٣", "9" * 4301, ""]
)
def test_a_file_of_other_texts_than_rationals_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "matrix.npz"
    lrp.matrix(lrp.Dense(lrp.exact([["1/3"]]), None), lrp.exact([[1]])).save(path)
    with np.load(path) as held:
        arrays = dict(held)
    np.savez(path, **{**arrays, "weight": np.array([[[text]]])})
    with pytest.raises(
        lrp.LRPError, match=r"matrix.npz: expected integers, or p/q with q > 0, in at most 4300 digits each; got"
    ):
        lrp.Matrix.load(path)


@pytest.mark.parametrize("text", ["1/0", "1e999999999", "1e-9_9_9_9_9_9", "1E+100000"])
def test_a_text_that_is_no_number_one_can_hold_is_refused(text: str) -> None:
    with pytest.raises(lrp.LRPError, match=r"^exact\[0\]: expected a finite number, got '1"):
        lrp.exact([text])
    assert lrp.exact(["1e300"])[0] == 10**300
