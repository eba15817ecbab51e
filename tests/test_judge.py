"""The judge's verdicts, one by one, and how sharp they are."""

import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from oracle import explain

from lrp_conform.cases import golden
from lrp_conform.cases.layer import Case
from lrp_conform.cases.numbers import rational
from lrp_conform.judging import layer
from lrp_conform.judging.deviations import BY_NAME
from lrp_conform.judging.verdict import PASSES, Judgement
from lrp_conform.making.generate import uid_of
from lrp_conform.proof import honest, selftest
from lrp_ref.propagation.gauges import allowed

CASES = {case.id: case for case in golden.load()}
EXACT, GENERIC, SEVERAL = CASES["dense.epsilon.exact-06"], CASES["dense.epsilon.generic-01"], CASES["add.cancelling"]
Output = dict[str, Any]


def right(case: Case, dtype: str) -> Output:
    """A correct answer."""
    with np.errstate(all="ignore"):
        return selftest.correct(case.question, dtype)


def with_relevance(case: Case, dtype: str, *arrays: Any) -> Judgement:
    return layer.judge(case, {**right(case, dtype), "relevance": list(arrays)}, dtype)


def shifted(case: Case, dtype: str, by: float, at: Any = ...) -> Judgement:
    """The verdict on a correct answer that is moved by `by` bounds, away from zero."""
    target = layer.expected(case, dtype)
    moved = []
    for array, want, bound in zip(right(case, dtype)["relevance"], target.expected, target.bound, strict=True):
        change = np.zeros(want.shape)
        change[at] = (by * bound * np.where(want < 0, -1, 1))[at]
        moved.append((array.astype(np.float64) + change).astype(dtype))
    return with_relevance(case, dtype, *moved)


# Passes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_equal_on_exact_data_is_exact(dtype: str) -> None:
    found = layer.judge(EXACT, right(EXACT, dtype), dtype)
    assert (found.verdict, found.tau, found.tau_total) == ("exact", 0.0, 0.0)
    assert found.effective_bits == {"float64": 53, "float32": 24, "float16": 11}[dtype]


def test_sign_of_a_zero_is_free() -> None:
    case = CASES["v0.alpha1-beta0"]
    (array,) = right(case, "float64")["relevance"]
    assert array[0, 1] == 0
    assert with_relevance(case, "float64", np.copysign(array, [[-1, -1]])).verdict == "exact"
    assert with_relevance(case, "float64", np.copysign(array, [[-1, 1]])).verdict == "exact"


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_within_the_bound_is_conformant(dtype: str) -> None:
    found = layer.judge(GENERIC, right(GENERIC, dtype), dtype)
    assert found.verdict == "conformant"
    assert found.tau is not None
    assert found.tau < 1


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_one_unit_in_the_last_place_is_not_exact(dtype: str) -> None:
    (array,) = right(EXACT, dtype)["relevance"]
    for at in np.ndindex(array.shape):
        flipped = array.copy()
        flipped[at] = np.nextafter(array[at], array.dtype.type(np.inf))
        found = with_relevance(EXACT, dtype, flipped)
        assert found.verdict != "exact"
        assert found.effective_bits is not None
        assert found.effective_bits <= {"float64": 53, "float32": 24, "float16": 11}[dtype]


def test_a_correct_answer_in_a_format_that_rounds_is_not_called_exact() -> None:
    case = CASES["v0.z-plus"].data
    told = Case({**case, "exact_in": []}, "vectors/v0")
    assert layer.judge(told, right(told, "float64"), "float64").verdict == "conformant"


# Failures -----------------------------------------------------------------------------------------------------------


def test_nonconformant_names_the_first_wrong_element_with_its_evidence() -> None:
    (array,) = right(EXACT, "float64")["relevance"]
    wrong = array.copy()
    wrong[0, 2] += 0.5
    wrong[1, 0] += 1e6
    found = with_relevance(EXACT, "float64", wrong)
    assert found.verdict == "nonconformant"
    want = Fraction(EXACT.data["expected"]["relevance"]["x"]["data"][2])
    detail = found.detail
    assert (detail["input"], detail["index"], detail["got"]) == ("x", [0, 2], float(want) + 0.5)
    assert (detail["expected"], detail["decimal"], detail["error"]) == (str(want), float(want), 0.5)
    assert 0 < detail["allowed"] < 1e-12
    assert found.tau is not None
    assert found.tau > 1e6 / 1e-12


