"""Where relevance went on its way down: from the seed, past what every node kept back, to what the input received."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lrp_ref.arrays import LRPError
from lrp_ref.pictures.style import COLUMNS, INK, PALE, figure, name_of, short
from lrp_ref.propagation.ledger import NetworkLedger

ROW, HEIGHT = 0.19, 0.72  # inches per line, and the part of it that bars fill
NEGLIGIBLE = 1e-3  # of the largest bar


@dataclass(frozen=True)
class Row:
    """One line of the picture: one node, or neighbours that were grouped. taken: column -> relevance."""

    nodes: tuple[str, ...]
    taken: dict[str, float]

    @property
    def size(self) -> float:
        return sum(abs(value) for value in self.taken.values())

    @property
    def label(self) -> str:
        if len(self.nodes) == 1:
            return name_of(self.nodes[0], 30)
        return f"{len(self.nodes)} nodes until {name_of(self.nodes[-1], 18)}"


def waterfall(ledger: NetworkLedger, *, title: str = "", most: int = 24) -> Any:
    """A figure of a network's ledger, summed over samples: a line per node, from the seed down to the input.

    What bias, stabiliser and drops took at a node moves the level to the left, what they created moves it to the right.
    Nodes that took nothing are left out; neighbours that took less than a thousandth of the longest bar become one line, and
    more of them where more than `most` lines remain. The figure states both.
    """
    if most < 3:
        raise LRPError(f"most: expected at least 3 lines, got {most}")
    every = node_rows(ledger)
    shown = [row for row in every if row.size]
    totals = {name: float(value) for name, value in ledger.totals().items()}  # type: ignore[arg-type]
    largest = max(abs(totals["arrived"]), abs(totals["received"]), *(row.size for row in every))
    rows, threshold = grouped(shown, most, NEGLIGIBLE * largest)
    with figure(7.2, ROW * (len(rows) + 2) + 1.3) as fig:
        axis, beside = fig.subplots(1, 2, width_ratios=(1.15, 1), sharey=True)
        levels = _bars(axis, rows, totals)
        labels = ["seed at the output", *(row.label for row in rows), "received by the input"]
        axis.set_yticks(range(len(labels)), labels=labels)
        axis.use_sticky_edges = False
        axis.margins(x=0.02)
        axis.set(ylim=(len(rows) + 1.6, -0.6), xlabel="relevance left")
        axis.tick_params(axis="y", length=0)
        axis.spines[["top", "right", "left"]].set_visible(False)
        _numbers(beside, rows, totals, levels)
        if title:
            fig.suptitle(title, fontsize=8)
        fig.supxlabel("\n".join(_said(sum(1 for row in every if not row.size), threshold)), fontsize=7)
    return fig


def node_rows(ledger: NetworkLedger) -> list[Row]:
    """A row per node, from the output to the input."""
    return [
        Row((node,), {name: float(columns[name]) for name in COLUMNS})  # type: ignore[arg-type]
        for node, columns in ledger.rows().items()
    ]


def grouped(rows: Sequence[Row], most: int, least: float = 0.0) -> tuple[list[Row], float | None]:
    """At most `most` rows, and what grouped nodes took at most: the largest stay, neighbours among the others become one.

    Nodes that took `least` or less are grouped in any case.
    """
    larger = sorted({row.size for row in rows if row.size > least})
    threshold = next(size for size in (least, *larger) if len(_runs(rows, size)) <= most)  # at the last, all are one
    found = _runs(rows, threshold)
    return found, threshold if len(found) < len(rows) else None


def _runs(rows: Sequence[Row], threshold: float) -> list[Row]:
    found: list[Row] = []
    small = False  # whether the row before was
    for row in rows:
        if small and row.size <= threshold:
            before = found.pop()
            found.append(Row(before.nodes + row.nodes, {name: before.taken[name] + row.taken[name] for name in COLUMNS}))
        else:
            found.append(row)
        small = row.size <= threshold
    return found


def _bars(axis: Any, rows: Sequence[Row], totals: dict[str, float]) -> list[float]:
    """The bars of every row, one below the other, each beginning where the one before ended; the level after every row."""
    axis.barh(0, totals["arrived"], color=INK, height=HEIGHT)
    levels = [totals["arrived"]]
    for y, row in enumerate(rows, start=1):
        level, moved = levels[-1], [name for name in COLUMNS if row.taken[name]]
        axis.plot([level, level], [y - 1 + HEIGHT / 2, y - HEIGHT / 2], color=INK, linewidth=0.4)
        for k, name in enumerate(moved):
            thin = HEIGHT / len(moved)
            at = y - HEIGHT / 2 + (k + 0.5) * thin
            axis.barh(at, -row.taken[name], left=level, color=COLUMNS[name], height=thin, gid=name, ec=COLUMNS[name], lw=0.4)
            level -= row.taken[name]
        levels.append(level)
    axis.plot([level := levels[-1], level], [len(rows) + HEIGHT / 2, len(rows) + 1 - HEIGHT / 2], color=INK, linewidth=0.4)
    axis.barh(len(rows) + 1, totals["received"], color=INK, height=HEIGHT)
    axis.axvline(0, color=PALE, linewidth=0.5, zorder=0)
    return levels


def _numbers(axis: Any, rows: Sequence[Row], totals: dict[str, float], levels: Sequence[float]) -> None:
    """The same in figures, beside the bars."""
    axis.set_axis_off()
    axis.set_xlim(0, 4)
    style = {"ha": "right", "va": "center", "fontsize": 7}
    for x, (name, color) in enumerate({**COLUMNS, "left": INK}.items(), start=1):
        axis.text(x, -1, name, color=color, weight="bold", **style)
    for y, (row, level) in enumerate(zip(rows, levels[1:], strict=True), start=1):
        cells = [*(short(row.taken[name]) if row.taken[name] else "·" for name in COLUMNS), short(level)]
        for x, cell in enumerate(cells, start=1):
            axis.text(x, y, cell, color=INK, **style)
    axis.text(4, 0, short(totals["arrived"]), color=INK, weight="bold", **style)
    for x, name in enumerate((*COLUMNS, "received"), start=1):
        axis.text(x, len(rows) + 1, short(totals[name]), color=INK, weight="bold", **style)


def _said(idle: int, threshold: float | None) -> list[str]:
    said = ["seed = received + bias + stabilizer + dropped; what is negative was created, not taken"]
    if idle:
        said.append(f"not shown: {idle} node{'s' * (idle > 1)} that took nothing")
    if threshold is not None:
        said.append(f"grouped: neighbouring nodes that took at most {short(threshold)} each; their numbers are summed")
    return said
