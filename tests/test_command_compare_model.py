"""lrp-conform compare-model: files of any framework, judged on the command line; mistakes are one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lrp_ref as lrp
from lrp_conform.cli import main
from lrp_conform.compare.from_keras import ANALYZERS
from lrp_ref.composites import PRESETS

onnx_models = pytest.importorskip("onnx_models", reason="onnx is not installed: no model is read")
KERAS = Path(__file__).with_name("keras_export")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A model with a batch norm, its input, and what a float32 run of the reference gives, batch norm merged."""
    from onnx import helper

    constants = {"w": onnx_models.array(0, 3, 2, 3, 3), "v": onnx_models.array(1, 48, 4)}
    constants |= {name: np.abs(onnx_models.array(k, 3)) + 0.5 for k, name in enumerate("gbms", start=2)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="conv"),
        helper.make_node("BatchNormalization", ["a", "g", "b", "m", "s"], ["n"], name="norm"),
        helper.make_node("Relu", ["n"], ["h"], name="relu"),
        helper.make_node("Flatten", ["h"], ["f"], name="flat"),
        helper.make_node("MatMul", ["f", "v"], ["y"], name="dense"),
    ]
    loaded = onnx_models.load(onnx_models.model(nodes, ["N", 2, 6, 6], constants), tmp_path)
    net, x = lrp.transforms.merge_batch_norm(loaded), onnx_models.array(9, 2, 2, 6, 6)
    found = net.explain(x, lrp.composites.zennit.epsilon_plus(), target=[1, 3], at="all")
    values = net.forward(x, at="all")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "relevance.npy", found.relevance)
    np.savez(tmp_path / "nodes.npz", **{name: a for name, a in found.at.items() if name != "x"})
    np.savez(tmp_path / "values.npz", **{name: a for name, a in values.items() if name != "x"})
    return tmp_path


def called(capsys: Any, folder: Path, *more: str, composite: str = "zennit.epsilon_plus") -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    arrays = [str(folder / name) for name in ("model.onnx", "x.npy", "relevance.npy")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["lrp-conform", "compare-model", *arrays, "--composite", composite, *more])
        code = main()
    out, err = capsys.readouterr()
    return code, out, err


def with_nodes(folder: Path) -> list[str]:
    return ["--nodes", str(folder / "nodes.npz"), "--values", str(folder / "values.npz")]


TARGETS = ["--target", "1", "--target", "3", "--merge-batch-norm"]


def test_an_honest_library_agrees(files: Path, capsys: Any) -> None:
    status, out, err = called(capsys, files, *with_nodes(files), *TARGETS)
    assert (status, err) == (0, "")
    assert out.startswith("relevance.npy beside zennit.epsilon_plus, float32: agrees\n")
    assert "node by node: 5 agrees" in out


def test_a_node_that_deviates_is_named_and_the_status_says_so(files: Path, capsys: Any) -> None:
    nodes = dict(np.load(files / "nodes.npz"))
    np.savez(files / "nodes.npz", **{**nodes, "relu": np.float32(1.01) * nodes["relu"]})
    status, out, _ = called(capsys, files, *with_nodes(files), *TARGETS, "--json")
    data = json.loads(out)
    assert (status, data["verdict"]) == (1, "deviates")
    assert [c["value"] for c in data["nodes"] if c["verdict"] == "deviates"] == ["relu", "conv"]


def test_names_of_no_node_are_listed(files: Path, capsys: Any) -> None:
    np.savez(files / "nodes.npz", flat=np.load(files / "nodes.npz")["flat"], other=np.zeros(3, np.float32))
    status, out, _ = called(capsys, files, *with_nodes(files), *TARGETS)
    assert status == 0
    assert "modules that no node stands for: other" in out


def test_the_report_is_a_folder_with_a_picture(files: Path, capsys: Any) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: no picture is drawn")
    status, _, _ = called(capsys, files, *TARGETS, "--report", str(files / "report"))
    assert status == 0
    assert sorted(path.name for path in (files / "report").iterdir()) == [
        "comparison.json", "comparison.png", "comparison.txt",
    ]  # fmt: skip
    assert (files / "report" / "comparison.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--composite", "zennit.epsilon"], "zennit has epsilon_gamma_box"),
        (["--target", "9"], "target: expected classes from 0 to 3, got 9"),
        (["--nodes", "x.npy"], "x.npy: one array; expected names with arrays"),
        (["--nodes", "none.npz"], "none.npz: cannot be read: No such file"),
        (["--nodes", "model.onnx"], "model.onnx: no NumPy file of numbers"),
        (["--seed", "ones"], "seed: expected one of logit, one, probability"),
        (["--composite", "zennit.epsilon_gamma_box"], "it is zennit.epsilon_gamma_box(low"),
    ],
)
def test_mistakes_are_one_line_and_status_two(files: Path, capsys: Any, more: list[str], message: str) -> None:
    more = [str(files / word) if word.endswith((".npy", ".npz", ".onnx")) else word for word in more]
    status, out, err = called(capsys, files, *more)
    assert (status, out) == (2, "")
    assert err.startswith("lrp-conform: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["x.npy", "relevance.npy"])
def test_a_wrong_shape_is_one_line(files: Path, capsys: Any, name: str) -> None:
    np.save(files / name, np.load(files / name)[:, :1])
    status, _, err = called(capsys, files)
    assert (status, err.count("\n")) == (2, 1)


def test_innvestigates_relevance_of_a_keras_model_agrees_at_every_layer(capsys: Any) -> None:
    """The folder was written by tests/keras_export.py."""
    status, out, _ = called(capsys, KERAS, *with_nodes(KERAS), composite="innvestigate.sequential_preset_a")
    assert "deviates" not in out
    assert "node by node: 9 agrees" in out
    assert status == 0


def test_another_preset_than_the_keras_model_was_explained_by_is_named(capsys: Any) -> None:
    status, out, _ = called(capsys, KERAS, *with_nodes(KERAS), composite="innvestigate.sequential_preset_b")
    assert status == 1
    assert "alpha1-beta0" in out


def test_every_analyzer_has_its_composite() -> None:
    assert {f"innvestigate.{name}" for name in ANALYZERS} <= set(PRESETS)
