"""The suite proves itself: correct evaluations pass, every mutant is caught, and a broken judge is noticed."""

import io
from typing import Any

import numpy as np
import pytest
from examples import PROFILE, sweep
from rich.console import Console

from lrp_conform.cases import golden
from lrp_conform.cases.layer import WAYS
from lrp_conform.judging.deviations import BY_NAME
from lrp_conform.judging.layer import judge
from lrp_conform.judging.verdict import Judgement
from lrp_conform.proof import honest, selftest, worlds
from lrp_conform.proof.selftest import DTYPES, STRUCTURAL, Proof

CASES = golden.load()


@pytest.fixture(scope="module")
def family() -> Proof:
    proof = Proof()
    selftest.stable_family(sweep(CASES[::5], 5), proof)
    return proof


@pytest.fixture(scope="module")
def mutants() -> Proof:
    proof = Proof()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selftest, "SAMPLE", 2 if PROFILE == "full" else 1)
        selftest.formula_mutants(CASES, proof)
    return proof


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_correct_evaluation_is_rejected_and_the_bound_leaves_room(family: Proof, dtype: str) -> None:
    assert family.rejected == []
    assert family.judged[dtype] > 400
    assert 0.01 < family.tau[dtype] < 1
    assert 0 < family.tau_total[dtype] < 1


def test_family_holds_every_order_in_every_plan_and_they_do_differ() -> None:
    case = next(c for c in CASES if c.id == "dense.epsilon.generic-01")
    members = dict(honest.family(case, "float32"))
    assert len(members) == len(honest.ORDERS) * len(honest.PLANS) == 24
    assert len({output["relevance"][0].tobytes() for output in members.values()}) > 5


@pytest.mark.parametrize("dtype", DTYPES)
def test_correct_evaluations_of_exact_data_are_exact_whatever_the_order(dtype: str) -> None:
    """What makes equality a fair demand there, of the plans that only divide R by its denominator or come after it."""
    plans = ("n (R / D)", "(n R) / D")
    chosen = sweep([c for c in CASES[::3] if dtype in c.data["exact_in"]], 3)
    assert len(chosen) > 30
    for case in chosen:
        answers = [("reference", selftest.correct(case.question, dtype))]
        answers += [m for m in (honest.family(case, dtype) if honest.plain(case) else []) if m[0].endswith(plans)]
        assert {judge(case, output, dtype).verdict for _, output in answers} == {"exact"}, case.id


def test_every_formula_mutant_is_told_apart_somewhere_and_caught(mutants: Proof) -> None:
    assert mutants.missed == []
    assert mutants.mutants == sum(row.stored for row in BY_NAME.values()) == len(mutants.power)
    assert sum(name.startswith("mistake.") for name in BY_NAME) >= 30
    assert all(0 < told <= asked for row in mutants.power.values() for told, asked in [row["float64"]])


def test_a_finer_format_tells_apart_no_less(mutants: Proof) -> None:
    for row in mutants.power.values():
        told = [row[d][0] for d in ("float16", "float32", "float64") if d in row]
        assert told == sorted(told)


def test_every_structural_mutant_is_caught() -> None:
    few = ("dense.alpha-beta.generic-01", "dense.epsilon.exact-01", "conv.z-plus.exact-01")
    proof = Proof()
    selftest.structural_mutants([c for c in CASES if PROFILE == "full" or c.id.startswith(few)], proof)
    assert proof.missed == []
    assert proof.mutants == len(STRUCTURAL) >= 15


def test_a_structural_mutant_that_does_no_harm_would_be_reported_as_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "STRUCTURAL", {"harmless": lambda: lambda asked, right: right})
    proof = Proof()
    selftest.structural_mutants(CASES, proof)
    assert proof.missed == ["structural mutant: harmless"]
    assert not proof.passed


def test_a_formula_mutant_that_the_judge_accepts_would_be_reported_as_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "judge", lambda case, output, dtype: Judgement("conformant", 0.0))
    proof = Proof()
    selftest.formula_mutants([c for c in CASES if c.id.startswith("v0.")], proof)
    assert any(text.startswith("mistake.sign on v0.") for text in proof.missed)


def test_a_rejected_correct_answer_would_be_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "judge", lambda case, output, dtype: Judgement("nonconformant", 2.0))
    proof = Proof()
    selftest.stable_family([c for c in CASES if c.id == "v0.zero"], proof)
    assert len(proof.rejected) == (len(honest.ORDERS) * len(honest.PLANS) + len(WAYS)) * len(DTYPES)
    assert not proof.passed


