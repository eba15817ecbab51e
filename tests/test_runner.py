"""The runner: wrong candidates are caught and named, awkward ones are not misjudged."""

import copy
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from inline import DENSE, EPSILON, Asked, Output, candidate, cases, epsilon, results, verdicts
from oracle import explain

from lrp_conform.builders import Unsupported
from lrp_conform.candidates.adapter import Waiver
from lrp_conform.cases.layer import Case
from lrp_conform.cases.numbers import floats
from lrp_conform.judging import layer
from lrp_conform.judging.verdict import FAILURES, PASSES
from lrp_conform.making.generate import build
from lrp_conform.making.recipes.common import Recipe, spec
from lrp_conform.running import runner

# Right and wrong ----------------------------------------------------------------------------------------------------


def test_a_correct_candidate_passes_every_case() -> None:
    found = results(candidate(epsilon))
    assert len(found) == 2 * len(EPSILON) > 50
    assert {r.verdict for r in found} <= {*PASSES, "indeterminate"}
    assert sum(r.verdict in PASSES for r in found) > 0.9 * len(found)
    assert sum(r.verdict == "exact" for r in found) > 10
    assert all(r.deterministic in (True, None) and not r.fails for r in found)


def wrong_sign(asked: Asked) -> Output:
    right = epsilon(asked)
    return {**right, "relevance": -right["relevance"]}


@pytest.mark.parametrize(
    ("run", "name"),
    [
        (wrong_sign, "mistake.sign"),
        (lambda asked: epsilon(asked, smaller=1000), "mistake.epsilon-1000-times-smaller"),
        (lambda asked: epsilon(asked, power=2), "mistake.relevance-twice"),
        (lambda asked: epsilon({**asked, "relevance": asked["relevance"] * 0 + 1}), "mistake.relevance-ignored"),
    ],
)
def test_a_mistake_is_caught_on_almost_every_case_and_named(run: Callable[[Asked], Output], name: str) -> None:
    found = results(candidate(run))
    wrong = [r for r in found if r.fails]
    assert {r.verdict for r in wrong} == {"nonconformant"}
    assert len(wrong) > 0.9 * len(found)
    assert all((r.judgement.hint or "").endswith(f"({name})") for r in wrong)
    assert all(r.judgement.dialect is None for r in found)


def test_epsilon_1e_9_for_1e_6_is_caught_and_named() -> None:
    """On the golden data, with an epsilon of 1e-6 in the place of each case's own."""
    rule = spec("epsilon", epsilon=Fraction(1e-6))
    recipes = [Recipe(c.id, c.node, {**rule, "bias": c.rule["bias"]}, c.data["inputs"]) for c in EPSILON]
    chosen = [Case(build(recipe), "dense/epsilon") for recipe in recipes]
    assert verdicts(candidate(epsilon), chosen, ("float64",)) <= {*PASSES, "indeterminate"}
    found = results(candidate(lambda asked: epsilon(asked, smaller=1000)), chosen, ("float64",))
    wrong = [r for r in found if r.verdict not in (*PASSES, "indeterminate")]
    assert len(wrong) > 0.9 * len(found)
    assert {r.judgement.dialect for r in wrong} == {"stabilizer.signed_add-1e-9"}


def tensor(array: np.ndarray) -> dict[str, Any]:
    return {"shape": list(array.shape), "data": [str(Fraction(float(v))) for v in array.reshape(-1)]}


def by_oracle(asked: Asked, **changes: Any) -> Output:
    """The second oracle as a candidate, with another rule entry."""
    node, rule = asked["nodes"][0], asked["rules"]["layer"]
    stabilizer = {**rule["stabilizer"], "epsilon": str(Fraction(rule["stabilizer"]["epsilon"]))}
    question = {
        "model": {"nodes": [{**node, "params": {k: tensor(v) for k, v in node["params"].items()}}]},
        "rules": {"layer": {**rule, "stabilizer": stabilizer, **changes}},
        "inputs": {"x": tensor(asked["x"]), "relevance": tensor(asked["relevance"])},
    }
    answer = explain(question)

    def array(t: dict[str, Any]) -> np.ndarray:
        return np.asarray([float(v) for v in t["data"]]).reshape(t["shape"]).astype(asked["dtype"])

    return {"y": array(answer["y"]), "relevance": array(answer["relevance"]["x"])}


