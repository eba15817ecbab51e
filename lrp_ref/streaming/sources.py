"""Where images come from: a `.npy` file, many files, a sequence in memory, or a stream of unknown length."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lrp_ref.arrays import Array, LRPError


class Source(Protocol):
    """Images by number. `count`: how many, None where only the end of the stream tells."""

    @property
    def count(self) -> int | None: ...

    def name(self, i: int) -> str:
        """What errors and the table call image i."""

    def image(self, i: int) -> Array:
        """Image i; `LRPError` where it cannot be read."""


@dataclass(frozen=True)
class ArrayFile:
    """The rows of a `.npy` file, read from the disk when they are asked for."""

    path: str

    @property
    def count(self) -> int:
        return len(_mapped(self.path))

    def name(self, i: int) -> str:
        return f"image {i}"

    def image(self, i: int) -> Array:
        return np.array(_mapped(self.path)[i])


@dataclass(frozen=True)
class Files:
    """One file per image."""

    paths: tuple[str, ...]
    read: Callable[[str], Array]

    @property
    def count(self) -> int:
        return len(self.paths)

    def name(self, i: int) -> str:
        return f"image {i} ({Path(self.paths[i]).name})"

    def image(self, i: int) -> Array:
        return _asked(self.read, self.paths[i])


@dataclass(frozen=True)
class Memory:
    """A sequence of images, or an array of them, that this process holds."""

    images: Any

    @property
    def count(self) -> int:
        return len(self.images)

    def name(self, i: int) -> str:
        return f"image {i}"

    def image(self, i: int) -> Array:
        return _asked(self.images.__getitem__, i)


class Stream:
    """Images that come one after another, each once; only the batch asked for last is held."""

    count = None

    def __init__(self, images: Iterator[Array]) -> None:
        self._coming, self._start, self._held = images, 0, list[Array]()

    def name(self, i: int) -> str:
        return f"image {i}"

    def image(self, i: int) -> Array:
        return self._held[i - self._start]

    def ahead(self, size: int) -> range:
        """Takes the next batch and returns its numbers; none where the stream has ended."""
        start = self._start + len(self._held)
        self._start, self._held = start, list(islice(self._coming, size))
        return range(start, start + len(self._held))


def source(images: Any, read: Callable[[str], Array] | None) -> Source:
    """The source that `images` means. Raises `LRPError` for what is none, and for an empty one."""
    if isinstance(images, str | PathLike):
        return _filled(_from_path(Path(images).resolve(), read))
    if isinstance(images, list | tuple) and images and all(isinstance(path, str | PathLike) for path in images):
        return Files(tuple(str(Path(path).resolve()) for path in images), read or _loaded)
    if read is not None:
        raise LRPError("read: only for a list of files or a folder; these images are arrays already")
    if hasattr(images, "__len__") and hasattr(images, "__getitem__") and not isinstance(images, Mapping):
        return _filled(Memory(images))
    if isinstance(images, Iterator):
        return Stream(images)
    raise LRPError(f"images: expected a path, a sequence or an iterator of arrays, got {type(images).__name__}")


def batches(found: Source, size: int) -> Iterator[range]:
    """The numbers of every batch. A stream moves on to a batch when its numbers are asked for."""
    if isinstance(found, Stream):
        yield from iter(lambda: found.ahead(size), range(0))
        return
    count = found.count or 0
    yield from (range(start, min(start + size, count)) for start in range(0, count, size))


def _from_path(path: Path, read: Callable[[str], Array] | None) -> Source:
    if path.is_dir():
        found = sorted(str(one) for one in path.iterdir() if one.is_file() and not one.name.startswith("."))
        return Files(tuple(found), read or _loaded)
    if path.suffix != ".npy":
        raise LRPError(f"images: expected a .npy file, a folder or a list of files, got {path.name}")
    if read is not None:
        raise LRPError("read: only for a list of files or a folder; a .npy file is read row by row")
    _mapped(str(path))
    return ArrayFile(str(path))


def _filled(found: Source) -> Source:
    if found.count == 0:
        raise LRPError("images: expected at least one, got none")
    return found


def _mapped(path: str) -> Array:
    """The file as an array whose rows are read from the disk when they are used."""
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise LRPError(f"images: {Path(path).name} cannot be read: {' '.join(str(error).split())}") from None
    if rows.ndim < 2:
        raise LRPError(f"images: {Path(path).name} holds shape {rows.shape}; expected the images along the first axis")
    return rows


def _asked(read: Callable[[Any], Array], what: Any) -> Array:
    try:
        return read(what)
    except LRPError:
        raise
    except Exception as error:  # the reader is the caller's, and raises what it likes
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise LRPError(f"cannot be read: {told}; mend or remove it") from None


def _loaded(path: str) -> Array:
    if not path.endswith(".npy"):
        raise LRPError("without read=, images are .npy files; give read=, a function from a path to an array")
    found: Array = np.load(path, allow_pickle=False)
    return found
