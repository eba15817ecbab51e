"""The command `lrp-ref`: networks explained and pictured, arrays compared, and what the reference knows, in tables."""

import sys
from collections.abc import Sequence

import lrp_ref
from lrp_ref.commands.commandline import Commands, run

COMMANDS = Commands(
    "lrp-ref",
    "An exact reference of Layer-wise Relevance Propagation.",
    {
        "explain": "lrp_ref.commands.explain:explain",
        "explain-many": "lrp_ref.commands.explain_many:explain_many",
        "compare": "lrp_ref.commands.compare:compare",
        "rules": "lrp_ref.commands.tables:rules",
        "layers": "lrp_ref.commands.tables:layers",
        "conventions": "lrp_ref.commands.tables:conventions",
        "dialects": "lrp_ref.commands.tables:dialects",
        "composites": "lrp_ref.commands.tables:composites",
    },
    extra="explain",
    version=lambda: f"lrp-ref {lrp_ref.__version__}",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, 1 where `compare` finds a difference, 2 for what cannot be done."""
    return run(COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
