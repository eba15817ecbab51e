"""Many images explained batch by batch: what is on the disk is what `explain` returns, interrupted or not."""

import re
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streams import EPSILON, NET, OTHER, PLUS, X, explained, files, on_disk
from threadpoolctl import threadpool_limits

import lrp_ref as lrp
from lrp_ref.blas import alone
from lrp_ref.streaming import identity


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("serial") / "out"
    explained(out)
    return on_disk(out)


def test_what_is_kept_is_what_explain_returns(tmp_path: Path) -> None:
    found = explained(tmp_path / "out", ledger=True)
    assert found.complete
    assert len(found) == len(X)
    rows = list(found.rows())
    for start in range(0, len(X), 4):
        one = NET.explain(X[start : start + 4], PLUS)
        for k, i in enumerate(range(start, min(start + 4, len(X)))):
            assert (found[i] == one.relevance[k]).all()
            assert (rows[i]["image"], rows[i]["name"]) == (i, f"image {i}")
            assert (rows[i]["class"], rows[i]["score"]) == (one.output[k].argmax(), one.output[k].max())
            assert rows[i]["seed"] == pytest.approx(one.ledger.seed["dense"][k], rel=1e-6)
            assert rows[i]["received"] == pytest.approx(one.relevance[k].sum(dtype=np.float64), rel=1e-12)
            for name in ("bias", "stabilizer", "dropped"):
                total = sum(float(getattr(row, name)[k]) for row in one.ledger.nodes.values())
                assert rows[i][name] == pytest.approx(total, rel=1e-6)
            assert abs(rows[i]["imbalance"]) <= one.ledger.tolerance[k]


def test_the_table_without_a_ledger_has_what_costs_nothing(tmp_path: Path) -> None:
    assert set(next(explained(tmp_path / "out").rows())) == {"image", "name", "class", "score", "seed", "received"}


@pytest.mark.parametrize("kind", ["npy", "list", "stream", "sequence"])
def test_wherever_images_come_from_the_relevance_is_the_same(kind: str, tmp_path: Path, serial: dict[str, bytes]) -> None:
    np.save(tmp_path / "x.npy", X)
    given: Any = {"npy": tmp_path / "x.npy", "list": list(X), "stream": iter(X), "sequence": Rows()}[kind]
    explained(tmp_path / "out", given)
    found = on_disk(tmp_path / "out")
    for file in serial.keys() - {"run.json"}:
        assert found[file] == serial[file]


