"""Dialect cards for the page: what the answers of each candidate show of its conventions."""

from __future__ import annotations

from lrp_conform.cases.layer import Case
from lrp_conform.diagnosis.card import Card, card
from lrp_conform.report.gather import Evidence


def cards(evidence: Evidence) -> list[Card]:
    """One card per candidate and version, from its answers to cases of one layer; those that show nothing left out."""
    cases = {id: case for id, case in evidence.cases.items() if isinstance(case, Case)}
    out = []
    for systems in evidence.candidates.values():
        results = [r for s in systems for r in evidence.by_system[s].values() if isinstance(evidence.case(r), Case)]
        if results:
            out.append(card(results, cases, evidence.composed(systems[0])))
    return [each for each in out if each.rows]
