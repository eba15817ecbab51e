"""A summary for the page of a CI job: profiles, features, and what deviates, one example each."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import FAILURES
from lrp_conform.report.gather import KINDS, Cell, Evidence, System, TableRow
from lrp_conform.report.terminal import line
from lrp_conform.report.text import short

LISTED = 20  # dialects or mistakes that are shown per system
LARGEST = 900_000  # characters; a GitHub step summary holds a MiB


def markdown(evidence: Evidence) -> str:
    """The summary."""
    out = ["# LRP conformance", "", _origin(evidence), ""]
    if not evidence.systems:
        return "\n".join([*out, "No results.", ""])
    out += ["Each cell counts answers: " + ", ".join(f"`{k.symbol}` {k.word}" for k in KINDS) + ".", ""]
    out += ["## Profiles", "", *_table(evidence.systems, evidence.profiles(), "profile"), ""]
    asked = [row for row in evidence.features() if row.asked]
    feature_table = _table(evidence.systems, asked, "feature")
    out += ["<details><summary>Features</summary>", "", *feature_table, "", "</details>", ""]
    for system, found in evidence.by_system.items():
        out += _deviations(system, list(found.values()))
    text = "\n".join(out)
    return text if len(text) <= LARGEST else text[:LARGEST].rpartition("\n")[0] + "\n\n(cut off here)\n"


def _origin(evidence: Evidence) -> str:
    said = []
    for each in evidence.origins:
        who = ", ".join(f"{name} {version}" for name, version in each.candidates)
        said.append(f"{who}: golden edition {each.edition}, suite {each.suite}, {each.started}")
    return "  \n".join(escape(text) for text in said)


def _table(systems: list[System], rows: Iterable[TableRow], kind: str) -> list[str]:
    heads = [f"{escape(s.label)}<br>{escape(s.dtype)}" for s in systems]
    lines = [f"| {kind} | cases | {' | '.join(heads)} |", "|---|--:|" + "--:|" * len(heads)]
    lines += [f"| {escape(r.name)} | {r.size} | {' | '.join(map(_counts, r.cells))} |" for r in rows]
    return lines


def _counts(cell: Cell) -> str:
    said = [f"{kind.symbol} {n}" for kind, n in cell.parts]
    return "&nbsp; ".join(said) + (f" ({cell.missing} not in this run)" if cell.missing and said else "")


def _deviations(system: System, results: list[CaseResult]) -> list[str]:
    groups: dict[tuple[str, str], list[CaseResult]] = {}
    for r in results:
        if r.verdict == "dialect":
            groups.setdefault(("dialect", f"{r.judgement.dialect}: {r.judgement.hint}"), []).append(r)
        elif r.verdict in FAILURES:
            groups.setdefault(("waived" if r.waiver else "wrong", f"{r.feature}: {r.judgement.hint or r.verdict}"), []).append(
                r
            )
    if not groups:
        return []
    out = [f"### {escape(system.label)}, {escape(system.dtype)}, {escape(system.device)}", ""]
    order = sorted(groups.items(), key=lambda item: (item[0][0] != "wrong", -len(item[1])))
    for (kind, name), members in order[:LISTED]:
        example = next((m for m in members if m.case.startswith("v0.")), members[0])
        out.append(f"- **{kind}** {escape(name)} ({len(members)} answers)  ")
        out.append(f"  <code>{escape(line(example))}</code>")
    if len(order) > LISTED:
        out.append(f"- and {len(order) - LISTED} more, see index.html")
    return [*out, ""]


def escape(text: object) -> str:
    """Text that Markdown shows as it is: no markup, no link, no mention."""
    plain = short(" ".join(str(text).split()))
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
    return re.sub(r"([\\`*_{}\[\]|#~!$])", r"\\\1", plain).replace("://", "&#58;//")
