"""Files that are there whole or not at all: every writer raises `LRPError` where it cannot write."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import numpy as np

from lrp_ref.arrays import Array, LRPError, is_exact


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new path beside `path`, of the same kind, whose file takes its place once the block ends without an error."""
    new = path.with_name(f".{path.stem}.{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}{path.suffix}")
    try:
        yield new
        os.replace(new, path)
    except OSError as error:
        raise LRPError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)


@contextmanager
def opened_for_writing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the name `path` once it is whole and on the disk; its folder is made where there is none.

    The folder itself is not synchronised: a rename that a power cut undoes leaves what was there before, nothing worse.
    """
    with replacing(path) as new:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())


def save_array(path: Path, a: Array) -> None:
    """`a` as `.npy` in its own dtype; exact numbers as strings "p/q", which `lrp_ref.exact` reads back without loss."""
    with replacing(path) as new:
        np.save(new, a.astype(str) if is_exact(a) else np.asarray(a), allow_pickle=False)


def save_text(path: Path, text: str) -> None:
    """`text`, and a newline at its end."""
    with replacing(path) as new:
        new.write_text(text + "\n", encoding="utf-8")


def save_figure(path: Path, figure: Any) -> None:
    """A matplotlib figure, in the format that the file's ending names. Raises `LRPError` for one that matplotlib lacks."""
    known = figure.canvas.get_supported_filetypes()
    if path.suffix.lstrip(".").lower() not in known:
        raise LRPError(f"{path}: no picture format; expected a name that ends in .{', .'.join(sorted(known))}")
    with replacing(path) as new:
        figure.savefig(new)


def load_array(path: Path) -> Any:
    """The array in a `.npy` file. Raises `LRPError` for what is none; nothing in the file is executed."""
    try:
        with path.open("rb") as file:
            if file.read(6) != b"\x93NUMPY":
                raise LRPError(f"{path}: no .npy file; save it with numpy.save")
        return np.load(path, allow_pickle=False)
    except OSError as error:
        raise LRPError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        if isinstance(error, LRPError):
            raise
        raise LRPError(f"{path}: {str(error).splitlines()[0]}; expected an array of numbers, saved with numpy.save") from None
