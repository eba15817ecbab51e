"""Smoke checks: a sound harness passes all of them, and each way to wire one wrongly is called by its name."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from inline import ALL, DENSE, Asked, Output, candidate, epsilon
from test_command_run import ADAPTER, Command, lrp_conform

from lrp_conform.candidates import adapter
from lrp_conform.smoke import smoke
from lrp_conform.smoke.smoke import Finding

__all__ = ["lrp_conform"]
CONV = {"op.conv", "spatial.2", "conv.padding", "conv.stride", "rule.epsilon", "stabilizer.signed_add", "bias.absorb"}
ADD = {"op.add", "rule.zero", "stabilizer.none", "bias.absorb"}


@pytest.fixture(autouse=True)
def golden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrp_conform.smoke.smoke.golden.load", lambda: ALL)


def checked(run: Callable[[Asked], Any], features: set[str] = DENSE, one_hot: bool = False) -> dict[str, Finding]:
    return {check.name: check for check in smoke.smoke(candidate(run, features, one_hot), in_process=True)}


def wrong(run: Callable[[Asked], Any], features: set[str] = DENSE, one_hot: bool = False) -> str:
    """What is said of the first check that fails."""
    return next((f"{c.name}: {c.told}" for c in checked(run, features, one_hot).values() if c.ok is False), "")


def with_params(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Asked], Output]:
    """The right function of other parameters."""

    def run(asked: Asked) -> Output:
        node = asked["nodes"][0]
        return epsilon({**asked, "nodes": [{**node, "params": {**node["params"], **change(node["params"])}}]})

    return run


def with_answer(change: Callable[[Output], Output]) -> Callable[[Asked], Output]:
    return lambda asked: {**(answer := epsilon(asked)), **change(answer)}


def square(w: Any) -> Any:
    return w.T if w.shape[0] == w.shape[1] else w


def test_a_sound_harness_passes_everything() -> None:
    found = checked(epsilon)
    assert [c for c in found.values() if c.ok is not True] == []
    assert list(found) == [
        "y of dense", "relevance of dense", "precision of dense", "the same question again", "input unchanged", "fresh arrays",
        "prints", "declared features",
    ]  # fmt: skip


Y = "y of dense: "
WRONG_DENSE: dict[str, tuple[Callable[[Asked], Any], str]] = {
    "transposed": (
        with_params(lambda p: {"weight": square(p["weight"])}),
        Y + "y equals x @ W: the weight is used as (in, out); expected (out, in)",
    ),
    "no bias": (with_params(lambda p: {"bias": 0 * p["bias"]}), Y + "the bias is missing"),
    "two biases": (with_params(lambda p: {"bias": 2 * p["bias"]}), Y + "the bias is added twice"),
    "other bias": (with_params(lambda p: {"bias": -p["bias"]}), Y + "the bias is subtracted"),
    "bias order": (with_params(lambda p: {"bias": p["bias"][::-1]}), Y + "the bias is in reverse order"),
    "both": (
        with_params(lambda p: {"weight": square(p["weight"]), "bias": 0 * p["bias"]}),
        "expected (out, in); and the bias is missing",
    ),
    "y reversed": (with_answer(lambda a: {"y": a["y"][::-1]}), Y + "the samples are in reverse order"),
    "y channels": (with_answer(lambda a: {"y": a["y"][:, ::-1]}), Y + "the channels are in reverse order"),
    "one sample": (with_answer(lambda a: {"y": a["y"][:1]}), Y + "only the first sample is there (x"),
    "no batch": (with_answer(lambda a: {"y": a["y"][0]}), Y + "only the first sample is there, without its batch axis"),
    "y summed": (with_answer(lambda a: {"y": a["y"].sum(0)}), Y + "the samples are added up"),
    "y transposed": (with_answer(lambda a: {"y": a["y"].T}), Y + "y is transposed"),
    "y flat": (with_answer(lambda a: {"y": a["y"].ravel()}), Y + "y is flattened, batch and all"),
    "relu": (with_answer(lambda a: {"y": np.maximum(a["y"], 0)}), Y + "y went through a ReLU"),
    "zero": (with_answer(lambda a: {"y": 0 * a["y"]}), Y + "y is 0"),
    "off": (with_answer(lambda a: {"y": a["y"] + 0.25}), Y + "y["),
    "no y": (with_answer(lambda a: {"y": None}), Y + "y: expected an array, got NoneType"),
    "float32": (with_answer(lambda a: {"y": a["y"].astype("f4")}), Y + "y is float32; asked for float64"),
    "float32 inside": (
        with_answer(lambda a: {"y": a["y"].astype("f4").astype(a["y"].dtype)}),
        "precision of dense: y has 2",
    ),
    "raises": (lambda asked: 1 / 0, Y + "no answer: ZeroDivisionError: division by zero"),
    "relevance float32": (with_answer(lambda a: {"relevance": a["relevance"].astype("f4")}), "relevance is float32"),
    "relevance transposed": (
        with_answer(lambda a: {"relevance": a["relevance"].T}),
        "relevance of dense: relevance has shape (3, 2); expected (2, 3): it is transposed",
    ),
    "relevance of one sample": (with_answer(lambda a: {"relevance": a["relevance"][0]}), "the batch axis is lost"),
    "relevance a list": (with_answer(lambda a: {"relevance": None}), "relevance has shape NoneType; expected (2, 3)"),
    "relevance reversed": (
        with_answer(lambda a: {"relevance": a["relevance"][::-1]}),
        "the samples of relevance are in reverse order",
    ),
    "relevance mixed": (with_answer(lambda a: {"relevance": a["relevance"] + a["relevance"][::-1]}), "reaches another"),
    "own relevance": (lambda asked: epsilon({**asked, "relevance": 0 * asked["relevance"] + 1}), "sample reaches another"),
}  # fmt: skip


@pytest.mark.parametrize("world", WRONG_DENSE)
def test_a_dense_layer_wired_wrongly_is_named(world: str) -> None:
    run, told = WRONG_DENSE[world]
    assert told in wrong(run)


def test_precision_is_told_in_bits() -> None:
    half = with_answer(lambda a: {"y": a["y"].astype("f4").astype(a["y"].dtype)})
    assert "where float64 has 53: computed in float32?" in wrong(half)


# What a process keeps ---------------------------------------------------------------------------------------------------


def test_what_is_kept_between_calls_is_seen() -> None:
    calls: list[int] = []

    def later(asked: Asked) -> Output:
        calls.append(1)
        answer = epsilon(asked)
        return {**answer, "relevance": answer["relevance"] * (1 + (len(calls) > 10))}

    assert "another relevance at the second call: something is kept" in wrong(later)


def test_writing_to_the_argument_is_seen() -> None:
    def writes(asked: Asked) -> Output:
        answer = epsilon(asked)
        asked["x"][...] = 0
        asked["nodes"][0]["params"]["bias"][...] = 0
        return answer

    assert "input unchanged: writes to its argument: nodes, x" in wrong(writes)


def test_views_and_buffers_are_seen() -> None:
    def view(asked: Asked) -> Output:
        answer = epsilon(asked)
        asked["x"][...] = answer["relevance"]
        return {**answer, "relevance": asked["x"][:]}

    buffers: dict[Any, Any] = {}

    def buffer(asked: Asked) -> Output:
        answer = epsilon(asked)
        for name, array in answer.items():
            kept = buffers.setdefault((name, array.shape, array.dtype.str), array)
            kept[...] = array
            answer[name] = kept
        return answer

    assert "fresh arrays: y is a buffer that the next call writes to: return a copy" in wrong(buffer)
    assert checked(view)["fresh arrays"].told == "relevance is a view of what was handed over: return a copy"


def test_prints_are_harmless() -> None:
    def prints(asked: Asked) -> Output:
        print("hello")
        return epsilon(asked)

    found = checked(prints)
    assert found["prints"].told == "harmless, it goes to standard error"
    assert all(c.ok for c in found.values())


def test_a_feature_that_is_never_answered_is_wrong() -> None:
    def declines(asked: Asked) -> Any:
        return epsilon(asked) if asked["rules"]["layer"]["bias"] == "absorb" else {"unsupported": "no bias modes"}

    told = wrong(declines)
    assert told.startswith("declared features: declared, and not answered: bias.ignore (")
    assert "declined: no bias modes" in told


# Convolutions, several inputs, one-hot ------------------------------------------------------------------------------------


def conv(asked: Asked, flip: int = 1, pad: int = 0, channels: int = 1, strides: bool = True) -> Output:
    """y of a convolution along two axes, right unless told otherwise, and no relevance."""
    node, x = asked["nodes"][0], asked["x"]
    w, b = node["params"]["weight"][:, ::channels, ::flip, ::flip], node["params"]["bias"]
    pads = [(begin + pad, end + pad) for begin, end in node["attrs"]["padding"]]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, [(0, 0), (0, 0), *pads]), w.shape[2:], axis=(2, 3))
    if strides:
        windows = windows[:, :, :: node["attrs"]["stride"][0], :: node["attrs"]["stride"][1]]
    y = np.einsum("nchwij,ocij->nohw", windows, w) + b[:, None, None]
    return {"y": y.astype(x.dtype), "relevance": 0 * x}


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (conv, ""),
        (lambda asked: conv(asked, flip=-1), "the kernel is flipped: that is a convolution; expected a cross-correlation"),
        (lambda asked: conv(asked, channels=-1), "the weight's second axis is in reverse order: channels swapped"),
        (lambda asked: conv(asked, strides=False), "the stride is taken for 1"),
        (lambda asked: conv(asked, pad=1), "the padding is one too wide on every side"),
        (lambda asked: {**(a := conv(asked)), "y": np.moveaxis(a["y"], 1, -1)}, "y has its channels last"),
        (lambda asked: {**(a := conv(asked)), "y": a["y"].reshape(2, -1)}, "y is flattened"),
        (
            lambda q: conv(q | {"nodes": [(n := q["nodes"][0]) | {"attrs": n["attrs"] | {"padding": [[0, 0]] * 2}}]}),
            "the padding is missing",
        ),
        (
            lambda asked: {**(a := conv(asked, flip=-1)), "y": a["y"] - asked["nodes"][0]["params"]["bias"][:, None, None]},
            "the kernel is flipped: that is a convolution; expected a cross-correlation; and the bias is missing",
        ),
    ],
)  # fmt: skip
def test_a_convolution_wired_wrongly_is_named(run: Callable[[Asked], Any], told: str) -> None:
    found = checked(run, CONV)["y of conv along 2 axes"]
    assert found.ok is (told == "")
    assert told in found.told


def add(asked: Asked, order: int = 1) -> Output:
    xs = asked["x"]
    y = xs[0] + xs[1]
    s = asked["relevance"] / y
    return {"y": y, "relevance": [x * s for x in xs][::order]}


def test_the_order_of_several_inputs_is_checked() -> None:
    assert wrong(add, ADD) == ""
    assert "relevances come in the reverse order of the inputs" in wrong(lambda asked: add(asked, -1), ADD)
    assert "relevance has shape (2, 3); expected (2, 3), (2, 3)" in wrong(
        lambda asked: {**(a := add(asked)), "relevance": a["relevance"][0]}, ADD
    )


def test_a_one_hot_candidate_is_checked() -> None:
    def one(asked: Asked) -> Output:
        y = asked["x"] @ asked["nodes"][0]["params"]["weight"].T + asked["nodes"][0]["params"]["bias"]
        arrives = np.zeros_like(y)
        arrives.reshape(-1)[asked["target"]] = y.reshape(-1)[asked["target"]]
        return epsilon({**asked, "relevance": arrives})

    assert wrong(one, one_hot=True) == ""
    assert "no answer" in wrong(lambda asked: {**one(asked), "y": 0 * asked["x"]}, one_hot=True)


# The command --------------------------------------------------------------------------------------------------------------


def test_the_command_says_what_is_wrong(lrp_conform: Command, tmp_path: Any) -> None:
    path = tmp_path / "mine.py"
    path.write_text(ADAPTER, encoding="utf-8")
    for extra in ((), ("--in-process",)):
        code, out, err = lrp_conform("smoke", path, *extra)
        assert (code, err) == (0, "")
        assert "wrong" not in out
        assert ("only with --in-process" in out) == (not extra)
    path.write_text(ADAPTER.replace('+ node["bias"]', '- node["bias"]'), encoding="utf-8")
    code, out, err = lrp_conform("smoke", path)
    assert (code, err) == (1, "")
    assert "the bias is subtracted" in " ".join(out.split())
    path.write_text(ADAPTER + "def run(case): raise ModuleNotFoundError('no lib')", encoding="utf-8")
    code, out, err = lrp_conform("smoke", path)
    assert (code, err) == (2, "lrp-conform: mine[gpu] was not run: no lib\n")


def test_a_candidate_without_a_known_layer_is_told_so() -> None:
    flat = replace(candidate(epsilon), features=frozenset({"op.flatten", "rule.pass"}))
    assert [(c.name, c.ok) for c in smoke.smoke(flat)] == [("layers", None)]


@pytest.mark.parametrize("index", range(10))
def test_the_seeds_pass(index: int) -> None:
    seed = adapter.load("seeds")[index]
    assert [c for c in smoke.smoke(seed, in_process=True) if c.ok is False] == []
