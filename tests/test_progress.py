"""The bar of long loops: on a terminal, under whatever else is written there; nothing in a pipe."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE

from lrp_ref.text.printable import printable
from lrp_ref.text.progress import Bar, duration, progress, progress_line, watched

LOOP = """
import sys
from lrp_ref.text import progress as module
from lrp_ref.text.progress import progress
module.GLANCE = -1.0
END
with progress(4, "cases\\x1b[31m") as bar:
    for k in range(4):
        bar()
        if k == 1:
            print("a line of a result")
        if k == 2:
            bar.about("others")
    END_INSIDE
print("after")
"""


def on_a_terminal(code: str) -> tuple[int, str]:
    """What a program writes to a terminal of 80 columns, and its exit status."""
    pty = pytest.importorskip("pty", reason="no pseudo terminals here")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80"}
    run = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    return run.wait(timeout=PATIENCE), shown.decode()


def standing(shown: str) -> list[str]:
    """The lines that a terminal shows in the end: what comes after a return is written over the line."""
    lines = []
    for text in shown.replace("\r\n", "\n").split("\n"):
        line: list[str] = []
        for part in text.split("\r"):
            line[: len(part)] = part
        lines.append("".join(line).rstrip())
    return lines


def test_a_bar_moves_and_leaves_what_was_printed() -> None:
    code, shown = on_a_terminal(LOOP.replace("END_INSIDE", "").replace("END", ""))
    assert code == 0
    assert r"cases\x1b[31m [############............] 2 of 4" in shown
    assert "others [" in shown
    assert "\x1b" not in shown
    assert standing(shown) == ["a line of a result", "after", ""]


def test_an_interrupt_takes_the_bar_away() -> None:
    code, shown = on_a_terminal(LOOP.replace("END_INSIDE", "raise SystemExit(130)").replace("END", ""))
    assert code == 130
    assert "4 of 4" in shown
    assert standing(shown) == ["a line of a result", ""]


def test_no_optional_package_is_needed() -> None:
    without = "sys.modules['rich'] = None"
    assert "4 of 4" in on_a_terminal(LOOP.replace("END_INSIDE", "").replace("END", without))[1]


def test_a_pipe_gets_nothing(tmp_path: Path) -> None:
    code = LOOP.replace("END_INSIDE", "").replace("END", "")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("a line of a result\nafter\n", "")


def test_streams_are_what_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sys.stdout, sys.stderr
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with pytest.raises(KeyboardInterrupt), progress(1):
        raise KeyboardInterrupt
    assert (sys.stdout, sys.stderr) == before


def test_watched_items_come_as_they_are() -> None:
    assert list(watched(iter("abc"), "letters")) == ["a", "b", "c"]
    Bar().reached(1, None)


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("images", 3, None, 0, 0.0), "images 3"),
        (("images", 30, None, 20, 10.0), "images 30, 2 per second"),
        (("images", 30, 60, 20, 10.0), "images [############............] 30 of 60, 2 per second, 15 s left"),
        (("images", 60, 60, 60, 10.0), "images [########################] 60 of 60, 6 per second"),
        (("cases", 0, 0, 0, 1.0), "cases 0"),
    ],
)
def test_the_line_says_how_many_how_fast_and_how_long(args: tuple[str, int, int | None, int, float], line: str) -> None:
    assert progress_line(*args) == line


def test_durations_have_two_units() -> None:
    assert [duration(s) for s in (0, 59, 125, 3600, 273600)] == ["0 s", "59 s", "2 min 5 s", "1 h 0 min", "3 d 4 h"]


def test_text_is_escaped_and_cut() -> None:
    assert printable("a\x1b[31m\r\x85\u202e\ud800b\n\tc") == "a\\x1b[31m\\r\\x85\\u202e\\ud800b\n\tc"
    assert printable("caf\xe9 \u4e2d") == "caf\xe9 \u4e2d"
    assert printable("abcdef", 3) == "abc…"
