"""Hypothesis strategies of questions: a node, its inputs, and a rule with every convention, as golden files spell them."""

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import product
from math import prod
from typing import Any

from hypothesis import strategies as st

import lrp_ref as lrp
from conformance.case import Question
from conformance.numbers import exact_array
from lrp_ref.maps import Window
from lrp_ref.rules import CONVENTIONS

Json = dict[str, Any]
Draw = Callable[[Any], Any]

RATIONAL = ("0", "0", "1", "-1", "2", "-2", "3", "-3", "1/2", "-1/2", "1/3", "-5/3")
DYADIC = ("0", "0", "1", "-1", "2", "-2", "3", "-3", "1/2", "-1/2", "3/2", "-5/2")  # few bits: sums are exact in float32
COARSE = ("0", "1", "-1", "2", "-2", "1/2", "-1/2")  # and in float16

OPS = (
    "dense", "conv", "conv-transpose", "avg-pool", "sum-pool", "global-avg-pool", "max-pool", "batch-norm", "add", "concat",
    "flatten", "reshape", "permute", "pad", "crop", "upsample", "embedding", "activation",
    "lrn", "scale", "slice", "identity", "dropout",
)  # fmt: skip
MIXING = ("dense", "conv", "conv-transpose", "avg-pool", "sum-pool", "global-avg-pool", "add", "lrn")  # Pass refuses (most)
EXACT_KINDS = (
    "none", "signed_add", "unsigned_add", "replace_zero", "zero_to_eps_then_signed", "clip", "drop", "abs_share",
)  # fmt: skip
SCALED_KINDS = ("rms_scaled", "std_scaled")  # their roots are irrational
INSEPARABLE = ("generalized-gamma", "z-box")  # abs_share of these needs the explicit representation
AXIS = ("kernel", "stride", "dilation", "begin", "end", "size", "extra")


def fits(rule: str, op: str) -> bool:
    """Whether the rule has a meaning on the op."""
    if rule == "pass":
        return op not in MIXING
    return rule != "shares" or op in ("add", "concat")


def tensors(values: tuple[str, ...], shape: tuple[int, ...]) -> st.SearchStrategy[Json]:
    """Golden tensors of `shape` with elements among `values`."""
    data = st.lists(st.sampled_from(values), min_size=prod(shape), max_size=prod(shape))
    return data.map(lambda elements: {"shape": list(shape), "data": elements})


@cache
def windows(kind: str, longest: int) -> list[dict[str, int]]:
    """Every geometry of one axis that `kind` ("conv", "transposed", "pool") admits, up to a size of `longest`."""
    found = []
    extras = (0, 1) if kind == "transposed" else (0,)
    for axis in product((1, 2, 3), (1, 2), (1, 2), (0, 1, 2), (0, 1), range(1, longest + 1), extras):
        g = dict(zip(AXIS, axis, strict=True))
        window = Window((g["kernel"],), (g["stride"],), ((g["begin"], g["end"]),), (g["dilation"],))
        if kind == "transposed":
            long = (g["size"] - 1) * g["stride"] - g["begin"] - g["end"] + g["dilation"] * (g["kernel"] - 1) + 1 + g["extra"]
            fitting = 1 <= long <= 5 and window.output((long,)) == (g["size"],)
        else:
            (out,) = window.output((g["size"],))
            seen = {j for j, _, _ in window.wires((g["size"],), (max(out, 0),))}
            fitting = 1 <= out <= 3 and (kind == "conv" or len(seen) == out)
        found += [g] if fitting else []
    return found


def geometry(draw: Draw, kind: str) -> tuple[Json, tuple[int, ...]]:
    """Attributes of a window over one to three axes, and the size of those axes."""
    axes = draw(st.sampled_from((1, 1, 2, 2, 3)))
    drawn = [draw(st.sampled_from(windows(kind, (4, 3, 2)[axes - 1]))) for _ in range(axes)]
    if axes == 3:
        drawn[1] = drawn[1] | {"kernel": 1, "dilation": 1, "stride": 1, "begin": 0, "end": 0, "extra": 0}
    attrs: Json = {name: [g[name] for g in drawn] for name in ("kernel", "stride", "dilation")}
    attrs |= {"padding": [[g["begin"], g["end"]] for g in drawn], "output_padding": [g["extra"] for g in drawn]}
    return attrs, tuple(g["size"] for g in drawn)