def test_nonconformant_names_the_first_wrong_input() -> None:
    first, second = right(SEVERAL, "float64")["relevance"]
    found = with_relevance(SEVERAL, "float64", first + 1, second + 1e9)
    assert (found.detail["input"], found.detail["index"]) == ("x0", [0, 0])
    found = with_relevance(SEVERAL, "float64", first, second + 1)
    assert (found.detail["input"], found.detail["index"]) == ("x1", [0, 0])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_verdict_turns_at_the_bound(dtype: str) -> None:
    assert shifted(GENERIC, dtype, 0.85, (0, 1)).verdict == "conformant"
    assert shifted(GENERIC, dtype, 1.15, (0, 1)).verdict == "nonconformant"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda r: r.reshape(-1), "expected shape"),
        (lambda r: r[:1], "expected shape"),
        (lambda r: r.astype(np.float32), "expected dtype float64, got float32"),
        (lambda r: r.astype(np.int64), "expected dtype float64, got int64"),
        (lambda r: r.tolist(), "expected an ndarray, got list"),
        (lambda r: None, "expected an ndarray, got NoneType"),
        (lambda r: np.where(r == r.max(), np.nan, r), "is nan, expected"),
        (lambda r: np.where(r == r.max(), -np.inf, r), "is -inf, expected"),
    ],
)
def test_invalid_output_says_why(spoil: Any, why: str) -> None:
    (array,) = right(EXACT, "float64")["relevance"]
    found = with_relevance(EXACT, "float64", spoil(array))
    assert found.verdict == "invalid-output"
    assert why in found.detail["why"]


def test_a_missing_relevance_is_an_invalid_output() -> None:
    first, _ = right(SEVERAL, "float64")["relevance"]
    found = with_relevance(SEVERAL, "float64", first)
    assert (found.verdict, found.detail["why"]) == ("invalid-output", "expected 2 relevances, got 1")
    assert layer.judge(EXACT, {"y": right(EXACT, "float64")["y"]}, "float64").verdict == "invalid-output"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda y: y + 1, "the model differs"),
        (lambda y: y[:1], "expected an array of shape"),
        (lambda y: None, "expected an array of shape"),
        (lambda y: y * np.nan, "y is not finite"),
        (lambda y: np.nextafter(y, np.inf), None),
    ],
)
def test_another_output_is_a_forward_mismatch(spoil: Any, why: str | None) -> None:
    answer = right(GENERIC, "float64")
    found = layer.judge(GENERIC, {**answer, "y": spoil(answer["y"])}, "float64")
    assert found.verdict == ("conformant" if why is None else "forward-mismatch")
    assert why is None or why in found.detail["why"]


def test_a_bound_that_proves_nothing_is_indeterminate() -> None:
    case = CASES["conservation.cancelling-3"]
    assert layer.judge(case, right(case, "float64"), "float64").verdict in PASSES
    found = layer.judge(case, right(case, "float16"), "float16")
    assert found.verdict == "indeterminate"
    assert "exceeds a tenth" in found.detail["why"]
    assert (found.effective_bits, found.tau_normwise) == (11, None)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["conservation.cancelling-1", "conservation.cancelling-3", "dense.epsilon.cancelling-1"])
def test_a_drift_within_every_bound_breaks_conservation(name: str, dtype: str) -> None:
    """All elements grow by 0.4 of their bounds: no element is wrong, their total is."""
    case = CASES[name]
    target = layer.expected(case, dtype)
    grown = [(w + 0.4 * b).astype(dtype) for w, b in zip(target.expected, target.bound, strict=True)]
    found = with_relevance(case, dtype, *grown)
    assert found.tau is not None
    assert found.tau < 0.5
    assert found.verdict == "nonconformant"
    assert found.tau_total is not None
    assert found.tau_total > 1
    assert found.detail["conservation"]["off"] > found.detail["conservation"]["allowed"]
    assert with_relevance(case, dtype, *(w.astype(dtype) for w in target.expected)).verdict in PASSES


