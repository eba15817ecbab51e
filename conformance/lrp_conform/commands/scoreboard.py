"""`lrp-conform scoreboard`: every shipped candidate, each in its environment, on one page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lrp_ref.commands.commandline import OneOf, argument, command, fail, option, switch
from lrp_ref.text.progress import progress

if TYPE_CHECKING:
    from lrp_conform.report.scoreboard import Entry
    from lrp_conform.running import folder as results

DTYPES = ("float64", "float32")
DATA = "scoreboard.json"
FOLDER = click.Path(path_type=Path)


def _entries() -> list[str]:
    from lrp_conform.report.scoreboard import SHIPPED

    return [e.key for e in SHIPPED]


@command()
@argument("entry", type=OneOf(_entries), nargs=-1, about="Which; all, if none is given.")
@option("--out", type=FOLDER, default=Path("docs/scoreboard"), help="The folder of the page and its data.")
@option("--environments", type=FOLDER, default=Path("environments"), help="Environments: used where they are, made where not.")
@option(
    "--runs",
    type=FOLDER,
    default=Path("scoreboard-runs"),
    help="The report folders of the runs; what is finished there is not run again.",
)
@switch("check", help="Write nothing: exit 1 if a verdict differs from the data in --out.")
def scoreboard(entry: tuple[str, ...], out: Path, environments: Path, runs: Path, check: bool) -> int:
    """Judge every shipped candidate in an environment of its own and write the scoreboard: page, data, summary."""
    from rich.text import Text

    from lrp_conform.candidates.adapter import AdapterError
    from lrp_conform.report.scoreboard import SHIPPED, prepare, text
    from lrp_conform.report.terminal import console
    from lrp_conform.report.write import PAGE, SUMMARY, write
    from lrp_conform.running.folder import read
    from lrp_ref.files.arrays import write_file

    known = {e.key: e for e in SHIPPED}
    screen = console()
    done: list[Path] = []
    for each in (known[key] for key in entry or known):
        try:
            prepare(each, environments, screen.print)
            _judge(each, environments, runs / each.key)
        except AdapterError as error:
            screen.print(Text(f"left out: {error}", style="red"))
            continue
        done.append(runs / each.key)
    if not done:
        fail("no candidate could be run, so there is no scoreboard")
    found = [read(folder) for folder in done]
    if check:
        return int(_compare(out, found) or len(done) < len(entry or known))
    write(out, found, kinds=(PAGE, SUMMARY))
    write_file(out / DATA, text(found))
    screen.print(f"{len(done)} of {len(entry or known)} candidates: {out / PAGE}, {out / DATA}, {out / SUMMARY}")
    return 0 if len(done) == len(entry or known) else 1


def _compare(out: Path, found: list[results.Run]) -> bool:
    """Print what differs from the committed data; True if anything does."""
    from lrp_conform.report.scoreboard import data, differences

    try:
        before = json.loads((out / DATA).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fail(f"{out / DATA}: cannot be read: {error}")
    different = differences(before, data(found))
    for line in different[:40]:
        print(f"differs: {line}")
    print(f"{len(different)} differences from {out / DATA}")
    return bool(different)


def _judge(entry: Entry, environments: Path, folder: Path) -> None:
    """Run one entry over all cases; what an earlier run of the same candidate has left is kept."""
    from lrp_conform.candidates.sources import CandidateSource, load
    from lrp_conform.cases import golden
    from lrp_conform.commands.session import Session
    from lrp_conform.report.terminal import console
    from lrp_conform.running import folder as results
    from lrp_conform.running import pools, runner
    from lrp_conform.running.folder import Writer

    source = CandidateSource(entry.candidate, entry.python(environments))
    candidates = load(source)
    for candidate in candidates:
        candidate.close()
    cases = golden.load_all()
    about = results.about(candidates, (c.id for c in cases), DTYPES, ["cpu"])
    resume = (folder / results.LINES).exists() and _same(folder, about)
    writer = Writer(folder, about, overwrite=not resume, resume=resume)
    session = Session(candidates, runner.tasks(source, candidates, cases, DTYPES, ["cpu"]), writer, console())
    left = session.begin()
    with pools.local(pools.cores()) as executor, progress(sum(len(task.cases) for task in left), entry.key) as advance:
        session.collect(runner.spread(left, executor, advance))


def _same(folder: Path, about: dict[str, object]) -> bool:
    from lrp_conform.running.folder import IDENTITY, ReportError, read

    try:
        earlier = read(folder, broken_end=True).about
    except ReportError:
        return False
    return all(earlier.get(name) == about[name] for name in IDENTITY)
