"""`lrp-conform scoreboard`: every shipped candidate, each in its environment, on one page."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from conformance import golden, pools, results, runner
from conformance.adapter import AdapterError
from conformance.commands.common import fail
from conformance.report.terminal import console
from conformance.report.write import PAGE, SUMMARY, write
from conformance.results import ReportError, Writer, read
from conformance.scoreboard import SHIPPED, Entry, data, differences, prepare, text
from conformance.session import Session
from conformance.sources import Source, load
from lrp_ref.files import write_file
from lrp_ref.progress import progress

DTYPES = ("float64", "float32")
DATA = "scoreboard.json"


def scoreboard(
    entry: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(e.key for e in SHIPPED)}; default: all.")] = None,
    out: Annotated[Path, typer.Option(help="The folder of the page and its data.")] = Path("docs/scoreboard"),
    environments: Annotated[Path, typer.Option(help="Environments: used where they are, made where not.")] = Path(
        "environments"
    ),
    runs: Annotated[Path, typer.Option(help="The report folders of the runs; what is finished there is not run again.")] = Path(
        "scoreboard-runs"
    ),
    check: Annotated[bool, typer.Option(help="Write nothing: exit 1 if a verdict differs from the data in --out.")] = False,
) -> None:
    """Judge every shipped candidate in an environment of its own and write the scoreboard: page, data, summary."""
    known = {e.key: e for e in SHIPPED}
    for key in entry or ():
        if key not in known:
            fail(f"{key}: the scoreboard has {', '.join(known)}")
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
        raise typer.Exit(_compare(out, found) or len(done) < len(entry or known))
    write(out, found, kinds=(PAGE, SUMMARY))
    write_file(out / DATA, text(found))
    screen.print(f"{len(done)} of {len(entry or known)} candidates: {out / PAGE}, {out / DATA}, {out / SUMMARY}")
    raise typer.Exit(0 if len(done) == len(entry or known) else 1)


def _compare(out: Path, found: list[results.Run]) -> bool:
    """Print what differs from the committed data; True if anything does."""
    try:
        before = json.loads((out / DATA).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(f"{out / DATA}: cannot be read: {error}") from None
    different = differences(before, data(found))
    for line in different[:40]:
        print(f"differs: {line}")
    print(f"{len(different)} differences from {out / DATA}")
    return bool(different)


def _judge(entry: Entry, environments: Path, folder: Path) -> None:
    """Run one entry over all cases; what an earlier run of the same candidate has left is kept."""
    source = Source(entry.candidate, entry.python(environments))
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
    try:
        earlier = read(folder, broken_end=True).about
    except ReportError:
        return False
    return all(earlier.get(name) == about[name] for name in results.IDENTITY)