# Sharpness ----------------------------------------------------------------------------------------------------------


def scaled_bound(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    monkeypatch.setattr(layer, "allowed", lambda *args: factor * allowed(*args))


def family() -> Iterator[tuple[Case, str, Output]]:
    """Correct answers in every summation order and plan."""
    for case in [c for i, c in CASES.items() if i.startswith("dense.") and ".generic-" in i and honest.plain(c)]:
        for dtype in ("float64", "float32"):
            yield from ((case, dtype, output) for _, output in honest.family(case, dtype))


def test_a_hundredth_of_the_bound_rejects_correct_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = list(family())
    assert len(answers) > 1000
    assert {layer.judge(case, output, dtype).verdict for case, dtype, output in answers} <= {*PASSES, "indeterminate"}
    scaled_bound(monkeypatch, 0.01)
    verdicts = [layer.judge(case, output, dtype).verdict for case, dtype, output in answers]
    assert verdicts.count("nonconformant") > len(answers) / 10


@pytest.mark.parametrize(
    ("name", "dtype", "deviation"),
    [
        ("batch-norm.three-axes.zero-absorb-none", "float16", "linearization.without_epsilon"),
        ("conservation.dense.gamma-absorb-signed-add", "float16", "bias.raw"),
        ("conv.gamma.generic-01", "float16", "kind.squared"),
        ("conv.alpha-beta-x.generic-02", "float16", "stabilizer.none"),
    ],
)
def test_four_times_the_bound_accepts_a_mutant(monkeypatch: pytest.MonkeyPatch, name: str, dtype: str, deviation: str) -> None:
    case = CASES[name]
    changed = BY_NAME[deviation].change(case.question)
    assert changed is not None
    mutant = {**selftest.correct(changed, dtype), "y": right(case, dtype)["y"]}
    assert layer.judge(case, mutant, dtype).verdict == "nonconformant"
    scaled_bound(monkeypatch, 4)
    assert layer.judge(case, mutant, dtype).verdict in (*PASSES, "indeterminate")


def flipped(case: Case) -> Case:
    """The case with the numerator of one expected value off by one."""
    data = json.loads(json.dumps(case.data))
    values = data["expected"]["relevance"]["x"]["data"]
    value = Fraction(values[0])
    values[0] = str(value + Fraction(1, value.denominator))
    return Case(data, case.group, case.notes)


@pytest.mark.parametrize("name", ["v0.alpha2-beta1", "dense.alpha-beta.exact-01"])
def test_the_self_check_notices_a_flipped_golden_value(name: str) -> None:
    cases = list(CASES.values())
    assert selftest.self_check(cases) is None
    spoilt = [flipped(c) if c.id == name else c for c in cases]
    assert selftest.self_check(spoilt) == f"a correct answer to {name} at float64 is rejected"


@pytest.mark.parametrize("name", [i for i, case in CASES.items() if case.answers == ["x"] and case.radius == 0][::40])
def test_uid_and_second_oracle_notice_a_flipped_golden_value_everywhere(name: str) -> None:
    """One unit in the numerator of a long fraction is far below any rounding: only exact checks can see it."""
    case, spoilt = CASES[name], flipped(CASES[name])
    assert uid_of(spoilt.data) != spoilt.uid == uid_of(case.data)
    derived = explain(case.data)["relevance"]["x"]["data"]
    assert derived == [rational(v) for v in case.expected["x"].reshape(-1)]
    assert derived != [rational(v) for v in spoilt.expected["x"].reshape(-1)]


def test_exact_data_cases_notice_a_flipped_golden_value() -> None:
    chosen = [c for c in CASES.values() if "float64" in c.data["exact_in"] and c.answers == ["x"]]
    assert len(chosen) > 500
    for case in chosen:
        assert layer.judge(flipped(case), right(case, "float64"), "float64").verdict == "nonconformant", case.id
