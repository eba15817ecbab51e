"""The forms a schema is built from: a description is always said, an object has the fields named and no others."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
NODE, INPUT, SLUG = "^[a-z][a-z0-9-]*$", "^x[0-9]*$", "^[a-z0-9-]+$"


def record(about: str, required: Mapping[str, Json], optional: Mapping[str, Json] | None = None, **more: Any) -> Json:
    """An object with these fields and no others."""
    closed = {"type": "object", "additionalProperties": False, "required": [*required]}
    return {"description": about, **closed, "properties": {**required, **(optional or {})}, **more}


def ref(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}


def described(about: str, schema: Json) -> Json:
    return {"description": about, **schema}


def string(about: str, pattern: str | None = None, least: int = 0) -> Json:
    return described(
        about, {"type": "string"} | ({"pattern": pattern} if pattern else {}) | ({"minLength": least} if least else {})
    )


def several(about: str, items: Json, least: int = 0, **more: Any) -> Json:
    return described(about, {"type": "array", "items": items} | ({"minItems": least} if least else {}) | more)


def unique(about: str, items: Json, least: int = 0) -> Json:
    return several(about, items, least, uniqueItems=True)


def table(about: str, names: str, value: Json, least: int = 1) -> Json:
    """An object with fields named like `names`, all of one kind."""
    closed = {"type": "object", "additionalProperties": False, "patternProperties": {names: value}}
    return described(about, closed | ({"minProperties": least} if least else {}))


def count(about: str, least: int = 0) -> Json:
    return described(about, {"type": "integer", "minimum": least, "maximum": 2**31 - 1})
