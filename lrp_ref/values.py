"""Layers and rules as values, dataclasses or not: what they hold, the same with other fields, and what one lacks."""

from collections.abc import Sequence
from copy import copy
from dataclasses import fields, is_dataclass, replace
from typing import Any

from lrp_ref.arrays import LRPError


def held(value: Any) -> dict[str, Any]:
    """The fields of a dataclass, the attributes of any other object."""
    if is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    return dict(getattr(value, "__dict__", {}))


def changed(value: Any, changes: dict[str, Any]) -> Any:
    """The same with other fields: a new value of a dataclass, a changed copy of any other object."""
    if not changes:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **changes)
    twin = copy(value)
    twin.__dict__.update(changes)
    return twin


def refuse_lacking(what: str, value: Any, needed: Sequence[str], example: str, protocol: str) -> None:
    """Refuse what is no layer, rule or composite; an object that is one but for what it lacks is told that."""
    kind = type(value).__name__
    missing = [name for name in needed if not hasattr(value, name.split("(")[0])]
    if isinstance(value, type) or (missing and _is_plain(value)):
        raise LRPError(f"{what}: expected one such as {example}, got {kind} {brief(value)}")
    if missing:
        raise LRPError(f"{what}: {kind} has no {' and no '.join(missing)}; expected one such as {example}, or see {protocol}")


def refuse_other(what: str, value: Any, kind: type, see: str) -> None:
    """Refuse what a method of a user's own returns where it is something else."""
    if not isinstance(value, kind):
        raise LRPError(f"{what}: expected to return {see}, got {type(value).__name__} {brief(value)}")


def brief(value: Any) -> str:
    """A value in a few words."""
    return " ".join(repr(value).split())[:60]


def _is_plain(value: Any) -> bool:
    """Whether the value is one of Python's own, or an array: nobody's idea of a layer."""
    return type(value).__module__ == "builtins" or hasattr(value, "shape")