class Rows:
    """A data set that is no array."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> Any:
        return X[i]


def test_files_are_read_by_the_readers_of_their_owner(tmp_path: Path) -> None:
    found = explained(tmp_path / "folder", files(tmp_path / "images")[0].parent)
    again = explained(
        tmp_path / "list", files(tmp_path / "copies"), read=lambda path: np.load(path).astype(np.float64), dtype="float32"
    )
    assert [row["name"] for row in found.rows()][3] == "image 3 (03.npy)"
    assert all((found[i] == again[i]).all() for i in range(len(X)))


def test_images_are_converted_where_it_is_asked_for_and_only_there(tmp_path: Path) -> None:
    whole = np.arange(2 * 25).reshape(2, 1, 5, 5).astype(np.uint8)
    with pytest.raises(lrp.LRPError, match=r"image 0: expected a float dtype, got uint8; give dtype='float32'"):
        explained(tmp_path / "out", whole)
    found = explained(tmp_path / "out", whole, dtype="float32")
    assert (found[1] == NET.explain(whole.astype(np.float32), PLUS).relevance[1]).all()


def test_targets_and_seeds_have_a_row_per_image(tmp_path: Path) -> None:
    target, seed = np.arange(len(X)) % 3, np.random.default_rng(0).standard_normal((len(X), 3)).astype(np.float32)
    found = explained(tmp_path / "out", target=list(target), seed=seed)
    assert (found[6] == NET.explain(X[4:8], PLUS, target=target[4:8], seed=seed[4:8]).relevance[2]).all()
    with pytest.raises(lrp.LRPError, match="target: expected a row for each of 11 images; got shape"):
        explained(tmp_path / "other", target=target[:3])
    with pytest.raises(lrp.LRPError, match="seed: expected no array, as the number of images is unknown"):
        explained(tmp_path / "other", iter(X), seed=seed)


def test_keep_makes_less_of_it_and_assembled_one_file(tmp_path: Path) -> None:
    whole = explained(tmp_path / "whole").assembled(tmp_path / "whole.npy")
    small = explained(tmp_path / "small", keep=lambda r: r.sum(axis=1).astype(np.float16)).assembled(tmp_path / "small.npy")
    assert np.load(whole).shape == X.shape
    assert (np.load(whole).sum(axis=1).astype(np.float16) == np.load(small)).all()
    with pytest.raises(lrp.LRPError, match=r"keep: expected an array with a row for each of 4 images, got shape \(5, 5\)"):
        explained(tmp_path / "other", keep=lambda r: r.sum(axis=(0, 1)))


def test_the_number_of_blas_threads_changes_no_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(shape).astype(np.float32) for shape in ((1001, 777), (901, 1001))]
    net = lrp.Network([lrp.Node(f"dense{k}", lrp.Dense(w)) for k, w in enumerate(weights)])
    x = rng.standard_normal((3, 777)).astype(np.float32)  # OpenBLAS gives other bits here on two, three and five threads
    for threads in (1, 2, 3, 5):
        with threadpool_limits(threads):
            lrp.explain_many(net, x, EPSILON, out=tmp_path / str(threads), batch=1)
    first, *others = (on_disk(tmp_path / str(threads)) for threads in (1, 2, 3, 5))
    assert all(other == first for other in others)


def test_products_have_one_thread_while_a_batch_is_done(tmp_path: Path) -> None:
    seen = set()

    def read(path: str) -> Any:
        return np.load(path)

    def watching(r: Any) -> Any:
        from lrp_ref import blas

        seen.update(library.num_threads for library in blas._libraries().lib_controllers)
        return r

    with threadpool_limits(2):
        explained(tmp_path / "out", files(tmp_path / "images"), read=read, keep=watching)
    assert seen == {1}


class Struck(Exception):
    """What ends a run in the middle."""


@pytest.mark.parametrize("ended", [KeyboardInterrupt, Struck])
@pytest.mark.parametrize("stream", [False, True])
def test_an_interrupted_run_goes_on_where_it_stopped(
    ended: type[BaseException], stream: bool, tmp_path: Path, serial: dict[str, bytes]
) -> None:
    read: list[int] = []

    def images(until: int) -> Iterator[Any]:
        for i, x in enumerate(X):
            if i == until:
                raise ended
            yield x

    def told(done: int, total: int | None) -> None:
        read.append(done)
        if not stream and done == 8 and not again:
            raise ended

    again = False
    with pytest.raises(ended):
        explained(tmp_path / "out", images(9) if stream else X, progress=told)
    assert read == [0, 4, 8]
    assert not lrp.Explanations(tmp_path / "out").complete
    assert len(lrp.Explanations(tmp_path / "out")) == 8
    times = {file: file.stat().st_mtime_ns for file in (tmp_path / "out" / "batches").rglob("*.npy")}
    again = True
    read.clear()
    explained(tmp_path / "out", images(99) if stream else X, progress=told)
    assert read == [8, 11, 11]
    assert all(file.stat().st_mtime_ns == when for file, when in times.items())
    found = on_disk(tmp_path / "out")
    assert {file: found[file] for file in serial if file != "run.json"} == {f: b for f, b in serial.items() if f != "run.json"}


KILLED = """
import os, sys, time
import numpy as np
import lrp_ref as lrp
sys.path.insert(0, {tests!r})
import streams as t

def gated(path):
    while path.endswith("06.npy") and os.path.exists({gate!r}):
        time.sleep(0.05)
    return np.load(path)

