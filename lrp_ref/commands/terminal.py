"""What commands print."""

import os
import sys

from lrp_ref.text.printable import printable


def say(text: str) -> None:
    """Prints lines, until the reader, such as head, has seen enough."""
    try:
        print(printable(text), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
