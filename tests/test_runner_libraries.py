"""What the suite says about zennit and captum on the data where correct means equal, and on the canonical vector."""

import importlib

import pytest

from lrp_conform.candidates import adapter
from lrp_conform.cases import golden
from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import PASSES
from lrp_conform.running import runner

CASES = {case.id: case for case in golden.load()}
ASKED = [case for case in CASES.values() if "exact-data" in case.data["flags"] or case.id.startswith("v0.")]
DTYPES = ("float64", "float32")


def answers(name: str) -> list[CaseResult]:
    """Every verdict on what the library was asked and did not decline."""
    importlib.import_module("torch").set_num_threads(1)
    (candidate,) = adapter.load(name)
    found = list(runner.run(candidate, ASKED, DTYPES))
    return [r for r in found if not r.verdict.startswith("unsupported")]


@pytest.fixture(scope="module")
def zennit() -> list[CaseResult]:
    pytest.importorskip("torch", reason="torch is not installed")
    import torchvision_shim

    torchvision_shim.install()
    pytest.importorskip("zennit", reason="zennit is not installed")
    return answers("zennit")


@pytest.fixture(scope="module")
def captum() -> list[CaseResult]:
    pytest.importorskip("captum", reason="captum is not installed")
    return answers("captum")


def of(found: list[CaseResult], rule: str, bias: str | None = None, **entry: str) -> list[CaseResult]:
    """The verdicts on exact data of one rule and bias mode, at both dtypes."""
    wanted = {"rule": rule, **entry} if bias is None else {"rule": rule, "bias": bias, **entry}
    chosen = [r for r in found if "exact-data" in CASES[r.case].data["flags"] and wanted.items() <= CASES[r.case].rule.items()]
    assert {r.dtype for r in chosen} == set(DTYPES)
    return chosen


def dialects(found: list[CaseResult]) -> set[str | None]:
    return {r.judgement.dialect for r in found if r.verdict not in (*PASSES, "indeterminate", "invalid-output")}


def canonical(found: list[CaseResult], name: str) -> set[str]:
    return {r.verdict for r in found if r.case == f"v0.{name}"}


@pytest.mark.parametrize(
    ("rule", "least"), [("epsilon", 90), ("alpha-beta", 90), ("generalized-gamma", 60), ("z-box", 90), ("flat", 80)]
)
def test_zennit_is_exact_on_every_exact_vector(zennit: list[CaseResult], rule: str, least: int) -> None:
    found = of(zennit, rule)
    assert len(found) >= least
    assert {r.verdict for r in found} == {"exact"}


@pytest.mark.parametrize(
    ("rule", "named", "other"),
    [("w-square", "bias.square", "square"), ("z-plus", "bias.absorb", "absorb"), ("norm", "rule.norm-keeps-bias", None)],
)
def test_zennit_keeps_a_bias_by_name(zennit: list[CaseResult], rule: str, named: str, other: str | None) -> None:
    found = of(zennit, rule, "ignore")
    assert dialects(found) == {named}
    assert sum(r.verdict == "dialect" for r in found) > len(found) / 2
    assert other is None or {r.verdict for r in of(zennit, rule, other)} == {"exact"}


def test_zennit_on_the_canonical_vector(zennit: list[CaseResult]) -> None:
    assert canonical(zennit, "alpha2-beta1") == canonical(zennit, "z-box") == canonical(zennit, "flat") == {"exact"}
    assert canonical(zennit, "w-square") == {"dialect"}
    assert all(r.deterministic is not False for r in zennit)


def test_captum_leaves_the_bias_raw_in_gamma(captum: list[CaseResult]) -> None:
    found = of(captum, "gamma", "absorb")
    assert dialects(found) == {"bias.raw", "bias.raw + stabilizer.signed_add-1e-9"}  # its epsilon where none is asked for
    assert sum(r.verdict == "dialect" for r in found) >= len(found) / 2
    for bias in ("raw", "ignore"):
        asked = of(captum, "gamma", bias)
        assert dialects(asked) <= {"stabilizer.signed_add-1e-9"}
        assert {r.verdict for r in asked if r.judgement.dialect is None} <= {"exact", "conformant"}


def test_captum_splits_alpha1_beta0_by_weight_with_the_full_bias(captum: list[CaseResult]) -> None:
    found = of(captum, "alpha-beta", "split", alpha="1", beta="0")
    named = dialects(found)
    parts = {"bias.full_in_both", "split.weight", "stabilizer.signed_add-1e-9"}
    assert {part for name in named for part in name.split(" + ")} == parts
    assert "bias.full_in_both + split.weight" in named
    assert not [r for r in found if r.verdict in PASSES]


def test_captum_has_its_pole_on_the_canonical_vector(captum: list[CaseResult]) -> None:
    """The bias -1 cancels the positive half, 1: relevance of -1 / 0, where the answer is -1."""
    assert canonical(captum, "alpha1-beta0") <= {"dialect", "invalid-output"} != set()
    assert len(canonical(captum, "alpha1-beta0")) == 1
    assert canonical(captum, "zero") == {"exact"}
    assert {r.judgement.detail["index"][1] for r in captum if r.case == "v0.alpha1-beta0"} == {0}


def test_captum_is_right_about_epsilon_wherever_it_can_be_composed(captum: list[CaseResult]) -> None:
    found = of(captum, "epsilon", "absorb")
    assert {r.verdict for r in found} <= {"exact", "conformant", "indeterminate"}
    assert sum(r.verdict in PASSES for r in found) > len(found) / 2
