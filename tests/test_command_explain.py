"""The command lrp-ref explain: what it prints, what it leaves, and what it says of a user's mistake."""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lrp_ref as lrp
from lrp_ref import cli

onnx = pytest.importorskip("onnx", reason="onnx is not installed: nothing is explained")
Image: Any = pytest.importorskip("PIL.Image", reason="Pillow is not installed: no image is read")
pytest.importorskip("matplotlib", reason="matplotlib is not installed: no picture is drawn")

from onnx import helper  # noqa: E402
from onnx_models import array, model  # noqa: E402
from waiting import PATIENCE  # noqa: E402

Command = Callable[..., tuple[int, str, str]]
FILES = ["heatmap.png", "ledger.csv", "ledger.txt", "relevance.npy", "waterfall.png"]


def small(channels: int = 1, batch: Any = "N", size: Any = 6, last: str = "Softmax", name: str = "conv") -> Any:
    """Convolution, batch norm, ReLU, average, dense, softmax: five classes."""
    norm = [array(k, 4) for k in (3, 4, 5)]
    constants = {
        "w": array(1, 4, channels, 3, 3), "b": array(2, 4), "g": norm[0], "t": norm[1], "m": norm[2],
        "v": np.abs(array(6, 4)) + 0.5, "d": array(7, 5, 4), "e": array(8, 5),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name=name),
        helper.make_node("BatchNormalization", ["c", "g", "t", "m", "v"], ["n"], name="norm"),
        helper.make_node("Relu", ["n"], ["r"], name="relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "d", "e"], ["z"], name="dense", transB=1),
        helper.make_node(last, ["z"], ["y"], name="last"),
    ]
    return model(nodes, [batch, channels, size, size], constants)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model, a grey and a coloured image, and an array."""
    (tmp_path / "model.onnx").write_bytes(small().SerializeToString())
    pixels = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "colour.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    np.save(tmp_path / "array.npy", (pixels[None, ..., 0] / 255).astype(np.float32))
    return tmp_path


@pytest.fixture
def drawn() -> None:
    """For tests that look at what is drawn; the others save the time."""


@pytest.fixture
def command(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Command:
    """Runs lrp-ref in the folder: exit status, standard output, standard error."""
    monkeypatch.chdir(folder)
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr("lrp_ref.commands.output.save_figure", lambda path, figure: path.write_bytes(b""))

    def run(*args: object) -> tuple[int, str, str]:
        code = cli.main([str(a) for a in args])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def explained(path: Path, x: Any, composite: str = "zennit.epsilon_plus", merge: bool = True, **how: Any) -> Any:
    """The same, from Python."""
    net = lrp.transforms.strip_softmax(lrp.load_onnx(path))
    net = lrp.transforms.merge_batch_norm(net) if merge else net
    return net.explain(x, lrp.composites.named(composite), **how)


def stored(folder: Path) -> Any:
    return np.load(folder / "out/relevance.npy")


@pytest.mark.usefixtures("drawn")
def test_an_image_leaves_relevance_pictures_and_the_ledger(command: Command, folder: Path) -> None:
    code, out, err = command("explain", "model.onnx", "grey.png", "--out", "out")
    assert (code, err) == (0, "")
    assert sorted(path.name for path in (folder / "out").iterdir()) == FILES
    x = np.asarray(Image.open(folder / "grey.png"), np.float64)[None, None] / 255
    expected = explained(folder / "model.onnx", x.astype(np.float32))
    assert np.array_equal(stored(folder), expected.relevance)
    assert stored(folder).dtype == np.float32
    assert str(expected.ledger) in out
    assert str(expected.ledger) in (folder / "out/ledger.txt").read_text("utf-8")
    assert "softmax stripped" in out
    assert "1 of 1 batch norms merged" in out
    assert "pixels / 255, mean 0, std 1" in out
    for name in ("heatmap.png", "waterfall.png"):
        with Image.open(folder / "out" / name) as picture:
            assert min(picture.size) > 300


def test_the_ledger_as_csv_has_every_digit(command: Command, folder: Path) -> None:
    command("explain", "model.onnx", "array.npy", "--out", "out")
    ledger = explained(folder / "model.onnx", np.load(folder / "array.npy")[None]).ledger
    with (folder / "out/ledger.csv").open(encoding="utf-8") as file:
        rows = {row.pop("node"): row for row in csv.DictReader(file)}
    assert [*rows] == [*ledger.nodes, "total"]
    for node, account in ledger.nodes.items():
        assert {k: np.float32(v) for k, v in rows[node].items()} == {k: getattr(account, k)[0] for k in rows[node]}


def test_top_classes_and_labels_are_printed(command: Command, folder: Path) -> None:
    (folder / "labels.txt").write_text("\n".join(["ant", "bee", "cat", "dog", "elk"]), encoding="utf-8")
    y = explained(folder / "model.onnx", np.load(folder / "array.npy")[None]).output[0]
    _, out, _ = command("explain", "model.onnx", "array.npy", "--top", 2, "--labels", "labels.txt", "--target", "dog")
    rows = [line.split() for line in out.split("softmax\n")[1].splitlines()[:2]]
    assert [int(row[0]) for row in rows] == np.argsort(-y)[:2].tolist()
    assert [row[3] for row in rows] == [["ant", "bee", "cat", "dog", "elk"][int(row[0])] for row in rows]
    assert "array.npy: class 3 (dog), zennit.epsilon_plus" in out
    assert sum(float(row[2]) for row in rows) <= 1


def test_target_seed_composite_and_dtype_are_those_asked_for(command: Command, folder: Path) -> None:
    options = ("--target", 2, "--seed", "one", "--composite", "innvestigate.epsilon(epsilon=0.25)", "--dtype", "float64")
    code, out, _ = command("explain", "model.onnx", "array.npy", "--out", "out", *options)
    assert code == 0
    assert "1 batch norms kept" in out
    net = lrp.transforms.strip_softmax(lrp.load_onnx(folder / "model.onnx", convert=lambda a: a.astype(np.float64)))
    x = np.load(folder / "array.npy")[None].astype(np.float64)
    assert np.array_equal(
        stored(folder), net.explain(x, lrp.composites.innvestigate.epsilon(0.25), target=2, seed="one").relevance
    )


def test_exact_relevance_is_stored_without_loss(command: Command, folder: Path) -> None:
    (folder / "model.onnx").write_bytes(dense().SerializeToString())
    code, out, _ = command("explain", "model.onnx", "array.npy", "--out", "out", "--dtype", "exact", "--bounds", "float32")
    assert code == 0
    net = lrp.load_onnx(folder / "model.onnx", convert=lrp.exact)
    expected = net.explain(lrp.exact(np.load(folder / "array.npy")[None]), lrp.composites.zennit.epsilon_plus())
    assert (lrp.exact(stored(folder)) == expected.relevance).all()
    assert "dropped = 0\n" in out
    assert "bound of honest float32 results: max B = " in out
    assert np.load(folder / "out/bounds.npy").shape == (1, 1, 6, 6)


def dense() -> Any:
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "b"], ["y"], name="dense", transB=1),
    ]
    return model(nodes, ["N", 1, 6, 6], {"w": array(1, 3, 36), "b": array(2, 3)})


def test_bounds_that_say_nothing_are_told(command: Command) -> None:
    _, out, _ = command("explain", "model.onnx", "array.npy", "--bounds", "float16")
    assert "the float16 bound exceeds a tenth of the relevance and says nothing; use a wider dtype" in out


def test_colour_images_are_normalised_per_channel(command: Command, folder: Path) -> None:
    (folder / "model.onnx").write_bytes(small(3).SerializeToString())
    pixels = np.asarray(Image.open(folder / "colour.png"), np.float64)
    mean, std = [0.5, 0.25, 0], [0.5, 1, 2]
    options = ("--mean", *mean, "--std", *std, "--scale", 127.5, "--bgr")
    code, _, _ = command("explain", "model.onnx", "colour.png", "--out", "out", *options)
    assert code == 0
    x = ((pixels / 127.5 - mean) / std)[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
    assert np.array_equal(stored(folder), explained(folder / "model.onnx", x).relevance)


def test_the_box_of_a_composite_is_that_of_the_pixels(command: Command, folder: Path) -> None:
    code, out, _ = command("explain", "model.onnx", "grey.png", "--composite", "zennit.epsilon_gamma_box", "--mean", 0.5)
    assert code == 0
    assert "low and high: what black and white pixels become" in out
    code, _, err = command("explain", "model.onnx", "array.npy", "--composite", "zennit.epsilon_gamma_box")
    assert code == 2
    assert "missing a required argument: 'low'" in err


def test_several_images_have_a_folder_each(command: Command, folder: Path) -> None:
    (folder / "other").mkdir()
    Image.open(folder / "grey.png").save(folder / "other/grey.png")
    code, _, _ = command("explain", "model.onnx", "grey.png", "array.npy", "other/grey.png", "--out", "out")
    assert code == 0
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["array", "grey", "grey-2"]
    assert all(sorted(p.name for p in path.iterdir()) == FILES for path in (folder / "out").iterdir())


def test_an_image_that_fails_leaves_no_folder(command: Command, folder: Path) -> None:
    np.save(folder / "nan.npy", np.full((1, 6, 6), np.nan, np.float32))
    (folder / "empty").mkdir()
    assert command("explain", "model.onnx", "grey.png", "nan.npy", "--out", "deep/out")[0] == 2
    assert [path.name for path in (folder / "deep/out").iterdir()] == ["grey"]
    assert command("explain", "model.onnx", "nan.npy", "--out", "other/out")[0] == 2
    assert not (folder / "other").exists()
    assert command("explain", "model.onnx", "nan.npy", "--out", "empty")[0] == 2
    assert (folder / "empty").exists(), "a folder that was there"


def test_without_out_nothing_is_written(command: Command, folder: Path) -> None:
    before = sorted(folder.iterdir())
    assert command("explain", "model.onnx", "grey.png")[0] == 0
    assert sorted(folder.iterdir()) == before


def test_an_open_size_is_taken_from_the_command_or_an_array(command: Command, folder: Path) -> None:
    (folder / "model.onnx").write_bytes(small(size="S").SerializeToString())
    assert command("explain", "model.onnx", "grey.png", "--size", 6, 6, "--out", "out")[0] == 0
    sized = stored(folder)
    assert command("explain", "model.onnx", "array.npy", "--out", "out")[0] == 0
    assert np.array_equal(stored(folder), sized)
    code, _, err = command("explain", "model.onnx", "grey.png")
    assert (code, err.count("\n")) == (2, 1)
    assert "give --size HEIGHT WIDTH" in err


def test_a_rule_for_a_kind_comes_before_the_composite(command: Command, folder: Path) -> None:
    code, _, _ = command("explain", "model.onnx", "array.npy", "--assign", "Conv=AlphaBeta(2, 1)", "--out", "out")
    assert code == 0
    entries = (lrp.Assign(lrp.AlphaBeta(2, 1), lrp.Conv), *lrp.composites.zennit.epsilon_plus().entries)
    net = lrp.transforms.merge_batch_norm(lrp.transforms.strip_softmax(lrp.load_onnx(folder / "model.onnx")))
    assert np.array_equal(stored(folder), net.explain(np.load(folder / "array.npy")[None], lrp.Composite(entries)).relevance)


def test_channels_last_are_recognised(command: Command, folder: Path) -> None:
    constants = {"w": array(1, 4, 3, 3, 3)}
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], name="turn", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "w"], ["c"], name="conv"),
        helper.make_node("GlobalAveragePool", ["c"], ["y"], name="pool"),
    ]
    (folder / "model.onnx").write_bytes(model(nodes, ["N", 6, 6, 3], constants).SerializeToString())
    code, out, _ = command("explain", "model.onnx", "colour.png", "--out", "out")
    assert code == 0
    assert "images: RGB, 6 x 6" in out
    x = (np.asarray(Image.open(folder / "colour.png")) / 255)[None].astype(np.float32)
    assert np.array_equal(stored(folder), explained(folder / "model.onnx", x).relevance)


def test_one_of_several_outputs_is_explained(command: Command, folder: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "w"], ["y"], name="first", transB=1),
        helper.make_node("Gemm", ["f", "v"], ["z"], name="second", transB=1),
    ]
    proto = model(nodes, ["N", 1, 6, 6], {"w": array(1, 3, 36), "v": array(2, 2, 36)}, outputs=["y", "z"])
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    assert command("explain", "model.onnx", "array.npy", "--output", "z", "--target", 1, "--out", "out")[0] == 0
    expected = explained(folder / "model.onnx", np.load(folder / "array.npy")[None], target={"z": 1})
    assert np.array_equal(stored(folder), expected.relevance)
    code, _, err = command("explain", "model.onnx", "array.npy")
    assert code == 2
    assert "--output: the model has several, name one of y, z" in err


def test_a_network_of_vectors_is_explained(command: Command, folder: Path) -> None:
    node = helper.make_node("Gemm", ["x", "w"], ["y"], name="dense", transB=1)
    (folder / "model.onnx").write_bytes(model([node], ["N", 5], {"w": array(1, 3, 5)}).SerializeToString())
    np.save(folder / "row.npy", np.arange(5))
    code, out, _ = command("explain", "model.onnx", "row.npy", "--out", "out")
    assert code == 0
    assert "images:" not in out
    assert stored(folder).shape == (1, 5)
    assert command("explain", "model.onnx", "grey.png")[0] == 2


# What cannot be done --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["model.onnx", "nowhere.png"], "no such file: nowhere.png"),
        (["nowhere.onnx", "grey.png"], "no such file: nowhere.onnx"),
        (["grey.png", "grey.png"], "no ONNX model"),
        (["model.onnx", "model.onnx"], "model.onnx: no image that Pillow knows"),
        (["model.onnx", "wide.npy"], "wide.npy: expected the shape (1, 6, 6) or (1, 1, 6, 6), got (1, 7, 6)"),
        (["model.onnx", "nan.npy"], "nan.npy: node 'conv': x[0, 0, 0, 0]: expected a finite number, got nan"),
        (["model.onnx", "objects.npy"], "objects.npy: Object arrays cannot be loaded"),
        (["model.onnx", "short.npy"], "short.npy: "),
        (["model.onnx", "short.png"], "short.png: cannot be read"),
        (
            ["model.onnx", "grey.png", "--composite", "zennit.epsilon"],
            "did you mean 'zennit.epsilon_plus'? zennit has epsilon_",
        ),
        (["model.onnx", "grey.png", "--composite", "nobody.z"], "known are those of innvestigate, zennit"),
        (["model.onnx", "grey.png", "--composite", "exit()"], "no composite 'exit'"),
        (
            ["model.onnx", "grey.png", "--mean", "1", "2"],
            "mean: expected 1 finite number, or one for each of 1 channels; got 1 2",
        ),
        (["model.onnx", "grey.png", "--mean", "inf"], "mean: expected 1 finite number"),
        (["model.onnx", "grey.png", "--mean", "a"], "--mean: 'a' is not a valid float; see lrp-ref explain --help"),
        (["model.onnx", "grey.png", "--std", "0"], "std: expected numbers > 0, got 0"),
        (["model.onnx", "grey.png", "--scale", "-1"], "scale: expected a number > 0, got -1"),
        (["model.onnx", "grey.png", "--size", "5", "5"], "--size: the model's input 'x' has the shape (1, 6, 6), got 5 for 6"),
        (["model.onnx", "grey.png", "--layout", "nhwc"], "reads arrays of shape (1, 6, 6), no grey or colour images"),
        (["model.onnx", "grey.png", "--out", "grey.png"], "--out grey.png: cannot be made"),
        (["model.onnx", "grey.png", "--out", "taken"], "taken/relevance.npy: cannot be written"),
        (["model.onnx", "grey.png", "--target", "5"], "target: expected classes from 0 to 4, got 5"),
        (["model.onnx", "grey.png", "--target", "-1"], "target: expected classes from 0 to 4, got -1"),
        (["model.onnx", "grey.png", "--target", "cat"], "--target: expected argmax or a class number, got 'cat'"),
        (["model.onnx", "grey.png", "--labels", "nowhere"], "--labels nowhere: cannot be read"),
        (["model.onnx", "grey.png", "--output", "z"], "--output: no output 'z'; the model has dense"),
        (["model.onnx", "grey.png", "--assign", "Conv"], "--assign: expected KIND=RULE"),
        (["model.onnx", "grey.png", "--assign", "Conv=Z"], "no rule 'Z'; known are Zero, Epsilon"),
        (["model.onnx", "grey.png", "--limit", "101%"], "--limit: expected a number > 0, or a share such as 99.5%"),
        (["model.onnx", "grey.png", "--top", "0"], "--top: expected a whole number > 0"),
        (["model.onnx", "grey.png", "--dtype", "exact"], "the square root of"),
        (["model.onnx"], "missing IMAGE; see lrp-ref explain --help"),
    ],
)
def test_a_mistake_is_one_line(command: Command, folder: Path, args: list[str], message: str) -> None:
    np.save(folder / "wide.npy", np.zeros((1, 7, 6)))
    np.save(folder / "nan.npy", np.full((1, 6, 6), np.nan))
    np.save(folder / "objects.npy", np.array([None]), allow_pickle=True)
    for name in ("array.npy", "grey.png"):
        (folder / name.replace("array", "short").replace("grey", "short")).write_bytes((folder / name).read_bytes()[:60])
    (folder / "taken/relevance.npy").mkdir(parents=True)
    code, _, err = command("explain", *args)
    assert code == 2
    assert err.startswith("lrp-ref")
    assert message in err
    assert err.count("\n") == 1


def test_several_inputs_are_for_python(command: Command, folder: Path) -> None:
    node = helper.make_node("Add", ["x", "z"], ["y"], name="sum")
    proto = model([node], [], inputs={"x": ["N", 1, 6, 6], "z": ["N", 1, 6, 6]})
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    code, _, err = command("explain", "model.onnx", "array.npy")
    assert (code, err) == (2, "lrp-ref: model.onnx: reads x, z: explain networks of several inputs from Python\n")


def test_a_node_without_a_rule_is_told_what_to_do(command: Command, folder: Path) -> None:
    inner = [helper.make_node("Softmax", ["x"], ["s"], name="inner"), helper.make_node("Flatten", ["s"], ["y"], name="flat")]
    (folder / "model.onnx").write_bytes(model(inner, ["N", 1, 6, 6]).SerializeToString())
    code, _, err = command("explain", "model.onnx", "array.npy")
    assert code == 2
    assert "no rule for inner (Softmax)" in err
    assert "as an option: --assign KIND=RULE, such as LRN=Pass or Softmax=Gradient" in err
    assert command("explain", "model.onnx", "array.npy", "--assign", "Softmax=Gradient")[0] == 0


# Pipes, terminals, interruptions --------------------------------------------------------------------------------------


def ran(folder: Path, *args: str, **how: Any) -> Any:
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    return subprocess.Popen(
        [sys.executable, "-m", "lrp_ref.cli", *args], cwd=folder, env=environment, stdout=subprocess.PIPE, **how
    )


def test_a_pipe_gets_no_control_characters(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(small(name="conv\x1b[31m\a").SerializeToString())
    run = ran(folder, "explain", "model.onnx", "grey.png", "--out", "out", stderr=subprocess.PIPE)
    out, err = run.communicate(timeout=PATIENCE)
    assert (run.returncode, err) == (0, b"")
    text = out.decode() + (folder / "out/ledger.txt").read_text("utf-8") + (folder / "out/ledger.csv").read_text("utf-8")
    assert r"conv\x1b[31m\x07" in text
    assert all(c.isprintable() for line in text.split("\n") for c in line)


def test_a_terminal_gets_a_bar_with_the_nodes(folder: Path) -> None:
    pty = pytest.importorskip("pty", reason="no pseudo terminals here")
    ours, theirs = pty.openpty()
    run = ran(folder, "explain", "model.onnx", "grey.png", stderr=theirs)
    os.close(theirs)
    out, shown = run.communicate(timeout=PATIENCE)[0], b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert run.returncode == 0
    assert b"grey.png" in shown
    assert b" of 10" in shown  # five nodes, there and back
    assert shown.endswith(b"\r")
    assert b"\x1b" not in shown + out
    assert b"grey.png: class" in out
    assert b"class" not in shown


def test_head_may_leave_early(folder: Path) -> None:
    run = ran(folder, "explain", "model.onnx", "grey.png", "array.npy", "--out", "out", stderr=subprocess.PIPE)
    assert run.stdout is not None
    run.stdout.close()
    with run.stderr as err:
        assert (run.wait(timeout=PATIENCE), err.read()) == (0, b"")
    assert sorted(path.name for path in (folder / "out/array").iterdir()) == FILES


INTERRUPTIBLE = """
import signal, sys
from lrp_ref import cli
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever started this process may ignore it
sys.exit(cli.main(sys.argv[1:]))
"""


def test_an_interrupt_between_images_keeps_those_that_are_done(folder: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTIBLE, "explain", "model.onnx", *["grey.png"] * 200, "--out", "out"]
    run = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stdout is not None
    for line in run.stdout:
        if line.startswith("written:"):
            run.send_signal(signal.SIGINT)
            break
    _, err = run.communicate(timeout=PATIENCE)
    assert (run.returncode, err) == (130, "lrp-ref: interrupted; every file that was written is whole\n")
    assert sorted(path.name for path in (folder / "out/grey").iterdir()) == FILES
    assert not list(folder.rglob(".*"))
    assert len(list((folder / "out").iterdir())) < 200


@pytest.mark.usefixtures("drawn")
def test_an_interrupted_run_leaves_whole_files_only(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("explain", "model.onnx", "grey.png", "--out", "out")[0] == 0
    kept = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}

    def half(figure: Any, file: Any, *args: Any, **kwargs: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", half)
    code, _, err = command("explain", "model.onnx", "grey.png", "--out", "out", "--target", 1)
    assert (code, err) == (130, "lrp-ref: interrupted; every file that was written is whole\n")
    assert sorted(path.name for path in (folder / "out").iterdir()) == FILES
    assert (folder / "out/heatmap.png").read_bytes() == kept["heatmap.png"]
    assert (folder / "out/relevance.npy").read_bytes() != kept["relevance.npy"]


def test_a_missing_package_is_named_before_anything_runs(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(lrp, "pictures", raising=False)  # first: it looks the name up, which loads it
    for name in [name for name in sys.modules if name.startswith("lrp_ref.pictures")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = command("explain", "model.onnx", "grey.png", "--out", "out")
    assert (code, out) == (2, "")
    assert err == 'lrp-ref: pictures need matplotlib, which is not installed: pip install "lrp-ref[plot]"\n'


def test_progress_counts_every_node_twice(folder: Path) -> None:
    net = lrp.load_onnx(folder / "model.onnx")
    seen: list[str] = []
    found = lrp.transforms.strip_softmax(net).explain(
        np.load(folder / "array.npy")[None], lrp.composites.zennit.epsilon_plus(), account=True,
        progress=lambda node: seen.append(node.name),
    )  # fmt: skip
    names = [node.name for node in net.nodes[:-1]]
    assert seen == [*names, *reversed(names)]
    seen.clear()
    found.ledger.check()
    assert [*found.ledger.nodes] == names[::-1]
    assert seen == []
