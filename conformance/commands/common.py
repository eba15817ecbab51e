"""What several commands share: choosing cases, ending with one line."""

import sys
from typing import Annotated, NoReturn

import typer

from conformance import golden, profiles
from conformance.adapter import Candidate
from conformance.golden import AnyCase

DTYPES = ("float64", "float32", "float16")

CaseGlobs = Annotated[list[str] | None, typer.Option("--case", help="Only cases whose id matches this glob; repeatable.")]
FeatureGlobs = Annotated[
    list[str] | None, typer.Option("--feature", help="Only cases that need a feature matching this glob; repeatable.")
]
ProfileNames = Annotated[
    list[str] | None, typer.Option("--profile", help=f"Only cases of {', '.join(profiles.BY_NAME)}; repeatable.")
]
Command = Annotated[str | None, typer.Option(help="A program that speaks the wire protocol, in the place of a candidate.")]
Python = Annotated[str | None, typer.Option(help="Run the adapter by this interpreter, in its environment.")]
InProcess = Annotated[bool, typer.Option(help="Run the adapter in this process, for a debugger.")]
Timeout = Annotated[float, typer.Option(help="Seconds for one answer.", min=0.1)]


def fail(message: str) -> NoReturn:
    """One line on standard error and exit status 2."""
    print(f"lrp-conform: {message}", file=sys.stderr)
    raise typer.Exit(2)


def selected(case: list[str] | None, feature: list[str] | None, profile: list[str] | None = None) -> list[AnyCase]:
    """The cases that match every kind of filter given; at least one."""
    for name in profile or ():
        if name not in profiles.BY_NAME:
            fail(f"--profile is one of {', '.join(profiles.BY_NAME)}; got {name}")
    held = [profiles.BY_NAME[name].holds for name in profile or ()]
    found = [
        c for c in golden.select(golden.load_all(), case or (), feature or ()) if not held or any(holds(c) for holds in held)
    ]
    if not found:
        fail(f"no case matches {' '.join([*(case or []), *(feature or []), *(profile or [])])}; see lrp-conform list")
    return found


def dtypes(given: list[str] | None, candidates: list[Candidate]) -> list[str]:
    """The dtypes to ask at: those given, or float64 and float32 where a candidate has them, or what it has."""
    for d in given or ():
        if d not in DTYPES:
            fail(f"--dtype is one of {', '.join(DTYPES)}; got {d}")
        if not any(d in c.dtypes for c in candidates):
            fail(f"--dtype {d}: {candidates[0].name} declares {', '.join(candidates[0].dtypes)}")
    return given or [d for d in ("float64", "float32") if any(d in c.dtypes for c in candidates)] or list(candidates[0].dtypes)
