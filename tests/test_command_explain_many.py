"""`lrp-ref explain-many` explains folders of images and files of arrays, and goes on where it stopped."""

from pathlib import Path

import numpy as np
import pytest

import lrp_ref as lrp
from lrp_ref.cli import main

onnx = pytest.importorskip("onnx", reason="onnx is not installed")


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A convolution, a ReLU and a dense layer on images of 3 x 8 x 8."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((4, 3, 3, 3)), "d": rng.standard_normal((256, 5))}
    make = onnx.helper.make_node
    nodes = [make("Conv", ["x", "w"], ["c"], pads=[1] * 4), make("Relu", ["c"], ["r"]), make("Flatten", ["r"], ["f"])]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
            for name, shape in (("x", ["N", 3, 8, 8]), ("y", ["N", 5]))]  # fmt: skip
    tensors = [onnx.numpy_helper.from_array(a.astype(np.float32), name) for name, a in weights.items()]
    graph = onnx.helper.make_graph([*nodes, make("MatMul", ["f", "d"], ["y"])], "g", ends[:1], ends[1:], tensors)
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, tmp_path / "m.onnx")
    return str(tmp_path / "m.onnx")


def test_a_folder_of_images_is_explained_and_continued(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    (tmp_path / "images").mkdir()
    for i in range(5):
        pixels = np.random.default_rng(i).integers(0, 256, (10, 12, 3), dtype=np.uint8)
        image.fromarray(pixels).save(tmp_path / "images" / f"{i}.png")
    command = ["explain-many", model, str(tmp_path / "images"), "--out", str(tmp_path / "out"), "--batch", "2", "--ledger"]
    assert main(command) == main(command) == 0
    found = lrp.Explanations(tmp_path / "out")
    assert [row["name"] for row in found.rows()][4] == "image 4 (4.png)"
    assert all(abs(row["imbalance"]) < 1e-3 for row in found.rows())
    assert "5 images in" in capsys.readouterr().out
    (tmp_path / "images" / "bad.png").write_text("no image")
    assert main([*command[:3], "--out", str(tmp_path / "other")]) == 2
    assert "image 5 (bad.png): " in capsys.readouterr().err
    assert main([*command[:3], "--out", str(tmp_path / "other"), "--record"]) == 0
    assert "6 images in" in (told := capsys.readouterr().out)
    assert "1 of them failed" in told


def test_an_array_of_all_images_is_read_row_by_row(model: str, tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal((5, 3, 8, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    assert (
        main(["explain-many", model, str(tmp_path / "x.npy"), "--out", str(tmp_path / "out"), "--batch", "5", "--pixels"]) == 0
    )
    whole = lrp.load_onnx(model).explain(x, lrp.composites.zennit.epsilon_plus()).relevance
    assert (lrp.Explanations(tmp_path / "out")[3] == whole[3].sum(axis=0)).all()


def test_what_cannot_be_done_is_told_in_one_line(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain-many", model, str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("lrp-ref: no such file: ")
    np.save(tmp_path / "one.npy", np.zeros((3, 8, 8), np.float32))
    assert main(["explain-many", model, str(tmp_path / "one.npy"), "--out", str(tmp_path / "out")]) == 2
    assert "one.npy: expected all images, (N, 3, 8, 8), got shape (3, 8, 8); one is (1, ...)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 8, 8), np.float32))
    pytest.importorskip("distributed", reason="dask and distributed are not installed")
    assert main(["explain-many", model, str(tmp_path / "x.npy"), "--out", str(tmp_path / "out"), "--dask", "udp://x"]) == 2
    assert "--dask udp://x: no cluster answers there" in capsys.readouterr().err
