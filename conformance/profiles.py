"""Profiles: named parts of the golden set that a claim can be made about, each with its size as the denominator."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from conformance.case import Case

CONVOLUTIONS = ("conv", "conv-transpose")


@dataclass(frozen=True)
class Profile:
    """A part of the golden set: a slug, a title for people, and which cases belong to it."""

    name: str
    title: str
    holds: Callable[[Case], bool]

    def cases(self, cases: Iterable[Case]) -> list[Case]:
        return [case for case in cases if self.holds(case)]


def _core(case: Case) -> bool:
    return bool(case.data["status"] == "core")


def _directory(name: str) -> Callable[[Case], bool]:
    return lambda case: case.group.partition("/")[0] == name


PROFILES = (
    Profile("core", "Everything a conformant implementation must get right", _core),
    Profile("dense-core", "Rules on dense layers", lambda c: _core(c) and c.node["op"] == "dense"),
    Profile("conv-core", "Rules on convolutions, plain and transposed", lambda c: _core(c) and c.node["op"] in CONVOLUTIONS),
    Profile(
        "layers-core",
        "Pooling, sums, normalisation, activations, and layers that only move values",
        lambda c: _core(c) and c.node["op"] not in ("dense", *CONVOLUTIONS),
    ),
    Profile("conservation", "Does relevance add up, output by output?", _directory("conservation")),
    Profile("batch-norm", "Is batch normalisation right?", _directory("batch-norm")),
    Profile("bounded", "Is the box rule right?", _directory("bounded")),
    Profile("known-bugs", "Defects that users have reported in public", lambda c: "known-bug" in c.data["flags"]),
    Profile("conventions", "Every convention and stabiliser away from its default", _directory("conventions")),
    Profile("extended", "Cases at the edge of a format, or of what is agreed", lambda c: bool(c.data["status"] == "extended")),
)
BY_NAME = {profile.name: profile for profile in PROFILES}
