"""The command lrp-conform: what it says, what it leaves, and its exit status."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lrp_conform import cli
from lrp_conform.cases import golden
from lrp_conform.cases.golden import AnyCase
from lrp_conform.judging.verdict import VERDICTS

Lines = list[dict[str, Any]]
Command = Callable[..., tuple[int, str, str]]
CASES = {case.id: case for case in golden.load_all()}
ADAPTER = """
import numpy as np
INFO = {"name": "mine[gpu]", "version": "2", "features": ["op.dense", "rule.epsilon", "stabilizer.signed_add", "bias.absorb"],
        "dtypes": ["float64", "float32"]}

def run(case):
    node, rule = case["nodes"][0]["params"], case["rules"]["layer"]
    y = case["x"] @ node["weight"].T + node["bias"]
    eps = y.dtype.type(rule["stabilizer"]["epsilon"])
    s = case["relevance"] / np.where(y < 0, y - eps, y + eps)
    return {"y": y, "relevance": FACTOR * case["x"] * (s @ node["weight"])}

FACTOR = 1
"""


def called(monkeypatch: pytest.MonkeyPatch, *args: object) -> int:
    quick = ["--no-cards"] if "--report" in args else []
    monkeypatch.setattr(sys, "argv", ["lrp-conform", *map(str, args), *quick])
    monkeypatch.setattr("lrp_conform.commands.run.FRESH", 3)
    return cli.main()


@pytest.fixture
def lrp_conform(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command; (exit status, standard output, standard error)."""

    def run(*args: object) -> tuple[int, str, str]:
        code = called(monkeypatch, *args)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def adapter(tmp_path: Path) -> Callable[[str], Path]:
    """Writes an adapter file: a correct one with some lines added."""

    def write(added: str = "") -> Path:
        path = tmp_path / "mine.py"
        path.write_text(ADAPTER + added, encoding="utf-8")
        return path

    return write


def read(folder: Path) -> Lines:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in (folder / "results.ndjson").read_text("utf-8").splitlines()]


# The seeds ----------------------------------------------------------------------------------------------------------

EVERY = list(CASES.values())
SOME = [case for case in EVERY if case.id.startswith("v0.") or case in EVERY[::150]]


