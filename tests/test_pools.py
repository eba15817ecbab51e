"""A run on several processes or a cluster gives what the serial run gives, also when a worker dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from inline import ALL

from lrp_conform.candidates.sources import CandidateSource, load
from lrp_conform.judging.result import CaseResult
from lrp_conform.running import pools, runner
from lrp_conform.running.runner import Task
from lrp_conform.wire.harness import MARK

CHOSEN = [case for case in ALL if case.id.startswith(("dense.epsilon.", "dense.flat.", "v0."))]
ADAPTER = """
import os, pathlib
import numpy as np

INFO = {"name": "mine", "version": "1", "dtypes": ["float64", "float32"],
        "features": ["op.dense", "rule.epsilon", "rule.zero", "bias.absorb", "stabilizer.signed_add", "stabilizer.none"]}

def run(case):
    MURDER
    layer, rule = case["nodes"][0], case["rules"]["layer"]
    W, b, x, R = layer["params"]["weight"], layer["params"].get("bias", 0), case["x"], case["relevance"]
    y = x @ W.T + b
    s = R / (y + rule["stabilizer"]["epsilon"] * np.where(y >= 0, 1, -1).astype(y.dtype))
    return {"y": y, "relevance": x * (s @ W)}
"""
MURDER = """
    struck = pathlib.Path(__file__).with_name("struck")
    if case["rules"]["layer"]["rule"] == "epsilon" and not struck.exists():
        struck.touch()
        os.kill(os.getppid(), 9)
"""


def source(folder: Path, murder: str = "") -> CandidateSource:
    path = folder / "mine.py"
    path.write_text(ADAPTER.replace("    MURDER\n", murder), encoding="utf-8")
    return CandidateSource(str(path))


def todo(one: CandidateSource) -> list[Task]:
    candidates = load(one)
    for candidate in candidates:
        candidate.close()
    return runner.tasks(one, candidates, CHOSEN, ["float64", "float32"], ["cpu"])


def by_key(finished: Iterator[tuple[Task, list[CaseResult]]]) -> dict[tuple[str, ...], Any]:
    """Everything a run leaves but its timings."""
    return {r.key: replace(r, seconds=0.0).record() for _, results in finished for r in results}


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Any]:
    found = by_key(runner.serially(todo(source(tmp_path_factory.mktemp("serial")))))
    assert {r["verdict"] for r in found.values()} >= {"exact", "conformant", "unsupported"}
    return found


def harnesses(folder: Path) -> list[psutil.Process]:
    """The processes that still run an adapter of `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            if MARK in process.environ() and str(folder) in " ".join(process.cmdline()):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@contextmanager
def cluster() -> Iterator[str]:
    """A local Dask cluster of two worker processes, at its address."""
    distributed = pytest.importorskip("distributed", reason="dask and distributed are not installed")
    with distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50) as one:
        yield one.scheduler_address


def test_processes_give_what_the_serial_run_gives(tmp_path: Path, serial: dict[tuple[str, ...], Any]) -> None:
    seen: list[int] = []
    with pools.local(2) as executor:
        assert by_key(runner.spread(todo(source(tmp_path)), executor, seen.append)) == serial
    assert sum(seen) == len(serial)
    assert not harnesses(tmp_path)


def test_a_killed_process_loses_nothing(tmp_path: Path, serial: dict[tuple[str, ...], Any]) -> None:
    with pools.local(2) as executor:
        assert by_key(runner.spread(todo(source(tmp_path, MURDER)), executor)) == serial
    assert (tmp_path / "struck").exists()
    assert not harnesses(tmp_path)


def test_a_candidate_that_always_kills_its_workers_ends_the_run_with_one_line(tmp_path: Path) -> None:
    always = MURDER.replace("and not struck.exists()", "")
    with pools.local(2) as executor, pytest.raises(runner.LostWorkers, match="workers died 3 times"):
        by_key(runner.spread(todo(source(tmp_path, always)), executor))
    assert not harnesses(tmp_path)


@pytest.mark.filterwarnings("ignore")  # what a cluster says while a worker of it is killed
def test_a_cluster_gives_what_the_serial_run_gives_also_when_a_worker_is_killed(
    tmp_path: Path, serial: dict[tuple[str, ...], Any]
) -> None:
    with cluster() as address:
        with pools.dask(address) as executor:
            assert by_key(runner.spread(todo(source(tmp_path)), executor)) == serial
        with pools.dask(address) as executor:
            assert by_key(runner.spread(todo(source(tmp_path, MURDER)), executor)) == serial
        assert (tmp_path / "struck").exists()
        assert not harnesses(tmp_path)