FLAT = [c for c in cases("conv.flat.", "classic.flat-padded") if c.rule["padding"] == "absent"]
FLAT_FEATURES = frozenset().union(*(c.features for c in FLAT))


def test_flat_that_counts_taps_on_padding_is_a_named_dialect() -> None:
    assert verdicts(candidate(by_oracle, FLAT_FEATURES), FLAT) <= {*PASSES, "indeterminate"}
    found = results(candidate(lambda asked: by_oracle(asked, padding="counted"), FLAT_FEATURES), FLAT)
    padded = [r for r in found if r.verdict == "dialect"]
    assert {r.judgement.dialect for r in padded} == {"padding.counted"}
    assert {r.case for r in padded} >= {"classic.flat-padded", "conv.flat.exact-01"}
    assert {r.verdict for r in found} <= {*PASSES, "dialect"}


def test_flat_that_ignores_padding_only_now_and_then_has_no_dialect() -> None:
    """A dialect explains all of a feature's failures and contradicts none of its passes."""

    def moody(asked: Asked) -> Output:
        return by_oracle(asked, padding="counted" if asked["x"].shape == (1, 1, 4) else "absent")

    found = [r for r in results(candidate(moody, FLAT_FEATURES), FLAT) if r.verdict not in PASSES]
    assert {(r.case, r.verdict) for r in found} == {("classic.flat-padded", "nonconformant")}
    assert all("padding.counted" in (r.judgement.hint or "") for r in found)


def test_an_answer_that_holds_in_norm_only_is_graded_so_and_is_no_pass() -> None:
    """As fast convolutions do: every element off by a part of the bound of the sample's largest."""
    (case,) = cases("conv.gamma.generic-01")
    target = layer.expected(case, "float64")
    (bound,), (want,), found = target.bound, target.expected, {}
    for part in (0.5, 4.0):
        off = np.where(bound == bound.min(), part * bound.max(), 0)
        answer = {"y": floats(case.expected_y), "relevance": want + off}
        (found[part],) = results(candidate(lambda asked, answer=answer: answer, case.features), [case], ("float64",))
    assert (found[0.5].verdict, found[4.0].verdict) == ("normwise", "nonconformant")
    assert "normwise" not in PASSES
    assert found[0.5].judgement.tau > 1 > found[0.5].judgement.tau_normwise == pytest.approx(0.5, rel=0.2)


# What is no answer --------------------------------------------------------------------------------------------------


def raising(error: BaseException) -> Callable[[Asked], Output]:
    def run(asked: Asked) -> Output:
        raise error

    return run


@pytest.mark.parametrize(
    ("run", "verdict", "why"),
    [
        (raising(Unsupported("no dense layers")), "unsupported-undeclared", "no dense layers"),
        (lambda asked: {"unsupported": "not today"}, "unsupported-undeclared", "not today"),
        (raising(ZeroDivisionError("by\nzero")), "error", "ZeroDivisionError: by"),
        (raising(AssertionError()), "error", "AssertionError: "),
        (raising(ModuleNotFoundError("torch is missing: pip install torch")), "not-run", "torch is missing: pip install torch"),
        (lambda asked: None, "invalid-output", "expected a dict, got NoneType"),
        (lambda asked: {}, "invalid-output", "relevance of x: expected an ndarray, got NoneType"),
        (lambda asked: {"relevance": epsilon(asked)["relevance"]}, "forward-mismatch", "y: expected an array"),
    ],
)
def test_no_answer_has_a_verdict_and_a_reason(run: Callable[[Asked], Output], verdict: str, why: str) -> None:
    found = results(candidate(run))
    assert {r.verdict for r in found} == {verdict}
    assert all(r.judgement.detail["why"].startswith(why) for r in found)
    assert all(r.fails == (verdict in FAILURES) for r in found)


