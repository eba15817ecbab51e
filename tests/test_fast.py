"""The fast path gives what the plain text gives, within the bounds, on one thread and on several, and can be switched off."""

import multiprocessing
import os
import subprocess
import sys
import threading
import tracemalloc
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

import numpy as np
import pytest
from examples import examples, sweep
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

import lrp_ref as lrp
from lrp_conform.cases import entries, golden, model
from lrp_conform.cases.numbers import float_array, parse
from lrp_conform.cases.operators import OPERATORS
from lrp_ref import fast
from lrp_ref.fast import blocks, dense, gather, relevance, scatter, sums, threads
from lrp_ref.propagation.settle import settle
from lrp_ref.rules import CONVENTIONS

DTYPES = (np.float32, np.float64)


def every_rule() -> Iterator[tuple[str, Any]]:
    """Every rule that has a meaning on a dense layer, plain and under each value of its conventions; bounds hold x."""
    for name, kind in lrp.RULES.items():
        if not entries.fits(name, OPERATORS["dense"]):
            continue
        given, words = entries.combinations(name), entries.conventions(name)
        others = [(c, value) for c in words for value in CONVENTIONS[c][0][1:]]
        bounds = {p: 9 * (-1) ** k for k, p in enumerate(entries.bounds(name), start=1)}
        for label, one in [("", given[0]), *((value, next(g for g in given if g[c] == value)) for c, value in others)]:
            numbers = {key: value if key in words else parse(value) for key, value in one.items()}
            yield f"{name}-{label}", kind(**numbers, **bounds)


RULES = dict(every_rule())
STABILIZERS = (None, lrp.Stabilizer("signed_add", 0.01), lrp.Stabilizer("clip", 0.01), lrp.Stabilizer("drop", 0.01, -1))
many = examples(4, 25)


@pytest.fixture(autouse=True)
def switched_on() -> Iterator[None]:
    """Also where the environment has it off."""
    with fast.switched(True):
        yield


@contextmanager
def cut_small(patch: pytest.MonkeyPatch, positions: int = 6, patches: int = 64, adding: float = 1) -> Iterator[None]:
    """Blocks of a few elements, and threads for every one of them: what large layers meet."""
    with patch.context() as inner:
        inner.setattr(blocks, "POSITIONS", positions)
        inner.setattr(blocks, "PATCHES", patches)
        inner.setattr(blocks, "LEAST", 1)
        inner.setattr(blocks, "SHARED", 2)
        inner.setattr(scatter, "ADDING", adding)
        inner.setattr(dense, "WEIGHTS", 8)
        inner.setattr(threads, "CHUNK", 32)
        inner.setattr(threads, "LONG", 32)
        inner.setattr(threads, "LARGE", 0)
        inner.setattr(threads, "WORTHWHILE", 0)
        yield


def assert_alike(layer: Any, x: Any, R: Any, rule: Any, **conventions: Any) -> None:
    """Fast and plain within twice the bound of each other, and the ledger of the fast one balances."""
    here = lrp.propagate(layer, x, R, rule, **conventions)
    here.ledger.check()
    with fast.switched(False):
        there = lrp.propagate(layer, x, R, rule, **conventions)
        bounds = lrp.bounds(layer, x, R, rule, **conventions).allowed(str(R.dtype))
    pairs = zip(*(r if isinstance(x, tuple) else (r,) for r in (here.relevance, there.relevance)), bounds, strict=True)
    for a, b, bound in pairs:
        assert a.dtype == b.dtype
        assert (np.abs(a - b) <= 2 * bound).all()


