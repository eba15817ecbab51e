"""`lrp-ref rules`, `layers`, `conventions`, `dialects`, `composites`: what the reference knows."""

import inspect
from collections.abc import Iterable

from lrp_ref.commands.commandline import command
from lrp_ref.commands.terminal import say


@command()
def rules() -> None:
    """List the rules and their bias modes."""
    from lrp_ref.rules import RULES

    _print(f"{name:18} {_first_line(rule)}  [bias: {', '.join(rule.bias)}]" for name, rule in RULES.items())


@command()
def layers() -> None:
    """List the kinds of layers."""
    from lrp_ref import layers

    _print(f"{kind.__name__:15} {_first_line(kind)}" for kind in layers.registered())


@command()
def conventions() -> None:
    """List the conventions that rules and layers carry."""
    from lrp_ref.rules import CONVENTIONS
    from lrp_ref.stabilizers import KINDS

    rows = [f"{name:18} {' | '.join(values)}  ({what})" for name, (values, what) in CONVENTIONS.items()]
    _print([f"{'stabilizer':18} {' | '.join(KINDS)}", *rows])


@command()
def dialects() -> None:
    """List the conventions of libraries."""
    from lrp_ref.dialects import DIALECTS

    _print(f"{name:24} {dialect.library} {dialect.version}: {dialect.note}" for name, dialect in DIALECTS.items())


@command()
def composites() -> None:
    """List the presets of libraries, as `explain --composite` takes them."""
    from lrp_ref.composites.presets import PRESETS, UNNAMED

    rows = [line for preset in PRESETS.values() for line in (str(preset), f"    {preset.about}")]
    _print([*rows, *(f"{name}: not by name, it needs fitted patterns; from Python" for name in UNNAMED)])


def _print(rows: Iterable[str]) -> None:
    say("\n".join(rows))


def _first_line(kind: object) -> str:
    return (inspect.getdoc(kind) or "").split("\n")[0]
