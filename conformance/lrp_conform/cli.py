"""The command `lrp-conform`."""

import sys
from collections.abc import Sequence

import lrp_ref
from lrp_ref.commands.commandline import Commands, run


def version() -> str:
    """Of the package, and the edition of the golden files, which their manifest says."""
    from lrp_conform.cases import manifest

    return f"lrp-conform {lrp_ref.__version__}, golden edition {manifest.edition()}"


COMMANDS = Commands(
    "lrp-conform",
    "Judge implementations of Layer-wise Relevance Propagation against golden vectors and an exact reference.",
    {
        "run": "lrp_conform.commands.run:run",
        "rejudge": "lrp_conform.commands.offline:rejudge",
        "merge": "lrp_conform.commands.offline:merge",
        "report": "lrp_conform.commands.evidence:report",
        "smoke": "lrp_conform.commands.harness:smoke",
        "protocol-check": "lrp_conform.commands.harness:protocol_check",
        "scoreboard": "lrp_conform.commands.scoreboard:scoreboard",
        "compare-model": "lrp_conform.commands.compare:compare_model",
        "card": "lrp_conform.commands.diagnosis:card",
        "shrink": "lrp_conform.commands.diagnosis:shrink",
        "laws": "lrp_conform.commands.diagnosis:laws",
        "list": "lrp_conform.commands.look:list_cases",
        "show": "lrp_conform.commands.look:show",
        "candidates": "lrp_conform.commands.look:candidates",
        "selftest": "lrp_conform.commands.proof:selftest",
        "generate": "lrp_conform.commands.proof:generate",
        "fuzz": "lrp_conform.commands.fuzz:fuzz",
    },
    extra="conformance",
    version=version,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, 1 where something is wrong, 2 for a user's mistake."""
    return run(COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
