"""The command that looks for disagreements between derivations."""

import math
import secrets
import sys
from pathlib import Path

import click

from lrp_ref.commands.commandline import OneOf, command, fail, option
from lrp_ref.text.progress import progress


def _rules() -> list[str]:
    from lrp_ref.rules import RULES

    return list(RULES)


@command()
@option("--minutes", type=float, default=1.0, help="How long to look.")
@option("--seed", type=int, help="The same seed asks the same questions. Not given: another one each time.")
@option("--rule", type=OneOf(_rules), multiple=True, help="Only this rule; repeatable.")
@option("--out", type=click.Path(path_type=Path), help="The file of recipes to add to. Not given: the one `generate` reads.")
def fuzz(minutes: float, seed: int | None, rule: tuple[str, ...], out: Path | None) -> int:
    """Ask every derivation the same random questions, shrink and file what they disagree on (source checkout only).

    Exit status: 0 they agree, 1 they do not, 2 usage.
    """
    if not 0 < minutes < math.inf:
        fail(f"--minutes: expected a number above 0, got {minutes}")
    from lrp_conform.making.derivations import NoSourceTree
    from lrp_conform.making.recipes.found import PATH
    from lrp_conform.proof import fuzz as fuzzing
    from lrp_conform.report.terminal import console

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
                rule or tuple(_rules()),
                tell=lambda find: text.print(find.block(), markup=False, soft_wrap=True),
                progress=advance,
            )
    except NoSourceTree as error:
        fail(str(error))
    except fuzzing.FuzzError as error:
        print(f"lrp-conform: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        fail(f"--out {path}: {error.strerror}")
    for line in done.summary(path):
        text.print(line, markup=False)
    return 1 if done.finds or done.known else 0
