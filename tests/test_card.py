"""Dialect cards: what a candidate does is read off its answers, whatever library it is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from inline import Asked, Output, candidate, cases, epsilon, results

from lrp_conform.candidates.adapter import Candidate
from lrp_conform.cases import golden
from lrp_conform.cases.model import is_feature
from lrp_conform.diagnosis.card import UNKNOWN, Card, card
from lrp_conform.diagnosis.probes import probe

Stabilize = Callable[[np.ndarray], np.ndarray]
CASES = {case.id: case for case in golden.load()}


def probed(one: Candidate) -> Card:
    answers, own = probe(one)
    return card(answers, own, one.one_hot)


def pos(a: Any) -> Any:
    return np.maximum(a, 0)


def neg(a: Any) -> Any:
    return np.minimum(a, 0)


# A sixth library, with conventions of its own --------------------------------------------------------------------------


def signed(eps: float, at_zero: int = 1) -> Stabilize:
    return lambda d: d + eps * np.where(d > 0, 1, np.where(d < 0, -1, at_zero))


def library(stabilize: Stabilize, parts: Callable[[np.ndarray, np.ndarray, np.ndarray, Any], Any]) -> Callable[[Asked], Output]:
    """A library that hears the rule's name and its parameters, and nothing else of what it is asked."""

    def run(asked: Asked) -> Output:
        w, b = (asked["nodes"][0]["params"][name] for name in ("weight", "bias"))
        x, relevance = asked["x"], asked["relevance"]
        z = x[:, None, :] * w
        total = np.zeros_like(z)
        for factor, n, c in parts(z, b, w, asked["rules"]["layer"]):
            d = stabilize(n.sum(axis=-1) + c)
            total = total + np.where(n == 0, 0, factor * n / d[..., None]) * relevance[..., None]
        return {"y": x @ w.T + b, "relevance": total.sum(axis=1)}

    return run


def linear(z: Any, b: Any, w: Any, rule: Any) -> Any:
    return [(1, z, b)]


def declares(*names: str) -> list[str]:
    features = ["op.dense", *names]
    assert all(map(is_feature, features))
    return features


STABILIZERS: list[tuple[str, float, Stabilize]] = [
    ("signed_add", 1e-6, signed(1e-6)),
    ("signed_add", 1e-9, signed(1e-9)),
    ("signed_add", 0.25, signed(0.25)),
    ("signed_add", 1e-16, signed(1e-16)),
    ("unsigned_add", 1e-6, lambda d: d + 1e-6),
    ("unsigned_add", 3e-12, lambda d: d + 3e-12),
    ("replace_zero", 1e-7, lambda d: np.where(d == 0, 1e-7, d)),
    ("clip", 1e-3, lambda d: np.where(d < 0, -1, 1) * np.maximum(abs(d), 1e-3)),
    ("rms_scaled", 1e-2, lambda d: d + 1e-2 * np.where(d < 0, -1, 1) * np.sqrt((d * d).mean(axis=-1, keepdims=True))),
    ("std_scaled", 1e-2, lambda d: d + 1e-2 * np.where(d < 0, -1, 1) * d.std()),
    ("floor", 1e-5, lambda d: np.maximum(d, 1e-5)),
    ("magnitude", 1e-5, lambda d: abs(d) + 1e-5),
]


@pytest.mark.parametrize(("kind", "eps", "stabilize"), STABILIZERS)
def test_a_stabilizer_of_its_own_is_named_and_its_epsilon_measured(kind: str, eps: float, stabilize: Stabilize) -> None:
    found = probed(candidate(library(stabilize, linear), declares("rule.zero", "bias.absorb", "stabilizer.none")))
    row = next(r for r in found.rows if r.topic == "stabilizer of zero")
    assert row.finding.startswith(f"{kind}, epsilon {eps:g}: D = ")
    assert f"(epsilon measured: {eps:g} ± " in row.finding
    assert row.contradicting == 0
    assert "bias of zero" in {r.topic for r in found.rows}


