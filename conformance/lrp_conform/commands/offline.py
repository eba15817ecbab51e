"""`rejudge` and `merge`: runs from their folders, without the candidate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lrp_ref.commands.commandline import argument, command, option, switch

if TYPE_CHECKING:
    from lrp_conform.judging.result import CaseResult
    from lrp_conform.running.folder import Run

FOLDER = click.Path(path_type=Path)
out = option("--out", type=FOLDER, required=True, help="The folder for the new report.")
overwrite = switch("overwrite", help="Replace the results in that folder.")


@command()
@argument("folder", type=FOLDER, about="The report folder of a run.")
@out
@overwrite
def rejudge(folder: Path, out: Path, overwrite: bool) -> None:
    """Judge a run again from its raw outputs, with this version of the suite; say which verdicts changed."""
    from lrp_conform.running import offline
    from lrp_conform.running.folder import read

    before = read(folder)
    after = offline.rejudge(before, before.cases)
    _write(after, out, overwrite)
    different = offline.changed_results(before.results, after.results)
    print(f"{len(after.results)} results judged again, {len(different)} verdicts changed")
    for old, new in different[:20]:
        print(f"  {new.candidate} {new.dtype} {new.case}: {_said(old)} -> {_said(new)}")


@command()
@argument("folders", type=FOLDER, nargs=-1, required=True, about="The report folders of all shards of one run.")
@out
@overwrite
def merge(folders: tuple[Path, ...], out: Path, overwrite: bool) -> None:
    """Put the shards of a run together; nothing may be missing."""
    from lrp_conform.report.terminal import console, summary
    from lrp_conform.running import offline
    from lrp_conform.running.folder import read

    whole = offline.merge([read(folder) for folder in folders])
    _write(whole, out, overwrite)
    for system in dict.fromkeys(r.candidate for r in whole.results):
        summary([r for r in whole.results if r.candidate == system], console())


def _write(run: Run, out: Path, overwrite: bool) -> None:
    from lrp_conform.fresh.portion import file_of
    from lrp_conform.running.folder import Writer

    writer = Writer(out, run.about, overwrite, fresh=file_of(run.fresh))
    writer.begin()
    writer.finish(run.results)


def _said(result: CaseResult) -> str:
    return f"{result.verdict} {result.judgement.dialect or ''}".rstrip()
