"""The reference, asked as any library is: by the case that an adapter is shown."""

from fractions import Fraction
from typing import Any

import numpy as np

import lrp_ref as lrp
from lrp_conform.cases import model
from lrp_conform.cases.operators import OPERATORS
from lrp_ref.propagation.settle import output

FEATURES = frozenset(f for f in model.known_features() if not f.startswith(("network.", "rule.pattern")))


def answer(case: dict[str, Any]) -> dict[str, Any]:
    """y and relevance of a case of one layer."""
    (node,) = case["nodes"]
    numbers = {a.name for a in OPERATORS[node["op"]].attrs if a.kind.is_number}
    attrs = {name: _spelled(value) if name in numbers else value for name, value in node["attrs"].items()}
    layer = OPERATORS[node["op"]].build(node["params"], attrs)
    entry = dict(case["rules"][node["name"]])
    kind, stabilizer, bias = entry.pop("rule"), lrp.Stabilizer(**entry.pop("stabilizer")), entry.pop("bias")
    rule = lrp.RULES[kind](**{name: _given(value) for name, value in entry.items()})
    x = tuple(case["x"]) if isinstance(case["x"], list) else case["x"]
    found = lrp.propagate(layer, x, case["relevance"], rule, stabilizer=stabilizer, bias=bias).relevance
    y = output(layer, *(x if isinstance(x, tuple) else (x,)))
    return {"y": y, "relevance": list(found) if isinstance(found, tuple) else found}


def _spelled(value: Any) -> Any:
    """A number as a golden file spells it."""
    return [_spelled(v) for v in value] if isinstance(value, list) else str(Fraction(value))


def _given(value: Any) -> Any:
    """One number per channel or input is a tuple to a rule; a tensor stays one."""
    return tuple(value.tolist()) if isinstance(value, np.ndarray) and value.ndim == 1 else value