def test_the_epsilon_that_is_asked_for_is_told_from_one_of_its_own() -> None:
    declared = declares("rule.epsilon", "bias.absorb", "stabilizer.signed_add")
    assert probed(candidate(epsilon, declared))["stabilizer of epsilon"].startswith("signed_add, epsilon as asked")
    own = probed(candidate(library(signed(1e-6), linear), declared))
    assert own["stabilizer of epsilon"].startswith("signed_add, epsilon 1e-06: ")


@pytest.mark.parametrize(("at_zero", "finding"), [(1, "+1"), (-1, "-1"), (0, "0")])
def test_the_sign_at_zero_is_read_off_a_zero_denominator(at_zero: int, finding: str) -> None:
    found = probed(candidate(library(signed(1e-6, at_zero), linear), declares("rule.zero", "bias.absorb", "stabilizer.none")))
    assert found["sign at zero"].startswith(finding)


ALPHA_BETA = ("rule.alpha-beta", "rule.alpha1-beta0", "bias.split", "stabilizer.none")


def halves(positive: Any, negative: Any) -> Any:
    def parts(z: Any, b: Any, w: Any, rule: Any) -> Any:
        return [(rule["alpha"], pos(z), positive(b)), (-rule["beta"], neg(z), negative(b))]

    return parts


@pytest.mark.parametrize(
    ("parts", "finding"),
    [
        (halves(pos, neg), "split"),
        (halves(lambda b: 0 * b, lambda b: 0 * b), "ignore"),
        (halves(lambda b: b, lambda b: b), "full_in_both"),
    ],
)
def test_the_bias_of_alpha_beta(parts: Any, finding: str) -> None:
    found = probed(candidate(library(signed(1e-9), parts), declares(*ALPHA_BETA)))
    assert found["bias of alpha-beta"].split(":")[0] == finding
    assert found["split of alpha-beta"] == "joint"
    assert found["stabilizer of alpha-beta"].startswith("signed_add, epsilon 1e-09")


def test_a_split_by_the_sign_of_the_weight() -> None:
    def parts(z: Any, b: Any, w: Any, rule: Any) -> Any:
        return [(rule["alpha"], np.where(w > 0, z, 0), b), (-rule["beta"], np.where(w < 0, z, 0), b)]

    found = probed(candidate(library(signed(1e-9), parts), declares(*ALPHA_BETA)))
    assert found["split of alpha1-beta0"] == "weight"
    assert found["bias of alpha1-beta0"].startswith("full_in_both")


@pytest.mark.parametrize(("square", "finding"), [(True, "square"), (False, "ignore")])
def test_the_bias_of_w_square(square: bool, finding: str) -> None:
    def parts(z: Any, b: Any, w: Any, rule: Any) -> Any:
        return [(1, 0 * z + w * w, b * b if square else 0 * b)]

    found = probed(candidate(library(signed(1e-6), parts), declares("rule.w-square", "bias.ignore", "stabilizer.none")))
    assert found["bias of w-square"].split(":")[0] == finding


def generalized(z: Any, b: Any, w: Any, rule: Any) -> Any:
    up = (z.sum(axis=-1) + b)[..., None] > 0
    g = rule["gamma"]
    n = z + g * np.where(up, pos(z), neg(z))
    return [(1, n, b + g * np.where(up[..., 0], pos(b), neg(b)))]


GAMMAS: list[tuple[Any, str, str]] = [
    (lambda z, b, w, r: [(1, z + r["gamma"] * np.where(w > 0, z, 0), b + r["gamma"] * pos(b))], "original", "absorb"),
    (lambda z, b, w, r: [(1, z + r["gamma"] * np.where(w > 0, z, 0), b)], "original", "raw"),
    (lambda z, b, w, r: [(1, z + r["gamma"] * pos(w) * np.where(w > 0, z, 0), 0 * b)], "squared", "ignore"),
    (generalized, "generalized", "absorb"),
]


@pytest.mark.parametrize(("parts", "kind", "bias"), GAMMAS)
def test_the_kind_of_gamma_and_its_bias(parts: Any, kind: str, bias: str) -> None:
    found = probed(candidate(library(signed(1e-6), parts), declares("rule.gamma", "bias.absorb", "stabilizer.none")))
    assert found["kind of gamma"].split(":")[0] == kind
    assert found["bias of gamma"].split(":")[0] == bias


