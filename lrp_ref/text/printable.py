"""Text from elsewhere made fit to be shown: names, hints and errors may hold anything, and a terminal obeys what it reads."""

import re

# What a terminal obeys or XML 1.0 has no character for, what ends a line unseen, and what turns the direction of text around.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def printable(text: object, longest: int | None = None) -> str:
    """The text with control characters as escapes such as \\x1b, cut after `longest` characters; tabs and line ends stay."""
    given = str(text)
    short = given if longest is None or len(given) <= longest else given[:longest] + "…"
    return _UNPRINTABLE.sub(lambda m: ascii(m[0])[1:-1], short)
