"""Many images explained on a Dask cluster: the files are those of the serial run, also when a worker is killed."""

import os
import signal
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streams import X, broken, explained, files, on_disk

import lrp_ref as lrp
from lrp_ref.streaming import identity, schedule

dask = pytest.importorskip("dask", reason="dask and distributed are not installed")
distributed = pytest.importorskip("distributed", reason="dask and distributed are not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # what a cluster says while a worker of it is killed


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Of a local cluster of two worker processes."""
    with (
        dask.config.set(
            {"distributed.scheduler.allowed-failures": 1}
        ),  # of workers under one batch; as few as quick tests need
        distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50) as cluster,
        distributed.Client(cluster) as one,
    ):
        yield one


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("serial") / "out"
    explained(out, batch=2)
    return on_disk(out)


@pytest.mark.parametrize("kind", ["npy", "sequence", "stream"])
def test_a_cluster_leaves_the_files_of_the_serial_run(kind: str, client: Any, tmp_path: Path, serial: dict[str, bytes]) -> None:
    np.save(tmp_path / "x.npy", X)
    given: Any = {"npy": tmp_path / "x.npy", "sequence": X, "stream": iter(X)}[kind]
    told: list[tuple[int, int | None]] = []
    explained(tmp_path / "out", given, batch=2, client=client, progress=lambda *done: told.append(done))
    found = on_disk(tmp_path / "out")
    assert found.keys() == serial.keys()
    assert {file for file in serial if found[file] != serial[file]} == ({"run.json"} if kind == "stream" else set())
    assert told[-1] == (len(X), len(X))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_threads_of_one_worker_do_the_same(tmp_path: Path, serial: dict[str, bytes]) -> None:
    with (
        distributed.LocalCluster(1, threads_per_worker=3, processes=False, dashboard_address=None, silence_logs=50) as cluster,
        distributed.Client(cluster) as one,
    ):
        explained(tmp_path / "out", batch=2, client=one)
    assert on_disk(tmp_path / "out") == serial


def test_a_worker_trusts_only_what_the_caller_wrote(tmp_path: Path) -> None:
    sealed = schedule._sealed(str(tmp_path / "plan"), [1, 2])
    assert schedule._unsealed(str(tmp_path / "plan"), sealed) == [1, 2]
    schedule._sealed(str(tmp_path / "plan"), [1, 3])
    with pytest.raises(lrp.LRPError, match="is not what the caller wrote there"):
        schedule._unsealed(str(tmp_path / "plan"), sealed)
    with pytest.raises(lrp.LRPError, match=r"a worker does not see .*; give a folder that all workers share"):
        schedule._unsealed(str(tmp_path / "elsewhere"), sealed)


def murderous(struck: Path, always: bool = False) -> Callable[[str], Any]:
    """Reads images, and kills the worker that reads number 5, once or always."""

    def read(path: str) -> Any:
        if path.endswith("05.npy") and (always or not struck.exists()):
            struck.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return np.load(path)

    return read


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_worker_loses_nothing(client: Any, tmp_path: Path, serial: dict[str, bytes]) -> None:
    images, struck = files(tmp_path / "images"), tmp_path / "struck"
    explained(tmp_path / "out", images, batch=2, client=client, read=murderous(struck))
    assert struck.exists()
    explained(tmp_path / "alone", images, batch=2)
    assert on_disk(tmp_path / "out") == on_disk(tmp_path / "alone")
    batches = {file for file in serial if file.endswith(".npy")}
    assert batches
    assert all(on_disk(tmp_path / "out")[file] == serial[file] for file in batches)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_images_that_always_kill_their_worker_end_the_run_in_one_line_and_leave_the_rest_done(
    client: Any, tmp_path: Path
) -> None:
    images, struck = files(tmp_path / "images"), tmp_path / "struck"
    with pytest.raises(lrp.LRPError, match=r"images \d+ to \d+: every worker that had them died, .*; if memory"):
        explained(tmp_path / "out", images, batch=2, client=client, read=murderous(struck, always=True))
    assert not list((tmp_path / "out").glob("plan-*"))
    client.wait_for_workers(2)
    again = explained(tmp_path / "out", images, batch=2, client=client)
    assert again.complete
    explained(tmp_path / "alone", images, batch=2)
    assert on_disk(tmp_path / "out") == on_disk(tmp_path / "alone")


def test_a_run_interrupted_on_a_cluster_goes_on_without_it(client: Any, tmp_path: Path, serial: dict[str, bytes]) -> None:
    def strike(done: int, total: int | None) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explained(tmp_path / "out", batch=2, client=client, progress=strike)
    assert not lrp.Explanations(tmp_path / "out").complete
    assert explained(tmp_path / "out", batch=2).complete
    assert on_disk(tmp_path / "out") == serial


def test_an_image_that_cannot_be_explained_is_named_by_the_caller(client: Any, tmp_path: Path) -> None:
    with pytest.raises(lrp.LRPError, match=r"image 6: pixel\[0, 2, 3\]: expected a finite number, got nan"):
        explained(tmp_path / "out", broken(), batch=2, client=client)
    explained(tmp_path / "out", broken(), batch=2, client=client, on_error="record")
    explained(tmp_path / "alone", broken(), batch=2, on_error="record")
    assert on_disk(tmp_path / "out") == on_disk(tmp_path / "alone")


def test_a_worker_of_other_arithmetic_is_refused(client: Any, tmp_path: Path) -> None:
    """Every worker is another machine whenever it is asked, so that whichever gets a batch must refuse it."""

    def another() -> None:
        asked = count()
        identity._real, identity._machine = identity._machine, lambda: f"another machine {next(asked)}"  # type: ignore[attr-defined]

    def restored() -> None:  # a worker that was started since is itself
        identity._machine = getattr(identity, "_real", identity._machine)

    given = files(tmp_path / "images")
    client.run(another)
    try:
        with pytest.raises(
            lrp.LRPError, match=r"a worker computes with .*another machine.*; make them alike, or give strict=False"
        ):
            explained(tmp_path / "out", given, batch=1, client=client)
        explained(tmp_path / "mixed", given, batch=1, client=client, strict=False)
    finally:
        client.run(restored)
