"""One table per candidate, and one line for everything that deviates."""

import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import FAILURES, PASSES

STYLES = {
    "exact": "bold green", "conformant": "green", "dialect": "yellow", "indeterminate": "dim", "nonconformant": "bold red",
    "unsupported": "dim", "not-run": "dim",
}  # fmt: skip
COLUMNS = ("exact", "conformant", "normwise", "dialect", "indeterminate", "wrong", "declined")


def console(stream: TextIO | None = None) -> Console:
    """A console that is wide enough in a pipe; on standard output, whatever that is by then, if no stream is given."""
    return Console(file=stream, width=None if (stream or sys.stdout).isatty() else 150, highlight=False)


def table(results: Iterable[CaseResult]) -> Table:
    """Counts per feature and dtype; with the cases not asked they add up to all cases of the feature."""
    rows: dict[tuple[str, str], list[CaseResult]] = {}
    declined: Counter[str] = Counter()
    for r in results:
        if r.verdict == "unsupported":
            declined[r.feature] += 1
        else:
            rows.setdefault((r.feature, r.dtype), []).append(r)
    out = Table(box=None, pad_edge=False, header_style="bold")
    out.add_column("feature", no_wrap=True)
    out.add_column("dtype")
    columns = [c for c in COLUMNS if c != "normwise" or any(r.verdict == c for members in rows.values() for r in members)]
    for name in columns:
        out.add_column(name, justify="right")
    out.add_column("not asked", justify="right")
    out.add_column("tau", justify="right")
    out.add_column("bits", justify="right")
    out.add_column("named", overflow="fold")
    for (feature, dtype), members in sorted(rows.items()):
        count = Counter(_column(r) for r in members)
        passed = [r for r in members if r.verdict in PASSES]
        tau = max((r.judgement.tau or 0.0 for r in passed), default=None)
        measured = [r.judgement.effective_bits for r in members if r.verdict in (*PASSES, "normwise", "nonconformant")]
        bits = min((max(b, 0) for b in measured if b is not None), default=None)
        names = Counter(r.judgement.dialect or "" for r in members if r.judgement.dialect)
        hints = Counter(_hint(r) for r in members if r.verdict in FAILURES)
        frequent = [name for name, _ in (names + hints).most_common() if name]
        named = "; ".join(frequent[:2]) + ("; …" if len(frequent) > 2 else "")
        rest = declined[feature] // max(1, len({d for f, d in rows if f == feature}))
        cells = [Text(str(count[c]) if count[c] else "·", style=_style(c) if count[c] else "dim") for c in columns]
        out.add_row(
            feature,
            dtype,
            *cells,
            str(rest) if rest else "·",
            "" if tau is None else f"{tau:.2g}",
            "" if bits is None else f"{bits:g}",
            named,
        )
    return out


def _column(r: CaseResult) -> str:
    if r.verdict in FAILURES:
        return "wrong"
    return "declined" if r.verdict in ("unsupported-undeclared", "not-run") else r.verdict


def _style(column: str) -> str:
    return {"wrong": "bold red", "declined": "dim"}.get(column, STYLES.get(column, ""))


def _hint(r: CaseResult) -> str:
    if "node" in r.judgement.detail:
        return f"from {r.judgement.detail['node']}"
    if r.verdict == "nonconformant":
        return (r.judgement.hint or "").rsplit("(", 1)[-1].rstrip(")")
    return r.verdict


def summary(results: list[CaseResult], out: Console) -> None:
    """The table of one candidate, then its dialects and its failures, one example each."""
    first = results[0]
    asked = [r for r in results if r.verdict != "unsupported"]
    out.print(f"\n[bold]{escape(first.candidate)}[/bold] {escape(first.version)}  ({len(asked)} of {len(results)} asked)")
    if asked:
        out.print(table(results))
    _examples(out, "dialect", [r for r in asked if r.verdict == "dialect"], lambda r: r.judgement.dialect or "")
    _examples(out, "wrong", [r for r in asked if r.fails], lambda r: f"{r.feature}: {r.judgement.hint or r.verdict}")
    _examples(out, "waived", [r for r in asked if r.verdict in FAILURES and r.waiver], lambda r: f"{r.waiver}")
    unsteady = sorted({r.case for r in results if r.deterministic is False})
    if unsteady:
        out.print(f"  [red]nondeterministic[/red]: a second call answered differently on {', '.join(unsteady[:3])}")


def _examples(out: Console, kind: str, chosen: list[CaseResult], key: Any) -> None:
    groups: dict[str, list[CaseResult]] = {}
    for r in chosen:
        groups.setdefault(key(r), []).append(r)
    for name, members in groups.items():
        r = next((m for m in members if m.case.startswith("v0.")), members[0])
        title = name
        if kind == "dialect":
            title = f"{name}: {r.judgement.hint}"
        style = {"dialect": "yellow", "wrong": "red", "waived": "dim"}[kind]
        out.print(Text.assemble((f"  {kind} ", style), title, (f"  ({len(members)} answers)", "dim")))
        out.print(Text("      " + line(r), style="dim"))


def line(r: CaseResult) -> str:
    """The evidence in one line: where, what came, what was expected, how far off, how far it may be off."""
    d = r.judgement.detail
    if "got" not in d:
        return f"{r.case} {r.dtype}: {d.get('why', r.verdict)}"
    at = "".join(f"[{i}]" for i in d["index"])
    expected = f"{d['expected']} = {d['decimal']:.10g}" if d["expected"] and "/" in d["expected"] else f"{d['decimal']:.10g}"
    got = f"{d['got']:.10g}"
    if got == f"{d['decimal']:.10g}":  # the difference is further back
        got = repr(d["got"])
    size = f"|error| {d['error']:.2g}, allowed {d['allowed']:.2g}"
    text = f"{r.case} {r.dtype}: {d['input']}{at} = {got}, expected {expected}, {size}"
    if "node" in d:
        text += f"; first diverging node {d['node']}"
    if "conservation" in d:
        c = d["conservation"]
        text += f"; total of sample {c['sample']} off by {c['off']:.2g}, allowed {c['allowed']:.2g}"
    return text
