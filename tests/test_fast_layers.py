"""The fast path on what large networks meet: many groups, samples in one block, odd memory, any number of threads, devices."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest
from examples import sweep

import lrp_ref as lrp
from lrp_ref import fast
from lrp_ref.fast import blocks, dense, scratch, threads
from tests.test_fast import assert_alike, cut_small, switched_on

__all__ = ["switched_on"]  # for every test here, too
RULES = [lrp.Epsilon(0.1), lrp.ZPlus(), lrp.AlphaBeta(2, 1), lrp.Gamma(0.5), lrp.WSquare()]
LAYERS = {  # weight, x and the layer's arguments
    "depthwise": ((12, 1, 3, 3), (2, 12, 9, 9), {"padding": 1, "groups": 12}),
    "depthwise, strided": ((12, 1, 3, 3), (2, 12, 9, 8), {"padding": 1, "groups": 12, "stride": 2}),
    "grouped": ((8, 3, 3, 3), (3, 12, 7, 7), {"padding": 1, "groups": 4}),
    "1x1": ((6, 40, 1, 1), (3, 40, 7, 7), {}),
    "1x1, strided": ((6, 5, 1, 1), (3, 5, 8, 7), {"stride": 2}),
    "stem": ((40, 3, 7, 7), (2, 3, 20, 21), {"padding": 3, "stride": 2}),
    "small and deep": ((20, 40, 3, 3), (7, 40, 3, 3), {"padding": 1}),
    "narrowing": ((3, 40, 3, 3), (1, 40, 12, 12), {"padding": 1}),
    "gaps": ((4, 4, 2, 2), (2, 4, 11, 11), {"stride": 4}),
    "one position": ((4, 3, 5, 5), (2, 3, 5, 5), {}),
    "volume": ((4, 3, 2, 2, 2), (2, 3, 5, 4, 6), {"padding": ((1, 0), (0, 2), (1, 1))}),
    "sequence": ((4, 3, 5), (2, 3, 50), {"padding": 4, "dilation": 2}),
}


def normal(*shape: int, seed: int = 0, dtype: Any = np.float64) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("small", [False, True])
def test_convolutions_of_networks_are_alike(kind: str, small: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    w, x, arguments = LAYERS[kind]
    layer = lrp.Conv(normal(*w), normal(w[0]), **arguments)
    y = layer.affine(normal(*x)).y.shape
    with cut_small(monkeypatch, adding=0.1) if small else fast.switched(True):
        for rule in sweep(RULES, 2, list(LAYERS).index(kind)):
            assert_alike(layer, normal(*x, seed=1), normal(*y, seed=2), rule)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_memory_of_any_order_is_read_and_left_as_it_is(rule: Any) -> None:
    w, x, R = normal(3, 3, 4, 6).transpose(3, 2, 1, 0), normal(9, 8, 4, 2).T, np.broadcast_to(normal(1, 6, 8, 1), (2, 6, 8, 9))
    before = [a.copy() for a in (w, x, R)]
    assert_alike(lrp.Conv(w, normal(12)[::2], padding=1), x, R, rule)
    assert_alike(lrp.Dense(normal(4, 6).T, normal(6)), normal(4, 3).T[::-1], np.broadcast_to(1.0, (3, 6)), rule)
    assert all(np.array_equal(a, b) for a, b in zip((w, x, R), before, strict=True))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_zeros_and_empty_batches(rule: Any) -> None:
    layer = lrp.Conv(normal(4, 3, 3, 3), normal(4), padding=1)
    assert_alike(layer, np.zeros((2, 3, 5, 5)), normal(2, 4, 5, 5), rule)
    assert_alike(layer, np.broadcast_to(np.float64(0), (2, 3, 5, 5)), normal(2, 4, 5, 5), rule)
    empty = lrp.propagate(layer, np.zeros((0, 3, 5, 5)), np.zeros((0, 4, 5, 5)), rule)
    assert empty.relevance.shape == (0, 3, 5, 5)


@pytest.mark.parametrize("kind", LAYERS)
def test_bits_do_not_depend_on_the_number_of_threads(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    w, x, arguments = LAYERS[kind]
    layer, found = lrp.Conv(normal(*w, dtype=np.float32), None, **arguments), []
    given = normal(*x, dtype=np.float32)
    R = np.ones(layer.affine(given).y.shape, np.float32)

    @contextmanager
    def counted(count: int) -> Iterator[int]:
        yield count

    for count in (1, 2, 5):
        with cut_small(monkeypatch, adding=0.1), monkeypatch.context() as patch:
            patch.setattr(threads, "alone", lambda count=count: counted(count))
            found.append(lrp.propagate(layer, given, R, lrp.AlphaBeta(2, 1)).relevance)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_a_mask_holds_where_relevance_only_passes() -> None:
    one = np.ones(2)
    layer = lrp.BatchNorm(one, one, one, one, linearization="at_mean_zero")
    x = np.array([[1.0, 2.0]])  # the first is the mean
    assert lrp.propagate(layer, x, np.ones((1, 2)), lrp.Pass()).relevance.tolist() == [[0.0, 1.0]]


def test_relevance_that_only_passes_is_not_the_callers_array() -> None:
    R = np.ones((1, 2))
    for layer in (lrp.Activation(), lrp.Identity(), lrp.Reshape((2, 1))):
        there = R.reshape(1, 2, 1) if isinstance(layer, lrp.Reshape) else R
        assert not np.shares_memory(lrp.propagate(layer, np.ones((1, 2)), there, lrp.Pass()).relevance, R)


def test_lines_of_a_product_do_not_lie_many_cache_lines_apart() -> None:
    assert [blocks.apart(n, np.float32) for n in (3, 64, 784, 896)] == [3, 80, 784, 912]
    assert blocks.apart(448, np.float64) == 456


def test_a_dense_layer_reads_each_half_of_its_weights_once_for_all_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    read, modified = [], dense._modified

    def counted(block: Any, modify: Any, room: Any) -> Any:
        read.append(modify)
        return modified(block, modify, room)

    monkeypatch.setattr(dense, "_modified", counted)
    layer, x, R = lrp.Dense(normal(5, 7)), normal(2, 7), np.ones((2, 5))
    lrp.propagate(layer, x, R, lrp.AlphaBeta(2, 1))
    assert len(read) == 4  # the halves, for the rows and for what is handed back


def test_working_memory_is_bounded_and_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_free", [])
    monkeypatch.setattr(scratch, "KEPT", 1000)
    with scratch.scratch(100, np.float32) as a, scratch.scratch(100, np.float64) as b:
        assert not np.shares_memory(a, b)
        assert (a.size, b.size) == (100, 100)
    assert sum(block.size for block in scratch._free) <= 1000
    with scratch.scratch(50, np.float32) as again:
        assert np.shares_memory(again, a) or np.shares_memory(again, b)


def test_a_network_refuses_what_overflows_between_its_nodes() -> None:
    big = np.array([[3e38]], np.float32)
    branch = [lrp.Node("a", lrp.Identity(), "x"), lrp.Node("b", lrp.Identity(), "x"), lrp.Node("cat", lrp.Concat(), ("a", "b"))]
    net = lrp.Network(branch)
    rules = lrp.Composite((lrp.Assign(lrp.Pass(), lrp.Identity), lrp.Assign(lrp.Norm(), lrp.Concat)))
    with pytest.raises(lrp.LRPError, match="what its readers hand back overflows float32"):
        net.explain(big, rules, seed=np.full((1, 2), 3e38, np.float32))
    with pytest.raises(lrp.LRPError, match="target times seed"):
        net.explain(big, rules, target=np.full((1, 2), 3e38, np.float32))


class Transfers:
    """Counts what brings an array of another namespace to the host."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = dict.fromkeys(("__bool__", "__float__", "__int__", "__array__", "__index__"), 0)
        for name in self.count:
            if hasattr(strict._array_object.Array, name):
                patch.setattr(strict._array_object.Array, name, self._counting(name))

    def _counting(self, name: str) -> Any:
        true = getattr(strict._array_object.Array, name)

        def counted(array: Any, *rest: Any, **named: Any) -> Any:
            self.count[name] += 1
            return true(array, *rest, **named)

        return counted