def test_undeclared_features_are_unsupported_and_never_asked() -> None:
    asked = []
    found = results(candidate(lambda a: asked.append(a) or epsilon(a), DENSE - {"bias.ignore"}))
    declined = {r.case for r in found if r.verdict == "unsupported"}
    assert declined == {c.id for c in EPSILON if c.rule["bias"] == "ignore"}
    assert {a["rules"]["layer"]["bias"] for a in asked} == {"absorb"}


# One target at a time -----------------------------------------------------------------------------------------------


def one_hot(asked: Asked) -> Output:
    """Accepts a target output alone, for one sample."""
    assert "relevance" not in asked
    assert asked["x"].shape[0] == 1
    node = asked["nodes"][0]["params"]
    y = asked["x"] @ node["weight"].T + node["bias"]
    return epsilon({**asked, "relevance": np.where(np.arange(y.size) == asked["target"], y, 0).astype(y.dtype)})


def test_one_hot_answers_compose_to_an_arbitrary_relevance() -> None:
    found = results(candidate(one_hot, one_hot=True))
    assert {r.verdict for r in found} <= {*PASSES, "indeterminate"}
    assert sum(r.verdict in PASSES for r in found) > 0.8 * len(found)
    for direct, composed in zip(results(candidate(epsilon)), found, strict=True):
        if composed.output is not None and direct.dtype == "float64":
            np.testing.assert_allclose(composed.output["relevance"], direct.output["relevance"], rtol=1e-9, atol=1e-9)


def test_a_wrong_one_hot_candidate_is_caught() -> None:
    found = results(candidate(lambda asked: {**(right := one_hot(asked)), "relevance": -right["relevance"]}, one_hot=True))
    assert sum("mistake.sign" in (r.judgement.hint or "") for r in found if r.fails) > 0.8 * len(found)


def test_what_cannot_be_composed_is_indeterminate() -> None:
    (found,) = results(candidate(one_hot, one_hot=True), cases("bug.sign-of-zero"), ("float64",))
    assert found.verdict == "indeterminate"
    assert "output 0, which is 0" in found.judgement.detail["why"]


# Awkward candidates -------------------------------------------------------------------------------------------------


def test_a_second_answer_that_differs_is_flagged() -> None:
    """The first cases of a group are asked twice: one group of bias absorbed, one of bias ignored, per dtype."""
    seen: set[bytes] = set()

    def unsteady(asked: Asked) -> Output:
        right = epsilon(asked)
        key = right["relevance"].tobytes()
        again, _ = key in seen, seen.add(key)
        return {**right, "relevance": right["relevance"] * right["relevance"].dtype.type(1 + again * 2.0**-23)}

    found = results(candidate(unsteady))
    assert {r.deterministic for r in found} == {False, None}
    unequal = [r for r in found if r.deterministic is False]
    assert len(unequal) >= 4 * runner.REPEATED
    assert {r.verdict for r in unequal} == {"exact"}  # of the first answer
    assert all((r.judgement.hint or "").startswith("nondeterministic") for r in unequal)
    assert {r.deterministic for r in results(candidate(epsilon))} == {True, None}