# Around the formulas ------------------------------------------------------------------------------------------------


def test_what_is_a_little_off_around_the_formulas_is_noticed() -> None:
    processes = [c for c in CASES if c.id.startswith("dense.epsilon.exact-0")]
    others = [c for c in CASES if c.id.startswith(("v0.", "dense.", "batch-norm.")) and c not in processes]
    proof = Proof()
    selftest.world_mutants([*processes, *sweep(others, 5)], proof)
    assert proof.missed == []
    assert min(proof.world.values()) >= len(worlds.PROCESSES)
    assert sum(proof.world.values()) > 300


@pytest.mark.parametrize(("factor", "at"), [(0.01, "0.5"), (4.0, "1.5")])
def test_a_bound_a_little_too_narrow_or_too_wide_is_noticed(monkeypatch: pytest.MonkeyPatch, factor: float, at: str) -> None:
    from lrp_conform.judging import layer

    real = layer.allowed
    monkeypatch.setattr(layer, "allowed", lambda *args: factor * real(*args))
    chosen = sweep([c for c in CASES if c.id.startswith(("dense.", "conv."))], 5)
    said = [text for right, text in worlds.edges(chosen, ("float64", "float32"), selftest.correct) if not right]
    assert len(said) > 0.9 * len(chosen)
    assert all(text.endswith(f"at {at} times the bound") for text in said)


def test_a_reader_or_a_reference_that_takes_a_flipped_unit_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from lrp_conform.cases import golden

    chosen = [c for c in CASES if c.id.startswith("v0.")]
    monkeypatch.setattr(golden, "load_file", lambda path: chosen)
    assert all("is read as if nothing were wrong" in text for right, text in worlds.golden_mutants(chosen) if not right)
    assert sum(not right for right, _ in worlds.golden_mutants(chosen)) == len(chosen)


def test_every_profile_catches_most_deviations_that_apply_to_it(mutants: Proof) -> None:
    for name, row in mutants.profiles.items():
        caught, applying = row["float64"]
        assert caught > 0.5 * applying > 0, name
    caught, applying = mutants.profiles["core"]["float64"]
    assert caught >= applying - 3


# Before every run ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (lambda *args: Judgement("conformant"), "a wrong answer to v0.alpha2-beta1 at float64 is accepted"),
        (lambda *args: Judgement("nonconformant"), "a correct answer to v0.alpha2-beta1 at float64 is rejected"),
        (lambda *args: Judgement("indeterminate"), "a correct answer to v0.alpha2-beta1 at float64 is rejected"),
        (
            lambda c, o, d: judge(c, o, "float16" if d == "float32" else d),
            "a correct answer to v0.alpha2-beta1 at float32 is rejected",
        ),
    ],
)
def test_self_check_notices_a_broken_judge(monkeypatch: pytest.MonkeyPatch, broken: Any, complaint: str) -> None:
    assert selftest.self_check(CASES) is None
    monkeypatch.setattr(selftest, "judge", broken)
    assert selftest.self_check(CASES) == complaint


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_self_check_notices_a_broken_bound(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    from lrp_conform.judging import layer

    real = layer.allowed
    monkeypatch.setattr(layer, "allowed", lambda *args: factor * real(*args))
    with np.errstate(all="ignore"):
        assert selftest.self_check(CASES) is not None


def test_self_check_notices_a_broken_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    real = selftest.evaluate
    monkeypatch.setattr(selftest, "evaluate", lambda q, *how: (real(q, *how)[0], tuple(r * 1.5 for r in real(q, *how)[1])))
    assert selftest.self_check(CASES) == "a correct answer to v0.alpha2-beta1 at float64 is rejected"


def test_proof_prints_the_family_the_power_and_what_was_missed(family: Proof, mutants: Proof) -> None:
    text = io.StringIO()
    whole = Proof(
        family.judged, ["v0.zero float64 reference"], family.tau, family.tau_total, mutants.power, ["mistake.sign"], 9
    )
    whole.print(Console(file=text, width=150))
    printed = text.getvalue()
    told, asked = mutants.power["mistake.sign"]["float64"]
    assert f"{told} / {asked}" in printed
    assert "rejected: 1\n    v0.zero float64 reference" in printed
    assert "mutants: 9, missed: 1\n    mistake.sign" in printed
