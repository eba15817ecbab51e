"""Runs from their folders: judged again, put together from shards, gone on with after an interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from inline import ALL, ASKED, candidate, epsilon, results
from waiting import PATIENCE, until

from lrp_conform import cli
from lrp_conform.cases import golden
from lrp_conform.cases.layer import Case
from lrp_conform.judging.result import CaseResult
from lrp_conform.running import offline
from lrp_conform.running.folder import ReportError, Run, Writer, about, read

EPSILON = [case for case in ALL if case.id.startswith("dense.epsilon.")]
CHOSEN = [case for case in ALL if case.id.startswith(("dense.", "v0.epsilon-"))]
DENSE = ("--case", "dense.*", "--case", "v0.epsilon-*")
ADAPTER = (
    "import time\nimport numpy as np\n"
    "INFO = {'name': 'mine', 'version': '1', 'dtypes': ['float64'],\n"
    "        'features': ['op.dense', 'rule.epsilon', 'bias.absorb', 'stabilizer.signed_add']}\n"
    "def run(case):\n"
    "    layer, rule = case['nodes'][0], case['rules']['layer']\n"
    "    W, b, x, R = layer['params']['weight'], layer['params'].get('bias', 0), case['x'], case['relevance']\n"
    "    y = x @ W.T + b\n"
    "    s = R / (y + rule['stabilizer']['epsilon'] * np.where(y >= 0, 1, -1).astype(y.dtype))\n"
    "    return {'y': y, 'relevance': x * (s @ W)}\n"
)
FRESH = 6  # questions made on the spot beside them
Command = Callable[..., int]


@pytest.fixture
def lrp_conform(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def command(*args: object) -> int:
        quick = ["--no-cards"] if args[0] == "run" else []
        monkeypatch.setattr("lrp_conform.commands.run.FRESH", FRESH)
        monkeypatch.setattr(sys, "argv", ["lrp-conform", *map(str, args), *quick])
        return cli.main()

    return command


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(ADAPTER, encoding="utf-8")
    return path


def run_of(found: list[CaseResult], cases: list[Case] = EPSILON) -> Run:
    return Run(about([candidate(epsilon)], (c.id for c in cases), ["float64", "float32"], ["cpu"]), found)


def lines(folder: Path) -> list[dict[str, Any]]:
    """The lines of a folder, without what another run cannot repeat."""
    text = (folder / "results.ndjson").read_text(encoding="utf-8")
    return [{**json.loads(line), "seconds": 0, "deterministic": None} for line in text.splitlines()]


# Judging again --------------------------------------------------------------------------------------------------------


def test_judging_again_gives_every_verdict_again() -> None:
    for run in (epsilon, lambda asked: {**epsilon(asked), "relevance": -epsilon(asked)["relevance"]}, lambda asked: None):
        found = run_of(results(candidate(run), EPSILON))
        again = offline.rejudge(found, ALL)
        assert not offline.changed_results(found.results, again.results)
        assert [r.record() for r in again.results] == [r.record() for r in found.results]


def test_judging_again_needs_nothing_but_the_raw_output() -> None:
    found = results(candidate(epsilon), EPSILON)
    blank = [replace(r, judgement=r.judgement.replace(verdict="nonconformant", tau=None, hint="old")) for r in found]
    again = offline.rejudge(run_of(blank), ALL).results
    assert [r.verdict for r in again if r.output is not None] == [r.verdict for r in found if r.output is not None]


def test_an_answer_to_a_case_that_has_changed_is_not_judged() -> None:
    found = [replace(r, uid="sha256:0") if r.case == EPSILON[0].id else r for r in results(candidate(epsilon), EPSILON)]
    again = offline.rejudge(run_of(found), ALL).results
    assert {r.verdict for r in again if r.case == EPSILON[0].id} == {"not-run"}
    assert "changed since" in next(r for r in again if r.verdict == "not-run").judgement.detail["why"]


def test_the_command_says_what_changed(
    lrp_conform: Command, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lrp_conform("run", adapter, "--case", "dense.epsilon.*", "--report", tmp_path / "run") == 0
    path = tmp_path / "run" / "results.ndjson"
    path.write_text(path.read_text(encoding="utf-8").replace('"verdict":"exact"', '"verdict":"error"', 1), encoding="utf-8")
    capsys.readouterr()
    assert lrp_conform("rejudge", tmp_path / "run", "--out", tmp_path / "again") == 0
    assert ": error -> exact" in capsys.readouterr().out
    assert "error" not in {r["verdict"] for r in lines(tmp_path / "again")}


# Shards ---------------------------------------------------------------------------------------------------------------


def test_merged_shards_are_the_whole_run(lrp_conform: Command, adapter: Path, tmp_path: Path) -> None:
    shards = [tmp_path / str(k) for k in (1, 2, 3)]
    for k, folder in enumerate(shards, start=1):
        assert lrp_conform("run", adapter, "--in-process", "--shard", f"{k}/3", "--report", folder) == 0
    assert lrp_conform("run", adapter, "--in-process", "--report", tmp_path / "whole") == 0
    assert lrp_conform("merge", *reversed(shards), "--out", tmp_path / "merged") == 0
    assert lines(tmp_path / "merged") == lines(tmp_path / "whole")
    assert len({r["case"] for r in lines(tmp_path / "merged")}) == len(ASKED) + FRESH


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["1/3", "3/3"], "expected each of 3 shards once, got 1/3, 3/3; 2/3 is missing"),
        (["1/2", "1/2"], "expected each of 2 shards once, got 1/2, 1/2; 2/2 is missing"),
        (["1/2", "2/3"], "expected shards of one run"),
        ([None], "expected shards of one run"),
    ],
)
def test_shards_that_are_not_all_there_are_refused(parts: list[str | None], message: str) -> None:
    runs = [Run({**run_of([]).about, "shard": part, "cases": []}, []) for part in parts]
    with pytest.raises(ReportError, match=message):
        offline.merge(runs)


def test_a_shard_with_missing_results_is_refused() -> None:
    found = run_of(results(candidate(epsilon), EPSILON))
    with pytest.raises(ReportError, match=r"shard 1/1 is incomplete: 2 results are missing, such as inline, float"):
        offline.merge([Run({**found.about, "shard": "1/1"}, [r for r in found.results if r.case != EPSILON[3].id])])
    other = Run({**found.about, "shard": "2/2", "edition": "1999.1"}, found.results)
    with pytest.raises(ReportError, match="their edition differ"):
        offline.merge([Run({**found.about, "shard": "1/2"}, found.results), other])


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "a/b", "1/0", "-1/2"])
def test_a_shard_that_is_none_is_refused(lrp_conform: Command, adapter: Path, shard: str) -> None:
    assert lrp_conform("run", adapter, "--shard", shard) == 2


# Interrupted and gone on with -----------------------------------------------------------------------------------------


ARGS = [sys.executable, "-m", "lrp_conform", "run"]
ROOT = Path(__file__).resolve().parent.parent
ENV = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "conformance")))}


GATED = """
import itertools, os, time
answered, gate = itertools.count(), os.path.join(os.path.dirname(__file__), "gate")
def first():
    try:
        return os.open(gate + ".held", os.O_CREAT | os.O_EXCL) >= 0
    except FileExistsError:
        return False
