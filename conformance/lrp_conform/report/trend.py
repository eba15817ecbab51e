"""What changed between versions of a library: the features whose verdicts differ."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from lrp_conform.report.gather import Cell, Evidence, System, TableRow


@dataclass(frozen=True)
class Change:
    """One feature at one dtype whose verdicts differ between two versions, and the cases in which."""

    feature: str
    dtype: str
    before: Cell
    after: Cell
    cases: tuple[str, ...]


@dataclass(frozen=True)
class VersionStep:
    """From one version of a candidate to the next."""

    candidate: str
    older: str
    newer: str
    changes: tuple[Change, ...]


def steps(evidence: Evidence) -> list[VersionStep]:
    """Every step between neighbouring versions of the same candidate."""
    versions: dict[str, list[str]] = {}
    for candidate, version in evidence.candidates:
        versions.setdefault(candidate, []).append(version)
    rows = evidence.features() if any(len(v) > 1 for v in versions.values()) else []
    return [
        VersionStep(candidate, older, newer, tuple(_changes(evidence, rows, candidate, older, newer)))
        for candidate, found in versions.items()
        for older, newer in pairwise(sorted(found, key=_numbers))
    ]


def _changes(evidence: Evidence, rows: list[TableRow], candidate: str, older: str, newer: str) -> list[Change]:
    out = []
    for k, before in enumerate(evidence.systems):
        after = System(candidate, newer, before.dtype, before.device)
        if (before.candidate, before.version) != (candidate, older) or after not in evidence.by_system:
            continue
        different = _different(evidence, before, after)
        for row in rows:
            cases = tuple(sorted(evidence.sizes[row.name] & different))
            if cases:
                out.append(Change(row.name, before.dtype, row.cells[k], row.cells[evidence.systems.index(after)], cases))
    return out


def _different(evidence: Evidence, before: System, after: System) -> set[str]:
    """The cases with another verdict or another dialect."""
    old, new = evidence.by_system[before], evidence.by_system[after]
    return {
        id
        for id in old.keys() & new.keys()
        if (old[id].verdict, old[id].judgement.dialect) != (new[id].verdict, new[id].judgement.dialect)
    }


def _numbers(version: str) -> list[tuple[int, int, str]]:
    """A version in the order of its numbers: 0.10 after 0.9, 1.0rc1 before 1.0."""
    parts = re.findall(r"\d+|[a-z]+", version.lower())
    return [(1, int(p), "") if p.isdecimal() else (-1, 0, p) for p in parts] + [(0, 0, "")]
