"""The worked examples run as the README says, and their pictures are small enough to keep."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE

DOCS = Path(__file__).resolve().parents[2] / "docs"
EXAMPLES = ("digits_network", "natural_image")


def ran(name: str, out: Path) -> str:
    command = [sys.executable, str(DOCS / f"{name}.py"), "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_committed_picture_is_small(name: str) -> None:
    picture = (DOCS / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 300_000


@pytest.mark.slow
def test_the_digits_are_learned_and_explained(tmp_path: Path) -> None:
    for name in ("torch", "sklearn", "PIL", "matplotlib", "onnx"):
        pytest.importorskip(name)
    out = ran("digits_network", tmp_path)
    accuracy = re.search(r"held-out accuracy ([\d.]+)", out)
    assert accuracy is not None
    assert float(accuracy[1]) > 0.95
    assert {path.name for path in tmp_path.iterdir()} == {
        "model.onnx", "3.png", "4.png", "6.png", "9.png", "digits_network.png",
    }  # fmt: skip


@pytest.mark.slow
def test_relevance_lies_on_the_object_that_was_asked_for(tmp_path: Path) -> None:
    for name in ("sklearn", "PIL", "matplotlib", "onnx"):
        pytest.importorskip(name)
    rows = re.findall(
        r"^(temple|dahlia) +zennit\.\w+ +([\d.]+) +([\d.]+) +([\d.]+)$", ran("natural_image", tmp_path), re.MULTILINE
    )
    assert len(rows) == 6
    assert all(float(logit) > 0 and float(share) > 1.5 * float(area) for _, logit, share, area in rows)
