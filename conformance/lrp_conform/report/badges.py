"""Badges: one JSON file per candidate and profile, as shields.io/endpoint reads them."""

from __future__ import annotations

import json
from collections import Counter

from lrp_conform.cases.golden import AnyCase
from lrp_conform.cases.profiles import PROFILES, Profile
from lrp_conform.report.gather import KIND_OF, PASSING, Evidence, System
from lrp_conform.report.text import short, slug

# A case is as good as its worst answer over dtypes and devices.
_WORST = ("wrong", "broken", "declined", "unsupported", "indeterminate", "dialect", "normwise", *reversed(PASSING))


def badges(evidence: Evidence) -> dict[str, str]:
    """File name -> JSON. Versions share a name only where there is one of them."""
    out: dict[str, str] = {}
    versions = Counter(name for name, _ in evidence.candidates)
    for (candidate, version), systems in evidence.candidates.items():
        base = slug(candidate if versions[candidate] == 1 else f"{candidate}-{version}")
        for profile in PROFILES:
            name = f"{base}.{profile.name}.json"
            number = 2
            while name in out:  # two names that differ only in what a file name cannot hold
                name, number = f"{base}-{number}.{profile.name}.json", number + 1
            out[name] = json.dumps(_badge(evidence, candidate, systems, profile), indent=1, ensure_ascii=True) + "\n"
    return out


def _badge(evidence: Evidence, candidate: str, systems: list[System], profile: Profile) -> dict[str, object]:
    members = profile.cases(evidence.cases.values())
    count = Counter(_worst(evidence, systems, case) for case in members)
    dialects = {
        r.judgement.dialect
        for s in systems
        for case in members
        if (r := evidence.by_system[s].get(case.id)) is not None and r.verdict == "dialect"
    }
    label = f"{candidate} LRP {profile.name}"
    return {"schemaVersion": 1, "label": short(label), **_said(count, len(members), len(dialects))}


def _worst(evidence: Evidence, systems: list[System], case: AnyCase) -> str:
    """The kind of the worst answer to a case; "not-run" if a system was not asked it in this run."""
    kinds = set()
    for system in systems:
        r = evidence.by_system[system].get(case.id)
        if r is None or r.verdict == "not-run":
            return "not-run"
        kinds.add(KIND_OF[r.verdict].name)
    return next(kind for kind in _WORST if kind in kinds)


def _said(count: Counter[str], size: int, dialects: int) -> dict[str, object]:
    """Message and colour: counts with the profile's size, and no data rather than a score where the run is not whole."""
    if count["not-run"]:
        return {"message": f"no data: {count['not-run']} of {size} not run", "color": "lightgrey"}
    passed = sum(count[kind] for kind in PASSING)
    message = f"conformant {passed} of {size}"
    if dialects:
        message += f", {dialects} dialect{'s' if dialects > 1 else ''}"
    for kind, words in (("wrong", "wrong"), ("broken", "without an answer")):
        if count[kind]:
            message += f", {count[kind]} {words}"
    if count["broken"]:
        return {"message": message, "color": "lightgrey"}
    if count["wrong"]:
        return {"message": message, "color": "red"}
    if not passed and not dialects:
        return {"message": message, "color": "lightgrey"}
    return {"message": message, "color": "brightgreen" if passed == size else "yellow" if dialects else "green"}
