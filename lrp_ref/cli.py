"""The command `lrp-ref`: what the reference knows, in tables."""

import argparse
import inspect
import os
import sys
from collections.abc import Sequence

from lrp_ref import layers
from lrp_ref.dialects import DIALECTS
from lrp_ref.rules import CONVENTIONS, RULES
from lrp_ref.stabilizers import KINDS


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rules, layers, conventions or dialects. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="lrp-ref", description="An exact reference of Layer-wise Relevance Propagation.")
    topics = {"rules": _rules, "layers": _layers, "conventions": _conventions, "dialects": _dialects}
    parser.add_argument("topic", choices=topics, help="what to list")
    try:
        print("\n".join(topics[parser.parse_args(arguments).topic]()), flush=True)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _rules() -> list[str]:
    return [f"{name:18} {_first_line(rule)}  [bias: {', '.join(rule.bias)}]" for name, rule in RULES.items()]


def _layers() -> list[str]:
    kinds = [getattr(layers, name) for name in layers.__all__ if name not in ("Affine", "Layer")]
    return [f"{kind.__name__:15} {_first_line(kind)}" for kind in kinds]


def _conventions() -> list[str]:
    rows = [f"{name:18} {' | '.join(values)}  ({what})" for name, (values, what) in CONVENTIONS.items()]
    return [f"{'stabilizer':18} {' | '.join(KINDS)}", *rows]


def _dialects() -> list[str]:
    return [f"{name:24} {dialect.library} {dialect.version}: {dialect.note}" for name, dialect in DIALECTS.items()]


def _first_line(kind: object) -> str:
    return (inspect.getdoc(kind) or "").split("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
