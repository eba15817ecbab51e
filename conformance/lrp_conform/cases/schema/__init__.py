"""golden/schema.json, written from the tables of operators and rules; what it says, every reader relies on."""

import json
from functools import cache
from typing import Any

from lrp_conform.cases.schema import layer, network, tables, values
from lrp_conform.cases.schema.form import SLUG, Json, described, record, ref, string, table, unique

WIDTH = 128  # of a line of the file


def text() -> str:
    """The file: what fits into a line stands in one."""
    return _lines(schema(), "") + "\n"


def _lines(part: Any, indent: str) -> str:
    whole = json.dumps(part, ensure_ascii=False)
    if len(whole) + len(indent) <= WIDTH or not isinstance(part, dict | list):
        return whole
    inner = indent + " "
    if isinstance(part, list):
        return "[\n" + ",\n".join(inner + _lines(each, inner) for each in part) + f"\n{indent}]"
    fields = (f"{inner}{json.dumps(name)}: {_lines(value, inner)}" for name, value in part.items())
    return "{\n" + ",\n".join(fields) + f"\n{indent}}}"


@cache
def schema() -> Json:
    """The schema of a golden file."""
    file = record(
        "One file of cases; golden/README.md explains every field.",
        {
            "$schema": described("This schema.", {"const": "../schema.json"}),
            "schema": described("Version of the format.", {"const": 1}),
            "group": string("The file's path below golden, without .json.", "^[a-z0-9-]+/[a-z0-9-]+$"),
            "notes": table("Every flag of the file, explained.", SLUG, _note(), least=0),
            "cases": {"description": "The cases.", "type": "array", "minItems": 1, "items": ref("any-case")},
        },
        {"description": string("What the file is about.")},
    )
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Golden vectors for Layer-wise Relevance Propagation",
    }
    return head | file | {"$defs": values.numbers() | values.tensors() | tables.definitions() | _cases()}


def _note() -> Json:
    return record(
        "One flag.",
        {
            "description": string("What the flag means.", least=1),
            "effect": string("The mistake it catches."),
            "links": unique("Public reports.", {"type": "string", "pattern": "^https://"}),
        },
    )


def _cases() -> Json:
    either = {
        "description": "A case of one layer, or of a network under a composite.",
        "if": {"type": "object", "required": ["composite"]},
        "then": ref("network"),
        "else": ref("case"),
    }
    return {"any-case": either, **layer.definitions(), **network.definitions()}
