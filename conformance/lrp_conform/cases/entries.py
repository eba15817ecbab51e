"""Rule entries of golden files: a rule with every parameter and convention, its stabiliser and bias mode spelled out.

Everything is asked of the rules themselves, of `PARAMETERS` and of `CONVENTIONS`; a new rule needs no line here.
"""

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from itertools import product
from typing import Any

import lrp_ref as lrp
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


def fits(name: str, row: Operator) -> bool:
    """Whether the rule has a meaning on the operator: what moves relevance wants values moved, and shares several inputs."""
    moves = getattr(lrp.RULES[name], "moves", False) and row.mixes
    shares = any(PARAMETERS[p].domain == "shares" for p in parameters(name)) and not row.several
    return not (moves or shares)


# Random entries ---------------------------------------------------------------------------------------------------------


def drawn(name: str, chooser: Chooser, row: Operator, seen: list[Shape], kinds: Sequence[str]) -> Json:
    """An entry of the rule for a layer of `row`, whose inputs, as relevance sees them, have the shapes `seen`."""
    spec: Json = {"rule": name, **chooser.choice(combinations(name))}
    for parameter in parameters(name):
        given = PARAMETERS[parameter]
        if given.domain == "shares":
            spec[parameter] = [chooser.choice(given.tried) for _ in seen]
        if given.domain == "bound":
            spec[parameter] = _bound(given.tried, chooser, row, seen)
    spec["bias"] = chooser.choice(lrp.RULES[name].bias)
    spec["stabilizer"] = stabilizer(chooser, kinds)
    if "epsilon" in spec and chooser.integer(0, 1):
        spec["stabilizer"] = {"kind": "signed_add", "epsilon": spec["epsilon"], "sign_at_zero": "1"}
    return spec


def stabilizer(chooser: Chooser, kinds: Sequence[str]) -> Json:
    """A stabiliser of one of the kinds."""
    return {
        "kind": chooser.choice(kinds),
        "epsilon": chooser.choice(("1/4", "1", "1/1024", "0")),
        "sign_at_zero": chooser.choice(("1", "1", "0", "-1")),
    }


def _bound(tried: Sequence[str], chooser: Chooser, row: Operator, seen: list[Shape]) -> Any:
    """A number, an extreme of the sample, a tensor of x's shape, or one number per channel."""
    numbers = [value for value in tried if value not in ("min", "max")]
    ways = ["number", *(["tensor"] if len(seen) == 1 else []), *(["channel"] if len(seen) == 1 and not row.indices else [])]
    way = chooser.choice(ways)
    if way == "tensor":
        return chooser.tensor(seen[0], numbers)
    return [chooser.choice(numbers) for _ in range(seen[0][1])] if way == "channel" else chooser.choice(tried)


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
