"""The suite on itself: its own proof, and its golden files."""

from typing import Annotated

import typer

from conformance import golden
from conformance.commands.common import fail
from conformance.report.terminal import console
from lrp_ref.progress import progress


def selftest() -> None:
    """Prove the suite on itself: correct evaluations are never rejected, every mutant is caught; print the power table."""
    from conformance.selftest import selftest as prove

    out = console()
    with progress(None, "evaluations") as advance:
        verdict = prove(golden.load(), advance)
    verdict.print(out)
    raise typer.Exit(0 if verdict.passed else 1)


def generate(
    case: Annotated[list[str] | None, typer.Option(help="Only cases whose id matches this glob; repeatable.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="Only files whose name matches, as 'dense/*'; repeatable.")] = None,
    check: Annotated[bool, typer.Option(help="Only compare: exit 1 if a byte differs.")] = False,
    workers: Annotated[int, typer.Option(help="Processes, where there are many cases.", min=1)] = 2,
) -> None:
    """Regenerate golden files from their recipes, all or a part, certificates re-executed (source checkout only)."""
    from conformance import generate as make
    from conformance.derivations import CertificateError

    root, part = make.ROOT / "golden", bool(case or group)
    try:
        with progress(None, "cases") as advance:

            def moved(done: int, total: int) -> None:
                advance(1)

            files = make.generate_part(root, case or (), group or (), workers, moved) if part else make.generate(workers, moved)
    except make.NoRecipe as error:
        fail(f"{error}; see lrp-conform list")
    except CertificateError as error:
        fail(str(error))
    different = [n for n, text in files.items() if not (root / n).is_file() or (root / n).read_text(encoding="utf-8") != text]
    if check:
        for name in different:
            print(f"differs: {name}")
        raise typer.Exit(1 if different else 0)
    make.write_files(files, root)
    if not part:
        make.remove_others(files, root)
    print(f"{len(files)} files, {len(different)} changed")
