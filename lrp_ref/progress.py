"""A bar for long loops: on a terminal that `rich` can draw on, and nothing in a pipe."""

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")


def watched(items: Iterable[T], what: str) -> Iterator[T]:
    """The items, with a bar on the terminal while they are taken: how many are done, and the time left if it is known."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    except ModuleNotFoundError:
        yield from items
        return
    total = len(items) if isinstance(items, Sized) else None
    time = TimeElapsedColumn() if total is None else TimeRemainingColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), time)
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        yield from bar.track(items, total=total, description=what)
