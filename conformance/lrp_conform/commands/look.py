"""Looking: cases, one case as mathematics, candidates."""

from lrp_conform.commands.common import case_globs, feature_globs, profile_names, selected
from lrp_ref.commands.commandline import argument, command, fail


@command("list")
@case_globs
@feature_globs
@profile_names
def list_cases(case: tuple[str, ...], feature: tuple[str, ...], profile: tuple[str, ...]) -> None:
    """List cases: id, status, flags."""
    for each in selected(case, feature, profile):
        print(f"{each.id}\t{each.data['status']}\t{','.join(each.data['flags'])}")


@command()
@argument("case", about="A case id, or a glob that matches one.")
def show(case: str) -> None:
    """Show one case as mathematics: matrices, contributions, denominators, the expected fractions."""
    from lrp_conform.cases import golden
    from lrp_conform.report.show_case import show as show_case
    from lrp_conform.report.terminal import console

    found = golden.select(golden.load_all(), [case])
    if len(found) != 1:
        likely = sorted(found or golden.select(golden.load_all(), [f"*{case}*"]), key=lambda c: len(c.id))
        near = ", ".join(c.id for c in likely[:5])
        fail(
            f"{case}: expected the id of one case, found {len(found)}"
            + (f"; near: {near}" if near else "; see lrp-conform list")
        )
    show_case(found[0], console())


@command()
def candidates() -> None:
    """List the candidates that are installed under a name."""
    from lrp_conform.candidates import adapter
    from lrp_conform.candidates.sources import CandidateSource, load
    from lrp_conform.report.terminal import console

    out = console()
    for name in adapter.names():
        for each in load(CandidateSource(name)):
            each.close()
            rules = sorted(f.removeprefix("rule.") for f in each.features if f.startswith("rule."))
            ops = sorted(f.removeprefix("op.") for f in each.features if f.startswith("op."))
            out.print(f"[bold]{each.name}[/bold] {each.version}  rules: {', '.join(rules)}; layers: {', '.join(ops)}")
