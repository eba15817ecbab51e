"""The command `lrp-ref`: networks explained and pictured, arrays compared, and what the reference knows, in tables."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from lrp_ref.arrays import LRPError
from lrp_ref.commands import compare, explain, explain_many, tables
from lrp_ref.printable import printable

INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """Whatever cannot be understood is told in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {printable(message)}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, 1 where `compare` finds a difference, 2 for what cannot be done."""
    parser = _Parser(prog="lrp-ref", description="An exact reference of Layer-wise Relevance Propagation.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (explain, explain_many, compare, tables):
        module.add_to(commands)
    asked = parser.parse_args(arguments)
    try:
        return int(asked.run(asked))
    except LRPError as error:
        print(f"lrp-ref: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lrp-ref: interrupted; every file that was written is whole", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
