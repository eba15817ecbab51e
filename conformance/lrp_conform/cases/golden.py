"""Reading golden files."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from lrp_conform.cases.layer import Case
from lrp_conform.cases.network import NetworkCase
from lrp_conform.cases.wellformed import Malformed, check_file
from lrp_ref.arrays import LRPError

AnyCase = Case | NetworkCase
C = TypeVar("C", Case, NetworkCase, AnyCase)
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
    found = _read(path)
    uids = found.get("cases")
    if not isinstance(found.get("edition"), str) or not isinstance(uids, dict) or not all(map(_is_text, uids.values())):
        raise GoldenError(f"{path}: expected an object with an edition and the uid of every case")
    return found


def load(directory: Path | None = None) -> list[Case]:
    """Every case of one layer: what deviations, mutants, cards and laws are about."""
    return [case for case in load_all(directory) if isinstance(case, Case)]


def load_all(directory: Path | None = None) -> list[AnyCase]:
    """Every case of the golden set, of one layer or of a network, in the order of the files.

    Refuses a set that its manifest does not describe.
    """
    directory = directory or root()
    manifest = uids(directory)
    cases = [case for path in sorted(directory.glob("*/*.json")) for case in load_file(path)]
    found = {case.id: case.uid for case in cases}
    if found != manifest or len(found) != len(cases):
        wrong = sorted(set(found.items()) ^ set(manifest.items()))[:3]
        raise GoldenError(f"{directory}: the files do not match manifest.json, for example {wrong}; restore the directory")
    return cases


def load_file(path: Path) -> list[AnyCase]:
    """The cases of one file, each well formed and with the content that its uid was taken of."""
    data = _read(path)
    try:
        check_file(data)
    except Malformed as wrong:
        raise GoldenError(f"{path}: not a golden file: {_line(wrong)}") from None
    cases, group, notes = data["cases"], data["group"], data["notes"]
    for index, case in enumerate(cases):
        if uid_of(case) != case["uid"]:
            raise GoldenError(f"{path}: cases[{index}] is not what its uid was taken of; restore the file")
    return [(NetworkCase if "composite" in case else Case)(case, group, notes) for case in cases]


def uid_of(case: dict[str, Any]) -> str:
    """The uid of a case's content: SHA-256 of [model, rules, inputs, expected] as canonical JSON."""
    content = [case["model"], case["rules"], case["inputs"], case["expected"]]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
        data = json.loads(text, object_pairs_hook=_unique, parse_float=_refuse, parse_constant=_refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise GoldenError(f"{path}: cannot be read: {_line(error)}") from None
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


def _line(error: Exception) -> str:
    """The error in one line that can be printed."""
    return " ".join(str(error).split()).encode("ascii", "backslashreplace").decode()[:300]


def select(cases: Iterable[C], patterns: Iterable[str] = (), features: Iterable[str] = ()) -> list[C]:
    """Cases whose id matches any glob of `patterns` and that need every feature glob of `features`."""
    globs, wanted = list(patterns), list(features)
    return [
        case
        for case in cases
        if (not globs or any(fnmatchcase(case.id, g) for g in globs))
        and all(any(fnmatchcase(f, g) for f in case.features) for g in wanted)
    ]
