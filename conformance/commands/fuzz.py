"""The command that looks for disagreements between derivations."""

import math
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from conformance.commands.common import fail
from conformance.report.terminal import console
from lrp_ref.progress import progress
from lrp_ref.rules import RULES


def fuzz(
    minutes: Annotated[float, typer.Option(help="How long to look.")] = 1.0,
    seed: Annotated[
        int | None, typer.Option(help="The same seed asks the same questions. Default: another one each time.")
    ] = None,
    rule: Annotated[list[str] | None, typer.Option(help="Only this rule; repeatable. See lrp-ref rules.")] = None,
    out: Annotated[Path | None, typer.Option(help="The file of recipes to add to. Default: the one `generate` reads.")] = None,
) -> None:
    """Ask every derivation the same random questions, shrink and file what they disagree on (source checkout only).

    Exit status: 0 they agree, 1 they do not, 2 usage.
    """
    if not 0 < minutes < math.inf:
        fail(f"--minutes: expected a number above 0, got {minutes}")
    unknown = [name for name in rule or () if name not in RULES]
    if unknown:
        fail(f"--rule is one of {', '.join(RULES)}; got {unknown[0]}")
    try:
        from conformance import fuzz as fuzzing
    except ImportError as missing:
        fail(f"fuzzing needs Hypothesis: pip install 'lrp-ref[test]' ({missing})")
    from conformance.derivations import NoSourceTree
    from conformance.recipes.found import PATH

    seed = secrets.randbits(32) if seed is None else seed
    path, text = out or PATH, console()
    if not path.parent.is_dir():
        fail(f"--out {path}: {path.parent} is no directory")
    text.print(f"lrp-conform fuzz, seed {seed}, {minutes:g} minutes", markup=False)
    try:
        with progress(round(minutes * 60), "seconds") as advance:
            done = fuzzing.fuzz(
                minutes,
                seed,
                path,
                rule or tuple(RULES),
                tell=lambda find: text.print(find.block(), markup=False, soft_wrap=True),
                progress=advance,
            )
    except NoSourceTree as error:
        fail(str(error))
    except fuzzing.FuzzError as error:
        print(f"lrp-conform: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except OSError as error:
        fail(f"--out {path}: {error.strerror}")
    for line in done.summary(path):
        text.print(line, markup=False)
    raise typer.Exit(1 if done.finds or done.known else 0)
