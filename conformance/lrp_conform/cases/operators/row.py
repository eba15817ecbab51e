"""What a row of the table of operators says, and what everybody may ask of it."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from operator import eq
from typing import Any, Protocol, TypeVar

import lrp_ref as lrp
from lrp_conform.cases.numbers import parse

Json = dict[str, Any]
Params = Mapping[str, Any]
T = TypeVar("T")
Shape = tuple[int, ...]
_signature = cache(inspect.signature)


class Chooser(Protocol):
    """Who chooses an instance of an operator: Hypothesis, a covering array, anybody.

    `exact`: only layers whose output is rational where x is. `wide`: sizes beyond the small ones too. `refused`: features that
    an instance had better not need.
    """

    exact: bool
    wide: bool
    refused: frozenset[str]

    def choice(self, axis: str, values: Sequence[T], more: Sequence[T] = ()) -> T:
        """One of the values, the plainest first, and of `more` where `wide`.

        `axis` is what they are values of, by the name that features have for it, as in `ties.last`; empty for what is a
        matter of numbers, of which there are many.
        """

    def tensor(self, name: str, shape: Shape, among: Sequence[str] | None = None) -> Json:
        """A golden tensor for an input, a parameter or a bound, its elements among the texts given, or among any."""


@dataclass(frozen=True)
class Drawn:
    """An instance: attributes, the shape of every parameter and of every input, and what elements are limited to."""

    inputs: Sequence[Shape]
    attrs: Json = field(default_factory=dict)
    params: Mapping[str, Shape] = field(default_factory=dict)
    among: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by parameter, "x" for the inputs


# Attributes -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AttributeKind:
    """How an attribute is written: its JSON schema, and how the layer's constructor takes it."""

    schema: Json
    read: Callable[[Any], Any] = lambda value: value
    is_number: bool = False


def _pairs(value: Any) -> tuple[tuple[int, int], ...]:
    return tuple((int(b), int(e)) for b, e in value)


def _numbers(value: Any) -> Any:
    return tuple(map(parse, value)) if isinstance(value, list) else parse(value)


FINITE = AttributeKind({"$ref": "#/$defs/finite"}, parse, is_number=True)
FINITES = AttributeKind(
    {"anyOf": [FINITE.schema, {"type": "array", "minItems": 1, "items": FINITE.schema}]}, _numbers, is_number=True
)  # one number, or one per channel
SIZES = AttributeKind({"$ref": "#/$defs/sizes"}, tuple)
COUNTS = AttributeKind({"$ref": "#/$defs/counts"}, tuple)
PAIRS = AttributeKind({"$ref": "#/$defs/pairs"}, _pairs)
FLAG = AttributeKind({"type": "boolean"})
POSITIVE = AttributeKind({"type": "integer", "minimum": 1})
NATURAL = AttributeKind({"type": "integer", "minimum": 0})


def words(names: Sequence[str]) -> AttributeKind:
    """One of some words."""
    return AttributeKind({"enum": list(names)})


@dataclass(frozen=True)
class Attr:
    """An attribute: how it is written, what it means, and the features that its values need.

    `note` goes behind its name in the README; `argument` is the layer's name for it, if another.
    """

    name: str
    kind: AttributeKind
    about: str
    note: str = ""
    features: Mapping[str, Callable[[Any], bool]] = field(default_factory=dict)
    required: bool = True
    argument: str = ""

    @property
    def values(self) -> list[str]:
        """The words it may be."""
        return list(self.kind.schema.get("enum", ()))


def word(name: str, values: Sequence[str], about: str, note: str = "") -> Attr:
    """A word, the usual one first; every other is a feature."""
    features = {f"{name}.{value}": partial(eq, value) for value in list(values)[1:]}
    return Attr(name, words(values), about, note, features)


@dataclass(frozen=True)
class Param:
    """A tensor of the layer and its axes: `out`, `in`, `in/groups`, `*kernel`, ...; one sample's where `axes` is empty."""

    name: str
    axes: tuple[str, ...]
    about: str
    required: bool = True

    def axis(self, of: str) -> int | None:
        """The axis of `out` or `in`; None where there is none."""
        return next((k for k, axis in enumerate(self.axes) if axis.partition("/")[0] == of), None)

    def __str__(self) -> str:
        return f"`{self.name} ({', '.join(self.axes)})`" if self.axes else f"`{self.name}`"


