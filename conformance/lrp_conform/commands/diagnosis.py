"""From verdicts to causes: dialect cards, shrunk counterexamples, and laws on the user's own layer."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from lrp_conform.commands.common import CANDIDATE, DTYPES, asked_of, in_process, python, timeout, wire_command
from lrp_ref.commands.commandline import OneOf, argument, command, fail, option
from lrp_ref.text.progress import progress

if TYPE_CHECKING:
    from lrp_conform.cases.layer import Case
    from lrp_conform.diagnosis.card import Card
    from lrp_conform.diagnosis.metamorphic import Outcome, Subject
    from lrp_conform.judging.result import CaseResult

EVIDENCE = 1  # ids of cases that a row names
PATH = click.Path(path_type=Path)


@command()
@asked_of
@in_process
@option("--report", type=PATH, help="Read the answers of a run from its report folder too.")
def card(
    candidate: str | None, command: str | None, python: str | None, timeout: float, in_process: bool, report: Path | None
) -> None:
    """Print a candidate's dialect card: the conventions that its answers show, epsilons measured.

    It is asked small questions of our own, built to tell conventions apart, whatever few features it declares.
    """
    from lrp_conform.candidates.sources import chosen, load
    from lrp_conform.cases import golden
    from lrp_conform.diagnosis.card import card as inferred
    from lrp_conform.diagnosis.probes import probe
    from lrp_conform.report.terminal import console
    from lrp_conform.running.folder import read
    from lrp_conform.wire.harness import Limits

    (source,) = chosen([candidate] if candidate else None, command, python, in_process, Limits(timeout))
    earlier = [] if report is None else read(report).results
    cases = {case.id: case for case in golden.load()} if earlier else {}
    out = console()
    for each in load(source):
        try:
            with progress(None, "questions") as advance:
                results, own = probe(each, progress=advance)
        finally:
            each.close()
        results += [r for r in earlier if r.candidate == each.name]
        if not results:
            out.print(f"\n{each.name} {each.version}: declares nothing that a card could be read off", markup=False)
            continue
        missing = next((r for r in results if r.judgement.missing), None)
        if missing is not None:
            fail(f"{each.name}: {missing.judgement.detail['why']}")
        _print_card(inferred(results, {**cases, **own}, each.one_hot), results)


def _print_card(card: Card, results: list[CaseResult]) -> None:
    from rich.table import Table
    from rich.text import Text

    from lrp_conform.report.terminal import console

    out = console()
    out.print(Text.assemble("\n", (card.candidate, "bold"), f" {card.version}  ({len(results)} answers)"))
    table = Table(box=None, show_header=True, header_style="bold", pad_edge=False)
    for name, style in (("convention", "cyan"), ("what the answers show", ""), ("answers", "dim"), ("such as", "dim")):
        table.add_column(name, style=style, overflow="fold", justify="right" if name == "answers" else "left")
    for row in card.rows:
        against = f", {row.contradicting} against" if row.contradicting else ""
        table.add_row(row.topic, Text(row.finding), f"{row.agreeing}{against}", "\n".join(row.evidence[:EVIDENCE]))
    out.print(table)


@command()
@argument("candidate", about=CANDIDATE)
@argument("case", about="The id of a case on which it deviates.")
@option("--dtype", type=OneOf(lambda: DTYPES), default="float64", help="What it is asked in.")
@option("--device", default="cpu", help="A device the candidate declares.")
@wire_command
@python
@in_process
@timeout
def shrink(
    candidate: str,
    case: str,
    dtype: str,
    device: str,
    command: str | None,
    python: str | None,
    in_process: bool,
    timeout: float,
) -> None:
    """Shrink a deviation: fewest inputs and outputs, smallest integers; as mathematics, and as Python for a bug report.

    With --command, CANDIDATE is the name that the program gives itself. Exit status: 0 shrunk, 2 nothing deviates, or usage.
    """
    from lrp_conform.candidates.sources import chosen, load
    from lrp_conform.diagnosis.repro import repro
    from lrp_conform.diagnosis.shrink import ASKS, NothingToShrink
    from lrp_conform.diagnosis.shrink import shrink as smallest
    from lrp_conform.report.show_case import show
    from lrp_conform.report.terminal import console
    from lrp_conform.wire.harness import Limits

    (source,) = chosen(None if command else [candidate], command, python, in_process, Limits(timeout))
    asked = _case(case)
    out, why = console(), f"{candidate}: does not declare what {case} needs"
    for each in load(source):
        try:
            if not asked.features <= each.features or (command and each.name != candidate):
                continue
            with progress(ASKS, "questions") as advance:
                found = smallest(each, asked, dtype, device, progress=advance)
        except NothingToShrink as nothing:
            why = str(nothing)
            continue
        finally:
            each.close()
        show(found.case, out)
        out.print(f"\n[dim]{found.asks} questions asked; for a bug report:[/dim]\n")
        print(repro(found.case, found.result), end="")
        return
    fail(why)


def _case(id: str) -> Case:
    from lrp_conform.cases import golden

    found = [case for case in golden.load() if case.id == id]
    if not found:
        fail(f"{id}: there is no such case; see lrp-conform list")
    return found[0]


@command()
@argument("path", type=PATH, about="A module with x and explain (or explain_target): docs/metamorphic.md.")
@option("--seed", type=int, default=0, help="The same seed tries the same numbers.")
def laws(path: Path, seed: int) -> int:
    """Check laws on your own layer or model, without goldens: linear, batch-independent, conserving, as the reference.

    Exit status: 0 no law is broken, 1 one is, 2 usage.
    """
    from rich.table import Table
    from rich.text import Text

    from lrp_conform.diagnosis.metamorphic import check
    from lrp_conform.report.terminal import console

    subject = _subject(_module(path), path)
    try:
        outcomes = check(subject, seed)
    except Exception as error:  # whatever the user's functions raise
        fail(f"{path}: {type(error).__name__}: {' '.join(str(error).split())}"[:300])
    table = Table(box=None, show_header=False, pad_edge=False)
    for outcome in outcomes:
        word, style = {True: ("held", "green"), False: ("broken", "bold red"), None: ("open", "dim")}[outcome.held]
        table.add_row(Text(word, style=style), outcome.law, Text(_told(outcome), style="" if outcome.held is False else "dim"))
    console().print(table)
    return 1 if any(outcome.held is False for outcome in outcomes) else 0


def _told(o: Outcome) -> str:
    if o.index is None or o.got is None or o.expected is None:
        return o.note + (f"{'; ' if o.note else ''}rounding allows {o.allowed:.2g}" if o.allowed else "")
    at = "".join(f"[{i}]" for i in o.index)
    size = f"|error| {abs(o.got - o.expected):.2g}, rounding allows {o.allowed:.2g}"
    return f"R{at} = {o.got:.10g}, expected {o.expected:.10g}, {size}" + (f" ({o.note})" if o.note else "")


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        fail(f"{path}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        fail(f"{path}: importing it raised {type(error).__name__}: {' '.join(str(error).split())}")
    return module


def _subject(module: ModuleType, path: Path) -> Subject:
    """What a module says about its layer."""
    import numpy as np

    from lrp_conform.diagnosis.metamorphic import Subject, from_target

    given: dict[str, Any] = vars(module)
    if "x" not in given or not ("explain" in given or "explain_target" in given):
        fail(f"{path}: expected x, and explain(x, relevance) or explain_target(x, target); see docs/metamorphic.md")
    explain = given.get("explain") or from_target(given["explain_target"])
    x = np.asarray(given["x"])
    if str(x.dtype) not in ("float64", "float32", "float16"):
        fail(f"{path}: x: expected float64, float32 or float16, got {x.dtype}")
    names = ("layer", "rule", "forward", "jacobian", "make", "weight", "bias")
    known = {name: given[name] for name in names if name in given}
    return Subject(explain, x, _relevance(given, x, path), conventions=given.get("conventions", {}), **known)


def _relevance(given: dict[str, Any], x: Any, path: Path) -> Any:
    """The relevance that is given, or numbers of both signs in the shape of the output, if that can be known."""
    import numpy as np

    if "relevance" in given:
        return np.asarray(given["relevance"], x.dtype)
    if "forward" in given:
        shape = np.shape(given["forward"](x))
    elif "layer" in given:
        shape = given["layer"].affine(x.astype(np.float64)).y.shape
    elif "explain_target" in given:
        shape = (len(x), *np.shape(given["explain_target"](x[:1], 0)[0])[1:])
    else:
        fail(f"{path}: give relevance, an array of the output's shape, or forward or layer")
    drawn = np.random.default_rng(0).integers(1, 9, shape) * np.random.default_rng(1).choice((-1, 1), shape)
    return drawn.astype(x.dtype)
