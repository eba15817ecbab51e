"""`lrp-ref rules`, `layers`, `conventions`, `dialects`, `composites`: what the reference knows."""

import argparse
import inspect
from typing import Any

from lrp_ref import layers
from lrp_ref.commands.say import say
from lrp_ref.dialects import DIALECTS
from lrp_ref.rules import CONVENTIONS, RULES
from lrp_ref.stabilizers import KINDS


def add_to(commands: Any) -> None:
    """A parser for every table."""
    topics = {
        "rules": ("the rules and their bias modes", _rules),
        "layers": ("the kinds of layers", _layers),
        "conventions": ("the conventions that rules and layers carry", _conventions),
        "dialects": ("the conventions of libraries", _dialects),
        "composites": ("the presets of libraries, as `explain --composite` takes them", _composites),
    }
    for name, (about, rows) in topics.items():
        commands.add_parser(name, help=f"list {about}", description=f"List {about}.").set_defaults(run=_print, rows=rows)


def _print(asked: argparse.Namespace) -> int:
    say("\n".join(asked.rows()))
    return 0


def _rules() -> list[str]:
    return [f"{name:18} {_first_line(rule)}  [bias: {', '.join(rule.bias)}]" for name, rule in RULES.items()]


def _layers() -> list[str]:
    kinds = list(layers.kinds())
    return [f"{kind.__name__:15} {_first_line(kind)}" for kind in kinds]


def _conventions() -> list[str]:
    rows = [f"{name:18} {' | '.join(values)}  ({what})" for name, (values, what) in CONVENTIONS.items()]
    return [f"{'stabilizer':18} {' | '.join(KINDS)}", *rows]


def _dialects() -> list[str]:
    return [f"{name:24} {dialect.library} {dialect.version}: {dialect.note}" for name, dialect in DIALECTS.items()]


def _composites() -> list[str]:
    from lrp_ref.composites.presets import PRESETS, UNNAMED  # which no other table needs

    rows = [line for preset in PRESETS.values() for line in (str(preset), f"    {preset.about}")]
    return [*rows, *(f"{name}: not by name, it needs fitted patterns; from Python" for name in UNNAMED)]


def _first_line(kind: object) -> str:
    return (inspect.getdoc(kind) or "").split("\n")[0]
