"""Grades beside exact and conformant: in norm only, at lower precision inside, and a run that wants no dialect."""

import sys

import numpy as np
import pytest
from inline import ALL, Asked, Output, candidate, cases, epsilon, results

from lrp_conform import cli
from lrp_conform.cases import golden
from lrp_conform.cases.numbers import parse
from lrp_conform.judging import layer

GENERIC = cases("dense.epsilon.generic", "dense.epsilon.large")


def spread(factor: float) -> list:
    """Answers whose best-known element is off by `factor` times its sample's largest bound."""
    bounds = {c.adapter_case("float64")["x"].tobytes(): layer.expected(c, "float64").bound[0] for c in GENERIC}

    def run(asked: Asked) -> Output:
        right = epsilon(asked)
        bound = bounds[asked["x"].tobytes()]
        for sample in range(len(bound)):
            right["relevance"][sample, np.argmin(bound[sample])] += factor * bound[sample].max()
        return right

    return results(candidate(run), GENERIC, ("float64",))


def test_an_error_below_the_samples_largest_bound_is_graded_in_norm() -> None:
    found = spread(0.8)
    assert {r.verdict for r in found} == {"normwise"}
    assert all(0 < (r.judgement.tau_normwise or 0) <= 1 < (r.judgement.tau or 0) for r in found)
    assert not any(r.fails for r in found)


def test_an_error_above_every_bound_is_no_grade() -> None:
    assert {r.verdict for r in spread(1.5)} == {"nonconformant"}


def test_lower_precision_inside_is_hinted_at_by_its_bits() -> None:
    def half(asked: Asked) -> Output:
        right = epsilon(asked)
        return {**right, "relevance": right["relevance"].astype(np.float32).astype(np.float64)}

    found = [r for r in results(candidate(half), GENERIC, ("float64",)) if r.verdict == "nonconformant"]
    assert len(found) >= 3
    for r in found:
        assert 23 <= (r.judgement.effective_bits or 0) <= 32
        assert "lower precision inside?" in (r.judgement.hint or "")


def called(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    monkeypatch.setattr(sys, "argv", ["lrp-conform", *args])
    return cli.main()


@pytest.mark.parametrize(("case", "plain", "strict"), [("v0.alpha1-beta0", 0, 1), ("v0.zero", 0, 0)])
def test_a_dialect_fails_a_strict_run_only(monkeypatch: pytest.MonkeyPatch, case: str, plain: int, strict: int) -> None:
    assert called(monkeypatch, "run", "--in-process", "--case", case) == plain
    assert called(monkeypatch, "run", "--in-process", "--case", case, "--strict") == strict


def test_the_version_names_the_edition(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(monkeypatch, "--version") == 0
    assert golden.edition() in capsys.readouterr().out


@pytest.mark.parametrize("text", ["0x1p+99999", "1e400", "1.5.2", "nan", "9" * 5000])
def test_what_is_no_golden_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(text)


def test_a_division_by_zero_that_was_asked_for_is_said_so() -> None:
    (case,) = (c for c in ALL if c.id == "classic.output-is-zero-dropped")
    (found,) = results(
        candidate(lambda asked: {**(r := epsilon(asked)), "relevance": r["relevance"]}, case.features), [case], ("float64",)
    )
    assert found.verdict == "invalid-output"
    assert "asked without a stabilizer" in found.judgement.detail["why"]
