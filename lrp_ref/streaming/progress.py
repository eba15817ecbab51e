"""How far a long run is: a line on a terminal, nothing in a pipe."""

import sys
import time
from collections.abc import Callable

Progress = Callable[[int, int | None], None]  # images done, and of how many, where that is known
GLANCE = 0.2  # seconds between two lines


def line() -> Progress:
    """Rewrites one line on standard error: images done, images per second since the start, time left."""
    if not sys.stderr.isatty():
        return lambda done, total: None
    begun = time.monotonic()
    before: list[int] = []  # images that were done when this call started
    shown = [0.0]

    def tell(done: int, total: int | None) -> None:
        before[:] = before or [done]
        now = time.monotonic()
        if done == total or now - shown[0] >= GLANCE:
            shown[0] = now
            end = "\n" if done == total else ""
            print(f"\r\033[K{told(done, total, done - before[0], now - begun)}", end=end, file=sys.stderr, flush=True)

    return tell


def told(done: int, total: int | None, new: int, seconds: float) -> str:
    """The line; `new` of the images were done in these seconds."""
    text = f"{done} images" if total is None else f"{done} of {total} images"
    if not new:
        return text
    rate = new / seconds
    text += f", {rate:.3g} per second"
    return text if total in (None, done) else f"{text}, {duration((total - done) / rate)} left"


def duration(seconds: float) -> str:
    """Its two largest units: "3 d 4 h", "2 min 5 s"."""
    sizes = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    whole = round(seconds)
    k = next((k for k, (_, size) in enumerate(sizes) if whole >= size), len(sizes) - 1)
    parts = [(whole // sizes[k][1], sizes[k][0])]
    if k + 1 < len(sizes):
        parts.append((whole % sizes[k][1] // sizes[k + 1][1], sizes[k + 1][0]))
    return " ".join(f"{count} {unit}" for count, unit in parts)
