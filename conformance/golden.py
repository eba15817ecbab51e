"""Reading golden files."""

import json
import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from conformance.case import Case

MAX_BYTES = 64 * 2**20


class GoldenError(ValueError):
    """A golden file that cannot be read: one line with the file and the reason."""


def root() -> Path:
    """The golden directory: LRP_GOLDEN if set, beside this package in a wheel, beside the source tree in a checkout."""
    given = os.environ.get("LRP_GOLDEN")
    here = Path(__file__).resolve().parent
    for path in [Path(given)] if given else [here / "golden", here.parent / "golden"]:
        if (path / "manifest.json").is_file():
            return path
    raise GoldenError(f"no golden vectors found{f' at {given}' if given else ''}: expected a directory with manifest.json")


def edition(directory: Path | None = None) -> str:
    """The edition of the golden set."""
    return str(_manifest(Path(directory or root()))["edition"])


def _manifest(directory: Path) -> dict[str, Any]:
    path = directory / "manifest.json"
    found = _read(path)
    if not isinstance(found.get("cases"), dict) or not isinstance(found.get("edition"), str):
        raise GoldenError(f"{path}: expected an object with an edition and the uid of every case")
    return found


def load(directory: Path | None = None) -> list[Case]:
    """Every case of the golden set, in the manifest's files' order; refuses a set that its manifest does not describe."""
    directory = directory or root()
    manifest = _manifest(directory)["cases"]
    cases = [case for path in sorted(directory.glob("*/*.json")) for case in load_file(path)]
    found = {case.id: case.uid for case in cases}
    if found != manifest or len(found) != len(cases):
        wrong = sorted(set(found.items()) ^ set(manifest.items()))[:3]
        raise GoldenError(f"{directory}: the files do not match manifest.json, for example {wrong}; restore the directory")
    return cases


def load_file(path: Path) -> list[Case]:
    """The cases of one file."""
    data = _read(path)
    try:
        cases = [Case(case, data["group"], data["notes"]) for case in data["cases"]]
        _ = [(case.id, case.uid, case.rule, case.features) for case in cases]
        return cases
    except (KeyError, TypeError, IndexError) as error:
        raise GoldenError(f"{path}: not a golden file: {error!r} is missing or malformed") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        data = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except (OSError, ValueError, RecursionError) as error:
        raise GoldenError(f"{path}: cannot be read: {error}") from None
    if not isinstance(data, dict):
        raise GoldenError(f"{path}: expected a JSON object")
    return data


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse duplicate keys, which JSON readers settle differently."""
    out = dict(items)
    if len(out) != len(items):
        names = [k for k, _ in items]
        raise ValueError(f"the key {next(k for k in names if names.count(k) > 1)!r} occurs twice in one object")
    return out


def select(cases: Iterable[Case], patterns: Iterable[str] = (), features: Iterable[str] = ()) -> list[Case]:
    """Cases whose id matches any glob of `patterns` and that need every feature glob of `features`."""
    globs, wanted = list(patterns), list(features)
    return [
        case
        for case in cases
        if (not globs or any(fnmatchcase(case.id, g) for g in globs))
        and all(any(fnmatchcase(f, g) for f in case.features) for g in wanted)
    ]
