"""The command `lrp-conform`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

import lrp_ref
from conformance import adapter, golden, report, runner
from conformance.adapter import AdapterError, Candidate
from conformance.case import Case
from conformance.golden import GoldenError
from conformance.report import ReportError
from conformance.runner import Result

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    help="Judge implementations of Layer-wise Relevance Propagation against golden vectors and an exact reference.",
)
DTYPES = ("float64", "float32", "float16")


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


@app.command()
def run(
    candidate: Annotated[
        str, typer.Argument(help="A name (see `candidates`), a path ending in .py, or a module.")
    ] = adapter.DEFAULT,
    dtype: Annotated[
        list[str] | None, typer.Option(help="float64, float32 or float16; repeatable. Default: float64 and float32.")
    ] = None,
    case: Annotated[list[str] | None, typer.Option(help="Only cases whose id matches this glob; repeatable.")] = None,
    feature: Annotated[
        list[str] | None, typer.Option(help="Only cases that need a feature matching this glob; repeatable.")
    ] = None,
    report_dir: Annotated[Path | None, typer.Option("--report", help="Write results.ndjson to this folder.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace results in the report folder.")] = False,
    strict: Annotated[bool, typer.Option(help="Dialects fail the run too.")] = False,
) -> None:
    """Judge a candidate. Exit status: 0 nothing is wrong outside its waivers, 1 something is, 2 usage."""
    from conformance.selftest import self_check

    candidates = adapter.load(candidate)
    cases = _selected(case, feature)
    misjudged = self_check(golden.load())
    if misjudged:
        _fail(f"the suite misjudges its own built-in candidates, so nothing was run: {misjudged}")
    chosen = _dtypes(dtype, candidates)
    out = report.console()
    out.print(f"lrp-conform, golden edition {golden.edition()}: {len(cases)} cases, {', '.join(chosen)}")
    results = report.Results(report_dir, overwrite)
    wrong = False
    try:
        with _progress(sum(len(cases) * len([d for d in chosen if d in c.dtypes]) for c in candidates)) as advance:
            for each in candidates:
                wrong |= _judge_one(each, cases, chosen, results, out, advance, complete=not (case or feature), strict=strict)
    except KeyboardInterrupt:
        out.print("interrupted; what was judged so far is above" + (f" and in {report_dir}" if report_dir else ""))
        raise typer.Exit(130) from None
    finally:
        results.close()
    raise typer.Exit(1 if wrong else 0)


def _judge_one(
    each: Candidate,
    cases: list[Case],
    dtypes: list[str],
    results: report.Results,
    out: Console,
    advance: "Advance",
    complete: bool,
    strict: bool,
) -> bool:
    """Judge one system and print its summary; True if something is wrong outside its waivers."""
    found: list[Result] = []
    usable = [d for d in dtypes if d in each.dtypes]
    try:
        for result in runner.run(each, cases, usable, progress=advance):
            if result.verdict == "not-run":
                raise AdapterError(f"{each.name} was not run: {result.judgement.detail['why']}")
            found.append(result)
            results.add(result)
    finally:
        if found:
            report.summary(found, out)
    problems = runner.check_waivers(each, found, complete)
    for problem in problems:
        out.print(Text(f"  {each.name}: {problem}", style="red"))
    asked = [r for r in found if r.verdict != "unsupported"]
    if not asked and complete:
        raise AdapterError(f"{each.name} was asked nothing: no case needs only {', '.join(sorted(each.features))}"[:300])
    stale = complete and bool(problems)  # a few chosen cases cannot prove a waiver needless
    return stale or any(r.fails or (strict and r.verdict == "dialect" and not r.waiver) for r in found)


@app.command("list")
def list_cases(
    case: Annotated[list[str] | None, typer.Option(help="Only cases whose id matches this glob; repeatable.")] = None,
    feature: Annotated[
        list[str] | None, typer.Option(help="Only cases that need a feature matching this glob; repeatable.")
    ] = None,
) -> None:
    """List cases: id, status, flags."""
    for each in _selected(case, feature):
        print(f"{each.id}\t{each.data['status']}\t{','.join(each.data['flags'])}")


@app.command()
def show(case: Annotated[str, typer.Argument(help="A case id, or a glob that matches one.")]) -> None:
    """Show one case as mathematics: matrices, contributions, denominators, the expected fractions."""
    from conformance.show import show as show_case

    found = golden.select(golden.load(), [case])
    if len(found) != 1:
        near = ", ".join(c.id for c in (found or golden.select(golden.load(), [f"*{case}*"]))[:5])
        _fail(
            f"{case}: expected the id of one case, found {len(found)}"
            + (f"; near: {near}" if near else "; see lrp-conform list")
        )
    show_case(found[0], report.console())


@app.command()
def candidates() -> None:
    """List the candidates that are installed under a name."""
    out = report.console()
    for name in adapter.names():
        for each in adapter.load(name):
            rules = sorted(f.removeprefix("rule.") for f in each.features if f.startswith("rule."))
            ops = sorted(f.removeprefix("op.") for f in each.features if f.startswith("op."))
            out.print(f"[bold]{each.name}[/bold] {each.version}  rules: {', '.join(rules)}; layers: {', '.join(ops)}")


@app.command()
def selftest() -> None:
    """Prove the suite on itself: correct evaluations are never rejected, every mutant is caught; print the power table."""
    from conformance.selftest import selftest as prove

    out = report.console()
    with _progress(None) as advance:
        verdict = prove(golden.load(), advance)
    verdict.print(out)
    raise typer.Exit(0 if verdict.passed else 1)


@app.command()
def generate(
    check: Annotated[bool, typer.Option(help="Only compare: exit 1 if a byte differs.")] = False,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Regenerate every golden file from its recipe, certificates re-executed (source checkout only)."""
    from conformance import generate as make

    try:
        with _progress(None) as advance:
            files = make.generate(workers, lambda done, total: advance(1))
    except make.CertificateError as error:
        _fail(str(error))
    root = make.ROOT / "golden"
    different = [n for n, text in files.items() if not (root / n).is_file() or (root / n).read_text(encoding="utf-8") != text]
    if check:
        for name in different:
            print(f"differs: {name}")
        raise typer.Exit(1 if different else 0)
    make.write_files(files, root)
    print(f"{len(files)} files, {len(different)} changed")


