"""Tables, elementwise functions, softmax."""

from functools import cache, partial
from operator import eq
from typing import Any

import lrp_ref as lrp
from lrp_conform.cases.operators.row import FINITE, FINITES, POSITIVE, Attr, Chooser, Drawn, Json, Operator, Param, word, words
from lrp_conform.cases.operators.shapes import any_shape, batch, size
from lrp_ref.layers.activation import FUNCTIONS, LINEARIZATIONS

ENDS = ("low", "high")
# What a golden file says of a function besides its name: attributes that it must have and may have, in words.
SPELLED: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "leaky-relu": (("slope",), (), "with `slope`, one or a list with one per channel"),
    "clip": ((), ENDS, "with `low`, `high` or both"),
    "hard-sigmoid": ((), ("slope",), "with `slope`, 1/6 where absent"),
}
REDUCE = word("reduce", ("sum", "keep"), "Whether relevance is added over the vector axis.")
MAPS = word("linearization", LINEARIZATIONS, "The elementwise map that relevance sees.")


def _activation(function: str, linearization: str, slope: Any = None, low: Any = None, high: Any = None) -> lrp.Activation:
    return lrp.Activation(function, linearization, slope, low, high)


def _attrs(schema: Json) -> Json:
    return {"properties": {"attrs": schema}}


def _conditions() -> Json:
    """Attributes that only some functions have."""
    found = []
    for name, (needed, _, _) in SPELLED.items():
        if needed:
            found.append({"if": _attrs({"properties": {"function": {"const": name}}}), "then": _attrs({"required": [*needed]})})
    for attr in ("slope", *ENDS):
        having = [name for name, (needed, optional, _) in SPELLED.items() if attr in (*needed, *optional)]
        absent = _attrs({"properties": {attr: False}})
        found.append({"if": _attrs({"properties": {"function": {"enum": having}}}), "else": absent})
    return {"allOf": found}


@cache
def rational_functions() -> tuple[str, ...]:
    """The functions whose values are rational where x is: those that fractions can be put into."""
    found = []
    for name in FUNCTIONS:
        try:
            affine = lrp.Activation(name).affine(lrp.exact([["1/2", "-1/2"]]))
            affine.y  # noqa: B018 (formed when it is asked for)
            found.append(name)
        except lrp.LRPError:
            continue
    return tuple(found)


def _drawn(chooser: Chooser) -> Drawn:
    shape = any_shape(chooser)
    function = chooser.choice("activation", rational_functions() if chooser.exact else tuple(FUNCTIONS))
    attrs: Json = {"function": function, "linearization": chooser.choice("linearization", LINEARIZATIONS)}
    if function == "leaky-relu":
        alone, values = chooser.choice("slope", ("1/4", "0", "")), ("1/4", "0", "-1", "2")
        attrs["slope"] = alone or [chooser.choice("", values) for _ in range(shape[1])]
    if function == "clip":
        ends = {"low": chooser.choice("low", ("-1", "0")), "high": chooser.choice("high", ("1/2", "1"))}
        attrs |= {name: ends[name] for name in chooser.choice("ends", (("low",), ("high",), ENDS))}
    return Drawn([shape], attrs)


def _table(chooser: Chooser) -> Drawn:
    reduce, width, length = chooser.choice("reduce", REDUCE.values), size(chooser, "width"), size(chooser, "length")
    indices = ("0", "1", "2")
    return Drawn([(batch(chooser), length)], {"reduce": reduce}, {"weight": (len(indices), width)}, {"x": indices})


def _softmax(chooser: Chooser) -> Drawn:
    shape = any_shape(chooser)
    return Drawn([shape], {"axis": chooser.choice("axis", range(1, len(shape)))})


def _said(function: str) -> str:
    return f"`{function}`" + (f" {SPELLED[function][2]}" if function in SPELLED else "")


EMBEDDING = Operator(
    "embedding",
    "Rows of a table by index.",
    "x holds indices `(N, T)`; y is `(N, T, width)`, row x of the table. Relevance sees copies (w = 1, x = 1): `reduce: sum` "
    "adds over the vector axis, giving `(N, T)`; `keep` hands it on unchanged as `(N, T, width)`",
    lrp.Embedding,
    _table,
    (REDUCE,),
    (Param("weight", ("vocabulary", "width"), "The table, (vocabulary, width)."),),
    indices=True,
)
ACTIVATION = Operator(
    "activation",
    "An elementwise function.",
    "elementwise. `clip`: min(max(x, low), high). `hard-sigmoid`: min(max(slope x + 1/2, 0), 1). Relevance map: `identity` "
    "w = 1; `gradient` w = f'(x) (relu'(0) = 0, leaky-relu'(0) = slope, 0 where clip or hard-sigmoid reach a bound); `ratio` "
    "w = f(x)/x, 0 at x = 0",
    _activation,
    _drawn,
    (
        Attr(
            "function",
            words(tuple(FUNCTIONS)),
            "The function.",
            ", ".join(map(_said, FUNCTIONS)),
            {f"activation.{name}": partial(eq, name) for name in FUNCTIONS},
        ),
        MAPS,
        Attr(
            "slope",
            FINITES,
            "Slope of leaky-relu below zero, one or one per channel; of hard-sigmoid where it is not 1/6.",
            features={"slope.channel": lambda slope: isinstance(slope, list)},
            required=False,
        ),
        Attr("low", FINITE, "Lower bound of clip; none where it is absent.", required=False),
        Attr("high", FINITE, "Upper bound of clip; none where it is absent.", required=False),
    ),
    elementwise=True,
    conditions=_conditions(),
)
SOFTMAX = Operator(
    "softmax",
    "exp(x) over its sum along an axis; relevance passes.",
    "`exp(x)` over its sum along the axis. Relevance map: w = 1",
    lrp.Softmax,
    _softmax,
    (Attr("axis", POSITIVE, "The axis; 1 is the classes."),),
    rational=False,
)
ROWS = (EMBEDDING, ACTIVATION, SOFTMAX)