@st.composite
def nodes(draw: Draw, op: str, values: tuple[str, ...] = RATIONAL) -> tuple[Json, dict[str, Json]]:
    """A node of `op` and its inputs."""
    batch = draw(st.integers(1, 2))
    attrs, params, shapes = _PARTS[op](draw, batch, values)
    names = ["x"] if len(shapes) == 1 else [f"x{k}" for k in range(len(shapes))]
    elements = ("0", "1", "2") if op == "embedding" else values
    inputs = {name: draw(tensors(elements, shape)) for name, shape in zip(names, shapes, strict=True)}
    drawn = {name: draw(tensors(*p)) for name, p in params.items()}
    return {"name": "layer", "op": op, "inputs": names, "attrs": attrs, "params": drawn}, inputs


Parts = tuple[Json, dict[str, tuple[tuple[str, ...], tuple[int, ...]]], list[tuple[int, ...]]]


def _biased(draw: Draw, params: Json, values: tuple[str, ...], out: int) -> Json:
    return params | ({"bias": (values, (out,))} if draw(st.integers(0, 3)) else {})


def _dense(draw: Draw, batch: int, values: tuple[str, ...]) -> Parts:
    out, width = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    return {}, _biased(draw, {"weight": (values, (out, width))}, values, out), [(batch, width)]


def _conv(draw: Draw, batch: int, values: tuple[str, ...]) -> Parts:
    attrs, size = geometry(draw, "conv")
    kernel, groups = tuple(attrs.pop("kernel")), draw(st.sampled_from((1, 1, 2)))
    out, width = groups * draw(st.integers(1, 2)), draw(st.integers(1, 2 if groups == 1 and len(size) < 3 else 1))
    del attrs["output_padding"]
    params = _biased(draw, {"weight": (values, (out, width, *kernel))}, values, out)
    return attrs | {"groups": groups}, params, [(batch, width * groups, *size)]


def _conv_transpose(draw: Draw, batch: int, values: tuple[str, ...]) -> Parts:
    attrs, size = geometry(draw, "transposed")
    kernel, groups = tuple(attrs.pop("kernel")), draw(st.sampled_from((1, 1, 2)))
    width, out = groups * draw(st.integers(1, 2 if len(size) < 3 else 1)), draw(st.integers(1, 2 if groups == 1 else 1))
    params = _biased(draw, {"weight": (values, (width, out, *kernel))}, values, out * groups)
    return attrs | {"groups": groups}, params, [(batch, width, *size)]


def _pool(extra: Callable[[Draw], Json]) -> Callable[[Draw, int, tuple[str, ...]], Parts]:
    def parts(draw: Draw, batch: int, values: tuple[str, ...]) -> Parts:
        attrs, size = geometry(draw, "pool")
        del attrs["output_padding"]
        return attrs | extra(draw), {}, [(batch, draw(st.integers(1, 2)), *size)]

    return parts


def _max_pool(draw: Draw) -> Json:
    linearization = draw(st.sampled_from(("winner", "winner", "winner", "average")))
    return {"ties": draw(st.sampled_from(("first", "last", "split"))), "linearization": linearization}


def _batch_norm(draw: Draw, batch: int, values: tuple[str, ...]) -> Parts:
    linearization = draw(st.sampled_from(("affine", "centered", "without_epsilon", "variance_squared", "at_mean_zero")))
    # Every root is rational: variance + epsilon, variance, and variance^2 + epsilon.
    epsilon, variances = draw(st.sampled_from((("0", ("4", "1/4", "1")), ("5/4", ("1",)), ("5/4", ("1", "11/4")))))
    if linearization in ("without_epsilon", "variance_squared") and epsilon != "0":
        variances = ("1",)
    channels = draw(st.integers(1, 3))
    given = {"gamma": values, "beta": values, "mean": values, "variance": variances}
    params = {name: (choice, (channels,)) for name, choice in given.items()}
    shape = (batch, channels, *draw(st.sampled_from(((), (2,), (2, 1)))))
    return {"epsilon": epsilon, "linearization": linearization}, params, [shape]


def _shape(draw: Draw, batch: int, spatial: int | None = None) -> tuple[int, ...]:
    axes = draw(st.integers(0, 2)) if spatial is None else spatial
    return (batch, *(draw(st.integers(1, 3)) for _ in range(axes + 1)))


def _concat(draw: Draw, batch: int, values: tuple[str, ...]) -> Parts:
    shape = _shape(draw, batch)
    axis = draw(st.integers(1, len(shape) - 1))
    widths = draw(st.lists(st.integers(1, 2), min_size=2, max_size=3))
    return {"axis": axis}, {}, [(*shape[:axis], n, *shape[axis + 1 :]) for n in widths]


def _reshape(draw: Draw, batch: int, values: tuple[str, ...]) -> Parts:
    shape = _shape(draw, batch)
    total = prod(shape[1:])
    choices = ([total], [1, total], [total, 1], [-1], list(reversed(shape[1:])))
    return {"shape": draw(st.sampled_from(choices))}, {}, [shape]