def test_nothing_that_gives_the_answer_away_is_handed_over() -> None:
    seen: list[Asked] = []
    results(candidate(lambda asked: seen.append(asked) or epsilon(asked)))
    results(candidate(lambda asked: seen.append(asked) or one_hot(asked), one_hot=True))
    common = {"nodes", "rules", "x", "dtype", "device"}
    assert {frozenset(asked) for asked in seen} == {frozenset(common | {"relevance"}), frozenset(common | {"target"})}
    assert {key for asked in seen for node in asked["nodes"] for key in node} == {"name", "op", "inputs", "attrs", "params"}
    assert {key for asked in seen for key in asked["rules"]["layer"]} == {"rule", "epsilon", "stabilizer", "bias"}
    words = {"id", "uid", "expected", "flags", "gauges", "exact_in", "dense.epsilon", "exact-data", "sha256"}
    assert not [word for asked in seen for word in words if f"'{word}" in repr(asked)]


def vandal(run: Callable[[Asked], Output]) -> Callable[[Asked], Output]:
    """Spoils everything it was given, after its answer."""

    def spoil(part: Any) -> None:
        for value in part.values() if isinstance(part, dict) else part:
            if isinstance(value, np.ndarray):
                value[...] = 77
            elif isinstance(value, dict | list):
                spoil(value)
        part.clear()

    def answer(asked: Asked) -> Output:
        right = copy.deepcopy(run(asked))
        spoil(asked)
        return right

    return answer


@pytest.mark.parametrize(
    ("run", "features", "chosen", "targets"),
    [(epsilon, DENSE, EPSILON, False), (one_hot, DENSE, EPSILON, True), (by_oracle, FLAT_FEATURES, FLAT, False)],
)
def test_a_candidate_that_spoils_its_inputs_is_judged_the_same(
    run: Callable[[Asked], Output], features: set[str], chosen: list[Case], targets: bool
) -> None:
    before = copy.deepcopy([case.data for case in chosen])
    spoilt = results(candidate(vandal(run), features, targets), chosen)
    assert [case.data for case in chosen] == before
    assert [r.verdict for r in spoilt] == [r.verdict for r in results(candidate(run, features, targets), chosen)]


def test_a_candidate_that_reuses_its_buffer_is_judged_and_recorded_the_same() -> None:
    buffer = np.zeros(64)

    def reusing(asked: Asked) -> Output:
        right = epsilon(asked, smaller=1000)
        out = buffer[: right["relevance"].size].reshape(right["relevance"].shape)
        out[...] = right["relevance"]
        return {**right, "relevance": out}

    fresh = results(candidate(lambda asked: epsilon(asked, smaller=1000)), EPSILON, ("float64",))
    for ours, theirs in zip(results(candidate(reusing), EPSILON, ("float64",)), fresh, strict=True):
        assert (ours.verdict, ours.judgement.hint) == (theirs.verdict, theirs.judgement.hint)
        assert ours.record()["output"] == theirs.record()["output"]


# Waivers ------------------------------------------------------------------------------------------------------------


def test_a_waived_deviation_keeps_its_verdict_and_does_not_fail() -> None:
    waivers = (Waiver("dense.epsilon.exact-*", "known"), Waiver("*", "rounding", dtype="float32"))
    one = candidate(wrong_sign, waivers=waivers)
    found = results(one)
    waived = {(r.case, r.dtype): r.waiver for r in found if r.verdict == "nonconformant"}
    assert waived["dense.epsilon.exact-01", "float64"] == "known"
    assert waived["dense.epsilon.generic-01", "float32"] == "rounding"
    failing = [r for r in found if r.fails]
    assert failing
    assert not [r for r in failing if r.dtype == "float32" or ".exact-" in r.case]
    assert runner.check_waivers(one, found, complete=True) == []


def test_waivers_that_match_nothing_or_are_no_longer_needed_are_problems() -> None:
    idle, obsolete = Waiver("no.such.case", "left over"), Waiver("dense.epsilon.*", "fixed since")
    one = candidate(epsilon, waivers=(idle, obsolete))
    found = results(one)
    needless = "waiver 'dense.epsilon.*' is no longer needed: every case it matches passes"
    assert runner.check_waivers(one, found, complete=True) == ["waiver 'no.such.case' matches no case", needless]
    assert runner.check_waivers(one, found, complete=False) == [needless]