def run(case):
    if next(answered) == 6 and first():  # one process waits, whichever comes first, so that the other gets on
        while os.path.exists(gate):
            time.sleep(0.05)
"""


def started(folder: Path) -> tuple[Path, subprocess.Popen[str]]:
    """A run on two processes that has judged something, and goes no further while the file `gate` is there."""
    gated, report = folder / "gated.py", folder / "run"
    (folder / "gate").touch()
    gated.write_text(ADAPTER.replace("def run(case):\n", GATED), encoding="utf-8")
    long = ("--timeout", "3600")  # an answer waits for the gate, however slow the machine is
    args = [*ARGS, str(gated), *DENSE, "--report", str(report), "--jobs", "2", "--no-cards", *long]
    process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV, start_new_session=True)
    until(lambda: (report / "results.ndjson").exists() and len(lines(report)) >= 30, "30 results")
    return gated, process


def knowing(folder: Path) -> list[str]:
    """The processes that know the folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and str(folder) in " ".join(process.cmdline()):
                found.append(" ".join(process.cmdline()))
    return found


def test_an_interrupt_from_the_keyboard_keeps_what_was_judged_and_resuming_completes_it(
    lrp_conform: Command, tmp_path: Path
) -> None:
    gated, process = started(tmp_path)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (130, "")
    assert "go on with --resume" in out
    until(lambda: not knowing(tmp_path), "a process is left behind")
    kept = lines(tmp_path / "run")
    assert 0 < len(kept) < len(CHOSEN)
    (tmp_path / "gate").unlink()
    assert lrp_conform("run", gated, *DENSE, "--report", tmp_path / "run", "--resume") == 0
    by_case = {r["case"]: r for r in lines(tmp_path / "run")}
    assert len(by_case) == len(CHOSEN) == len(lines(tmp_path / "run"))
    assert all(by_case[r["case"]] == r for r in kept)
    assert {r["verdict"] for r in by_case.values()} == {"exact", "conformant", "unsupported", "indeterminate"}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_run_that_is_ended_from_outside_leaves_its_results_and_no_process(tmp_path: Path, number: int, status: int) -> None:
    _, process = started(tmp_path)
    os.kill(process.pid, number)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == status
    until(lambda: not knowing(tmp_path), "a process is left behind")
    assert len(lines(tmp_path / "run")) >= 30