def _selected(case: list[str] | None, feature: list[str] | None) -> list[Case]:
    found = golden.select(golden.load(), case or (), feature or ())
    if not found:
        _fail(f"no case matches {' '.join([*(case or []), *(feature or [])])}; see lrp-conform list")
    return found


def _dtypes(given: list[str] | None, candidates: list[Candidate]) -> list[str]:
    for d in given or ():
        if d not in DTYPES:
            _fail(f"--dtype is one of {', '.join(DTYPES)}; got {d}")
        if not any(d in c.dtypes for c in candidates):
            _fail(f"--dtype {d}: {candidates[0].name} declares {', '.join(candidates[0].dtypes)}")
    return given or [d for d in ("float64", "float32") if any(d in c.dtypes for c in candidates)] or list(candidates[0].dtypes)


def _fail(message: str) -> None:
    print(f"lrp-conform: {message}", file=sys.stderr)
    raise typer.Exit(2)


class Advance:
    """Moves the progress bar, if there is one."""

    def __init__(self, bar: Progress | None = None, total: int | None = None) -> None:
        self._bar = bar
        self._task = None if bar is None else bar.add_task("cases", total=total)

    def __call__(self, n: int = 1) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, n)


@contextmanager
def _progress(total: int | None) -> Iterator[Advance]:
    """A bar with the time left on a terminal; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield Advance()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=report.console(sys.stderr), transient=True) as bar:
        yield Advance(bar, total)


def main() -> None:
    """Run the command; a user's mistake is one line on stderr and exit status 2."""
    try:
        app()
    except (AdapterError, GoldenError, ReportError) as error:
        print(f"lrp-conform: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
