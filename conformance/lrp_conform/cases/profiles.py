"""Profiles: named parts of the golden set that a claim can be made about, each with its size as the denominator."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lrp_conform.cases.golden import AnyCase, C
from lrp_conform.cases.layer import FRESH, Case
from lrp_conform.cases.network import NetworkCase
from lrp_conform.cases.operators import OPERATORS

CONVOLUTIONS = tuple(name for name, row in OPERATORS.items() if row.convolution)


@dataclass(frozen=True)
class Profile:
    """A part of the golden set: a slug, a title for people, and which cases belong to it."""

    name: str
    title: str
    holds: Callable[[AnyCase], bool]

    def cases(self, cases: Iterable[C]) -> list[C]:
        return [case for case in cases if self.holds(case)]


def _layers(holds: Callable[[Case], bool]) -> Callable[[AnyCase], bool]:
    """A part of the cases of one layer."""
    return lambda case: isinstance(case, Case) and holds(case)


def _core(case: Case) -> bool:
    return bool(case.data["status"] == "core")


def _directory(name: str) -> Callable[[AnyCase], bool]:
    return _layers(lambda case: case.group.partition("/")[0] == name)


PROFILES = (
    Profile("core", "Everything a conformant implementation must get right", _layers(_core)),
    Profile("dense-core", "Rules on dense layers", _layers(lambda c: _core(c) and c.node["op"] == "dense")),
    Profile(
        "conv-core",
        "Rules on convolutions, plain and transposed",
        _layers(lambda c: _core(c) and c.node["op"] in CONVOLUTIONS),
    ),
    Profile(
        "layers-core",
        "Pooling, sums, normalisation, activations, and layers that only move values",
        _layers(lambda c: _core(c) and c.node["op"] not in ("dense", *CONVOLUTIONS)),
    ),
    Profile("conservation", "Does relevance add up, output by output?", _directory("conservation")),
    Profile("batch-norm", "Is batch normalisation right?", _directory("batch-norm")),
    Profile("bounded", "Is the box rule right?", _directory("bounded")),
    Profile("known-bugs", "Defects that users have reported in public", _layers(lambda c: "known-bug" in c.data["flags"])),
    Profile("conventions", "Every convention and stabiliser away from its default", _directory("conventions")),
    Profile(
        "extended",
        "Cases at the edge of a format, or of what is agreed",
        _layers(lambda c: bool(c.data["status"] == "extended") and c.group != FRESH),
    ),
    Profile("fresh", "Questions made on the spot", _layers(lambda c: c.group == FRESH)),
    Profile("networks", "Whole networks under the composites of known libraries", lambda c: isinstance(c, NetworkCase)),
)
BY_NAME = {profile.name: profile for profile in PROFILES}
