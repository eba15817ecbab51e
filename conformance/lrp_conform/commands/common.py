"""What several commands share: options, and choosing cases and candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from lrp_ref.commands.commandline import OneOf, argument, fail, option, switch

if TYPE_CHECKING:
    from lrp_conform.candidates.adapter import Candidate
    from lrp_conform.cases.golden import AnyCase

DTYPES = ("float64", "float32", "float16")
CANDIDATE = "A name (see `candidates`), a path ending in .py, or a module."


def _profiles() -> list[str]:
    from lrp_conform.cases import profiles

    return list(profiles.BY_NAME)


case_globs = option("--case", metavar="GLOB", multiple=True, help="Only cases whose id matches this glob; repeatable.")
feature_globs = option(
    "--feature", metavar="GLOB", multiple=True, help="Only cases that need a feature matching this glob; repeatable."
)
profile_names = option("--profile", type=OneOf(_profiles), multiple=True, help="Only cases of this profile; repeatable.")
wire_command = option("--command", help="A program that speaks the wire protocol, in the place of a candidate.")
python = option("--python", help="Run the adapter by this interpreter, in its environment.")
in_process = switch("in-process", help="Run the adapter in this process, for a debugger.")
timeout = option("--timeout", type=click.FloatRange(min=0.1), default=60.0, help="Seconds for one answer.")
one_candidate = argument("candidate", required=False, about=CANDIDATE)


def asked_of(function: Any) -> Any:
    """A command that asks one candidate: which, how, and how long it may take."""
    decorators: Sequence[Callable[[Any], Any]] = (one_candidate, wire_command, python, timeout)
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def selected(
    case: Sequence[str], feature: Sequence[str], profile: Sequence[str] = (), among: Sequence[AnyCase] | None = None
) -> list[AnyCase]:
    """The cases that match every kind of filter given, of all or of some that are loaded; at least one."""
    from lrp_conform.cases import golden, profiles

    every = golden.load_all() if among is None else among
    held = [profiles.BY_NAME[name].holds for name in profile]
    found = [c for c in golden.select(every, case, feature) if not held or any(holds(c) for holds in held)]
    if not found:
        fail(f"no case matches {' '.join([*case, *feature, *profile])}; see lrp-conform list")
    return found


def dtypes(given: Sequence[str], candidates: list[Candidate]) -> list[str]:
    """The dtypes to ask at: those given, or float64 and float32 where a candidate has them, or what it has."""
    for d in given:
        if not any(d in c.dtypes for c in candidates):
            fail(f"--dtype {d}: {candidates[0].name} declares {', '.join(candidates[0].dtypes)}")
    usual = [d for d in ("float64", "float32") if any(d in c.dtypes for c in candidates)]
    return list(given) or usual or list(candidates[0].dtypes)
