"""A comparison in the terminal: what it comes to, then a row for everything that was judged."""

import io
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.compare.check import Check
from conformance.compare.comparison import Comparison
from conformance.report.text import printable
from lrp_ref.composites.kinds import MOVING

STYLES = {"agrees": "green", "close": "yellow", "unproved": "yellow", "deviates": "bold red", "forward-mismatch": "bold red"}
HEADS = ("handed on by", "kind", "rule", "to", "max |R|", "error", "allowed", "tau", "bits", "verdict")
WIDTH = 400  # the table takes what it needs
MOST = 12  # names in one line
SMALL = ("", *(kind.__name__ for kind in MOVING))  # a row is called after a node that does more


def text(found: Comparison) -> str:
    """The whole as plain text."""
    stream = io.StringIO()
    show(found, Console(file=stream, width=WIDTH, highlight=False))
    return stream.getvalue().rstrip()


def screen() -> Console:
    """Standard output: as wide as the terminal, as wide as needed in a pipe."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def show(found: Comparison, out: Console) -> None:
    """Print it."""
    out.print(
        Text.assemble(f"{found.library} beside {found.composite}, {found.dtype}: ", (found.verdict, STYLES[found.verdict]))
    )
    for line in said(found):
        out.print(Text(printable(line)), soft_wrap=True)
    out.print(table(found))


def said(found: Comparison) -> list[str]:
    """What a reader wants to know first, a line each."""
    lines = [_forward(found)]
    for c in found.whole:
        share = (
            f"errors up to {c.worst / c.largest:.2g} of the largest relevance" if c.largest else f"errors up to {c.worst:.2g}"
        )
        lines.append(f"end to end, {c.value}: {c.verdict}{_why(c)}; {share}; {c.line()}")
    if found.nodes:
        count = {v: sum(c.verdict == v for c in found.nodes) for v in ("agrees", "close", "unproved", "deviates")}
        lines.append("node by node: " + ", ".join(f"{n} {v}" for v, n in count.items() if n))
    else:
        lines.append("node by node: nothing to judge, the relevance at no node was given")
    if found.verdict == "agrees" and any(c.verdict == "unproved" for c in found.whole):
        lines.append("so it agrees by the local grade: every node hands on what its rule says, given what arrived there")
    for c in found.deviations[:MOST]:
        lines.append(f"deviates at {', '.join(c.nodes[:MOST])}: {c.line()}{'; ' + c.hint if c.hint else ''}")
    if len(found.deviations) > MOST:
        lines.append(f"and {len(found.deviations) - MOST} more that deviate")
    for what, names in (("modules that no node stands for", found.unmatched), ("nodes not seen", found.unseen)):
        if names:
            lines.append(f"{what}: {', '.join(names[:MOST])}{', …' if len(names) > MOST else ''}")
    return lines


def _forward(found: Comparison) -> str:
    wrong = [c for c in found.forward if c.verdict == "deviates"]
    if wrong:
        return f"forward: the models differ first at {wrong[0].line()}"
    if not found.forward:
        return "forward: not compared, the values of no node were given"
    return f"forward: {len(found.forward)} values compared, all within their bounds"


def _why(c: Check) -> str:
    if c.verdict == "unproved":
        return ", the bound exceeds a tenth of the relevance and proves nothing"
    return " within the tolerance asked for, not proved" if c.verdict == "close" else ""


def table(found: Comparison) -> Table:
    """A row for every judgement, from the outputs to the inputs."""
    out = Table(box=None, pad_edge=False, header_style="bold")
    for k, head in enumerate(HEADS):
        out.add_column(head, justify="right" if 4 <= k <= 8 else "left", overflow="fold")
    for c in found.nodes or found.whole:
        numbers = [f"{c.largest:.2g}", f"{c.error:.2g}", f"{c.allowed:.2g}", f"{c.tau:.2g}", f"{c.bits:.0f}"]
        main = next((name for name in c.nodes if found.kinds.get(name, "") not in SMALL), c.nodes[0])
        more = "" if len(c.nodes) == 1 else f" and {len(c.nodes) - 1} more"
        kind, rule = (table.get(main, "") for table in (found.kinds, found.rules))
        cells = [Text(printable(cell)) for cell in (f"{main}{more}", kind, rule, c.value)]
        out.add_row(*cells, *numbers, Text(c.verdict, style=STYLES[c.verdict]))
    return out
