"""`lrp-conform report`: the page, junit.xml, the summary and the badges of runs that are done."""

from pathlib import Path
from typing import Annotated

import typer

from conformance.commands.common import fail
from conformance.results import read


def report(
    folder: Annotated[list[Path], typer.Argument(help="Report folders of runs; several make one matrix across libraries.")],
    out: Annotated[Path | None, typer.Option(help="Where to. Default: the folder, if there is one.")] = None,
    strict: Annotated[bool, typer.Option(help="In junit.xml, dialects are failures.")] = False,
    cards: Annotated[bool, typer.Option(help="Infer dialect cards, which takes most of the time.")] = True,
) -> None:
    """Write index.html, junit.xml, summary.md and badges from the results of runs."""
    from conformance.report.write import write

    if out is None and len(folder) > 1:
        fail("several folders make one report: say where with --out")
    target = out or folder[0]
    written = write(target, [read(each) for each in folder], strict=strict, with_cards=cards)
    size = written[0].stat().st_size / 2**20
    print(f"{written[0]} ({size:.1f} MiB), {written[1].name}, {written[2].name}, {len(written) - 3} badges")
