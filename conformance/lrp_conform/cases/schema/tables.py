"""A node is what the row of its op says, an entry what the row of its rule says."""

import lrp_ref as lrp
from lrp_conform.cases import entries
from lrp_conform.cases.operators import OPERATORS, Operator
from lrp_conform.cases.schema.form import NODE, Json, count, described, record, ref, string
from lrp_ref.stabilizers import KINDS


def definitions() -> Json:
    """A node is what the row of its op says, an entry what the row of its rule says."""
    ops = {f"op-{row.name}": _op(row) for row in OPERATORS.values()}
    rules = {f"rule-{name}": record(entries.about(name), entries.properties(name)) for name in lrp.RULES}
    rules["rule-pattern"] = _pattern()
    stabilizer = {
        "kind": described("The formula.", {"enum": [*KINDS]}),
        "epsilon": described("Its size.", ref("nonnegative")),
        "sign_at_zero": described("sgn(0).", {"enum": ["1", "0", "-1"]}),
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
        attrs[a.required][a.name] = described(a.about, a.kind.schema)
    for p in row.params:
        params[p.required][p.name] = described(p.about, ref("tensor"))
    node = {
        "name": string("Name of the node; rules refer to it.", NODE),
        "op": described("The kind of layer.", {"const": row.name}),
        "inputs": described("Names of the node's inputs.", ref("several_inputs" if row.several else "one_input")),
        "attrs": record("Attributes of the layer.", attrs[True], attrs[False]),
        "params": record("Tensors of the layer.", params[True], params[False]),
    }
    return record(row.about, node, **row.conditions)


def _pattern() -> Json:
    return record(
        "Pattern statistics instead of a rule.",
        {
            "rule": described("Pattern statistics.", {"const": "pattern"}),
            "mask": described("The samples that count, by the sign of the output.", {"enum": ["all", "positive", "negative"]}),
            "batches": count("How many batches of equal size the rows arrive in.", 1),
        },
    )
