"""`lrp-conform report`: the page, junit.xml, the summary and the badges of runs that are done."""

from pathlib import Path

import click

from lrp_ref.commands.commandline import argument, command, fail, option, switch

FOLDER = click.Path(path_type=Path)


@command()
@argument("folder", type=FOLDER, nargs=-1, required=True, about="Report folders of runs; several make one matrix of libraries.")
@option("--out", type=FOLDER, help="Where to. Not given: the folder, if there is one.")
@switch("strict", help="In junit.xml, dialects are failures.")
@switch("cards", default=True, help="Infer dialect cards, which takes most of the time.")
def report(folder: tuple[Path, ...], out: Path | None, strict: bool, cards: bool) -> None:
    """Write index.html, junit.xml, summary.md and badges from the results of runs."""
    from lrp_conform.report.write import write
    from lrp_conform.running.folder import read

    if out is None and len(folder) > 1:
        fail("several folders make one report: say where with --out")
    target = out or folder[0]
    written = write(target, [read(each) for each in folder], strict=strict, with_cards=cards)
    size = written[0].stat().st_size / 2**20
    print(f"{written[0]} ({size:.1f} MiB), {written[1].name}, {written[2].name}, {len(written) - 3} badges")
