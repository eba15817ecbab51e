"""Reading golden files."""

import hashlib
import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from lrp_conform.cases.layer import Case
from lrp_conform.cases.manifest import GoldenError as GoldenError
from lrp_conform.cases.manifest import digest as digest
from lrp_conform.cases.manifest import edition as edition
from lrp_conform.cases.manifest import one_line, read
from lrp_conform.cases.manifest import root as root
from lrp_conform.cases.manifest import uids as uids
from lrp_conform.cases.network import NetworkCase
from lrp_conform.cases.wellformed import Malformed, check_file

AnyCase = Case | NetworkCase
C = TypeVar("C", Case, NetworkCase, AnyCase)


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
    data = read(path)
    try:
        check_file(data)
    except Malformed as wrong:
        raise GoldenError(f"{path}: not a golden file: {one_line(wrong)}") from None
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


def select(cases: Iterable[C], patterns: Iterable[str] = (), features: Iterable[str] = ()) -> list[C]:
    """Cases whose id matches any glob of `patterns` and that need every feature glob of `features`."""
    globs, wanted = list(patterns), list(features)
    return [
        case
        for case in cases
        if (not globs or any(fnmatchcase(case.id, g) for g in globs))
        and all(any(fnmatchcase(f, g) for f in case.features) for g in wanted)
    ]