def test_what_a_cut_off_line_and_half_a_group_held_is_asked_again(lrp_conform: Command, adapter: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert lrp_conform("run", adapter, *DENSE, "--report", folder) == 0
    whole = lines(folder)
    path = folder / "results.ndjson"
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: len(text) // 2], encoding="utf-8")
    with pytest.raises(ReportError, match="the last line is cut off; run again with --resume"):
        read(folder)
    assert lrp_conform("run", adapter, *DENSE, "--report", folder, "--resume") == 0
    assert lines(folder) == whole


def test_another_run_is_not_resumed(lrp_conform: Command, adapter: Path, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "run"
    assert lrp_conform("run", adapter, "--case", "v0.*", "--report", folder) == 0
    before = (folder / "results.ndjson").read_bytes()
    assert lrp_conform("run", adapter, "--case", "dense.*", "--report", folder, "--resume") == 2
    assert "holds another run: its cases differ" in capsys.readouterr().err
    assert (folder / "results.ndjson").read_bytes() == before


# Folders that cannot be written or read -------------------------------------------------------------------------------


def test_a_full_disk_ends_with_one_line_and_keeps_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(tmp_path / "run", run_of([]).about)
    writer.begin()
    found = results(candidate(epsilon), EPSILON[:4])
    writer.add(found[:2])

    def full(text: str) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer._file, "write", full)
    with pytest.raises(ReportError, match="cannot write the report: No space left on device"):
        writer.add(found[2:])
    monkeypatch.undo()
    writer.close()
    assert [r["case"] for r in lines(tmp_path / "run")] == [r.case for r in found[:2]]


def test_a_folder_that_may_not_be_written_is_one_line(lrp_conform: Command, adapter: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    assert lrp_conform("run", adapter, "--case", "v0.*", "--report", tmp_path / "taken" / "run") == 2
    err = capsys.readouterr().err
    assert err.startswith("lrp-conform: ")
    assert err.count("\n") == 1
    assert "cannot write the report" in err


@pytest.mark.parametrize("text", ["{}\n", "nonsense\n", '{"verdict":"exact"}\n', "[]\n", '{"verdict":"splendid"}\n'])
def test_a_line_that_is_no_result_is_named(tmp_path: Path, text: str) -> None:
    writer = Writer(tmp_path, run_of([]).about)
    writer.begin()
    writer.close()
    (tmp_path / "results.ndjson").write_text(text, encoding="utf-8")
    with pytest.raises(ReportError, match=r"results\.ndjson, line 1: not a result"):
        read(tmp_path)


def test_the_parts_of_the_golden_set_are_even_and_complete() -> None:
    from lrp_conform.running.folder import part

    sizes = [sum(part(case.uid, 4) == k for case in golden.load()) for k in (1, 2, 3, 4)]
    assert sum(sizes) == len(ALL)
    assert min(sizes) > len(ALL) / 6
