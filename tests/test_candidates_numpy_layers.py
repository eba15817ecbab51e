"""The layers of the seed candidates: forward maps by definition, products as adjoints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lrp_conform.candidates.shipped.numpy_layers import Array, NumpyLayer

SPATIAL: list[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ("conv", (4, 2, 3), (2, 2, 9), {"stride": [2], "padding": [[2, 0]], "dilation": [2], "groups": 1}),
    (
        "conv",
        (6, 2, 2, 3),
        (2, 4, 7, 8),
        {"stride": [2, 3], "padding": [[0, 1], [2, 1]], "dilation": [1, 2], "groups": 2},
    ),
    (
        "conv",
        (4, 1, 2, 2, 3),
        (1, 4, 4, 3, 6),
        {"stride": [1, 2, 2], "padding": [[1, 0], [0, 0], [1, 2]], "dilation": [2, 1, 1], "groups": 4},
    ),
    (
        "conv-transpose",
        (4, 3, 3),
        (2, 4, 5),
        {"stride": [2], "padding": [[1, 0]], "dilation": [2], "groups": 2, "output_padding": [1]},
    ),
    (
        "conv-transpose",
        (2, 3, 2, 3),
        (2, 2, 3, 4),
        {"stride": [3, 2], "padding": [[0, 2], [1, 1]], "output_padding": [2, 0]},
    ),
    (
        "avg-pool",
        (),
        (2, 3, 8),
        {"kernel": [3], "stride": [2], "padding": [[1, 2]], "dilation": [2], "count_include_pad": False},
    ),
    (
        "avg-pool",
        (),
        (2, 3, 6, 7),
        {"kernel": [3, 2], "stride": [2, 1], "padding": [[1, 0], [0, 1]], "count_include_pad": True},
    ),
    ("sum-pool", (), (1, 2, 4, 4, 5), {"kernel": [2, 2, 3], "stride": [1, 2, 2], "padding": [[0, 1], [0, 0], [1, 1]]}),
    ("global-avg-pool", (), (2, 3, 4, 5), {}),
]


@pytest.mark.parametrize(("op", "weight", "shape", "attrs"), SPATIAL)
def test_vjp_is_the_adjoint(op: str, weight: tuple[int, ...], shape: tuple[int, ...], attrs: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    layer = NumpyLayer(op, attrs, rng.normal(size=weight) if weight else None)
    x = rng.normal(size=shape)
    y = layer(x)
    s = rng.normal(size=y.shape)
    back = layer.vjp(x, s)
    assert back.shape == x.shape
    assert np.vdot(s, y) == pytest.approx(np.vdot(back, x), rel=1e-12)
    for dtype in (np.float16, np.float32):
        small = NumpyLayer(op, attrs, None if layer.weight is None else layer.weight.astype(dtype))
        assert small(x.astype(dtype)).dtype == small.vjp(x.astype(dtype), s.astype(dtype)).dtype == dtype


def brute_conv(x: Array, w: Array, attrs: dict[str, Any], shape: tuple[int, ...]) -> Array:
    """y[o, p] = sum over c, k of w[o, c, k] x[c, p * stride + k * dilation - begin]; padding gives nothing."""
    y = np.zeros(shape)
    axes = range(x.ndim - 2)
    per_group = w.shape[0] // attrs["groups"]
    for n, o, *p in np.ndindex(*shape):
        for c, *k in np.ndindex(*w.shape[1:]):
            at = [p[a] * attrs["stride"][a] + k[a] * attrs["dilation"][a] - attrs["padding"][a][0] for a in axes]
            if all(0 <= at[a] < x.shape[2 + a] for a in axes):
                y[(n, o, *p)] += w[(o, c, *k)] * x[(n, o // per_group * w.shape[1] + c, *at)]
    return y


@pytest.mark.parametrize(("op", "weight", "shape", "attrs"), SPATIAL[:3])
def test_conv_forward_by_its_definition(
    op: str, weight: tuple[int, ...], shape: tuple[int, ...], attrs: dict[str, Any]
) -> None:
    rng = np.random.default_rng(4)
    w, x = rng.normal(size=weight), rng.normal(size=shape)
    y = NumpyLayer(op, attrs, w)(x)
    size = [
        (n + sum(pad) - d * (k - 1) - 1) // s + 1
        for n, pad, d, k, s in zip(shape[2:], attrs["padding"], attrs["dilation"], weight[2:], attrs["stride"], strict=True)
    ]
    assert y.shape == (shape[0], weight[0], *size)
    np.testing.assert_allclose(y, brute_conv(x, w, attrs, y.shape), atol=1e-12)


def test_conv_transpose_and_average_by_hand() -> None:
    attrs: dict[str, Any] = {"stride": [2], "padding": [[1, 0]], "output_padding": [1]}
    y = NumpyLayer("conv-transpose", attrs, np.array([[[1.0, 10.0]]]), np.array([100.0]))(np.array([[[1.0, 2.0]]]))
    np.testing.assert_array_equal(y, [[[110, 102, 120, 100]]])
    pool = {"kernel": [2], "stride": [2], "padding": [[1, 1]], "count_include_pad": False}
    x = np.array([[[2.0, 4.0, 6.0, 8.0]]])
    np.testing.assert_array_equal(NumpyLayer("avg-pool", pool)(x), [[[2, 5, 8]]])
    np.testing.assert_array_equal(NumpyLayer("avg-pool", {**pool, "count_include_pad": True})(x), [[[1, 5, 4]]])
