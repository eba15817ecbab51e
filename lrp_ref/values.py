"""Layers and rules as values, dataclasses or not: what they hold, the same with other fields, and what one lacks."""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import fields, is_dataclass, replace
from inspect import signature
from typing import Any, TypeVar

from lrp_ref.arrays import LRPError, namespace
from lrp_ref.text.printing import summary

V = TypeVar("V")


class ByValue:
    """Frozen dataclasses that may hold arrays: equal where the kind and every field are, printed by shapes by default."""

    def __init_subclass__(cls, **how: Any) -> None:
        """Else `dataclass` gives every layer a text of its own, with all of its weights."""
        super().__init_subclass__(**how)
        if "__repr__" not in vars(cls):
            cls.__repr__ = ByValue.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return summary(self)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return equal(fields_of(self), fields_of(other))

    def __hash__(self) -> int:
        return hash((type(self), *(str(getattr(value, "shape", None)) for value in fields_of(self).values())))


class Table(Mapping[str, V]):
    """A mapping that nobody changes, and that can be pickled, as a `MappingProxyType` cannot."""

    def __init__(self, rows: Mapping[str, V]) -> None:
        self._rows = dict(rows)

    def __getitem__(self, name: str) -> V:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return repr(self._rows)


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a dataclass, the attributes of any other object."""
    if is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    return dict(getattr(value, "__dict__", {}))


def equal(a: Any, b: Any) -> bool:
    """a == b; arrays, wherever they lie, in their kind, dtype, shape and values."""
    if hasattr(a, "shape") and hasattr(b, "shape"):
        alike = a.shape == b.shape and a.dtype == b.dtype and namespace(a) is namespace(b)
        return alike and bool(namespace(a).all(a == b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(equal(value, b[name]) for name, value in a.items())
    if isinstance(a, tuple | list) and type(a) is type(b):
        return len(a) == len(b) and all(map(equal, a, b))
    return not hasattr(a, "shape") and not hasattr(b, "shape") and bool(a == b)


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


def refuse_call(what: str, method: Any, expected: str, given: Sequence[Any]) -> None:
    """Refuse a method of a user's own that cannot be called with what it is given."""
    try:
        signature(method).bind(*given)
    except TypeError as error:
        raise LRPError(f"{what}: expected {expected}, got {method.__name__}{signature(method)}: {error}") from None


def brief(value: Any) -> str:
    """A value in a few words."""
    return " ".join(repr(value).split())[:60]


def _is_plain(value: Any) -> bool:
    """Whether the value is one of Python's own, or an array: nobody's idea of a layer."""
    return type(value).__module__ == "builtins" or hasattr(value, "shape")
