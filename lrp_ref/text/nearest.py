"""What somebody may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """ "did you mean 'conv1'?", whatever the case of its letters; empty where nothing is near."""
    plain = {other.lower().replace("_", "-"): other for other in known}
    found = get_close_matches(name.lower().replace("_", "-"), plain, 1)
    return f"did you mean {plain[found[0]]!r}?" if found else ""