# Operators --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operator:
    """An operator of the golden format: everything that is said about it, once.

    `about`: a line for the schema. `map`: y and what relevance sees, for the README; `note` is a paragraph below the table.
    `layer`: the reference's, of the parameters and attributes by its own names. `draw`: an instance, as somebody chooses.
    `several`: two inputs or more. `spatial`: axes 2 and up are spatial. `elementwise`: y_k depends on x_k alone.
    `mixes`: an output may have several connections. `rational`: y is rational where x is. `indices`: x holds indices.
    `conditions`: what the JSON schema of a node says besides.
    """

    name: str
    about: str
    map: str
    layer: Callable[..., Any]
    draw: Callable[[Chooser], Drawn] | None = None
    attrs: tuple[Attr, ...] = ()
    params: tuple[Param, ...] = ()
    note: str = ""
    several: bool = False
    spatial: bool = False
    elementwise: bool = False
    mixes: bool = False
    rational: bool = True
    indices: bool = False
    conditions: Json = field(default_factory=dict)

    def build(self, params: Params, attrs: Params) -> Any:
        """The reference's layer, with `params` already in some arithmetic."""
        known = {a.name: a for a in self.attrs}
        if unknown := [*attrs.keys() - known.keys(), *params.keys() - {p.name for p in self.params}]:
            names = ", ".join((*known, *(p.name for p in self.params))) or "no attribute"
            raise lrp.LRPError(f"{self.name}: expected {names}; got {min(unknown)[:40]!r}")
        given = {known[name].argument or name: known[name].kind.read(value) for name, value in attrs.items()}
        try:
            arguments = _signature(self.layer).bind(**params, **given)
        except TypeError as error:
            raise lrp.LRPError(f"{self.name}: {error}; give it") from None
        return self.layer(*arguments.args, **arguments.kwargs)

    def numeric(self, attrs: Params) -> Json:
        """The attributes that are numbers, as `Fraction`s; one number per channel as a tuple."""
        return {a.name: a.kind.read(attrs[a.name]) for a in self.attrs if a.kind.is_number and a.name in attrs}

    def features(self, attrs: Params, axes: int) -> set[str]:
        """What an implementation must support for the node, on inputs with that many axes behind the channels."""
        found = {f"op.{self.name}"} | ({f"spatial.{axes}"} if self.spatial and axes else set())
        rows = ((a, attrs[a.name]) for a in self.attrs if a.name in attrs)
        return found | {name for a, value in rows for name, needs in a.features.items() if needs(value)}

    def known_features(self) -> set[str]:
        """Every feature that a node of it may need."""
        spatial = {f"spatial.{axes}" for axes in (1, 2, 3)} if self.spatial else set()
        return {f"op.{self.name}"} | spatial | {name for a in self.attrs for name in a.features}

    @property
    def weighted(self) -> bool:
        """Whether a weight connects every input channel to every output channel, within groups."""
        return any(None not in (p.axis("out"), p.axis("in")) for p in self.params)

    @property
    def convolution(self) -> bool:
        """Whether that weight slides over positions."""
        return self.weighted and self.spatial

    @property
    def channelwise(self) -> bool:
        """Whether a channel of the output depends on the same one of the input alone, and on others nowhere."""
        return self.spatial and not self.weighted

    def drawn(self, chooser: Chooser) -> tuple[Json, dict[str, Json]]:
        """A node of it and its inputs, as golden files write them."""
        if self.draw is None:
            raise lrp.LRPError(f"operator {self.name}: expected a way to draw an instance, got none; give its row `draw`")
        made = self.draw(chooser)
        names = ["x"] if len(made.inputs) == 1 else [f"x{k}" for k in range(len(made.inputs))]
        values = made.among.get("x")
        inputs = {name: chooser.tensor(name, shape, values) for name, shape in zip(names, made.inputs, strict=True)}
        params = {name: chooser.tensor(name, shape, made.among.get(name)) for name, shape in made.params.items()}
        return {"name": "layer", "op": self.name, "inputs": names, "attrs": made.attrs, "params": params}, inputs