def _permute(draw: Draw, batch: int, values: tuple[str, ...]) -> Parts:
    shape = _shape(draw, batch)
    return {"axes": draw(st.permutations(range(1, len(shape))))}, {}, [shape]


def _ends(draw: Draw, axes: int) -> list[list[int]]:
    return [[draw(st.integers(0, 1)), draw(st.integers(0, 2))] for _ in range(axes)]


def _pad(draw: Draw, batch: int, values: tuple[str, ...]) -> Parts:
    axes = draw(st.integers(1, 2))
    attrs = {"padding": _ends(draw, axes), "value": draw(st.sampled_from(("0", "2", "-1/2")))}
    return attrs, {}, [(batch, *(draw(st.integers(1, 2)) for _ in range(axes + 1)))]


def _crop(draw: Draw, batch: int, values: tuple[str, ...]) -> Parts:
    ends = _ends(draw, draw(st.integers(1, 2)))
    size = [b + e + draw(st.integers(1, 2)) for b, e in ends]
    return {"crop": ends}, {}, [(batch, draw(st.integers(1, 2)), *size)]


def _upsample(draw: Draw, batch: int, values: tuple[str, ...]) -> Parts:
    axes = draw(st.integers(1, 2))
    return {"scale": [draw(st.integers(1, 3)) for _ in range(axes)]}, {}, [(batch, *([2] * axes), 1)]


def _embedding(draw: Draw, batch: int, values: tuple[str, ...]) -> Parts:
    reduce = draw(st.sampled_from(("sum", "keep")))
    return {"reduce": reduce}, {"weight": (values, (3, draw(st.integers(1, 3))))}, [(batch, draw(st.integers(1, 3)))]


def _activation(draw: Draw, batch: int, values: tuple[str, ...]) -> Parts:
    shape = _shape(draw, batch)
    slopes = st.lists(st.sampled_from(("1/4", "0", "-1", "2")), min_size=shape[1], max_size=shape[1])
    attrs = {
        "function": draw(st.sampled_from(("relu", "leaky-relu", "clip", "hard-sigmoid"))),
        "linearization": draw(st.sampled_from(("identity", "gradient", "ratio"))),
    }
    if attrs["function"] == "leaky-relu":
        attrs["slope"] = draw(st.one_of(st.sampled_from(("1/4", "0")), slopes))
    if attrs["function"] == "clip":
        ends = {"low": draw(st.sampled_from(("-1", "0"))), "high": draw(st.sampled_from(("1/2", "1")))}
        attrs |= {name: ends[name] for name in draw(st.sampled_from((("low",), ("high",), ("low", "high"))))}
    return attrs, {}, [shape]


def _lrn(draw: Draw, batch: int, values: tuple[str, ...]) -> Parts:
    attrs = {
        "size": draw(st.integers(1, 4)),
        "alpha": draw(st.sampled_from(("1", "3", "1/2"))),
        "beta": draw(st.sampled_from(("1", "2"))),
        "bias": draw(st.sampled_from(("1", "2"))),
        "linearization": draw(st.sampled_from(("ratio", "gradient", "taylor"))),
    }
    return attrs, {}, [_shape(draw, batch)]


def _scale(draw: Draw, batch: int, values: tuple[str, ...]) -> Parts:
    shape = _shape(draw, batch)
    names = draw(st.sampled_from((("weight",), ("bias",), ("weight", "bias"))))
    return {}, {name: (values, tuple(n if draw(st.booleans()) else 1 for n in shape[1:])) for name in names}, [shape]


def _slice(draw: Draw, batch: int, values: tuple[str, ...]) -> Parts:
    shape = _shape(draw, batch)
    axis = draw(st.integers(1, len(shape) - 1))
    begin = draw(st.integers(0, shape[axis] - 1))
    attrs = {"axis": axis, "begin": begin, "end": draw(st.integers(begin + 1, shape[axis])), "step": draw(st.integers(1, 2))}
    return attrs, {}, [shape]


