"""Hidden precision: candidates that answer in one format and compute in another are told, correct ones never accused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from examples import sweep
from inline import DTYPES, EPSILON, Asked, Output, candidate, cases, epsilon, results

from lrp_conform.candidates import adapter
from lrp_conform.candidates.adapter import Candidate
from lrp_conform.cases import golden
from lrp_conform.cases.layer import Case
from lrp_conform.cases.question import evaluate
from lrp_conform.diagnosis.precision import precision
from lrp_conform.diagnosis.probes import probe, result_of
from lrp_conform.judging.result import CaseResult
from lrp_conform.running import runner

CASES = {case.id: case for case in golden.load()}
CONV = [c for c in cases("conv.epsilon.", "conv.zero.") if "float32" in c.data["representable_in"]]
Round = Callable[[np.ndarray], np.ndarray]


def to(bits: int) -> Round:
    """Round to nearest with that many bits, any exponent."""

    def rounded(a: np.ndarray) -> np.ndarray:
        fraction, exponent = np.frexp(a)
        return np.ldexp(np.round(fraction * 2.0**bits) / 2.0**bits, exponent).astype(a.dtype)

    return rounded


def same(a: np.ndarray) -> np.ndarray:
    return a


def dense(operands: Round = same, products: Round = same) -> Callable[[Asked], Output]:
    """The epsilon rule, operands or products of its matrix products rounded."""

    def run(asked: Asked) -> Output:
        node, rule = asked["nodes"][0]["params"], asked["rules"]["layer"]
        w, x, b = operands(node["weight"]), operands(asked["x"]), node["bias"]
        y = x @ w.T + b
        d = y if rule["bias"] == "absorb" else x @ w.T
        eps = w.dtype.type(rule["stabilizer"]["epsilon"])
        s = operands(asked["relevance"] / np.where(d < 0, d - eps, d + eps))
        return {"y": y, "relevance": products(asked["x"] * (s @ w))}

    return run


def shifted(a: np.ndarray, offset: tuple[int, ...], size: tuple[int, ...], stride: list[int]) -> Any:
    return (slice(None), slice(None), *(slice(o, o + s * n, s) for o, n, s in zip(offset, size, stride, strict=True)))


def conv(operands: Round) -> Callable[[Asked], Output]:
    """The zero and epsilon rules on a convolution, tap by tap."""

    def run(asked: Asked) -> Output:
        node, rule = asked["nodes"][0], asked["rules"]["layer"]
        a, w, b, x = node["attrs"], operands(node["params"]["weight"]), node["params"]["bias"], operands(asked["x"])
        padded = np.pad(x, [(0, 0), (0, 0), *a["padding"]])
        size = asked["relevance"].shape[2:]
        taps = [
            (k, shifted(padded, tuple(i * d for i, d in zip(k, a["dilation"], strict=True)), size, a["stride"]))
            for k in np.ndindex(*w.shape[2:])
        ]
        z = sum(np.einsum("oi,ni...->no...", w[(..., *k)], padded[at]) for k, at in taps)
        column = b.reshape(-1, *[1] * len(size))
        d = z + column if rule["bias"] == "absorb" else z
        eps = w.dtype.type(rule["stabilizer"]["epsilon"])
        D = np.where(d < 0, d - eps, d + eps)
        s = operands(np.where(D == 0, 0, asked["relevance"] / np.where(D == 0, 1, D)).astype(x.dtype))
        back = np.zeros_like(padded)
        for k, at in taps:
            back[at] += np.einsum("oi,no...->ni...", w[(..., *k)], s)
        inside = (
            slice(None),
            slice(None),
            *(slice(p, n - q) for (p, q), n in zip(a["padding"], padded.shape[2:], strict=True)),
        )
        return {"y": z + column, "relevance": asked["x"] * back[inside]}

    return run


FEATURES = frozenset().union(*(c.features for c in CONV)) - {"conv.groups"}
CONV = [c for c in CONV if c.features <= FEATURES]


def unnamed(one: Candidate, chosen: list[Case], dtypes: tuple[str, ...] = DTYPES) -> list[CaseResult]:
    """The results of a run before any name is looked for, which takes longest."""
    return [result_of(one, case, dtype) for dtype in dtypes for case in chosen]


@pytest.mark.parametrize(("bits", "name"), [(8, "bfloat16"), (11, "TF32 or float16")])
@pytest.mark.parametrize("where", ["operands", "products"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_dense_layer_that_rounds_inside_is_told(bits: int, name: str, where: str, dtype: str) -> None:
    found = precision(unnamed(candidate(dense(**{where: to(bits)})), EPSILON, (dtype,)), CASES)
    assert [(p.feature, p.dtype, p.format.name) for p in found] == [("epsilon on dense", dtype, name)]
    assert f"behaves like {bits} of " in found[0].text
    assert set(found[0].evidence) <= CASES.keys()


@pytest.mark.parametrize(("bits", "name"), [(8, "bfloat16"), (11, "TF32 or float16")])
def test_a_convolution_that_rounds_inside_is_told(bits: int, name: str) -> None:
    found = precision(unnamed(candidate(conv(to(bits)), FEATURES), CONV), CASES)
    assert {(p.feature, p.dtype, p.format.name) for p in found} == {
        (feature, dtype, name) for feature in ("epsilon on conv", "zero on conv") for dtype in ("float32", "float64")
    }


def test_float32_inside_float64_is_told_at_float64_alone() -> None:
    found = precision(results(candidate(dense(to(24)))), CASES)
    assert [(p.dtype, p.format.name) for p in found] == [("float64", "float32")]


@pytest.mark.parametrize("bits", [8, 11])
def test_the_probes_alone_tell_it(bits: int) -> None:
    answers, own = probe(candidate(dense(to(bits))))
    found = precision(answers, own)
    assert {(p.dtype, p.format.bits) for p in found} == {("float64", bits), ("float32", bits)}


def reciprocal(operands: Round) -> Callable[[Asked], Output]:
    """Another plan, (n / D) R: not exact on exact data."""

    def run(asked: Asked) -> Output:
        right = dense(operands)(asked)
        node, rule = asked["nodes"][0]["params"], asked["rules"]["layer"]
        d = right["y"] if rule["bias"] == "absorb" else right["y"] - node["bias"]
        eps = d.dtype.type(rule["stabilizer"]["epsilon"])
        shares = operands(asked["x"][:, None, :] * node["weight"] / np.where(d < 0, d - eps, d + eps)[..., None])
        return {**right, "relevance": (shares * asked["relevance"][..., None]).sum(axis=1)}

    return run


@pytest.mark.parametrize(
    "run",
    [
        epsilon,
        dense(),
        reciprocal(same),
        lambda asked: epsilon(asked, smaller=1000),
        lambda asked: epsilon(asked, smaller=1.01),
        lambda asked: {**(right := epsilon(asked)), "relevance": right["relevance"] * right["relevance"].dtype.type(1.001)},
        lambda asked: {**(right := epsilon(asked)), "relevance": right["relevance"] * right["relevance"].dtype.type(1.01)},
        lambda asked: {**(right := epsilon(asked)), "relevance": -right["relevance"]},
    ],
)
def test_what_is_right_or_wrong_otherwise_is_not_accused(run: Callable[[Asked], Output]) -> None:
    one = candidate(run)
    assert precision(results(one, sweep(EPSILON, 3)), CASES) == []
    assert precision(*probe(one)) == []


def test_no_correct_evaluation_of_any_rule_is_accused() -> None:
    """The reference's own text in floats, on every case of dense layers and convolutions."""
    chosen = sweep([c for c in cases("dense.", "conv.") if "float32" in c.data["representable_in"]], 3)
    answers: dict[bytes, Case] = {}

    def key(asked: Asked) -> bytes:
        return repr((asked["nodes"], asked["rules"], asked["x"], asked["relevance"])).encode()

    for case in chosen:
        for dtype in ("float64", "float32"):
            answers[key(case.adapter_case(dtype))] = case

    def run(asked: Asked) -> Output:
        y, (relevance, *_) = evaluate(answers[key(asked)].question, asked["dtype"])
        return {"y": y, "relevance": relevance}

    features = frozenset().union(*(c.features for c in chosen))
    found = list(runner.run(candidate(run, features), chosen, ("float64", "float32")))
    assert precision(found, CASES) == []


def test_the_seeds_are_not_accused() -> None:
    for one in sweep(adapter.load("seeds")[:-1], 2):
        assert precision(*probe(one)) == []
