"""The plain text asks a table for kernels: it imports none, does without, and hides none that is broken."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lrp_ref as lrp
from lrp_ref import kernels

PACKAGE = Path(lrp.__file__).parent


def ask(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A program run where `folder` holds the package."""
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def copied(folder: Path) -> Path:
    """A copy of the package without kernels."""
    shutil.copytree(PACKAGE, folder / "lrp_ref", ignore=shutil.ignore_patterns("fast", "__pycache__"))
    return folder


USE = """
import numpy as np, lrp_ref as lrp
from lrp_ref import kernels
x = np.ones((1, 1, 3, 3))
layer = lrp.Conv(np.ones((1, 1, 2, 2)), np.ones(1))
print(kernels.on(), lrp.propagate(layer, x, np.ones((1, 1, 2, 2)), lrp.Epsilon()).relevance.sum() > 3)
"""


def test_without_kernels_the_package_is_plain(tmp_path: Path) -> None:
    found = ask(USE, copied(tmp_path))
    assert (found.stdout.strip(), found.stderr) == ("False True", "")
    (tmp_path / "lrp_ref" / "fast" / "__pycache__").mkdir(parents=True)  # what is left where files alone are removed
    assert ask(USE, tmp_path).stdout.strip() == "False True"


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [("__init__.py", "import nothing_of_this_name", "nothing_of_this_name"), ("table.py", "SLOTS: = {}", "SyntaxError")],
)
def test_a_broken_kernel_does_not_pass_for_an_absent_one(file: str, text: str, told: str, tmp_path: Path) -> None:
    fast = copied(tmp_path) / "lrp_ref" / "fast"
    fast.mkdir()
    (fast / "__init__.py").write_text("")
    (fast / file).write_text(text)
    found = ask(USE, tmp_path)
    assert found.returncode
    assert told in found.stderr


def test_nothing_but_the_table_imports_a_kernel() -> None:
    importing = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.parent != PACKAGE / "fast" and any(word in path.read_text() for word in ("lrp_ref.fast", "import fast"))
    ]
    assert importing == ["kernels.py"]


def test_a_function_with_a_kernel_is_itself_where_kernels_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    serving = {"twice": lambda a: (lambda a: "kernel") if a > 1 else None}
    monkeypatch.setattr(kernels, "_slots", lambda: serving)

    @kernels.delegated("twice")
    def twice(a: int) -> str:
        """Its text."""
        return "plain"

    with kernels.switched(True):
        assert (twice(1), twice(2), twice.__doc__) == ("plain", "kernel", "Its text.")
        with kernels.switched(False):
            assert twice(2) == "plain"
            assert not kernels.on()
        assert kernels.of("unknown", 2) is None


def test_the_plain_text_finds_infinities_among_several_arrays() -> None:
    from lrp_ref.arrays import all_finite

    good, bad = np.ones(3), np.array([1.0, np.inf])
    for enabled in (True, False):
        with kernels.switched(enabled):
            assert all_finite(good, good)
            assert not all_finite(good, bad)
            assert not all_finite(np.array([np.nan]))
