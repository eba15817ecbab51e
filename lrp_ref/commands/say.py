"""What commands print, and the bar that moves on a terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lrp_ref.network import Node


def printable(text: str) -> str:
    """`text` without control characters: names come from files, and a terminal obeys what it reads."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def say(text: str) -> None:
    """Prints lines, until the reader, such as head, has seen enough."""
    try:
        print(printable(text), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Advance:
    """Called with every node that is done; what it does is up to the terminal."""

    def image(self, name: str) -> None:
        """A new image begins."""

    def say(self, text: str) -> None:
        """Prints lines, where a bar may be in the way."""
        say(text)

    def __call__(self, node: Node) -> None:
        pass


@contextmanager
def progress(total: int) -> Iterator[Advance]:
    """A bar with the image, the node and the time left on a terminal that `rich` can draw on; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield Advance()
        return
    try:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ModuleNotFoundError:
        yield Advance()
        return

    class Bar(Advance):
        def image(self, name: str) -> None:
            bar.update(task, description=escape(printable(name)))

        def say(self, text: str) -> None:
            bar.stop()
            say(text)
            bar.start()

        def __call__(self, node: Node) -> None:
            bar.update(task, advance=1, node=escape(printable(node.name)[-40:]))

    node = TextColumn("{task.fields[node]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), node)
    own = {"redirect_stdout": False, "redirect_stderr": False}  # standard output stays what it is, a file perhaps
    with Progress(*columns, console=Console(file=sys.stderr), transient=True, **own) as bar:  # type: ignore[arg-type]
        task = bar.add_task("", total=total, node="")
        yield Bar()