@pytest.mark.parametrize("rule", [*RULES, lrp.GeneralizedGamma(0.5), lrp.Flat(), lrp.Gradient()], ids=lambda rule: rule.name)
@pytest.mark.parametrize("layer", [
    lrp.Conv(strict.asarray(normal(4, 3, 3, 3)), strict.asarray(normal(4)), padding=1),
    lrp.ConvTranspose(strict.asarray(normal(3, 4, 2, 2))),
    lrp.Dense(strict.asarray(normal(4, 5)), strict.asarray(normal(4))),
], ids=lambda layer: type(layer).__name__)  # fmt: skip
def test_nothing_is_read_back_from_a_device_but_whether_all_is_finite(layer: Any, rule: Any, monkeypatch: Any) -> None:
    x = strict.asarray(normal(2, 5) if isinstance(layer, lrp.Dense) else normal(2, 3, 5, 5))
    R = strict.ones(layer.affine(x).y.shape)
    found = Transfers(monkeypatch)
    lrp.propagate(layer, x, R, rule)
    assert found.count == {"__bool__": 3, "__float__": 0, "__int__": 0, "__array__": 0, "__index__": 0}  # x, R, the results
    lrp.propagate(layer, x, R, rule, trusted=True)
    assert found.count["__bool__"] == 4
    layer.affine(x).y  # noqa: B018
    assert sum(found.count.values()) == 4


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("kind", LAYERS)
def test_large_products_on_a_device_are_alike(kind: str, rule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrp_ref.fast.device.PATCHES", 500)  # a sample or two at a time
    w, shape, arguments = LAYERS[kind]
    arrays = [normal(*w), normal(w[0]), normal(*shape, seed=1)]
    there = lrp.Conv(*map(strict.asarray, arrays[:2]), **arguments)
    layer, x = lrp.Conv(*arrays[:2], **arguments), arrays[2]
    R = normal(*layer.affine(x).y.shape, seed=2)
    got = np.asarray(lrp.propagate(there, strict.asarray(x), strict.asarray(R), rule).relevance)
    with fast.switched(False):
        want, bounds = lrp.propagate(layer, x, R, rule).relevance, lrp.bounds(layer, x, R, rule).allowed("float64")
    assert (np.abs(got - want) <= 2 * bounds[0]).all()


@pytest.mark.gpu
@pytest.mark.parametrize("kind", LAYERS)
def test_a_gpu_agrees(kind: str) -> None:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    if not cupy.is_available():
        pytest.skip("no CUDA device")
    w, shape, arguments = LAYERS[kind]
    layer, x = lrp.Conv(normal(*w), normal(w[0]), **arguments), normal(*shape, seed=1)
    there = lrp.Conv(cupy.asarray(layer.weight), cupy.asarray(layer.bias), **arguments)
    R = normal(*layer.affine(x).y.shape, seed=2)
    got = lrp.propagate(there, cupy.asarray(x), cupy.asarray(R), lrp.AlphaBeta(2, 1)).relevance.get()
    bounds = lrp.bounds(layer, x, R, lrp.AlphaBeta(2, 1)).allowed("float64")
    assert (np.abs(got - lrp.propagate(layer, x, R, lrp.AlphaBeta(2, 1)).relevance) <= 2 * bounds[0]).all()
