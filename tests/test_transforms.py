"""Transforms return what the network returned, exactly in rationals and within rounding in floats."""

from typing import Any

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from networks import float64, image, residual

import lrp_ref as lrp
from lrp_ref import transforms

few = examples(8, 20)
Draw = Any


def rationals(draw: Draw, *shape: int) -> Any:
    values = draw(st.lists(st.sampled_from((-2, -1, 1, 2, 3)), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    return lrp.exact(np.array(values).reshape(shape)) / 2


def norm(draw: Draw, channels: int, shifted: bool = True) -> lrp.BatchNorm:
    gamma, mean = rationals(draw, channels), rationals(draw, channels)
    variance = lrp.exact(draw(st.lists(st.sampled_from(("1", "4", "1/4")), min_size=channels, max_size=channels)))
    sigma = lrp.exact([{1: 1, 4: 2}.get(v, 0.5) for v in variance])
    beta = rationals(draw, channels) if shifted else gamma * mean / sigma  # then t = 0
    return lrp.BatchNorm(gamma, beta, mean, variance, 0)


def weighted(draw: Draw, kind: str, padding: int = 0) -> tuple[Any, tuple[int, ...], int]:
    """A layer, the shape of its input, and its number of output channels."""
    if kind == "dense":
        layer = lrp.Dense(rationals(draw, 3, 4), rationals(draw, 3) if draw(st.booleans()) else None)
        return layer, (2, 4), 3
    groups = draw(st.sampled_from((1, 2)))
    bias = rationals(draw, 4) if draw(st.booleans()) else None
    options = {"stride": draw(st.sampled_from((1, 2))), "padding": padding, "groups": groups}
    if kind == "conv":
        return lrp.Conv(rationals(draw, 4, 2 // groups, 2, 2), bias, **options), (2, 2, 4, 4), 4
    return lrp.ConvTranspose(rationals(draw, 2, 4 // groups, 2, 2), bias, **options), (2, 2, 4, 4), 4


def same(net: lrp.Network, other: lrp.Network, x: Any) -> bool:
    return bool((net.forward(x) == other.forward(x)).all())


@pytest.mark.parametrize("kind", ["dense", "conv", "conv-transpose"])
@given(data=st.data())
@few
def test_a_batch_norm_merges_into_the_layer_before(kind: str, data: Any) -> None:
    layer, shape, channels = weighted(data.draw, kind, padding=data.draw(st.sampled_from((0, 1))) * (kind != "dense"))
    net = lrp.Network(
        [lrp.Node("layer", layer), lrp.Node("norm", norm(data.draw, channels)), lrp.Node("relu", lrp.Activation())]
    )
    merged = transforms.merge_batch_norm(net)
    assert [(node.name, node.inputs) for node in merged.nodes] == [("layer", ("x",)), ("relu", ("layer",))]
    assert same(net, merged, rationals(data.draw, *shape))


@pytest.mark.parametrize("kind", ["dense", "conv", "conv-transpose"])
@given(data=st.data())
@few
def test_a_batch_norm_merges_into_the_layer_after(kind: str, data: Any) -> None:
    padding = data.draw(st.sampled_from((0, 1))) * (kind != "dense")
    layer, shape, _ = weighted(data.draw, kind, padding)
    shifted = kind == "dense" or (kind == "conv" and not padding)
    net = lrp.Network([lrp.Node("norm", norm(data.draw, shape[1], shifted)), lrp.Node("layer", layer)])
    merged = transforms.merge_batch_norm(net)
    assert [(node.name, node.inputs) for node in merged.nodes] == [("layer", ("x",))]
    assert same(net, merged, rationals(data.draw, *shape))


def ones(*shape: int) -> Any:
    return lrp.exact(np.ones(shape, int))


NORM = lrp.BatchNorm(ones(2), ones(2), ones(2), lrp.exact([4, 4]), 0)
DENSE = lrp.Dense(ones(2, 2), ones(2))
STAYING: dict[str, lrp.Network] = {
    "padded": lrp.Network([lrp.Node("norm", NORM), lrp.Node("conv", lrp.Conv(ones(2, 2, 1), None, padding=1))]),
    "transposed": lrp.Network([lrp.Node("norm", NORM), lrp.Node("conv", lrp.ConvTranspose(ones(2, 2, 2)))]),
    "alone": lrp.Network([lrp.Node("norm", NORM), lrp.Node("relu", lrp.Activation())]),
    "read by another": lrp.Network(
        [lrp.Node("dense", DENSE), lrp.Node("norm", NORM), lrp.Node("sum", lrp.Add(), ("dense", "norm"))]
    ),
    "an output": lrp.Network([lrp.Node("dense", DENSE), lrp.Node("norm", NORM)], outputs=("dense", "norm")),
    "of other size": lrp.Network([lrp.Node("dense", lrp.Dense(ones(3, 2))), lrp.Node("norm", NORM)]),
}


@pytest.mark.parametrize("net", STAYING.values(), ids=STAYING)
def test_what_cannot_be_merged_stays(net: lrp.Network) -> None:
    assert transforms.merge_batch_norm(net) == net


def test_every_batch_norm_of_a_chain_merges() -> None:
    net = lrp.Network([lrp.Node("a", NORM), lrp.Node("dense", DENSE), lrp.Node("b", NORM), lrp.Node("c", NORM)])
    merged = transforms.merge_batch_norm(net)
    assert [node.name for node in merged.nodes] == ["dense"]
    assert merged.outputs == ("dense",)
    assert same(net, merged, lrp.exact([[1, -2], [3, "1/2"]]))


def test_a_shared_layer_changes_only_where_its_batch_norm_is() -> None:
    net = lrp.Network([lrp.Node("one", DENSE), lrp.Node("norm", NORM), lrp.Node("two", DENSE)])
    merged = transforms.merge_batch_norm(net)
    assert merged["two"].layer == DENSE
    assert merged["one"].layer != DENSE
    assert same(net, merged, lrp.exact([[1, -2]]))


def test_a_residual_network_merges_and_stays_whole() -> None:
    net, x = residual(), image()
    merged = transforms.merge_batch_norm(net)
    assert "norm" not in [node.name for node in merged.nodes]
    assert same(net, merged, x)
    floats = residual(float64)
    assert np.allclose(transforms.merge_batch_norm(floats).forward(float64(x)), floats.forward(float64(x)), rtol=1e-12)


def test_after_merging_zennits_composite_hands_on_what_arrives() -> None:
    """Bias-free apart from what the merge brings: with zero_params the norm's shift takes no relevance."""
    composite = lrp.composites.zennit.epsilon_plus(zero_params="bias")
    ledger = transforms.merge_batch_norm(residual()).explain(image(), composite).ledger
    assert ledger.totals()["bias"] == 0


SQUARE = lrp.Dense(lrp.exact([[1, 2], [3, 4]]), ones(2))
UNEVEN = lrp.BatchNorm(lrp.exact([1, 3]), lrp.exact([0, 2]), ones(2), lrp.exact([4, 1]), 0)
PIXELS = lrp.Conv(lrp.exact([[[1], [2]], [[3], [4]]]))
ORDERS: dict[str, tuple[list[Any], tuple[int, ...]]] = {
    "dense, norm": ([SQUARE, UNEVEN], (2, 2)),
    "norm, dense": ([UNEVEN, SQUARE], (2, 2)),
    "convolution, norm": ([PIXELS, UNEVEN], (2, 2, 2)),
}


@pytest.mark.parametrize("case", ORDERS.values(), ids=ORDERS)
def test_sequences_are_not_taken_for_channels(case: tuple[list[Any], tuple[int, ...]]) -> None:
    layers, shape = case
    net = lrp.Network([lrp.Node(f"n{k}", layer) for k, layer in enumerate(layers)])
    x, wide = (lrp.exact(np.arange(np.prod(s)).reshape(s)) for s in (shape, (2, *shape)))
    for merged in (transforms.merge_batch_norm(net), transforms.merge_batch_norm(net, x)):
        assert len(merged.nodes) == 1
        assert same(net, merged, x)
        with pytest.raises(lrp.LRPError, match=r"expected x with 1 batch axis .*; a batch norm was merged into it") as told:
            merged.forward(wide)
        assert "\n" not in str(told.value)
    assert transforms.merge_batch_norm(net, wide) == net


def test_an_irrational_root_is_refused() -> None:
    bad = lrp.BatchNorm(ones(2), ones(2), ones(2), lrp.exact([2, 4]), 0)
    with pytest.raises(lrp.LRPError, match="the square root of 2 is not rational"):
        transforms.merge_batch_norm(lrp.Network([lrp.Node("dense", DENSE), lrp.Node("norm", bad)]))


def test_softmax_is_stripped_from_the_output() -> None:
    net = lrp.Network([lrp.Node("dense", lrp.Dense(np.eye(2))), lrp.Node("softmax", lrp.Softmax())])
    stripped = transforms.strip_softmax(net)
    assert stripped.outputs == ("dense",)
    x = np.array([[1.0, 2.0]])
    assert (stripped.forward(x) == x).all()
    p = net.forward(x)
    assert np.allclose(p, np.exp(x) / np.exp(x).sum(), rtol=1e-15)
    inner = lrp.Network([lrp.Node("softmax", lrp.Softmax()), lrp.Node("dense", lrp.Dense(np.eye(2)))])
    assert transforms.strip_softmax(inner) == inner


def test_identities_and_dropout_go() -> None:
    net = lrp.Network(
        [
            lrp.Node("drop", lrp.Dropout(0.5)),
            lrp.Node("dense", DENSE),
            lrp.Node("same", lrp.Identity()),
            lrp.Node("again", lrp.Identity()),
            lrp.Node("sum", lrp.Add(), ("again", "drop")),
            lrp.Node("out", lrp.Dropout(0.1)),
        ]
    )
    bare = transforms.remove_identity(net)
    assert [(node.name, node.inputs) for node in bare.nodes] == [("dense", ("x",)), ("sum", ("dense", "x"))]
    assert bare.outputs == ("sum",)
    assert same(net, bare, lrp.exact([[1, -2]]))
    composite = lrp.Composite([lrp.Assign(lrp.Epsilon(0.25), (lrp.Dense, lrp.Add)), lrp.Assign(lrp.Pass())])
    x = lrp.exact([[1, -2]])
    assert (net.explain(x, composite).relevance == bare.explain(x, composite).relevance).all()


def test_an_output_that_is_its_input_stays() -> None:
    net = lrp.Network([lrp.Node("same", lrp.Identity())])
    assert transforms.remove_identity(net) == net
    two = lrp.Network([lrp.Node("dense", DENSE), lrp.Node("same", lrp.Identity())], outputs=("dense", "same"))
    with pytest.raises(lrp.LRPError, match="outputs dense, same would become one"):
        transforms.remove_identity(two)


def test_the_output_is_rectified() -> None:
    net = lrp.Network([lrp.Node("dense", DENSE)])
    rectified = transforms.rectify_output(net)
    x = lrp.exact([[1, -9]])
    assert (rectified.forward(x) == np.maximum(net.forward(x), 0)).all()
    assert rectified.outputs == ("dense_rectified",)
