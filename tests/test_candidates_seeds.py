"""The seed candidates against numbers worked out by hand."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from lrp_conform.candidates.shipped.seeds import SYSTEMS

V0 = {"weight": [[1, -1]], "bias": [-1], "x": [[1, 1]], "relevance": [[-1]]}


def ask(
    key: str,
    rule: dict[str, Any],
    *,
    op: str = "dense",
    dtype: str = "float64",
    attrs: dict[str, Any] | None = None,
    **data: Any,
) -> dict[str, Any]:
    data = {**V0, **data}
    params = {k: np.array(v, dtype) for k, v in data.items() if k not in ("x", "relevance") and v is not None}
    x = [np.array(part, dtype) for part in data["x"]] if op == "add" else np.array(data["x"], dtype)
    full_rule = {"stabilizer": {"kind": "none", "epsilon": 0.0, "sign_at_zero": 1}, **rule}
    case = {
        "nodes": [{"name": "layer", "op": op, "inputs": ["x"], "attrs": attrs or {}, "params": params}],
        "rules": {"layer": full_rule},
        "x": x,
        "relevance": np.array(data["relevance"], dtype),
        "dtype": dtype,
        "device": "cpu",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return SYSTEMS[key][1](case)


def relevance(key: str, rule: dict[str, Any], **data: Any) -> Any:
    answer = ask(key, rule, **data)
    assert "unsupported" not in answer, answer
    return answer["relevance"]


def alpha_beta(alpha: float, beta: float, bias: str) -> dict[str, Any]:
    return {"rule": "alpha-beta", "alpha": alpha, "beta": beta, "bias": bias, "split": "joint"}


def quadrant(**factors: float) -> dict[str, Any]:
    return {
        "rule": "alpha-beta-x",
        "alpha0": 0.0,
        "alpha1": 0.0,
        "beta0": 0.0,
        "beta1": 0.0,
        "bias": "split",
        **factors,
    }


Z_BOX = {"rule": "z-box", "low": -2.0, "high": 2.0, "bias": "absorb"}


def test_ten_systems_in_order() -> None:
    assert [int(key.split("-")[0]) for key in SYSTEMS] == list(range(1, 11))
    assert all(info["name"] == f"seeds/{key}" for key, (info, _) in SYSTEMS.items())


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize(
    ("key", "rule", "expected"),
    [
        ("1-bounded", Z_BOX, [-3 / 4, -1 / 4]),
        ("1-bounded", {**Z_BOX, "bias": "ignore"}, [-3 / 4, -1 / 4]),
        ("2-alpha-beta", alpha_beta(2, 1, "ignore"), [-2, 1]),
        ("2-alpha-beta", {"rule": "z-plus", "bias": "ignore"}, [-1, 0]),
        ("3-quadrant", quadrant(alpha0=1.0), [-1, 0]),
        ("3-quadrant", quadrant(beta0=1.0), [0, 1 / 2]),
        ("4-z-rule", {"rule": "zero", "bias": "absorb"}, [1, -1]),
        ("6-w-square-flat", {"rule": "w-square", "bias": "ignore"}, [-1 / 2, -1 / 2]),
        ("6-w-square-flat", {"rule": "flat", "bias": "ignore"}, [-1 / 2, -1 / 2]),
        ("8-z-plus-fast", {"rule": "z-plus-fast", "bias": "ignore"}, [-1, 0]),
        ("9-one-gradient-bounded", Z_BOX, [-1 / 4, 1 / 4]),
    ],
)
def test_hand_numbers_on_v0(key: str, rule: dict[str, Any], expected: list[float], dtype: str) -> None:
    answer = ask(key, rule, dtype=dtype)
    assert answer["relevance"].dtype == answer["y"].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(answer["relevance"], [expected])
    np.testing.assert_array_equal(answer["y"], [[-1]])


def test_alpha_beta_with_the_full_bias_has_a_pole() -> None:
    assert relevance("2-alpha-beta", alpha_beta(1, 0, "split"))[0, 0] == pytest.approx(-1e7)


def test_z_plus_fast_keeps_the_sign_of_x() -> None:
    got = relevance(
        "8-z-plus-fast",
        {"rule": "z-plus-fast", "bias": "ignore"},
        weight=[[2, -3]],
        bias=[5],
        x=[[1, -2]],
        relevance=[[8]],
    )
    np.testing.assert_array_equal(got, [[8, 0]])


def test_each_quadrant_has_its_own_weight_and_input() -> None:
    data = {"weight": [[1, -2, 4, -8]], "bias": None, "x": [[1, 1, -1, -1]], "relevance": [[1]]}
    for index, (name, sign) in enumerate([("alpha0", 1), ("beta0", -1), ("beta1", -1), ("alpha1", 1)]):
        np.testing.assert_array_equal(relevance("3-quadrant", quadrant(**{name: 3.0}), **data), [3 * sign * np.eye(4)[index]])


def test_one_gradient_gives_the_sum_of_the_weights() -> None:
    rng = np.random.default_rng(0)
    data: dict[str, Any] = {
        "weight": rng.normal(size=(3, 4)),
        "bias": None,
        "x": rng.uniform(-1, 1, (2, 4)),
        "relevance": rng.normal(size=(2, 3)),
    }
    w, low, high = data["weight"], -2.0, 2.0
    z = data["x"] @ w.T - low * np.maximum(w, 0).sum(1) - high * np.minimum(w, 0).sum(1)
    got = relevance("9-one-gradient-bounded", Z_BOX, **data)
    np.testing.assert_allclose(got.sum(1), (w.sum(1) / z * data["relevance"]).sum(1))


def test_bounds_by_number_by_channel_and_by_tensor_agree() -> None:
    rng = np.random.default_rng(1)
    data: dict[str, Any] = {
        "op": "conv",
        "weight": rng.normal(size=(4, 2, 3)),
        "bias": rng.normal(size=4),
        "x": rng.uniform(-1, 1, (2, 2, 5)),
    }
    data |= {"relevance": rng.normal(size=(2, 4, 5)), "attrs": {"padding": [[1, 1]]}}
    by_number = relevance("1-bounded", Z_BOX, **data)
    by_channel = relevance("1-bounded", {**Z_BOX, "low": np.full(2, -2.0), "high": np.full(2, 2.0)}, **data)
    by_tensor = relevance("1-bounded", {**Z_BOX, "low": np.full((2, 2, 5), -2.0), "high": np.full((2, 2, 5), 2.0)}, **data)
    np.testing.assert_array_equal(by_number, by_channel)
    np.testing.assert_array_equal(by_number, by_tensor)
    assert by_number.sum() == pytest.approx(data["relevance"].sum())


def test_batch_norm_is_the_merged_map_but_for_its_shift() -> None:
    data: dict[str, Any] = {"gamma": [3], "beta": [1], "mean": [1], "variance": [4], "weight": None, "bias": None}
    data |= {"op": "batch-norm", "attrs": {"epsilon": 0.0, "linearization": "affine"}}
    answer = ask("5-batch-norm", {"rule": "zero", "bias": "absorb"}, x=[[3], [1]], relevance=[[8], [8]], **data)
    np.testing.assert_array_equal(answer["y"], [[4], [1]])
    np.testing.assert_allclose(answer["relevance"], np.array([[3 * 1.5 * 8 / 4], [0.0]]), rtol=1e-7)


def test_pool_and_add_by_the_z_rule() -> None:
    rule = {"rule": "zero", "bias": "absorb"}
    pool = {"weight": None, "bias": None, "attrs": {"kernel": [2], "stride": [2], "padding": [[0, 0]]}}
    for op in ("avg-pool", "sum-pool"):
        got = relevance("7-pool-add", rule, op=op, x=[[[1, 3, -1, 2]]], relevance=[[[8, 2]]], **pool)
        np.testing.assert_array_equal(got, [[[2, 6, -2, 4]]])
    got = relevance("7-pool-add", rule, op="add", x=[[[1.0]], [[3.0]]], relevance=[[8.0]], weight=None, bias=None)
    np.testing.assert_array_equal(got, [[[2]], [[6]]])


@pytest.mark.parametrize("mask", ["all", "positive", "negative"])
@pytest.mark.parametrize("batches", [1, 3])
def test_pattern_undoes_the_weight(mask: str, batches: int) -> None:
    rng = np.random.default_rng(2)
    w, x = rng.normal(size=(3, 4)), rng.normal(size=(12, 4)) + 0.3
    answer = ask("10-pattern", {"rule": "pattern", "mask": mask, "batches": batches}, weight=w, bias=[1, 2, 3], x=x)
    np.testing.assert_allclose(np.einsum("ji,ij->j", w, answer["pattern"]), np.ones(3))
    np.testing.assert_allclose(answer["y"], x @ w.T + np.array([1, 2, 3]))
    y = x @ w.T
    keep = {"all": np.isfinite(y), "positive": y > 0, "negative": y <= 0}[mask]
    for j in range(3):
        kept = keep[:, j]
        cov = (x[kept] * y[kept, j : j + 1]).mean(0) - x[kept].mean(0) * y[:, j].mean()
        np.testing.assert_allclose(answer["pattern"][:, j], cov / (w[j] @ cov))


def test_what_is_not_claimed_is_declined() -> None:
    assert "unsupported" in ask("3-quadrant", quadrant(alpha0=1.0, beta0=1.0))
    assert "unsupported" in ask("2-alpha-beta", {**alpha_beta(2, 1, "ignore"), "split": "half"})
    assert "unsupported" in ask("2-alpha-beta", {"rule": "z-plus", "bias": "split"})
    assert "unsupported" in ask("4-z-rule", {"rule": "epsilon", "epsilon": 1.0, "bias": "absorb"})
    assert "unsupported" in ask("10-pattern", {"rule": "pattern", "mask": "all", "batches": 2}, x=[[1, 1]] * 3)


def test_division_by_nothing_is_silent() -> None:
    got = relevance("4-z-rule", {"rule": "zero", "bias": "ignore"}, dtype="float16")
    assert got.dtype == np.float16
    assert np.isinf(got).all()
