"""Dialect cards for the page: what the answers of each candidate show of its conventions."""

from __future__ import annotations

from conformance.diagnosis.card import Card, card
from conformance.report.gather import Evidence


def cards(evidence: Evidence) -> list[Card]:
    """One card per candidate and version, from the answers to cases of this golden set; those that show nothing left out."""
    out = []
    for systems in evidence.candidates.values():
        results = [r for s in systems for r in evidence.by_system[s].values() if evidence.case(r) is not None]
        if results:
            out.append(card(results, evidence.cases, evidence.composed(systems[0])))
    return [each for each in out if each.rows]