@pytest.fixture(scope="module", params=[SOME, pytest.param(EVERY, marks=pytest.mark.slow)], ids=["some", "every"])
def seeds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Lines, list[AnyCase]]:
    folder = tmp_path_factory.mktemp("seeds") / "new" / "report"
    chosen = [] if request.param == EVERY else [a for case in request.param for a in ("--case", case.id)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        code = called(monkeypatch, "run", "--report", folder, *chosen)
    return code, read(folder), request.param


def test_seeds_exit_0_and_every_case_has_a_line(seeds: tuple[int, Lines, list[AnyCase]]) -> None:
    code, lines, cases = seeds
    assert code == 0
    assert len(lines) == 10 * 2 * len(cases)
    assert {(r["case"], r["uid"]) for r in lines} == {(case.id, case.uid) for case in cases}


# Exit status 0 and 1 ------------------------------------------------------------------------------------------------


def test_a_correct_adapter_file_exits_0(lrp_conform: Command, adapter: Callable[[str], Path]) -> None:
    code, out, err = lrp_conform("run", adapter(""))
    assert (code, err) == (0, "")
    assert "mine[gpu] 2" in out
    assert "epsilon on dense" in out


def test_a_wrong_adapter_file_exits_1_and_is_named(lrp_conform: Command, adapter: Callable[[str], Path]) -> None:
    code, out, err = lrp_conform("run", adapter("FACTOR = -1"), "--case", "dense.epsilon.*", "--dtype", "float64")
    assert (code, err) == (1, "")
    assert "mistake.sign" in out
    assert "expected 7" in out.split("dense.epsilon.exact-01")[1]


WAIVED = 'FACTOR = -1\nWAIVERS = [{"case": "*", "reason": "an old sign"}]'


def test_waivers_decide_the_exit_status(lrp_conform: Command, adapter: Callable[[str], Path]) -> None:
    code, out, _ = lrp_conform("run", adapter(WAIVED), "--in-process")
    assert code == 0
    assert "an old sign" in out
    code, out, _ = lrp_conform("run", adapter('WAIVERS = [{"case": "dense.[de]*", "reason": "fixed since"}]'), "--in-process")
    assert code == 1
    assert "waiver 'dense.[de]*' is no longer needed" in " ".join(out.split())


# Exit status 2 ------------------------------------------------------------------------------------------------------


def refused(done: tuple[int, str, str], message: str) -> None:
    code, _, err = done
    assert code == 2
    assert err.startswith("lrp-conform: ")
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run", "nobody"], "nobody: no candidate of that name (captum, innvestigate, lxt, seeds, zennit)"),
        (["run", "nowhere.py"], "nowhere.py: no such file"),
        (["run", ""], "importing it raised ValueError"),
        (["run", "json"], "json: expected a module with INFO and run"),
        (["run", "--dtype", "float8"], "--dtype: expected one of float64, float32, float16; got 'float8'; did you mean 'float"),
        (["run", "--dtype", "float16"], "--dtype float16: seeds/1-bounded declares float64, float32"),
        (["run", "--case", "no.such.*"], "no case matches no.such.*; see lrp-conform list"),
        (["run", "--report", __file__], "cannot write the report"),
        (["run", "--report", "a" * 300], "cannot write the report"),
        (["list", "--feature", "op.nothing"], "no case matches op.nothing"),
        (["show", "v0.*"], "expected the id of one case, found 19; near: v0.zero"),
        (["show", "alpha2-beta1"], "found 0; near: v0.alpha2-beta1"),
    ],
)
def test_misuse_is_one_line_on_stderr(lrp_conform: Command, args: list[str], message: str) -> None:
    refused(lrp_conform(*args), message)


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("raise ValueError('two\\nlines')", "importing it raised ValueError: two lines"),
        ("def broken(:", "importing it raised SyntaxError"),
        ("INFO = {'name': 'mine'}", "INFO lacks version, features, dtypes"),
        ("run = 5", "run is not a function"),
        ("WAIVERS = [{'case': '*'}]", "a waiver needs a case and a reason"),
        ("def run(case): raise ModuleNotFoundError('torch is missing')", "mine[gpu] was not run: torch is missing"),
    ],
)
def test_an_adapter_that_cannot_be_used_is_one_line(
    lrp_conform: Command, adapter: Callable[[str], Path], added: str, message: str
) -> None:
    refused(lrp_conform("run", adapter(added), "--case", "dense.epsilon.exact-*"), message)


def test_a_damaged_golden_set_is_one_line(lrp_conform: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "manifest.json").write_text("{", encoding="utf-8")
    monkeypatch.setenv("LRP_GOLDEN", str(tmp_path))
    refused(lrp_conform("run"), "manifest.json: cannot be read")


