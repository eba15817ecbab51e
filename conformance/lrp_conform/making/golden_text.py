"""The text of golden files: laid out by one rule, so that a case that stays keeps its bytes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrp_conform.cases import golden
from lrp_conform.cases.golden import GoldenError
from lrp_conform.making import networks
from lrp_conform.making.recipes.notes import NOTES

Json = dict[str, Any]
_CASES, _BETWEEN, _END = ' "cases": [\n', ",\n", "\n ]\n}\n"


@dataclass(frozen=True)
class CaseText:
    """One case as its file holds it, and what the file and the manifest say of it."""

    id: str
    uid: str
    flags: tuple[str, ...]
    text: str


def case_text(case: Json) -> CaseText:
    """One field a line: small files that still diff well."""
    return CaseText(case["id"], case["uid"], tuple(case["flags"]), "  " + _laid_out(case))


def _laid_out(case: Json) -> str:
    if "composite" in case:
        return networks.text(case, 2)
    rows = [f"   {json.dumps(k)}: {json.dumps(v, ensure_ascii=False, separators=(',', ':'))}" for k, v in case.items()]
    return "{\n" + ",\n".join(rows) + "\n  }"


def file_text(group: str, cases: Iterable[CaseText]) -> str:
    """A whole file: its head, with a note for every flag that a case has, and the cases."""
    chosen = list(cases)
    flags = sorted({flag for case in chosen for flag in case.flags})
    head = {"$schema": "../schema.json", "schema": 1, "group": group, "notes": {flag: NOTES[flag] for flag in flags}}
    lines = [f" {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}," for k, v in head.items()]
    return "{\n" + "\n".join(lines) + "\n" + _CASES + _BETWEEN.join(case.text for case in chosen) + _END


def manifest_text(edition: str, uids: Mapping[str, str]) -> str:
    """The manifest of a set."""
    return json.dumps({"edition": edition, "cases": {id_: uids[id_] for id_ in sorted(uids)}}, indent=0) + "\n"


def read_cases(path: Path) -> list[CaseText]:
    """The cases of a file as they stand, none if there is no file. Raises GoldenError for one that is not as written here."""
    if not path.exists():
        return []
    loaded = golden.load_file(path)
    text = path.read_text(encoding="utf-8")
    start, found = text.find(_CASES) + len(_CASES), []
    try:
        for case in loaded:
            _, end = json.JSONDecoder().raw_decode(text, start + 2)
            found.append(CaseText(case.id, case.uid, tuple(case.data["flags"]), text[start:end]))
            start = end + len(_BETWEEN)
        group = json.loads(text)["group"]
    except ValueError:
        found = []
    if not found or file_text(group, found).partition(_CASES)[2] != text.partition(_CASES)[2]:
        raise GoldenError(f"{path}: not laid out as lrp-conform generate does; run it without --case and --group")
    return found