@st.composite
def layers(draw: st.DrawFn) -> tuple[Any, Any]:
    """A layer and its input: dense, or a (transposed) convolution of any geometry; x of either sign, or of both."""
    rng, dtype = np.random.default_rng(draw(st.integers(0, 2**32))), draw(st.sampled_from(DTYPES))
    kind, sign = draw(st.sampled_from(("dense", "conv", "transpose"))), draw(st.sampled_from((0, 1, -1)))

    def array(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(dtype)

    axes, groups, batch = (draw(st.integers(1, n)) for n in (3, 2, 3))
    kernel, stride, dilation = ([draw(st.integers(1, 3)) for _ in range(axes)] for _ in range(3))
    size = [draw(st.integers(d * (k - 1) + 1, d * (k - 1) + 5)) for k, d in zip(kernel, dilation, strict=True)]
    bias = draw(st.booleans())
    if kind == "dense":
        layer, x = lrp.Dense(array(5, 7), array(5) if bias else None), array(batch, 7)
    elif kind == "conv":
        padding = [(draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(axes)]
        layer = lrp.Conv(array(4, 6 // groups, *kernel), array(4) if bias else None, stride, padding, dilation, groups)
        x = array(batch, 6, *size)
    else:
        extra = [draw(st.integers(0, s - 1)) for s in stride]
        layer = lrp.ConvTranspose(array(4, 3, *kernel), array(3 * groups) if bias else None, stride, 0, dilation, groups, extra)
        x = array(batch, 4, *(min(n, 4) for n in size))
    return layer, x if sign == 0 else sign * np.abs(x)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@many
@given(
    drawn=layers(),
    stabilizer=st.sampled_from(STABILIZERS),
    positions=st.sampled_from((1, 6, 60)),
    patches=st.sampled_from((1, 64, 2**20)),
    adding=st.sampled_from((0, 100)),
)
def test_fast_is_plain_within_the_bound(
    rule: Any, drawn: tuple[Any, Any], stabilizer: Any, positions: int, patches: int, adding: float
) -> None:
    layer, x = drawn
    R = np.random.default_rng(0).standard_normal(layer.affine(x).y.shape).astype(x.dtype)
    with pytest.MonkeyPatch.context() as patch, cut_small(patch, positions, patches, adding):
        before = [a.copy() for a in (x, R, layer.weight)]
        for a in (x, R, layer.weight):
            a.setflags(write=False)
        assert_alike(layer, x, R, rule, stabilizer=stabilizer)
        assert all(np.array_equal(a, b) for a, b in zip((x, R, layer.weight), before, strict=True))


@many
@given(data=st.data(), ties=st.sampled_from(("first", "last", "split")), dtype=st.sampled_from(DTYPES))
def test_max_pooling_finds_the_same_winner(data: st.DataObject, ties: str, dtype: Any) -> None:
    kernel, stride = (tuple(data.draw(st.integers(1, 3)) for _ in range(2)) for _ in range(2))
    padding = [(data.draw(st.integers(0, k - 1)), 0) for k in kernel]
    layer = lrp.MaxPool(kernel, stride, padding, 1, ties)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = rng.integers(-1, 2, (2, 3, 6, 7)).astype(dtype)  # many ties
    R = rng.standard_normal(layer.affine(x).y.shape).astype(dtype)
    for rule in (lrp.Gradient(), lrp.Pass(), lrp.Flat(), lrp.Zero()):
        assert_alike(layer, x, R, rule)


def test_a_masked_output_hands_nothing_on_under_any_rule() -> None:
    zero, one = np.zeros(3), np.ones(3)
    norm = lrp.BatchNorm(one, zero, zero, one, 0, linearization="at_mean_zero")
    x, R = np.array([[0.0, 2.0, 0.0]]), np.ones((1, 3))
    for rule in (lrp.Pass(), lrp.Gradient(), lrp.Zero()):
        assert lrp.propagate(norm, x, R, rule).relevance.tolist() == [[0, 1, 0]]
        assert_alike(norm, x, R, rule)


def test_every_golden_layer_is_alike() -> None:
    asked = 0
    for case in sweep(golden.load(), 5):
        if case.is_pattern or case.question.node is None or model.index_input(case.question.node):
            continue
        for dtype in ("float32", "float64"):
            read = lambda data, dtype=dtype: float_array(data, dtype)  # noqa: E731
            layer, x, R = case.question.arrays(read)
            rule, stabilizer, bias = model.rule(case.question.rule, read)
            problem = settle(layer, x, R, rule, stabilizer, bias)
            with np.errstate(all="ignore"):
                asked += relevance.serves(problem)
                assert_alike(layer, x, R, rule, stabilizer=stabilizer, bias=bias)
    assert asked > 100


def test_a_part_that_is_empty_is_not_read() -> None:
    x = np.abs(np.random.default_rng(0).standard_normal((2, 3))).astype(np.float32)
    positive, negative = sums.halves(x)
    assert positive is x
    assert sums.blank(negative)
    assert not negative.any()
    assert not sums.blank(np.zeros(3, np.float32))
    flipped, blank = sums.halves(-x)[::-1]
    assert np.array_equal(flipped, -x)
    assert sums.blank(blank)


def peak_of(run: Callable[[], Any]) -> int:
    """The most bytes that a second run holds at any time; the first one's imports are not its own."""
    run()
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rule", [lrp.Epsilon(), lrp.AlphaBeta(2, 1)], ids=lambda rule: rule.name)
def test_no_patch_matrix_of_a_layer_is_ever_formed(rule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "PATCHES", 2**16)
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape, np.float32) for shape in ((1, 32, 128, 128), (32, 32, 3, 3)))
    layer, R = lrp.Conv(w, None, padding=1), np.ones_like(x)
    assert peak_of(lambda: lrp.propagate(layer, x, R, rule)) < 8 * x.nbytes < 9 * x.nbytes  # 9 taps


def test_a_dense_layer_forms_no_copy_of_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "WEIGHTS", 2**16)
    rng = np.random.default_rng(0)
    w, x, R = (rng.standard_normal(shape, np.float32) for shape in ((2048, 2048), (2, 2048), (2, 2048)))
    layer = lrp.Dense(w)
    assert peak_of(lambda: lrp.propagate(layer, x, R, lrp.AlphaBeta(2, 1))) < w.nbytes / 2


def test_the_switch() -> None:
    a = np.zeros(3, np.float32)
    assert fast.on(a)
    assert not fast.on(a, a.astype(np.float16))
    with fast.switched(False):
        assert not fast.on(a)
    command = [sys.executable, "-c", "import numpy, lrp_ref.fast as f; print(f.on(numpy.zeros(1)))"]
    for value in ("0", "1"):
        found = subprocess.run(command, env={**os.environ, "LRP_REF_FAST": value}, capture_output=True, text=True, check=True)
        assert found.stdout.strip() == str(value == "1")


def test_calls_at_the_same_time_leave_the_threads_of_blas_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    def known() -> list[int]:
        return [library.num_threads for library in ThreadpoolController().select(user_api="blas").lib_controllers]

    before, rng = known(), np.random.default_rng(0)
    x, layer = rng.standard_normal((2, 6, 9, 9)), lrp.Conv(rng.standard_normal((4, 6, 3, 3)), None, padding=1)
    with cut_small(monkeypatch):
        want, got = layer.affine(x).y, []
        contexts = [copy_context() for _ in range(8)]
        work = [lambda each=each: got.append(each.run(lambda: layer.affine(x).y)) for each in contexts]
        callers = [threading.Thread(target=one) for one in work]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert len(got) == 8
    assert all(np.array_equal(y, want) for y in got)
    assert known() == before


def test_the_threads_of_blas_sleep_while_large_work_is_done() -> None:
    seen: list[int] = []

    def work(jobs: Iterable[int]) -> None:
        for _ in jobs:
            seen.extend(library.num_threads for library in ThreadpoolController().select(user_api="blas").lib_controllers)

    threads.across(work, [0], threads.LARGE)  # what one thread does alone
    threads.across(work, [0, 1, 2], threads.WORTHWHILE)
    assert len(seen) >= 4
    assert set(seen) == {1}


@pytest.mark.parametrize("fails", [0, 1, 5])
def test_an_error_of_a_thread_reaches_the_caller(fails: int) -> None:
    def work(jobs: Iterable[int]) -> None:
        for job in jobs:
            if job == fails:
                raise ZeroDivisionError(job)

    with pytest.raises(ZeroDivisionError, match=str(fails)):
        threads.across(work, range(6), threads.WORTHWHILE)


def test_a_forked_process_has_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, layer = rng.standard_normal((2, 6, 9, 9)), lrp.Conv(rng.standard_normal((4, 6, 3, 3)), None, padding=1)
    with cut_small(monkeypatch), warnings.catch_warnings():
        for kind in (DeprecationWarning, RuntimeWarning):  # of forking with threads, which is the point, and with JAX's
            warnings.simplefilter("ignore", kind)
        want = layer.affine(x).y
        child = multiprocessing.get_context("fork").Process(
            target=lambda: os._exit(0 if np.array_equal(layer.affine(x).y, want) else 1)
        )
        child.start()
        child.join(60)
    assert child.exitcode == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [4, 7], ids=lambda size: f"{size}x{size}")
