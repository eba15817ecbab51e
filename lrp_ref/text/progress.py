"""How far a long loop is: one line at the foot of a terminal, and nothing in a pipe."""

import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, TextIO, TypeVar

from lrp_ref.text.printable import printable

T = TypeVar("T")
GLANCE = 0.1  # seconds between two drawings
CELLS = 24  # of the bar


class Bar:
    """Called with the steps that are done; `about` is what they belong to. This one is quiet."""

    def __call__(self, steps: int = 1) -> None:
        """So many more steps are done."""

    def reached(self, done: int, total: int | None) -> None:
        """`done` steps are done, of `total` where that is known; the rate counts from the first call."""

    def about(self, text: str) -> None:
        """What the next steps belong to."""


class _Drawn(Bar):
    """Rewrites one line; whatever else is written to the terminal comes above it."""

    def __init__(self, stream: TextIO, total: int | None, what: str) -> None:
        self._stream, self._total, self._what = stream, total, what
        self._begun, self._shown = time.monotonic(), 0.0
        self._before: int | None = None  # steps done when the first was told
        self._done = 0
        self._width = 0  # of the line that stands there now
        self.in_a_line = False  # something else was written and its line goes on

    def __call__(self, steps: int = 1) -> None:
        self._before = self._before or 0
        self._done += steps
        self._draw()

    def reached(self, done: int, total: int | None) -> None:
        self._before = done if self._before is None else self._before
        self._done, self._total = done, total
        self._draw()

    def about(self, text: str) -> None:
        self._what = text
        self._draw()

    def clear(self) -> None:
        """Take the line away."""
        if self._width:
            self._stream.write(f"\r{' ' * self._width}\r")
            self._stream.flush()
            self._width = 0

    def _draw(self) -> None:
        now = time.monotonic()
        if self.in_a_line or (now - self._shown < GLANCE and self._done != self._total):
            return
        self._shown = now
        text = progress_line(self._what, self._done, self._total, self._done - (self._before or 0), now - self._begun)
        line = " ".join(printable(text).split())[: shutil.get_terminal_size().columns - 1]
        self._stream.write(f"\r{line:{self._width}}")
        self._stream.flush()
        self._width = len(line)


class _Above:
    """A terminal whose last line is a bar's: the bar goes away before anything is written."""

    def __init__(self, stream: TextIO, bar: _Drawn) -> None:
        self._stream, self._bar = stream, bar

    def write(self, text: str) -> int:
        self._bar.clear()
        self._bar.in_a_line = not text.endswith("\n") if text else self._bar.in_a_line
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def progress(total: int | None, what: str = "") -> Iterator[Bar]:
    """A bar on standard error while the block runs: what, how many of how many, the rate, the time left; none in a pipe.

    However the block ends, the line goes away and the streams are what they were.
    """
    if not sys.stderr.isatty():
        yield Bar()
        return
    before = sys.stdout, sys.stderr
    bar = _Drawn(sys.stderr, total, what)
    if sys.stdout.isatty():
        sys.stdout = _Above(before[0], bar)
    sys.stderr = _Above(before[1], bar)
    try:
        yield bar
    finally:
        bar.clear()
        sys.stdout, sys.stderr = before


def watched(items: Iterable[T], what: str) -> Iterator[T]:
    """The items, with a bar while they are taken."""
    with progress(len(items) if isinstance(items, Sized) else None, what) as bar:
        for item in items:
            yield item
            bar()


def progress_line(what: str, done: int, total: int | None, new: int, seconds: float) -> str:
    """The line; `new` of the steps were done in these seconds."""
    if total:
        full = CELLS * min(done, total) // total
        text = f"{what} [{'#' * full}{'.' * (CELLS - full)}] {done} of {total}"
    else:
        text = f"{what} {done}"
    if new <= 0 or seconds <= 0:
        return text
    rate = new / seconds
    text += f", {rate:.3g} per second"
    return text if total is None or done >= total else f"{text}, {duration((total - done) / rate)} left"


def duration(seconds: float) -> str:
    """Its two largest units: "3 d 4 h", "2 min 5 s"."""
    sizes = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    whole = round(seconds)
    k = next((k for k, (_, size) in enumerate(sizes) if whole >= size), len(sizes) - 1)
    parts = [(whole // sizes[k][1], sizes[k][0])]
    if k + 1 < len(sizes):
        parts.append((whole % sizes[k][1] // sizes[k + 1][1], sizes[k + 1][0]))
    return " ".join(f"{count} {unit}" for count, unit in parts)
