"""`rejudge` and `merge`: runs from their folders, without the candidate."""

from pathlib import Path
from typing import Annotated

import typer

from conformance import golden, offline
from conformance.report.terminal import console, summary
from conformance.results import Result, Run, Writer, read

Out = Annotated[Path, typer.Option("--out", help="The folder for the new report.")]


def rejudge(
    folder: Annotated[Path, typer.Argument(help="The report folder of a run.")],
    out: Out,
    overwrite: Annotated[bool, typer.Option(help="Replace the results in that folder.")] = False,
) -> None:
    """Judge a run again from its raw outputs, with this version of the suite; say which verdicts changed."""
    before = read(folder)
    after = offline.rejudge(before, golden.load_all())
    _write(after, out, overwrite)
    different = offline.changed(before.results, after.results)
    print(f"{len(after.results)} results judged again, {len(different)} verdicts changed")
    for old, new in different[:20]:
        print(f"  {new.candidate} {new.dtype} {new.case}: {_said(old)} -> {_said(new)}")


def merge(
    folders: Annotated[list[Path], typer.Argument(help="The report folders of all shards of one run.")],
    out: Out,
    overwrite: Annotated[bool, typer.Option(help="Replace the results in that folder.")] = False,
) -> None:
    """Put the shards of a run together; nothing may be missing."""
    whole = offline.merge([read(folder) for folder in folders])
    _write(whole, out, overwrite)
    for system in dict.fromkeys(r.candidate for r in whole.results):
        summary([r for r in whole.results if r.candidate == system], console())


def _write(run: Run, out: Path, overwrite: bool) -> None:
    writer = Writer(out, run.about, overwrite)
    writer.begin()
    writer.finish(run.results)


def _said(result: Result) -> str:
    return f"{result.verdict} {result.judgement.dialect or ''}".rstrip()
