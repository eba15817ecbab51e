"""The command `lrp-conform`."""

import sys
from collections.abc import Sequence

import lrp_ref
from lrp_ref.commandline import Commands, run


def version() -> str:
    """Of the package, and the edition of the golden files."""
    from conformance import golden

    return f"lrp-conform {lrp_ref.__version__}, golden edition {golden.edition()}"


COMMANDS = Commands(
    "lrp-conform",
    "Judge implementations of Layer-wise Relevance Propagation against golden vectors and an exact reference.",
    {
        "run": "conformance.commands.run:run",
        "rejudge": "conformance.commands.offline:rejudge",
        "merge": "conformance.commands.offline:merge",
        "report": "conformance.commands.evidence:report",
        "smoke": "conformance.commands.harness:smoke",
        "protocol-check": "conformance.commands.harness:protocol_check",
        "scoreboard": "conformance.commands.scoreboard:scoreboard",
        "compare-model": "conformance.commands.compare:compare_model",
        "card": "conformance.commands.diagnosis:card",
        "shrink": "conformance.commands.diagnosis:shrink",
        "laws": "conformance.commands.diagnosis:laws",
        "list": "conformance.commands.look:list_cases",
        "show": "conformance.commands.look:show",
        "candidates": "conformance.commands.look:candidates",
        "selftest": "conformance.commands.proof:selftest",
        "generate": "conformance.commands.proof:generate",
        "fuzz": "conformance.commands.fuzz:fuzz",
    },
    extra="conformance",
    version=version,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, 1 where something is wrong, 2 for a user's mistake."""
    return run(COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
