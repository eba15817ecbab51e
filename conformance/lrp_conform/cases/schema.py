"""golden/schema.json, written from the tables of operators and rules; what it says, every reader relies on."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import lrp_ref as lrp
from lrp_conform.cases import entries, model
from lrp_conform.cases.numbers import NUMBER
from lrp_conform.cases.operators import OPERATORS, Operator
from lrp_ref.stabilizers import KINDS

Json = dict[str, Any]
DTYPES = ("float64", "float32", "float16")
STATUS = ("core", "extended", "tentative", "deprecated")
CERTIFICATES = (
    "exact-rational", "explicit-equals-structured", "explicit-equals-preset", "bounds-speak", "second-oracle",
    "ledger-balances", "derived-by-hand", "ball-arithmetic-256-bit", "batches-equal-whole", "scalar-loops",
)  # fmt: skip
WIDTH = 128  # of a line of the file
MOST = 256  # elements of a tensor that stands in its file
NODE, INPUT, SLUG = "^[a-z][a-z0-9-]*$", "^x[0-9]*$", "^[a-z0-9-]+$"
_HEXADECIMAL = r"0x[01](\.[0-9a-f]{1,13})?p[+-](0|[1-9][0-9]*)"
_ABOVE_ZERO = rf"[1-9][0-9]*|[1-9][0-9]*/([2-9]|[1-9][0-9]+)|{_HEXADECIMAL}"


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
            "$schema": _said("This schema.", {"const": "../schema.json"}),
            "schema": _said("Version of the format.", {"const": 1}),
            "group": _string("The file's path below golden, without .json.", "^[a-z0-9-]+/[a-z0-9-]+$"),
            "notes": _table("Every flag of the file, explained.", SLUG, _note(), least=0),
            "cases": {"description": "The cases.", "type": "array", "minItems": 1, "items": ref("any-case")},
        },
        {"description": _string("What the file is about.")},
    )
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Golden vectors for Layer-wise Relevance Propagation",
    }
    return head | file | {"$defs": _numbers() | _tensors() | _tables() | _cases()}


def record(about: str, required: Mapping[str, Json], optional: Mapping[str, Json] | None = None, **more: Any) -> Json:
    """An object with these fields and no others."""
    closed = {"type": "object", "additionalProperties": False, "required": [*required]}
    return {"description": about, **closed, "properties": {**required, **(optional or {})}, **more}


def ref(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}


def _said(about: str, schema: Json) -> Json:
    return {"description": about, **schema}


def _string(about: str, pattern: str | None = None, least: int = 0) -> Json:
    return _said(
        about, {"type": "string"} | ({"pattern": pattern} if pattern else {}) | ({"minLength": least} if least else {})
    )


def _several(about: str, items: Json, least: int = 0, **more: Any) -> Json:
    return _said(about, {"type": "array", "items": items} | ({"minItems": least} if least else {}) | more)


def _set(about: str, items: Json, least: int = 0) -> Json:
    return _several(about, items, least, uniqueItems=True)


def _table(about: str, names: str, value: Json, least: int = 1) -> Json:
    """An object with fields named like `names`, all of one kind."""
    closed = {"type": "object", "additionalProperties": False, "patternProperties": {names: value}}
    return _said(about, closed | ({"minProperties": least} if least else {}))


def _count(about: str, least: int = 0) -> Json:
    return _said(about, {"type": "integer", "minimum": least, "maximum": 2**31 - 1})


def _note() -> Json:
    return record(
        "One flag.",
        {
            "description": _string("What the flag means.", least=1),
            "effect": _string("The mistake it catches."),
            "links": _set("Public reports.", {"type": "string", "pattern": "^https://"}),
        },
    )


# Numbers and tensors ----------------------------------------------------------------------------------------------------


def _numbers() -> Json:
    integer = {"type": "integer", "minimum": 0}
    return {
        "number": _string("An integer, a rational, a hexadecimal float, or a word.", f"^({NUMBER[1:-1]}|nan|-?inf)$"),
        "finite": _string("An exact number that is finite.", f"^{NUMBER}$"),
        "nonnegative": _string("A finite number, zero or above.", f"^(0|{_ABOVE_ZERO})$"),
        "positive": _string("A finite number above zero.", f"^({_ABOVE_ZERO})$"),
        "slug": _string("A short name.", SLUG),
        "edition": _string("Year and month.", r"^20[0-9]{2}\.[0-9]{2}$"),
        "sizes": _several("Sizes or axes, one or above.", {"type": "integer", "minimum": 1}, 1),
        "counts": _several("Counts, zero or above.", integer, 1),
        "shape": _several("Row-major, batch axis first.", integer),
        "pairs": _several("[begin, end] per axis.", {"type": "array", "minItems": 2, "maxItems": 2, "items": integer}, 1),
        "one_input": _several("One input.", {"type": "string"}, 1, maxItems=1),
        "several_inputs": _set("Two inputs or more.", {"type": "string"}, 2),
    }


def _tensors() -> Json:
    shape = _said("Sizes, batch axis first.", ref("shape"))
    stored = {
        "shape": shape,
        "file": _string("A safetensors file beside this one.", r"^[a-z0-9-]+\.safetensors$"),
        "tensor": _string("The tensor's key in that file, stored as F64.", least=1),
    }
    return {
        "inline_tensor": record(
            f"A tensor of up to {MOST} elements.",
            {"shape": shape, "data": _several("The elements, row-major.", ref("number"), maxItems=MOST)},
        ),
        "stored_tensor": record("A larger tensor, in a file of its own.", stored),
        "tensor": {
            "description": "A tensor of exact numbers.",
            "if": {"type": "object", "required": ["file"]},
            "then": ref("stored_tensor"),
            "else": ref("inline_tensor"),
        },
        "gauge": record(
            "A tensor of magnitudes.",
            {"shape": shape, "data": _several("The elements; rounded up, never down.", ref("nonnegative"), maxItems=MOST)},
        ),
        "bound": {
            "description": "A number, one number per channel, a tensor of x's shape, or an extreme of the sample.",
            "anyOf": [
                ref("finite"),
                {"enum": ["min", "max"]},
                {"type": "array", "minItems": 1, "items": ref("finite")},
                ref("tensor"),
            ],
        },
        "shares": _several("One number per input.", ref("finite"), 2),
    }


# Operators and rules ----------------------------------------------------------------------------------------------------


def _tables() -> Json:
    """A node is what the row of its op says, an entry what the row of its rule says."""
    ops = {f"op-{row.name}": _op(row) for row in OPERATORS.values()}
    rules = {f"rule-{name}": record(entries.about(name), entries.properties(name)) for name in lrp.RULES}
    rules["rule-pattern"] = _pattern()
    stabilizer = {
        "kind": _said("The formula.", {"enum": [*KINDS]}),
        "epsilon": _said("Its size.", ref("nonnegative")),
        "sign_at_zero": _said("sgn(0).", {"enum": ["1", "0", "-1"]}),
    }
    return {
        "stabilizer": record("From a denominator d to D.", stabilizer),
        "node": _one_of("One layer.", "op", ops),
        **ops,
        "rule": _one_of("One rule with every convention.", "rule", rules),
        **rules,
    }


def _one_of(about: str, by: str, known: Json) -> Json:
    """What the definition of that name says, so that an error speaks of it alone; `by` is the field that names it."""
    names = [name.partition("-")[2] for name in known]
    cases = [
        {"if": {"properties": {by: {"const": name}}}, "then": ref(where)} for name, where in zip(names, known, strict=True)
    ]
    return {"description": about, "required": [by], "properties": {by: {"enum": names}}, "allOf": cases}


def _op(row: Operator) -> Json:
    attrs: dict[bool, Json] = {True: {}, False: {}}
    params: dict[bool, Json] = {True: {}, False: {}}
    for a in row.attrs:
        attrs[a.required][a.name] = _said(a.about, a.kind.schema)
    for p in row.params:
        params[p.required][p.name] = _said(p.about, ref("tensor"))
    node = {
        "name": _string("Name of the node; rules refer to it.", NODE),
        "op": _said("The kind of layer.", {"const": row.name}),
        "inputs": _said("Names of the node's inputs.", ref("several_inputs" if row.several else "one_input")),
        "attrs": record("Attributes of the layer.", attrs[True], attrs[False]),
        "params": record("Tensors of the layer.", params[True], params[False]),
    }
    return record(row.about, node, **row.conditions)


def _pattern() -> Json:
    return record(
        "Pattern statistics instead of a rule.",
        {
            "rule": _said("Pattern statistics.", {"const": "pattern"}),
            "mask": _said("The samples that count, by the sign of the output.", {"enum": ["all", "positive", "negative"]}),
            "batches": _count("How many batches of equal size the rows arrive in.", 1),
        },
    )


# Cases ------------------------------------------------------------------------------------------------------------------


def _common() -> Json:
    """What cases of a layer and of a network say alike."""
    slug = ref("slug")
    return {
        "id": _string("Stable slug, never reused.", r"^[a-z0-9-]+(\.[a-z0-9-]+)+$"),
        "uid": _string("SHA-256 of [model, rules, inputs, expected] as canonical JSON.", "^sha256:[0-9a-f]{64}$"),
        "status": _said("How settled the case is.", {"enum": [*STATUS]}),
        "flags": _set("What the case is about; each is explained under notes.", slug),
        "comment": _string("The derivation or story."),
        "references": _set("DOI or arXiv number, and place.", {"type": "string", "pattern": r"^(doi:10\.|arXiv:)"}),
        "features": _set("What an implementation must support to be asked.", {"enum": sorted(model.known_features())}, 2),
        "rules": _table("Per node name, the rule with every convention.", NODE, ref("rule")),
        "inputs": _table("x (or x0, x1, ...), and the relevance that arrives at the output.", INPUT, ref("tensor"))
        | {"properties": {"relevance": _said("Relevance arriving at the output.", ref("tensor"))}},
        "exact_in": _set("Formats in which every intermediate value is exact.", {"enum": [*DTYPES, "bfloat16"]}),
        "representable_in": _set("Formats that hold every number of the case.", {"enum": [*DTYPES]}),
        "certificates": _set("How the numbers were checked.", {"enum": [*CERTIFICATES]}, 1),
        "provenance": record(
            "Where the case comes from.",
            {
                "recipe": _string("The package that made the case."),
                "edition": _said("The edition in which it was made.", ref("edition")),
            },
        ),
    }


def _model(least: int) -> Json:
    nodes = _several("The layers, each after what it reads; the last one's value is the output.", ref("node"), least)
    return record("The model.", {"nodes": nodes})


def _cases() -> Json:
    return {
        "any-case": {
            "description": "A case of one layer, or of a network under a composite.",
            "if": {"type": "object", "required": ["composite"]},
            "then": ref("network"),
            "else": ref("case"),
        },
        "case": record("One question with its answer.", _common() | _layer_case(), {"radius": _radius()}),
        "network": record("A network under a composite, with the relevance of every node.", _common() | _network_case()),
        "answers": _per_node("The output, the relevance of every input, and what arrives at every node's output.", "tensor"),
        "network-bounds": _per_node("How far an honest answer in this format may lie from expected.", "gauge"),
        "account": record(
            "Sums per sample: arrived = received + bias + stabilizer + dropped.",
            {
                "arrived": _said("What arrived; in the total, at the output.", ref("tensor")),
                "received": _said("What the inputs received.", ref("tensor")),
                **_kept(),
            },
        ),
    }


def _radius() -> Json:
    return _said("Bounds the error of expected where a root or an exponential enters.", ref("positive"))


def _kept() -> Json:
    """What inputs do not receive."""
    return {
        "bias": _said("What the bias kept.", ref("tensor")),
        "stabilizer": _said("What the stabiliser kept.", ref("tensor")),
        "dropped": _said("The rest.", ref("tensor")),
    }


def _whole(about: str, fields: Json) -> Json:
    """All of these fields, or none."""
    others = {name: [n for n in fields if n != name] for name in fields}
    return record(about, {}, fields, dependentRequired=others)


def _layer_case() -> Json:
    answer = "^(x[0-9]*|pattern)$"
    deviations = _set("Deviations that this format is the coarsest to tell.", {"type": "string", "pattern": _DEVIATION})
    return {
        "model": _model(1),
        "expected": record(
            "The answers.",
            {
                "y": _said("The layer's output.", ref("tensor")),
                "relevance": _table("Per input name the relevance handed back; or the pattern.", answer, ref("tensor")),
            },
        ),
        "ledger": _whole("Per output element what the inputs did not receive; empty where not rational.", _kept()),
        "gauges": record(
            "What the tolerance is made of.",
            {
                "G": _table("Per input, the work behind each element.", answer, ref("gauge")),
                "H": _table("The same, weighted by the condition of the denominators.", answer, ref("gauge")),
                "S": _table("How underflow reaches each element.", answer, ref("gauge")),
                "Y": _said("The work behind each output.", ref("gauge")),
                "fan_in": _count("Roundings behind one denominator."),
                "fan_out": _count("Roundings behind one input's sum."),
                "kappa": _said("Largest condition number of a denominator.", ref("nonnegative")),
            },
        ),
        "conservation": _whole(
            "Per sample, the total and its gauges; empty for patterns.",
            {
                "total": _said("Sum of the relevance handed back, per sample.", ref("tensor")),
                "G": _said("Gauge of that total.", ref("gauge")),
                "H": _said("The same, weighted by condition.", ref("gauge")),
            },
        ),
        "dialects": _table(
            "What named libraries return here, where it differs.",
            "^[a-z0-9.-]+$",
            _table("Per input name, that library's answer.", INPUT, ref("tensor")),
            least=0,
        ),
        "discriminates": record(
            "Per format, the named deviations this case can tell from the truth.", {}, dict.fromkeys(DTYPES, deviations)
        ),
    }


_DEVIATION = r"^[a-z0-9_-]+\.[A-Za-z0-9_-]+$"


def _network_case() -> Json:
    option = {"anyOf": [ref("finite"), {"type": "integer"}]}
    return {
        "model": _model(2),
        "composite": record(
            "Where the rules come from; they are complete without it.",
            {
                "library": _said("Whose composite it is; reference for a plain one.", ref("slug")),
                "name": _string("Its name there.", "^[a-z0-9_]+$"),
                "options": _table("Its options: numbers as strings, counts and bounds as integers.", "^[a-z_]+$", option, 0),
            },
        ),
        "expected": _said("The answers.", ref("answers")),
        "ledger": record(
            "The account of every node, and of the whole network; both balance exactly.",
            {
                "nodes": _table("Per node.", NODE, ref("account"), 2),
                "total": _said("Of the whole network.", ref("account")),
            },
        ),
        "bounds": record("Per format, the tolerance.", {d: _said(f"In {d}.", ref("network-bounds")) for d in DTYPES[:2]}),
    }


def _per_node(about: str, kind: str) -> Json:
    return record(
        about,
        {
            "y": _said("Of the output: the value of the last node.", ref(kind)),
            "relevance": _table("Per input.", INPUT, ref(kind)),
            "nodes": _table("Per node.", NODE, ref(kind), 2),
        },
    )