def test_a_candidate_of_convolutions_alone_has_a_card() -> None:
    def run(asked: Asked) -> Output:
        w, b = (asked["nodes"][0]["params"][name] for name in ("weight", "bias"))
        x, w = asked["x"], w[..., 0]  # one tap
        y = np.einsum("oi,nip->nop", w, x) + b[:, None]
        s = asked["relevance"] / (y + 1e-12)
        return {"y": y, "relevance": x * np.einsum("oi,nop->nip", w, s)}

    found = probed(candidate(run, ["op.conv", "spatial.1", "rule.zero", "bias.absorb", "stabilizer.none"]))
    assert found["stabilizer of zero"].startswith("unsigned_add, epsilon 1e-12")
    assert found["bias of zero"].split(":")[0] == "absorb"


def test_a_residual_split_and_ties_of_pooling() -> None:
    def run(asked: Asked) -> Output:
        if asked["nodes"][0]["op"] == "add":
            return {"y": sum(asked["x"]), "relevance": [asked["relevance"] / 2] * 2}
        windows = asked["x"].reshape(1, 1, 2, 3)
        top = windows == windows.max(axis=-1, keepdims=True)
        shares = top / top.sum(axis=-1, keepdims=True) * asked["relevance"][..., None]
        return {"y": windows.max(axis=-1), "relevance": shares.reshape(asked["x"].shape)}

    declared = ["op.add", "op.max-pool", "spatial.1", "rule.zero", "rule.pass", "bias.absorb", "bias.ignore", "stabilizer.none"]
    found = probed(candidate(run, declared))
    assert found["residual"].split(" ")[0] == "equal"
    assert found["ties of max pooling"].split(" ")[0] == "split"
    assert found["max pooling"] == "winner"


# Honesty ----------------------------------------------------------------------------------------------------------------


def test_what_is_no_convention_is_said_to_be_none_with_the_mistake_nearest_to_it() -> None:
    declared = declares("rule.epsilon", "bias.absorb", "stabilizer.signed_add")
    found = probed(candidate(lambda asked: {**(right := epsilon(asked)), "relevance": -right["relevance"]}, declared))
    assert found["stabilizer of epsilon"] == f"{UNKNOWN}; nearest: mistake.sign"
    noise = probed(candidate(lambda asked: {**epsilon(asked), "relevance": np.sin(1 + asked["x"])}, declared))
    assert noise["bias of epsilon"] == UNKNOWN


def test_what_nothing_asked_is_said_to_be_untold() -> None:
    """Without a bias, no bias mode shows."""
    chosen = [c for c in cases("classic.output-is-zero-epsilon", "bug.sign-of-zero") if "-minus" not in c.id]
    found = card(results(candidate(epsilon), [chosen[0]], ("float64",)), CASES)
    assert all(row.agreeing > 0 for row in found.rows)
    single = card(results(candidate(epsilon), cases("bug.sign-of-zero"), ("float64",)), CASES)
    assert "not told apart by what was asked" in single["bias of epsilon"]
    assert "absorb" in single["bias of epsilon"]


def test_answers_that_contradict_are_counted() -> None:
    def moody(asked: Asked) -> Output:
        return epsilon(asked, smaller=1000 if asked["x"].shape == (1, 3) else 1)

    found = card(results(candidate(moody), dtypes=("float64",)), CASES)
    row = next(r for r in found.rows if r.topic == "stabilizer of epsilon")
    assert row.contradicting > 0 < row.agreeing
    assert row.finding.startswith("signed_add, epsilon as asked")


def test_the_golden_answers_alone_give_a_card() -> None:
    found = card(results(candidate(epsilon), dtypes=("float64", "float32")), CASES)
    assert found["bias of epsilon"] == "as asked: absorb, ignore"
    assert found["stabilizer of epsilon"].startswith("signed_add, epsilon as asked")
    assert (found.candidate, found.version) == ("inline", "1")
    assert all(set(row.evidence) <= CASES.keys() for row in found.rows)
    with pytest.raises(KeyError):
        found["ties of max pooling"]
