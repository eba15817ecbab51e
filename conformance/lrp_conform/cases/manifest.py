"""Where the golden files lie, their edition, and how their text is read: Python and its standard library suffice."""

import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from lrp_ref.arrays import LRPError

MAX_BYTES = 16 * 2**20


class GoldenError(LRPError):
    """A golden file that cannot be read: one line with the file and the reason."""


def root() -> Path:
    """The golden directory: LRP_GOLDEN if set, beside this package in a wheel, beside the source tree in a checkout."""
    given = os.environ.get("LRP_GOLDEN")
    here = Path(__file__).resolve().parents[1]
    for path in [Path(given)] if given else [here / "golden", here.parents[1] / "golden"]:
        if (path / "manifest.json").is_file():
            return path
    raise GoldenError(f"no golden vectors found{f' at {given}' if given else ''}: expected a directory with manifest.json")


def edition(directory: Path | None = None) -> str:
    """The edition of the golden set."""
    return str(_manifest(Path(directory or root()))["edition"])


def uids(directory: Path | None = None) -> dict[str, str]:
    """The uid of every case, by its id, as the manifest says."""
    found: dict[str, str] = _manifest(Path(directory or root()))["cases"]
    return found


def digest(directory: Path | None = None) -> str:
    """SHA-256 of the manifest, which holds the uid of every case: the identity of the golden set."""
    path = Path(directory or root()) / "manifest.json"
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise GoldenError(f"{path}: cannot be read: {error}") from None


def _manifest(directory: Path) -> dict[str, Any]:
    path = directory / "manifest.json"
    found = read(path)
    uids = found.get("cases")
    if not isinstance(found.get("edition"), str) or not isinstance(uids, dict) or not all(map(_is_text, uids.values())):
        raise GoldenError(f"{path}: expected an object with an edition and the uid of every case")
    return found


def read(path: Path) -> dict[str, Any]:
    """The object that a file holds. Refuses what a reader of JSON would round, or settle in its own way."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
        data = json.loads(text, object_pairs_hook=_unique, parse_float=_refuse, parse_constant=_refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise GoldenError(f"{path}: cannot be read: {one_line(error)}") from None
    if not isinstance(data, dict):
        raise GoldenError(f"{path}: expected a JSON object")
    return data


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse duplicate keys, which JSON readers settle differently."""
    out = dict(items)
    if len(out) != len(items):
        (name, _), *_ = Counter(k for k, _ in items).most_common(1)
        raise ValueError(f"the key {name[:80]!r} occurs twice in one object")
    return out


def _refuse(token: str) -> None:
    """Refuse what a JSON reader would round, or what is no JSON at all."""
    raise ValueError(f"{token[:40]} is no integer; numbers are strings")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def one_line(error: Exception) -> str:
    """The error in one line that can be printed."""
    return " ".join(str(error).split()).encode("ascii", "backslashreplace").decode()[:300]
