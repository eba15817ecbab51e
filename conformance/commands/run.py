"""`lrp-conform run`: judge candidates on this machine or on a cluster."""

import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from conformance import golden, pools, results, runner
from conformance.adapter import Candidate
from conformance.commands.common import (
    CaseGlobs,
    Command,
    FeatureGlobs,
    InProcess,
    ProfileNames,
    Python,
    Timeout,
    dtypes,
    fail,
    selected,
)
from conformance.golden import AnyCase
from conformance.report.terminal import console
from conformance.report.write import JUNIT, PAGE, SUMMARY, write
from conformance.results import Writer
from conformance.session import Session
from conformance.sources import chosen, load
from conformance.wire.harness import Limits
from lrp_ref.progress import progress

FEW = 400  # questions that are not worth a pool of processes


def run(
    candidate: Annotated[
        list[str] | None, typer.Argument(help="Names (see `candidates`), paths ending in .py, or modules.")
    ] = None,
    dtype: Annotated[
        list[str] | None, typer.Option(help="float64, float32 or float16; repeatable. Default: float64 and float32.")
    ] = None,
    device: Annotated[list[str] | None, typer.Option(help="A device the candidate declares; repeatable.")] = None,
    case: CaseGlobs = None,
    feature: FeatureGlobs = None,
    profile: ProfileNames = None,
    report_dir: Annotated[Path | None, typer.Option("--report", help="Write results and reports to this folder.")] = None,
    cards: Annotated[bool, typer.Option(help="In the report, infer dialect cards, which takes half a minute.")] = True,
    overwrite: Annotated[bool, typer.Option(help="Replace the results in the report folder.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on with the results in the report folder.")] = False,
    strict: Annotated[bool, typer.Option(help="Dialects fail the run too.")] = False,
    command: Command = None,
    python: Python = None,
    in_process: InProcess = False,
    timeout: Timeout = 60,
    memory: Annotated[float, typer.Option(help="GiB of memory for the candidate.", min=0.01)] = 4,
    threads: Annotated[int, typer.Option(help="Threads of the candidate.", min=1)] = 1,
    jobs: Annotated[int | None, typer.Option(help="Processes; default: all cores.", min=1)] = None,
    dask: Annotated[str | None, typer.Option(help="A Dask scheduler: tcp://host:port, or its scheduler file.")] = None,
    shard: Annotated[str | None, typer.Option(help="k/n: the k-th of n parts, told apart by uid; see `merge`.")] = None,
) -> None:
    """Judge candidates. Exit status: 0 nothing is wrong outside the waivers, 1 something is, 2 usage."""
    from conformance.selftest import self_check

    limits = Limits(timeout, int(memory * 2**30), threads)
    sources = chosen(candidate, command, python, in_process, limits)
    cases = _shard(selected(case, feature, profile), shard)
    misjudged = self_check(golden.load())
    if misjudged:
        fail(f"the suite misjudges its own built-in candidates, so nothing was run: {misjudged}")
    systems = [(source, load(source)) for source in sources]
    everyone = [c for _, candidates in systems for c in candidates]
    for c in everyone:
        c.close()  # the workers start their own
    formats, devices = dtypes(dtype, everyone), _devices(device, everyone)
    todo = [task for source, candidates in systems for task in runner.tasks(source, candidates, cases, formats, devices)]
    about = results.about(everyone, (c.id for c in cases), formats, devices, shard)
    writer = None if report_dir is None else Writer(report_dir, about, overwrite, resume)
    complete = not (case or feature or profile or shard)
    session = Session(everyone, todo, writer, console(), complete, strict)
    left = session.begin()
    asked = sum(len(task.cases) for task in left)
    session.out.print(f"lrp-conform, golden edition {golden.edition()}: {len(cases)} cases, {', '.join(formats)}")
    with ExitStack() as stack:
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cancelled job ends as an interrupted one does
        stack.callback(signal.signal, signal.SIGTERM, before)
        advance = stack.enter_context(progress(asked, "cases"))
        if dask is not None:
            finished = runner.spread(left, stack.enter_context(pools.dask(dask)), advance)
        elif in_process or jobs == 1 or (jobs is None and (asked < FEW or pools.cores() == 1)):
            finished = runner.serially(left, advance)
        else:
            finished = runner.spread(left, stack.enter_context(pools.local(jobs or pools.cores())), advance)
        try:
            wrong = session.collect(finished)
        except KeyboardInterrupt:
            where = f" and in {report_dir}; go on with --resume" if report_dir else ""
            session.out.print(f"interrupted; what was judged so far is above{where}")
            raise typer.Exit(130) from None
        finally:
            finished.close()
            if writer is not None:
                writer.close()
    if report_dir is not None:
        write(report_dir, [results.read(report_dir)], strict=strict, with_cards=cards)
        session.out.print(f"report: {report_dir / PAGE}, {JUNIT}, {SUMMARY}")
    raise typer.Exit(1 if wrong else 0)


def _shard(cases: list[AnyCase], shard: str | None) -> list[AnyCase]:
    """The cases of part k of n."""
    if shard is None:
        return cases
    k, _, n = shard.partition("/")
    if not (k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        fail(f"--shard is k/n with k from 1 to n, such as 3/64; got {shard}")
    return [case for case in cases if results.part(case.uid, int(n)) == int(k)]


def _devices(given: list[str] | None, candidates: list[Candidate]) -> list[str]:
    known = sorted({d for c in candidates for d in c.devices})
    for d in given or ():
        if d not in known:
            fail(f"--device {d}: {candidates[0].name} declares {', '.join(known)}")
    return given or ["cpu" if "cpu" in known else known[0]]
