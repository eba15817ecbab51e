"""Ways to pass without being judged: each is closed."""

from pathlib import Path

import numpy as np
import pytest

from lrp_conform.candidates import adapter
from lrp_conform.candidates.adapter import AdapterError, Candidate
from lrp_conform.cases import golden
from lrp_conform.running import runner

CASES = golden.select(golden.load(), ["dense.epsilon.exact-0*", "classic.two-samples-epsilon"])
FEATURES = frozenset(f for case in CASES for f in case.features)


def epsilon(asked: dict, dtype: type | None = None) -> tuple[np.ndarray, np.ndarray]:
    """y and the quotient's denominators of LRP-epsilon on a dense layer."""
    params, rule = asked["nodes"][0]["params"], asked["rules"]["layer"]
    bias = params["bias"]
    y = asked["x"] @ params["weight"].T + bias
    d = y if rule["bias"] == "absorb" else y - bias
    return y, d + rule["stabilizer"]["epsilon"] * np.where(d >= 0, 1, -1).astype(y.dtype)


def one_hot(asked: dict) -> dict:
    y, d = epsilon(asked)
    s = np.zeros_like(y)
    s.reshape(-1)[asked["target"]] = y.reshape(-1)[asked["target"]] / d.reshape(-1)[asked["target"]]
    return {"y": y, "relevance": asked["x"] * (s @ asked["nodes"][0]["params"]["weight"])}


def verdicts(run: object, hot: bool = False, dtype: str = "float32") -> set[str]:
    candidate = Candidate("inline", "0", FEATURES, ("float64", "float32"), ("cpu",), hot, run)
    return {result.verdict for result in runner.run(candidate, CASES, [dtype])}


def test_an_honest_one_hot_candidate_passes() -> None:
    assert verdicts(one_hot, hot=True) <= {"exact", "conformant", "indeterminate"}


def test_ending_the_process_is_a_crash() -> None:
    def run(asked: dict) -> dict:
        raise SystemExit(0)

    assert verdicts(run) == {"crash"}


def test_an_output_of_zero_does_not_excuse_a_one_hot_candidate() -> None:
    def run(asked: dict) -> dict:
        return {k: 0 * v for k, v in one_hot(asked).items()}

    assert "forward-mismatch" in verdicts(run, hot=True)


def test_one_hot_answers_are_not_cast_or_broadcast() -> None:
    def wide(asked: dict) -> dict:
        return {k: v.astype(np.float64) for k, v in one_hot(asked).items()}

    def flat(asked: dict) -> dict:
        answer = one_hot(asked)
        return {**answer, "relevance": answer["relevance"][0]}

    for run in (wide, flat, lambda asked: {**one_hot(asked), "relevance": None}, lambda asked: None):
        assert verdicts(run, hot=True) <= {"invalid-output", "indeterminate"}


@pytest.mark.parametrize("dtype", [np.complex64, object, np.float64])
def test_an_output_of_another_dtype_is_noticed(dtype: type) -> None:
    def run(asked: dict) -> dict:
        y, d = epsilon(asked)
        s = asked["relevance"] / d
        return {"y": y.astype(dtype), "relevance": asked["x"] * (s @ asked["nodes"][0]["params"]["weight"])}

    assert verdicts(run) == {"forward-mismatch"}


def test_an_import_error_in_mid_run_is_the_candidates_own() -> None:
    calls = []

    def run(asked: dict) -> dict:
        calls.append(1)
        if len(calls) > 4:
            raise ImportError("late")
        y, d = epsilon(asked)
        return {"y": y, "relevance": asked["x"] * ((asked["relevance"] / d) @ asked["nodes"][0]["params"]["weight"])}

    found = verdicts(run)
    assert "error" in found
    assert "not-run" not in found


def test_what_a_candidate_prints_stays_out_of_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    def run(asked: dict) -> dict:
        print("noise")
        raise ValueError

    verdicts(run)
    captured = capsys.readouterr()
    assert "noise" not in captured.out
    assert "noise" in captured.err


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ({"features": "rule.epsilon"}, "must be a list of strings"),
        ({"features": ["op.dense", "rule.epsilonn"]}, "holds rule.epsilonn"),
        ({"features": []}, "holds nothing"),
        ({"dtypes": "float64"}, "must be a list of strings"),
        ({"dtypes": ["double"]}, "holds double"),
    ],
)
def test_a_claim_that_means_nothing_is_refused(tmp_path: Path, info: dict, text: str) -> None:
    whole = {"name": "x", "version": "1", "features": ["op.dense"], "dtypes": ["float64"], **info}
    path = tmp_path / "mine.py"
    path.write_text(f"INFO = {whole!r}\ndef run(case): ...\n")
    with pytest.raises(AdapterError, match=text):
        adapter.load(str(path))


def test_a_waiver_that_is_no_dict_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "INFO = dict(name='x', version='1', features=['op.dense'], dtypes=['float64'])\n"
        "WAIVERS = ['v0.*']\n"
        "def run(case): ...\n"
    )
    with pytest.raises(AdapterError, match="a waiver is a dict"):
        adapter.load(str(path))
