"""Before judging: is a candidate's harness sound, and does a program keep to the protocol?"""

from collections.abc import Iterable

from lrp_conform.commands.common import asked_of, in_process
from lrp_ref.commands.commandline import command


@command()
@asked_of
@in_process
def smoke(candidate: str | None, command: str | None, python: str | None, in_process: bool, timeout: float) -> int:
    """Check a candidate's harness, not its rules: shapes, layouts, dtypes, the order of things.

    Exit status: 0 nothing is wrong, 1 something is, 2 usage.
    """
    from lrp_conform.candidates.sources import chosen, load
    from lrp_conform.report.terminal import console
    from lrp_conform.smoke.smoke import smoke as checks
    from lrp_conform.wire.harness import Limits

    (source,) = chosen([candidate] if candidate else None, command, python, in_process, Limits(timeout))
    sound = True
    for each in load(source):
        try:
            out = console()
            out.print(f"\n{each.name} {each.version}", markup=False)
            found = list(checks(each, in_process))
            _print((check.name, check.ok, check.told) for check in found)
            sound = sound and all(check.ok is not False for check in found)
        finally:
            each.close()
    return 0 if sound else 1


@command("protocol-check")
@asked_of
def protocol_check(candidate: str | None, command: str | None, python: str | None, timeout: float) -> int:
    """Try a program step by step: does it keep to docs/protocol.md?

    Exit status: 0 every step is as expected, 1 one is not, 2 usage.
    """
    from lrp_conform.candidates.sources import chosen
    from lrp_conform.smoke.protocol import check
    from lrp_conform.wire.harness import Limits

    (source,) = chosen([candidate] if candidate else None, command, python, False, Limits(timeout))
    steps = list(check(source.launch))
    _print((step.name, step.ok, step.got if step.ok else f"expected {step.expected}; got {step.got}") for step in steps)
    return 0 if all(step.ok for step in steps) else 1


WORDS = {True: ("ok", "green"), False: ("wrong", "bold red"), None: ("not tried", "dim")}


def _print(rows: Iterable[tuple[str, bool | None, str]]) -> None:
    """One line for each thing that was tried, longer where there is more to say."""
    from rich.table import Table
    from rich.text import Text

    from lrp_conform.report.terminal import console

    table = Table(box=None, show_header=False, pad_edge=False)
    for column in ("", "", ""):
        table.add_column(column, overflow="fold")
    for name, ok, told in rows:
        table.add_row(name, Text(*WORDS[ok]), Text(told, style="" if ok is False else "dim"))
    console().print(table)
