"""Rule entries of golden files: a rule with every parameter and convention, its stabiliser and bias mode spelled out.

Everything is asked of the rules themselves, of `PARAMETERS` and of `CONVENTIONS`; a new rule needs no line here.
"""

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from itertools import product
from typing import Any

import lrp_ref as lrp
from lrp_conform.cases import model
from lrp_conform.cases.numbers import parse
from lrp_conform.cases.operators import Chooser, Operator
from lrp_conform.cases.operators.row import Shape
from lrp_ref.rules import CONVENTIONS, PARAMETERS

Json = dict[str, Any]


def about(name: str) -> str:
    """What the rule is: the first line of its docstring."""
    return (lrp.RULES[name].__doc__ or name).strip().splitlines()[0]


def parameters(name: str) -> list[str]:
    """The rule's parameters, its conventions left out."""
    return [f.name for f in fields(lrp.RULES[name]) if f.name not in CONVENTIONS]


def conventions(name: str) -> list[str]:
    """The conventions that the rule can carry."""
    return [f.name for f in fields(lrp.RULES[name]) if f.name in CONVENTIONS]


def bounds(name: str) -> list[str]:
    """The parameters that bound x: the lower end, then the upper one."""
    return [p for p in parameters(name) if PARAMETERS[p].domain == "bound"]


def properties(name: str) -> dict[str, Json]:
    """The schema of every field of an entry; all of them are there."""
    found: dict[str, Json] = {"rule": {"description": "The rule.", "const": name}}
    for f in fields(lrp.RULES[name]):
        if f.name in CONVENTIONS:
            words, question = CONVENTIONS[f.name]
            found[f.name] = {"description": f"{question[0].upper()}{question[1:]}.", "enum": [*words]}
        elif f.name in PARAMETERS:
            given = PARAMETERS[f.name]
            found[f.name] = {"description": given.about, "$ref": f"#/$defs/{given.domain}"}
        else:
            raise lrp.LRPError(f"rule {name}: expected {f.name} in PARAMETERS or CONVENTIONS of lrp_ref.rules; add its row")
    found["stabilizer"] = {"description": "From d to D.", "$ref": "#/$defs/stabilizer"}
    found["bias"] = {"description": "What becomes of the bias.", "enum": [*lrp.RULES[name].bias]}
    return found


@cache
def called(name: str) -> frozenset[str]:
    """The features of the rule's names: with some parameters it has one of its own."""
    return frozenset(f"rule.{model.rule_name({'rule': name, **values})}" for values in combinations(name))


def fits(name: str, row: Operator) -> bool:
    """Whether the rule has a meaning on the operator: what moves relevance wants values moved, and shares several inputs."""
    moves = getattr(lrp.RULES[name], "moves", False) and row.mixes
    shares = any(PARAMETERS[p].domain == "shares" for p in parameters(name)) and not row.several
    return not (moves or shares)


# Random entries ---------------------------------------------------------------------------------------------------------


def drawn(name: str, chooser: Chooser, row: Operator, seen: list[Shape], kinds: Sequence[str]) -> Json:
    """An entry of the rule for a layer of `row`, whose inputs, as relevance sees them, have the shapes `seen`."""
    spec: Json = {"rule": name, **_together(chooser, combinations(name))}
    for parameter in parameters(name):
        given = PARAMETERS[parameter]
        if given.domain == "shares":
            spec[parameter] = [chooser.choice(f"{parameter}[{k}]", given.tried) for k in range(len(seen))]
    if ends := bounds(name):
        spec |= _box(ends, chooser, row, seen)
    spec["bias"] = chooser.choice("bias", lrp.RULES[name].bias)
    own = "epsilon" in spec and chooser.choice("stabilizer of the rule", (True, False))
    plain = {"kind": "signed_add", "epsilon": spec.get("epsilon"), "sign_at_zero": "1"}
    return {**spec, "stabilizer": plain if own else stabilizer(chooser, kinds)}


def stabilizer(chooser: Chooser, kinds: Sequence[str]) -> Json:
    """A stabiliser of one of the kinds."""
    kind = chooser.choice("stabilizer", kinds)
    if kind == "none":
        return {"kind": kind, "epsilon": "0", "sign_at_zero": "1"}
    epsilon = chooser.choice("stabilizer epsilon", ("1/4", "1", "1/1024", "0"))
    return {"kind": kind, "epsilon": epsilon, "sign_at_zero": chooser.choice("sign_at_zero", ("1", "0", "-1"))}


def _together(chooser: Chooser, combined: Sequence[Json]) -> Json:
    """Values that a rule takes together: one after the other, of those that still fit."""
    left = list(combined)
    for key in left[0]:
        value = chooser.choice(key, tuple(dict.fromkeys(found[key] for found in left)))
        left = [found for found in left if found[key] == value]
    return dict(left[0])


def _box(names: Sequence[str], chooser: Chooser, row: Operator, seen: list[Shape]) -> Json:
    """Both ends of a box, in one of the ways of `bounds`: numbers, one per channel, tensors of x's shape, or extremes of it."""
    alone = len(seen) == 1
    ways = ["scalar", "data", *(["array"] if alone else []), *(["channel"] if alone and not row.indices else [])]
    way = chooser.choice("bounds", ways)
    found: Json = {}
    for name in names:
        words = [value for value in PARAMETERS[name].tried if value in ("min", "max")]
        numbers = [value for value in PARAMETERS[name].tried if value not in words]
        if way == "array":
            found[name] = chooser.tensor(name, seen[0], numbers)
        elif way == "channel":
            found[name] = [chooser.choice("", numbers) for _ in range(seen[0][1])]
        else:
            found[name] = chooser.choice(name, words if way == "data" else numbers)
    return found


@cache
def combinations(name: str) -> tuple[Json, ...]:
    """Numbers and conventions that the rule takes together, the plainest first; bounds and shares left out."""
    for parameter in parameters(name):
        if not PARAMETERS[parameter].tried:
            raise lrp.LRPError(f"rule {name}: expected values of {parameter} to try, got none; add them to its PARAMETERS")
    numbers = [p for p in parameters(name) if PARAMETERS[p].domain not in ("bound", "shares")]
    choices = [*(PARAMETERS[p].tried for p in numbers), *(CONVENTIONS[c][0] for c in conventions(name))]
    names = [*numbers, *conventions(name)]
    combined = (dict(zip(names, values, strict=True)) for values in product(*choices))
    return tuple(found for found in combined if _taken(name, found))


def _taken(name: str, given: Json) -> bool:
    kind: Any = lrp.RULES[name]
    try:
        kind(**{key: value if key in CONVENTIONS else parse(value) for key, value in given.items()})
    except lrp.LRPError:
        return False
    return True
