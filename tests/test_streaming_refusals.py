"""Runs that are refused, and images that cannot be explained: what is wrong, with what, and what stays whole."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
from streams import EPSILON, NET, OTHER, PLUS, X, broken, explained, files, on_disk

import lrp_ref as lrp
from lrp_ref.streaming import identity

DIFFERENT: dict[str, tuple[dict[str, Any], str]] = {
    "batch": ({"batch": 5}, r"batch \(was 4, is 5\) differs; give another folder"),
    "target": ({"target": 1}, r"target \(was None, is 1\)"),
    "seed": ({"seed": "one"}, r"seed \(was logit, is one\)"),
    "ledger": ({"ledger": True}, r"ledger \(was False, is True\)"),
    "keep": ({"keep": lambda r: r.sum(axis=1)}, "keep"),
    "number of images": ({"images": X[:9]}, r"images \(was 11, is 9\); pixels"),
    "images": ({"images": X[::-1]}, "another run: pixels differs"),
    "last image": ({"images": np.where(np.arange(11)[:, None, None, None] == 10, 1, X).astype(np.float32)}, "pixels differs"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_folder_of_another_run_is_refused(name: str, tmp_path: Path) -> None:
    explained(tmp_path / "out")
    before = on_disk(tmp_path / "out")
    options, message = DIFFERENT[name]
    with pytest.raises(lrp.LRPError, match=message):
        explained(tmp_path / "out", **options)
    assert on_disk(tmp_path / "out") == before


def test_a_folder_of_another_network_or_composite_is_refused(tmp_path: Path) -> None:
    explained(tmp_path / "out")
    with pytest.raises(lrp.LRPError, match="holds another run: network differs"):
        lrp.explain_many(OTHER, X, PLUS, out=tmp_path / "out", batch=4)
    with pytest.raises(lrp.LRPError, match=r"composite \(was zennit.epsilon_plus, is innvestigate.epsilon\); rules"):
        lrp.explain_many(NET, X, EPSILON, out=tmp_path / "out", batch=4)
    with pytest.raises(lrp.LRPError, match="another run: rules differs"):
        lrp.explain_many(NET, X, lrp.composites.zennit.epsilon_plus(1e-5), out=tmp_path / "out", batch=4)


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(lrp.LRPError, match="holds something else; give a new folder"):
        explained(tmp_path)
    with pytest.raises(lrp.LRPError, match="holds no explanations; expected the folder given to explain_many as out="):
        lrp.Explanations(tmp_path)


def test_other_arithmetic_is_refused_unless_mixing_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    explained(tmp_path / "out")
    monkeypatch.setattr(identity, "_machine", lambda: "another machine")
    with pytest.raises(lrp.LRPError, match=r"arithmetic \(was .* is .*another machine.*\) differs; .*strict=False mixes"):
        explained(tmp_path / "out")
    explained(tmp_path / "out", strict=False)
    monkeypatch.undo()
    with pytest.raises(lrp.LRPError, match=r"arithmetic \(was None, is "):
        explained(tmp_path / "out")


BROKEN: dict[str, tuple[Callable[[], Any], str]] = {
    "NaN": (broken, r"image 6: pixel\[0, 2, 3\]: expected a finite number, got nan; mask or repair it first"),
    "shape": (lambda: [*X, X[0, :, :4]], r"image 11: expected float32 \(1, 5, 5\) as the first image, got float32 \(1, 4, 5\)"),
    "dtype": (lambda: [*X, X[0].astype(float)], r"image 11: expected float32 \(1, 5, 5\) as the first image, got float64"),
    "no array": (lambda: [*X, "abc"], "image 11: expected an array, got str"),
    "overflow": (lambda: [*X, X[0] * 1e38], r"image 11: node '\w+': .*overflows float32"),
    "Fractions": (lambda: [*X, networks.image(batch=1)[0]], "image 11: many images are explained in floats"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_image_that_cannot_be_explained_is_named(name: str, tmp_path: Path) -> None:
    images, message = BROKEN[name]
    with pytest.raises(lrp.LRPError, match=message + ".*; on_error='record' goes on without it"):
        explained(tmp_path / "out", images())


@pytest.mark.parametrize("name", BROKEN)
def test_or_it_is_recorded_and_the_others_are_explained(name: str, tmp_path: Path) -> None:
    images = BROKEN[name][0]()
    wrong = 6 if name == "NaN" else 11
    found = explained(tmp_path / "out", images, on_error="record")
    rows = list(found.rows())
    assert re.match(BROKEN[name][1], f"image {wrong}: {rows[wrong]['error']}")
    assert [i for i, row in enumerate(rows) if "error" in row] == [wrong]
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == {"images": len(images), "failed": 1}
    assert np.isnan(found[wrong]).all()
    batch = [i for i in range(wrong // 4 * 4, min(wrong // 4 * 4 + 4, len(images))) if i != wrong]
    fine = NET.explain(np.stack([images[i] for i in batch]), PLUS).relevance
    assert all((found[i] == r).all() for i, r in zip(batch, fine, strict=True))


def test_a_batch_without_a_single_good_image_is_recorded_too(tmp_path: Path) -> None:
    found = explained(tmp_path / "out", broken(), batch=1, on_error="record")
    assert [i for i, row in enumerate(found.rows()) if "error" in row] == [6]
    assert np.isnan(np.load(found.assembled(tmp_path / "all.npy"))).any(axis=(1, 2, 3)).nonzero()[0].tolist() == [6]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    images = files(tmp_path / "images")
    images[5].write_bytes(b"no array")
    with pytest.raises(lrp.LRPError, match=r"image 5 \(05.npy\): cannot be read: .*; mend or remove it"):
        explained(tmp_path / "out", images)
    assert explained(tmp_path / "out", images, on_error="record").complete  # the same run goes on
    images[5].unlink()
    with pytest.raises(lrp.LRPError, match=r"image 5 \(05.npy\): cannot be read: FileNotFoundError"):
        explained(tmp_path / "other", images)


def test_what_is_wrong_with_every_image_stops_the_run_in_any_case(tmp_path: Path) -> None:
    with pytest.raises(lrp.LRPError, match="images 0 to 3: output 'dense': target: expected classes from 0 to 2, got 7"):
        explained(tmp_path / "out", target=7, on_error="record")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no images": ({"images": X[:0]}, "images: expected at least one, got none"),
    "an empty stream": ({"images": iter(())}, "images: expected at least one, got none"),
    "a number": ({"images": 7}, "images: expected a path, a sequence or an iterator of arrays, got int"),
    "no such file": ({"images": "nowhere.npy"}, "images: nowhere.npy cannot be read: .*No such file"),
    "another kind of file": ({"images": "x.zip"}, "images: expected a .npy file, a folder or a list of files, got x.zip"),
    "read for arrays": ({"read": np.load}, "read: only for a list of files or a folder"),
    "batch of nothing": ({"batch": 0}, "batch: expected at least 1 image, got 0"),
    "unknown dtype": ({"dtype": "int8"}, "dtype: expected one of None, float32, float64; got 'int8'"),
    "unknown on_error": ({"on_error": "ignore"}, "on_error: expected one of stop, record; got 'ignore'"),
    "an address for a client": ({"client": "tcp://here"}, "client: expected a distributed.Client, got str"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_requests_without_a_meaning_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    options, message = REFUSED[name]
    with pytest.raises(lrp.LRPError, match=message):
        explained(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_network_of_several_inputs_is_refused(tmp_path: Path) -> None:
    net = lrp.Network([lrp.Node("sum", lrp.Add(), ("a", "b"))], inputs=("a", "b"))
    with pytest.raises(lrp.LRPError, match="expected a network of one input, got a, b; explain its batches one by one"):
        lrp.explain_many(net, X, PLUS, out=tmp_path / "out")


def test_a_stream_that_is_another_than_before_is_refused(tmp_path: Path) -> None:
    explained(tmp_path / "out", iter(X[:6]))
    with pytest.raises(lrp.LRPError, match="batch 1 holds 2 images, not 4 as now; give another folder"):
        explained(tmp_path / "out", iter(X))
    with pytest.raises(lrp.LRPError, match="holds 6 images, and the stream now has 4; give another folder"):
        explained(tmp_path / "out", iter(X[:4]))
