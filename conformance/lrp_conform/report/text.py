"""Text from candidates, made fit to print: hints, errors and ids may hold anything."""

import re
from pathlib import PurePosixPath

from lrp_conform.judging.result import CaseResult
from lrp_conform.report.terminal import line
from lrp_ref.text.printable import printable

LONGEST = 2000  # characters of one text in a report


def short(text: object) -> str:
    """The text, fit to be shown, cut where it is too long to be read."""
    return printable(text, LONGEST)


def evidence(r: CaseResult) -> str:
    """The evidence line without the case and the dtype, which stand beside it."""
    return short(line(r).removeprefix(f"{r.case} {r.dtype}: "))


def slug(text: str) -> str:
    """A file name: "seeds/9-one" becomes "seeds-9-one"."""
    return PurePosixPath(re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-") or "unnamed").name[:80]
