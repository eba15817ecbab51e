"""Files that are there whole or not at all: every writer raises `LRPError` where it cannot write."""

import os
import re
import socket
import stat
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from uuid import uuid4
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.lib.format import read_array

from lrp_ref.arrays import Array, LRPError, exact, is_exact

RATIONAL = re.compile(r"-?[0-9]{1,4300}(/[1-9][0-9]{0,4299})?")  # no more digits than Python reads of an integer


@contextmanager
def opened_for_writing(path: Path, durable: bool = False) -> Iterator[IO[bytes]]:
    """A binary file that takes the name `path` once the block ends without an error; its folder is made where there is none.

    It keeps the permissions of the file it replaces, and where `path` is a link, what that points to is replaced. durable:
    it is on the disk before it takes the name, so that not even a power cut leaves half of it (the folder itself is not
    synchronised: a rename that is undone leaves what was there before, nothing worse).
    """
    final = Path(os.path.realpath(path))
    new = final.with_name(f".{final.stem}.{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}{final.suffix}")
    try:
        if final.exists() and not final.is_file():
            raise LRPError(f"{path}: cannot be written: it is there and no file")
        final.parent.mkdir(parents=True, exist_ok=True)
        with new.open("xb") as file:
            if final.exists():
                os.chmod(new, stat.S_IMODE(final.stat().st_mode))
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(new, final)
    except OSError as error:
        raise LRPError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)


def write_file(path: Path, content: str | bytes, durable: bool = False) -> None:
    """A whole file: bytes, or text in UTF-8 whose line ends stay as they are."""
    with opened_for_writing(path, durable) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def save_array(path: Path, a: Array) -> None:
    """`a` as `.npy` in its own dtype; exact numbers as strings "p/q", which `lrp_ref.exact` reads back without loss."""
    with opened_for_writing(path) as file:
        np.save(file, a.astype(str) if is_exact(a) else np.asarray(a), allow_pickle=False)


def save_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Named arrays as one compressed `.npz`; exact numbers as strings "p/q"."""
    with opened_for_writing(path) as file:
        np.savez_compressed(file, **{name: a.astype(str) if is_exact(a) else a for name, a in arrays.items()})


def load_arrays(path: Path) -> dict[str, Any]:
    """The arrays in a `.npz` file, by name. Raises `LRPError` for what is none; nothing in the file is executed."""
    try:
        with path.open("rb") as file, ZipFile(file) as held:
            names = [name for name in held.namelist() if name.endswith(".npy")]
            return {name.removesuffix(".npy"): read_array(BytesIO(held.read(name)), allow_pickle=False) for name in names}
    except OSError as error:
        raise LRPError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, NotImplementedError, BadZipFile, zlib.error) as error:
        raise LRPError(f"{path}: no .npz file of numbers: {str(error).splitlines()[0]}; save it with numpy.savez") from None


def rationals(path: Any, a: Array) -> Array:
    """Strings "p/q" of a file as exact numbers. Raises `LRPError` for any other text, however long it would take to read."""
    wrong = next((text for text in a.flat if not RATIONAL.fullmatch(text)), None)
    if wrong is not None:
        raise LRPError(f"{path}: expected integers, or p/q with q > 0, in at most 4300 digits each; got {wrong[:40]!r}")
    return exact(a)


def save_figure(path: Path, figure: Any) -> None:
    """A matplotlib figure, in the format that the file's ending names. Raises `LRPError` for one that matplotlib lacks."""
    kind, known = path.suffix.lstrip(".").lower(), figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise LRPError(f"{path}: no picture format; expected a name that ends in .{', .'.join(sorted(known))}")
    with opened_for_writing(path) as file:
        figure.savefig(file, format=kind)


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
