"""How far two arrays lie apart: the numbers, the command lrp-ref compare, and the tables beside it."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lrp_ref as lrp
from lrp_ref import cli
from lrp_ref.commands.difference import difference


def compared(capsys: pytest.CaptureFixture[str], folder: Path, a: Any, b: Any, *args: str) -> tuple[int, str, str]:
    for name, values in (("a", a), ("b", b)):
        np.save(folder / f"{name}.npy", values)
    code = cli.main(["compare", str(folder / "a.npy"), str(folder / "b.npy"), *args])
    return code, *capsys.readouterr()


A = np.array([[1.0, -2.0, 0.0], [4.0, 5.0, -6.0]])


def test_equal_arrays_exit_0(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = compared(capsys, tmp_path, A, A)
    assert (code, err) == (0, "")
    assert "equal bit for bit  6 of 6" in out
    assert "effective bits     53.0" in out


@pytest.mark.parametrize(
    "other",
    [A + 1e-9, A.astype(np.float32), np.where(A == 0, -0.0, A), A[:1], np.where(A == 0, np.nan, A)],
    ids=["numbers", "dtype", "the sign of zero", "shape", "nan"],
)
def test_any_difference_exits_1(capsys: pytest.CaptureFixture[str], tmp_path: Path, other: Any) -> None:
    assert compared(capsys, tmp_path, A, other)[0] == 1


def test_a_tolerance_decides_the_exit_status(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert compared(capsys, tmp_path, A, A + 6e-6, "--tolerance", "2e-6")[0] == 0
    assert compared(capsys, tmp_path, A, A + 6e-6, "--tolerance", "5e-7")[0] == 1
    assert compared(capsys, tmp_path, A, np.where(A == 0, np.inf, A), "--tolerance", "1")[0] == 1


def test_the_table_says_how_far_and_where(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    b = A.copy()
    b[0, 2], b[1, 1] = -1e-3, 5.5
    _, out, _ = compared(capsys, tmp_path, A, b)
    rows = {line[:19].strip(): line[19:] for line in out.splitlines()}
    assert rows["largest |A - B|"] == "0.5 at [1, 1], of max |B| = 6"
    assert rows["largest relative"].startswith("1 at [0, 2]")
    assert rows["signs that differ"] == "1"
    assert rows["sums"] == "2 and 2.499"
    assert rows["effective bits"] == "3.6"  # log2(6 / 0.5)


def test_a_picture_is_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "apart.png"
    compared(capsys, tmp_path, A, A + 1, "--out", str(path))
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("a", "args", "message"),
    [
        (np.array(["x"]), [], "expected a finite number, got 'x'"),
        (np.array([1j]), [], "expected real numbers"),
        (np.zeros((0, 3)), [], "expected elements to compare"),
        (A, ["--out", "apart.doc"], "apart.doc: no picture format"),
        (A, ["--out", f"{__file__}/where.png"], "where.png: cannot be written"),
    ],
)
def test_what_cannot_be_compared_exits_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, a: Any, args: list[str], message: str
) -> None:
    code, _, err = compared(capsys, tmp_path, a, a, *args)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_files_that_are_no_arrays_exit_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name, content, message in (("no.npy", None, "cannot be read"), ("text.npy", b"text", "no .npy file")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        assert cli.main(["compare", str(tmp_path / name), str(tmp_path / name)]) == 2
        assert message in capsys.readouterr().err


def test_a_bad_tolerance_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", "a", "b", "--tolerance", "-1"]) == 2
    assert capsys.readouterr().err.endswith("expected a number >= 0, got '-1'; see lrp-ref compare --help\n")


# The numbers ----------------------------------------------------------------------------------------------------------


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 1000))
def test_ulps_count_the_floats_between(value: float, steps: int) -> None:
    other = value
    for _ in range(steps):
        other = float(np.nextafter(other, 0.0 if abs(value) > 1 else math.inf))
    found = difference(np.array([value]), np.array([other]))
    crossed = 1 if math.copysign(1, value) != math.copysign(1, other) else 0  # -0 and +0 are no step apart
    assert found.ulps is not None
    assert found.ulps[0] == steps - (crossed if value < 0 < other else 0) or (crossed and found.ulps[0] == steps)


def test_ulps_cross_zero_and_reach_the_ends() -> None:
    tiny, top = np.nextafter(0, 1), np.finfo(float).max
    assert difference(np.array([tiny]), np.array([-tiny])).ulps == (2, 2)
    assert difference(np.array([0.0]), np.array([-0.0])).ulps == (0, 0)
    largest = difference(np.array([top]), np.array([-top])).ulps
    assert largest is not None
    assert largest[0] == 2 * int(np.array(top).view(np.uint64))


def test_ulps_are_those_of_the_coarser_dtype() -> None:
    a = np.float32([1, 2, 3])
    assert difference(a, a.astype(np.float64) * (1 + 1e-12)).ulps == (0, 0)
    assert difference(a, np.nextafter(a, np.float32(9)).astype(np.float64)).ulps == (1, 1)


def test_exact_numbers_are_subtracted_exactly() -> None:
    third = lrp.exact([["1/3"]])
    found = difference(third, np.array([[1 / 3]]))
    assert found.absolute == float(abs(third[0, 0] - lrp.exact([1 / 3])[0]))
    assert found.absolute > 0
    assert difference(third, third.astype(str)).identical


def test_correlation_and_cosine_survive_any_scale() -> None:
    a = np.array([1e-300, 2e-300, -1e-300])
    found = difference(a, 1e300 * (a * 1e300))
    assert found.cosine == pytest.approx(1)
    assert found.correlation == pytest.approx(1)
    assert math.isnan(difference(np.ones(3), A[0]).correlation)


def test_what_is_nowhere_finite_has_no_bits() -> None:
    nan = np.full(3, np.nan)
    assert math.isnan(difference(nan, A[0]).bits)
    assert difference(nan, A[0]).loose == 3
    assert difference(nan, nan).identical


# Tables -----------------------------------------------------------------------------------------------------------------


def test_composites_are_listed_with_their_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["composites"]) == 0
    out = capsys.readouterr().out
    assert "zennit.epsilon_plus(epsilon=1e-06, stabilizer=1e-06, zero_params=None)\n    Convolutions ZPlus" in out
    assert "patterns.pattern_net: not by name, it needs fitted patterns; from Python" in out


@pytest.mark.parametrize("topic", ["rules", "layers", "conventions", "dialects"])
def test_every_table_has_lines(capsys: pytest.CaptureFixture[str], topic: str) -> None:
    assert cli.main([topic]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 8


def test_tables_need_nothing_but_the_bare_installation() -> None:
    code = (
        "import sys\n"
        "for name in ('rich', 'matplotlib', 'PIL', 'onnx', 'flint'): sys.modules[name] = None\n"
        "from lrp_ref import cli\n"
        "sys.exit(cli.main(['rules']) or cli.main(['composites']))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stderr == b""


def test_an_unknown_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explane"]) == 2
    assert capsys.readouterr().err == "lrp-ref: no command 'explane'; did you mean 'explain'?; see lrp-ref --help\n"
