"""The suite on itself: its own proof, and its golden files."""

import click

from lrp_ref.commands.commandline import command, fail, option, switch
from lrp_ref.text.progress import progress


@command()
def selftest() -> int:
    """Prove the suite on itself: correct evaluations are never rejected, every mutant is caught; print the power table."""
    from lrp_conform.cases import golden
    from lrp_conform.proof.selftest import selftest as prove
    from lrp_conform.report.terminal import console

    out = console()
    with progress(None, "evaluations") as advance:
        verdict = prove(golden.load(), advance)
    verdict.print(out)
    return 0 if verdict.passed else 1


@command()
@option("--case", metavar="GLOB", multiple=True, help="Only cases whose id matches this glob; repeatable.")
@option("--group", metavar="GLOB", multiple=True, help="Only files whose name matches, as 'dense/*'; repeatable.")
@switch("check", help="Only compare: exit 1 if a byte differs.")
@option("--workers", type=click.IntRange(min=1), default=2, help="Processes, where there are many cases.")
def generate(case: tuple[str, ...], group: tuple[str, ...], check: bool, workers: int) -> int:
    """Regenerate golden files from their recipes, all or a part, certificates re-executed (source checkout only)."""
    from lrp_conform.making import generate as make
    from lrp_conform.making.derivations import CertificateError

    root, part = make.ROOT / "golden", bool(case or group)
    try:
        with progress(None, "cases") as advance:

            def moved(done: int, total: int) -> None:
                advance(1)

            files = make.generate_part(root, case, group, workers, moved) if part else make.generate(workers, moved)
    except make.NoRecipe as error:
        fail(f"{error}; see lrp-conform list")
    except CertificateError as error:
        fail(str(error))
    different = [n for n, text in files.items() if not (root / n).is_file() or (root / n).read_text(encoding="utf-8") != text]
    if check:
        for name in different:
            print(f"differs: {name}")
        return 1 if different else 0
    make.write_files(files, root)
    if not part:
        make.remove_others(files, root)
    print(f"{len(files)} files, {len(different)} changed")
    return 0