@pytest.mark.parametrize("rule", [lrp.Epsilon(1e-2), lrp.AlphaBeta(2, 1)], ids=lambda rule: rule.name)
def test_channels_of_a_single_block_are_shared(rule: Any, size: int, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(size)
    w, x, R = (rng.standard_normal(s).astype(dtype) for s in ((3, 5, 3, 3), (1, 5, size, size), (1, 3, size, size)))
    shared: list[int] = []
    lanes = gather._lanes
    monkeypatch.setattr(gather, "_lanes", lambda *of: (found := lanes(*of), shared.append(len(found)))[0])
    with cut_small(monkeypatch, positions=50, patches=2**10, adding=100):
        assert_alike(lrp.Conv(w, None, padding=1), x, R, rule)
    assert 2 in shared


def test_a_shorter_last_block_has_room_for_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    w, x, R = (rng.standard_normal(s).astype(np.float32) for s in ((2, 3, 3, 3), (1, 3, 17, 8), (1, 2, 17, 8)))
    with cut_small(monkeypatch, positions=100, patches=2**12):  # blocks of 72 positions and of 64, whose lines are 80 apart
        assert_alike(lrp.Conv(w, None, padding=1), x, R, lrp.Epsilon(1e-2))


def test_what_overflows_is_refused_on_threads_too(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.full((2, 3, 4, 4), 1e30, np.float32)
    layer = lrp.Conv(np.full((2, 3, 3, 3), 1e30, np.float32), None, padding=1)
    with cut_small(monkeypatch), pytest.raises(lrp.LRPError, match="overflows float32"):
        lrp.propagate(layer, x, np.ones((2, 2, 4, 4), np.float32), lrp.ZPlus())


def test_a_known_output_spares_the_forward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    layer, x, R = lrp.Dense(rng.standard_normal((3, 4)), rng.standard_normal(3)), rng.standard_normal((2, 4)), np.ones((2, 3))
    want = lrp.propagate(layer, x, R, lrp.Epsilon()).relevance
    y = layer.affine(x).y
    monkeypatch.setattr("lrp_ref.layers.maps.DenseMap.apply", None)
    assert np.array_equal(lrp.propagate(layer, x, R, lrp.Epsilon(), output=y).relevance, want)
    with pytest.raises(lrp.LRPError, match=r"output: expected shape \(2, 3\), got \(2, 2\)"):
        lrp.propagate(layer, x, R, lrp.Epsilon(), output=y[:, :2])