def test_a_suite_that_misjudges_itself_runs_nothing(lrp_conform: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrp_conform.proof.selftest.self_check", lambda cases: "a wrong answer is accepted")
    refused(lrp_conform("run"), "nothing was run: a wrong answer is accepted")


# What is left and shown ---------------------------------------------------------------------------------------------

FIELDS = {
    "case", "uid", "feature", "candidate", "version", "dtype", "device", "features", "verdict", "dialect", "hint", "tau",
    "tau_total", "tau_normwise", "effective_bits", "detail", "waiver", "deterministic", "seconds", "output",
}  # fmt: skip


def test_every_line_of_a_report_holds_what_judging_needs(seeds: tuple[int, Lines, list[AnyCase]]) -> None:
    for r in seeds[1]:
        assert set(r) == FIELDS
        assert r["verdict"] in VERDICTS
        assert (r["output"] is None) == (r["verdict"] in ("unsupported", "indeterminate"))
        assert set(r["features"]) == CASES[r["case"]].features
    exact = next(r for r in seeds[1] if r["verdict"] == "exact" and r["case"] == "v0.z-box")
    relevance, y = ["-0x1.8000000000000p-1", "-0x1.0000000000000p-2"], ["-0x1.0000000000000p+0"]
    assert exact["output"]["relevance"] == {"dtype": exact["dtype"], "shape": [1, 2], "data": relevance}
    assert exact["output"]["y"] == {"dtype": exact["dtype"], "shape": [1, 1], "data": y}


def test_results_are_kept_unless_overwriting_is_asked_for(lrp_conform: Command, adapter: Callable[[str], Path]) -> None:
    path = adapter("")
    folder = path.parent / "report"
    assert lrp_conform("run", path, "--report", folder, "--case", "dense.epsilon.*")[0] == 0
    kept = (folder / "results.ndjson").read_bytes()
    refused(lrp_conform("run", path, "--report", folder), "results.ndjson exists: choose another folder, or --overwrite")
    assert (folder / "results.ndjson").read_bytes() == kept
    assert lrp_conform("run", path, "--report", folder, "--case", "dense.epsilon.exact-0*", "--overwrite")[0] == 0
    assert 0 < len(read(folder)) < kept.count(b"\n")
    about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert {"numpy", "lrp-ref"} <= set(about["environment"]["packages"])


LATE = """
right, calls = run, []
def run(case):
    calls.append(case)
    if len(calls) > 60:
        raise KeyboardInterrupt
    return right(case)
"""


def test_an_interrupted_run_keeps_what_it_judged(lrp_conform: Command, adapter: Callable[[str], Path]) -> None:
    path = adapter(LATE)
    chosen = ("--report", path.parent / "report", "--feature", "rule.epsilon")
    code, out, _ = lrp_conform("run", path, "--in-process", *chosen)
    assert code == 130
    assert "interrupted" in out
    assert any(r["verdict"] == "exact" for r in read(path.parent / "report"))


def test_show_prints_the_case_as_mathematics(lrp_conform: Command) -> None:
    code, out, _ = lrp_conform("show", "v0.alpha2-beta1")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert rows.count(["j", "i=0", "i=1", "c", "d", "D", "R"]) == 2
    assert ["0", "1", "0", "0", "1", "1", "-1"] in rows  # positive half: contributions 1 and 0, b+ = 0, d = D = 1
    assert ["0", "0", "-1", "-1", "-2", "-2", "-1"] in rows  # negative half: 0 and -1, b- = -1, d = D = -2
    assert rows[rows.index(["expected", "relevance", "of", "x", "(1x2)"]) + 1] == ["-2", "1/2"]
    assert rows[rows.index(["ledger:", "bias", "(1x1)"]) + 1] == ["1/2"]


@pytest.mark.parametrize("name", sorted(CASES)[::60])
def test_show_works_for_every_kind_of_case(lrp_conform: Command, name: str) -> None:
    code, out, err = lrp_conform("show", name)
    assert (code, err) == (0, "")
    assert out.startswith(name)
    said = [case["rule"] for case in CASES[name].data["rules"].values()]
    assert all(f"{rule}(" in out for rule in said)


def test_list_and_candidates_name_what_there_is(lrp_conform: Command) -> None:
    code, out, _ = lrp_conform("list")
    assert (code, [line.split("\t")[0] for line in out.splitlines()]) == (0, list(CASES))
    _, out, _ = lrp_conform("list", "--case", "v0.*", "--feature", "rule.flat")
    assert out == "v0.flat\tcore\t" + ",".join(CASES["v0.flat"].data["flags"]) + "\n"
    code, out, _ = lrp_conform("candidates")
    assert code == 0
    assert all(f"{name} " in out for name in ("captum", "zennit", "seeds/1-bounded", "seeds/9-one-gradient-bounded"))
