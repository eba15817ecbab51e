"""The command `lrp-conform`."""

import sys
from typing import Annotated

import typer

import lrp_ref
from conformance import golden
from conformance.adapter import AdapterError
from conformance.commands import compare, diagnosis, evidence, fuzz, harness, look, offline, proof, run, scoreboard
from conformance.golden import GoldenError
from conformance.results import ReportError
from conformance.runner import LostWorkers

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    help="Judge implementations of Layer-wise Relevance Propagation against golden vectors and an exact reference.",
)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and the golden edition.", is_eager=True)
    ] = False,
) -> None:
    """Judge implementations of Layer-wise Relevance Propagation against golden vectors and an exact reference."""
    if version:
        print(f"lrp-conform {lrp_ref.__version__}, golden edition {golden.edition()}")
        raise typer.Exit


app.command()(run.run)
app.command()(offline.rejudge)
app.command()(offline.merge)
app.command()(evidence.report)
app.command()(harness.smoke)
app.command("protocol-check")(harness.protocol_check)
app.command()(scoreboard.scoreboard)
app.command("compare-model")(compare.compare_model)
app.command()(diagnosis.card)
app.command()(diagnosis.shrink)
app.command()(diagnosis.laws)
app.command("list")(look.list_cases)
app.command()(look.show)
app.command()(look.candidates)
app.command()(proof.selftest)
app.command()(proof.generate)
app.command()(fuzz.fuzz)


def main() -> None:
    """Run the command; a user's mistake is one line on stderr and exit status 2."""
    try:
        app()
    except (AdapterError, GoldenError, ReportError, LostWorkers) as error:
        print(f"lrp-conform: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