lrp.explain_many(t.NET, {images!r}, t.PLUS, out={out!r}, batch=1, read=gated)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_process_leaves_whole_batches_only(tmp_path: Path) -> None:
    images, out, gate = files(tmp_path / "images"), tmp_path / "out", tmp_path / "gate"
    gate.touch()
    places = {"tests": Path(__file__).parent, "images": images[0].parent, "out": out, "gate": gate}
    code = KILLED.format(**{name: str(place) for name, place in places.items()})
    process = subprocess.Popen([sys.executable, "-c", code])
    while process.poll() is None and not list(out.rglob("00000005.ndjson")):
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert len(lrp.Explanations(out)) == 6
    (out / "batches" / "00000" / ".00000099.npy.half").write_bytes(b"left by a killed process")
    explained(out, images[0].parent, batch=1)
    explained(tmp_path / "whole", images[0].parent, batch=1)
    assert on_disk(out) == on_disk(tmp_path / "whole")


def test_a_full_disk_ends_the_run_in_one_line_and_leaves_whole_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serial: dict[str, bytes]
) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    def fill(done: int, total: int | None) -> None:
        if done == 4:
            monkeypatch.setattr("os.fsync", full)

    with pytest.raises(lrp.LRPError, match=r"00000001.npy: cannot be written: No space left on device"):
        explained(tmp_path / "out", progress=fill)
    monkeypatch.undo()
    assert sorted(file.name for file in (tmp_path / "out").rglob("*.*")) == ["00000000.ndjson", "00000000.npy", "run.json"]
    explained(tmp_path / "out")
    assert on_disk(tmp_path / "out") == serial


def test_a_lost_file_is_made_again(tmp_path: Path, serial: dict[str, bytes]) -> None:
    explained(tmp_path / "out")
    (tmp_path / "out" / "summary.json").unlink()
    next((tmp_path / "out").rglob("00000001.npy")).unlink()
    told: list[int] = []
    explained(tmp_path / "out", progress=lambda done, total: told.append(done))
    assert told == [7, 11, 11]
    assert on_disk(tmp_path / "out") == serial


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    net = lrp.Network([lrp.Node("dense", lrp.Dense(np.ones((3, 500), np.float32)))])

    def peak(count: int) -> int:
        images = (np.full(500, i, np.float32) for i in range(count))
        tracemalloc.start()
        lrp.explain_many(net, images, EPSILON, out=tmp_path / str(count), batch=4)
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held

    for count in (8, 200):  # what is loaded, or kept, once
        peak(count)
    few, many = peak(20), min(peak(count) for count in (201, 202, 203))  # whatever else the process does meanwhile
    assert many < few + 60_000  # the images, or their relevance, would be 360,000 bytes more


def test_a_terminal_sees_how_many_are_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    explained(tmp_path / "pipe")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    explained(tmp_path / "terminal")
    assert re.search(r"images \[#+\] 11 of 11, .* per second", capsys.readouterr().err)


def test_digests_tell_values_apart_and_not_processes() -> None:
    values: list[Any] = [
        1, 1.0, True, "1", b"1", None, [1], [[1]], [1, 1], {"a": 1}, {1, 2}, [{1, 2}], range(3), int, float, NET, OTHER,
        np.ones(2), np.ones(2, np.float32), np.ones((2, 1)), lrp.exact([1]), lrp.Zero(), lrp.Epsilon(1e-6), lrp.Epsilon(1e-5),
        lambda r: r + 1, lambda r: r + 2, lambda r: r.sum(),
    ]  # fmt: skip
    digests = [identity.digest(value) for value in values]
    assert len(set(digests)) == len(values)
    code = (
        "import networks, lrp_ref.streaming.identity as i;"
        "print(i.digest(networks.residual(networks.float32)), i.digest({'b', 'a', 'c'}), i.arithmetic())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent, check=True)
    assert told.stdout.strip() == f"{identity.digest(NET)} {identity.digest({'a', 'b', 'c'})} {identity.arithmetic()}"
    with alone():
        assert identity._trial() in identity.arithmetic()
    with pytest.raises(lrp.LRPError, match="generator: a run cannot be told from another by a value of this type"):
        identity.digest(x for x in X)
