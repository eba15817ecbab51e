"""Files are there whole or not at all, with the permissions they had, and what cannot be written is told in one line."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lrp_ref import LRPError
from lrp_ref.files.arrays import load_array, opened_for_writing, save_array, write_file


def test_text_and_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    write_file(tmp_path / "new" / "a.txt", "ä\r\nb\n")
    write_file(tmp_path / "b.bin", b"\x00\xff", durable=True)
    assert (tmp_path / "new/a.txt").read_bytes() == "ä\r\nb\n".encode()
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\xff"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "b.bin", "new"]


def test_an_array_keeps_its_dtype(tmp_path: Path) -> None:
    save_array(tmp_path / "a.npy", np.float16([1, 2]))
    assert load_array(tmp_path / "a.npy").dtype == np.float16


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_stops_half_way_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    write_file(path, "before")

    def half() -> None:
        with opened_for_writing(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        half()
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.txt", "before")]


KILLED = """
import os, signal, sys
from pathlib import Path
from lrp_ref.files.arrays import opened_for_writing
with opened_for_writing(Path(sys.argv[1])) as file:
    file.write(b"half" * 100000)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL on Windows")
def test_a_killed_writer_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_file(path, "before")
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == -9
    assert path.read_text() == "before"


@pytest.mark.skipif(os.name == "nt", reason="no such permissions on Windows")
def test_a_file_that_is_replaced_keeps_its_permissions_and_its_link(tmp_path: Path) -> None:
    path, link = tmp_path / "a.txt", tmp_path / "link.txt"
    write_file(path, "before")
    path.chmod(0o640)
    link.symlink_to("a.txt")
    write_file(link, "after")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("after", 0o640)
    assert link.is_symlink()
    mask = os.umask(0)
    os.umask(mask)
    write_file(tmp_path / "new.txt", "")
    assert stat.S_IMODE((tmp_path / "new.txt").stat().st_mode) == 0o666 & ~mask


def test_what_cannot_be_written_is_one_line_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "a.txt", tmp_path / ("a" * 300)):
        with pytest.raises(LRPError, match=r"cannot be written: ") as told:
            write_file(path, "text")
        assert str(told.value).startswith(str(path))
        assert "\n" not in str(told.value)