_PARTS: dict[str, Callable[[Draw, int, tuple[str, ...]], Parts]] = {
    "dense": _dense,
    "conv": _conv,
    "conv-transpose": _conv_transpose,
    "avg-pool": _pool(lambda draw: {"count_include_pad": draw(st.booleans())}),
    "sum-pool": _pool(lambda draw: {}),
    "global-avg-pool": lambda draw, batch, values: ({}, {}, [_shape(draw, batch, draw(st.integers(1, 3)))]),
    "max-pool": _pool(_max_pool),
    "batch-norm": _batch_norm,
    "add": lambda draw, batch, values: ({}, {}, [_shape(draw, batch)] * draw(st.integers(2, 3))),
    "concat": _concat,
    "flatten": lambda draw, batch, values: ({}, {}, [_shape(draw, batch)]),
    "reshape": _reshape,
    "permute": _permute,
    "pad": _pad,
    "crop": _crop,
    "upsample": _upsample,
    "embedding": _embedding,
    "activation": _activation,
    "lrn": _lrn,
    "scale": _scale,
    "slice": _slice,
    "identity": lambda draw, batch, values: ({}, {}, [_shape(draw, batch)]),
    "dropout": lambda draw, batch, values: ({"rate": "1/2"}, {}, [_shape(draw, batch)]),
}
_NUMBERS: dict[str, list[dict[str, Any]]] = {
    "epsilon": [{"epsilon": "1/4"}, {"epsilon": "1/1024"}],
    "alpha-beta": [{"alpha": "2", "beta": "1"}, {"alpha": "3/2", "beta": "1/2"}, {"alpha": "1", "beta": "0"}],
    **{name: [{"gamma": "1/4"}, {"gamma": "0"}, {"gamma": "2"}] for name in ("gamma", "generalized-gamma")},
    "alpha-beta-x": [
        {"alpha0": "2", "alpha1": "1", "beta0": "1/2", "beta1": "3/2"},
        {"alpha0": "1", "alpha1": "0", "beta0": "0", "beta1": "0"},
    ],
}


@st.composite
def stabilizers(draw: Draw, kinds: tuple[str, ...] = EXACT_KINDS) -> Json:
    """A stabiliser as a golden file spells it."""
    return {
        "kind": draw(st.sampled_from(kinds)),
        "epsilon": draw(st.sampled_from(("1/4", "1", "1/1024", "0"))),
        "sign_at_zero": draw(st.sampled_from(("1", "1", "0", "-1"))),
    }


@st.composite
def rules(draw: Draw, name: str, seen: list[tuple[int, ...]], op: str = "dense", kinds: tuple[str, ...] = EXACT_KINDS) -> Json:
    """The rule `name` with every convention, for inputs of the shapes `seen`."""
    spec: Json = {"rule": name, **draw(st.sampled_from(_NUMBERS.get(name, [{}])))}
    for field in lrp.RULES[name].__dataclass_fields__:
        if field in CONVENTIONS:
            spec[field] = draw(st.sampled_from(CONVENTIONS[field][0]))
    if spec.get("split", "joint") != "joint":
        spec["empty_half"] = "keep"
    if spec.get("parameterization") == "sum":
        spec |= {"alpha": "1/4", "beta": "3/4"}
    if name == "shares":
        spec["shares"] = [draw(st.sampled_from(("1/2", "1/4", "1", "0"))) for _ in seen]
    if name == "z-box":
        spec["low"], spec["high"] = (draw(boxes(seen, op, sign)) for sign in ("-", ""))
    spec["bias"] = draw(st.sampled_from(lrp.RULES[name].bias))
    spec["stabilizer"] = draw(stabilizers(kinds))
    if name == "epsilon" and draw(st.booleans()):
        spec["stabilizer"] = {"kind": "signed_add", "epsilon": spec["epsilon"], "sign_at_zero": "1"}
    return spec


def boxes(seen: list[tuple[int, ...]], op: str, sign: str) -> st.SearchStrategy[Any]:
    """A bound beyond every input: a number, one per channel, a tensor of x's shape, or the sample's own extreme."""
    values = (f"{sign}7", f"{sign}8")
    choices: list[st.SearchStrategy[Any]] = [st.sampled_from(values), st.just("min" if sign else "max")]
    if len(seen) == 1:
        choices.append(tensors(values, seen[0]))
        if op != "embedding":
            choices.append(st.lists(st.sampled_from(values), min_size=seen[0][1], max_size=seen[0][1]))
    return st.one_of(choices)


@st.composite
def placed(draw: Draw, op: str, values: tuple[str, ...] = RATIONAL) -> tuple[Question, list[tuple[int, ...]]]:
    """A layer of `op` with inputs and arriving relevance (and no rule yet), and the shapes that relevance sees."""
    node, inputs = draw(nodes(op, values))
    blank = Question(node, {}, {**inputs, "relevance": {"shape": [1], "data": ["0"]}})
    layer, x, _ = blank.arrays(lambda data: exact_array(data, Fraction))
    affine = layer.affine(*(x if isinstance(x, tuple) else (x,)))
    relevance = draw(tensors(values, affine.y.shape))
    return blank.replace(inputs={**inputs, "relevance": relevance}), [tuple(a.shape) for a in affine.inputs]


@st.composite
def questions(
    draw: Draw, rule: str, op: str, values: tuple[str, ...] = RATIONAL, kinds: tuple[str, ...] = EXACT_KINDS
) -> Question:
    """The rule `rule` on a layer of `op`."""
    question, seen = draw(placed(op, values))
    return question.replace(rule=draw(rules(rule, seen, op, kinds)))
