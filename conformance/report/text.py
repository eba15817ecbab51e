"""Text from candidates, made fit to print: hints, errors and ids may hold anything."""

import re
from pathlib import PurePosixPath

from conformance.report.terminal import line
from conformance.results import Result

# What XML 1.0 has no character for, what ends a line unseen, and what turns the direction of text around.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
LONGEST = 2000  # characters of one text in a report


def printable(text: object, longest: int = LONGEST) -> str:
    """The text with control characters as escapes such as \\x1b, cut where it is too long to be read."""
    given = str(text)
    short = given if len(given) <= longest else given[:longest] + "…"
    return _UNPRINTABLE.sub(lambda m: ascii(m[0])[1:-1], short)


def evidence(r: Result) -> str:
    """The evidence line without the case and the dtype, which stand beside it."""
    return printable(line(r).removeprefix(f"{r.case} {r.dtype}: "))


def slug(text: str) -> str:
    """A file name: "seeds/9-one" becomes "seeds-9-one"."""
    return PurePosixPath(re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-") or "unnamed").name[:80]
