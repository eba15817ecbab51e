"""Waiting for what is bound to happen, however busy the machine is: no test passes or fails by a clock."""

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from lrp_conform.wire import harness

PATIENCE = 600.0  # seconds that nothing but a failure takes


def until(done: Callable[[], object], what: str) -> None:
    """Return as soon as `done()` is true; what never becomes true is a failure."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def leaping(monkeypatch: pytest.MonkeyPatch, fallen_silent: Path) -> str:
    """Let the clock of a harness leap over its limit once this file is there; the Python text that falls silent for good."""
    clock = SimpleNamespace(
        monotonic=lambda: time.monotonic() + (2 * PATIENCE if fallen_silent.exists() else 0), sleep=time.sleep
    )
    monkeypatch.setattr(harness, "time", clock)
    return f"open({str(fallen_silent)!r}, 'w').close(); time.sleep(10**6)"
