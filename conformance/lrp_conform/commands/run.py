"""`lrp-conform run`: judge candidates on this machine or on a cluster."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lrp_conform.commands.common import (
    DTYPES,
    case_globs,
    dtypes,
    feature_globs,
    in_process,
    profile_names,
    python,
    selected,
    timeout,
    wire_command,
)
from lrp_ref.commands.commandline import INTERRUPTED, OneOf, argument, command, fail, option, switch
from lrp_ref.text.progress import progress

if TYPE_CHECKING:
    from lrp_conform.candidates.adapter import Candidate
    from lrp_conform.cases.golden import AnyCase

FRESH = 400  # questions made on the spot where nobody says how many
FEW = 400  # questions that are not worth a pool of processes


@command()
@argument("candidate", nargs=-1, about="Names (see `candidates`), paths ending in .py, or modules.")
@option("--dtype", type=OneOf(lambda: DTYPES), multiple=True, help="Not given: float64 and float32; repeatable.")
@option("--device", multiple=True, help="A device the candidate declares; repeatable.")
@case_globs
@feature_globs
@profile_names
@option("--report", "report_dir", type=click.Path(path_type=Path), help="Write results and reports to this folder.")
@option("--fresh", type=click.IntRange(min=0), help="Questions made on the spot; not given: 400 beside the whole golden set.")
@option("--ask", type=click.Path(path_type=Path), multiple=True, help="Ask the cases of this file too; repeatable.")
@option("--seed", help="Of the fresh questions: the same seed asks the same; `random` draws one. Not given: the edition's.")
@switch("cards", default=True, help="In the report, infer dialect cards, which takes half a minute.")
@switch("overwrite", help="Replace the results in the report folder.")
@switch("resume", help="Go on with the results in the report folder.")
@switch("strict", help="Dialects fail the run too.")
@wire_command
@python
@in_process
@timeout
@option("--memory", type=click.FloatRange(min=0.01), default=4.0, help="GiB of memory for the candidate.")
@option("--threads", type=click.IntRange(min=1), default=1, help="Threads of the candidate.")
@option("--jobs", type=click.IntRange(min=1), help="Processes; not given: all cores.")
@option("--dask", help="A Dask scheduler: tcp://host:port, or its scheduler file.")
@option("--shard", help="k/n: the k-th of n parts, told apart by uid; see `merge`.")
def run(
    candidate: tuple[str, ...], dtype: tuple[str, ...], device: tuple[str, ...], case: tuple[str, ...],
    feature: tuple[str, ...], profile: tuple[str, ...],
    report_dir: Path | None, fresh: int | None, ask: tuple[Path, ...], seed: str | None,
    cards: bool, overwrite: bool, resume: bool, strict: bool,
    command: str | None, python: str | None, in_process: bool, timeout: float, memory: float, threads: int, jobs: int | None,
    dask: str | None, shard: str | None,
) -> int:  # fmt: skip
    """Judge candidates. Exit status: 0 nothing is wrong outside the waivers, 1 something is, 2 usage."""
    from lrp_conform.candidates.sources import chosen, load
    from lrp_conform.cases import golden
    from lrp_conform.cases.layer import Case
    from lrp_conform.commands import fresh as fresh_questions
    from lrp_conform.commands.session import Session
    from lrp_conform.proof.selftest import self_check
    from lrp_conform.report.terminal import console
    from lrp_conform.report.write import JUNIT, PAGE, SUMMARY, write
    from lrp_conform.running import folder, pools, runner
    from lrp_conform.running.folder import Writer
    from lrp_conform.wire.harness import Limits

    limits = Limits(timeout, int(memory * 2**30), threads)
    sources = chosen(candidate, command, python, in_process, limits)
    whole = not (case or feature or profile)
    every = golden.load_all()
    goldens = _shard([] if case == ("none",) else selected(case, feature, profile, every), shard)
    misjudged = self_check([c for c in every if isinstance(c, Case)])
    if misjudged:
        fail(f"the suite misjudges its own built-in candidates, so nothing was run: {misjudged}")
    systems = [(source, load(source)) for source in sources]
    everyone = [c for _, candidates in systems for c in candidates]
    for c in everyone:
        c.close()  # the workers start their own
    most = (FRESH if whole else 0) if fresh is None else fresh
    earlier = fresh_questions.resumed(report_dir) if resume and report_dir is not None else None
    made = earlier or fresh_questions.made(most, seed, everyone, feature, ask, jobs)
    cases = [*goldens, *_shard([*made.cases], shard)]
    if not cases:
        none = "no question fits what is declared" if most else "--fresh N says how many others are asked"
        fail(f"nothing to ask: --case none leaves the golden cases out, and {none}")
    formats, devices = dtypes(dtype, everyone), _devices(device, everyone)
    todo = [task for source, candidates in systems for task in runner.tasks(source, candidates, cases, formats, devices)]
    about = folder.about(everyone, (c.id for c in cases), formats, devices, shard, made.about)
    writer = None if report_dir is None else Writer(report_dir, about, overwrite, resume, made.text)
    complete = whole and not shard
    session = Session(everyone, todo, writer, console(), complete, strict)
    left = session.begin()
    asked = sum(len(task.cases) for task in left)
    session.out.print(f"lrp-conform, golden edition {golden.edition()}: {len(goldens)} cases{made}, {', '.join(formats)}")
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
            return INTERRUPTED
        finally:
            finished.close()
            if writer is not None:
                writer.close()
    if wrong and made.cases:
        fresh_questions.show_smallest(session.found.values(), sources, made, report_dir, session.out)
    if report_dir is not None:
        write(report_dir, [folder.read(report_dir)], strict=strict, with_cards=cards)
        session.out.print(f"report: {report_dir / PAGE}, {JUNIT}, {SUMMARY}")
    return 1 if wrong else 0


def _shard(cases: list[AnyCase], shard: str | None) -> list[AnyCase]:
    """The cases of part k of n."""
    if shard is None:
        return cases
    from lrp_conform.running import folder

    k, _, n = shard.partition("/")
    if not (k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        fail(f"--shard is k/n with k from 1 to n, such as 3/64; got {shard}")
    return [case for case in cases if folder.part(case.uid, int(n)) == int(k)]


def _devices(given: Sequence[str], candidates: list[Candidate]) -> list[str]:
    known = sorted({d for c in candidates for d in c.devices})
    for d in given:
        if d not in known:
            fail(f"--device {d}: {candidates[0].name} declares {', '.join(known)}")
    return list(given) or ["cpu" if "cpu" in known else known[0]]
