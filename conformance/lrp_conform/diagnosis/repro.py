"""A deviation as a few lines of Python for the candidate's own library, to be pasted into a bug report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lrp_conform.cases.golden import AnyCase
from lrp_conform.cases.layer import Case
from lrp_conform.diagnosis import calls
from lrp_conform.judging.result import CaseResult

Asked = Mapping[str, Any]
DTYPES = {"float64": "torch.float64", "float32": "torch.float32", "float16": "torch.float16"}


def repro(case: AnyCase, result: CaseResult) -> str:
    """Lines of Python that show what came and, as a comment, what was expected.

    By the candidate's own API for zennit, captum, lxt and iNNvestigate where the layer is one of theirs; else the call of the
    adapter that was judged, with the case spelled out. The snippet prints the relevance of every input.
    """
    asked = case.adapter_case(result.dtype, result.device)
    native = _NATIVE.get(result.candidate)
    of_a_layer = isinstance(case, Case) and not case.is_pattern
    lines = native(asked) if native is not None and of_a_layer else None
    return "\n".join([_title(case, result), *(lines or _generic(asked, result)), *_told(case, result)]) + "\n"


def _title(case: AnyCase, result: CaseResult) -> str:
    name = result.judgement.dialect or result.judgement.hint or result.verdict
    return _comment(f"{result.candidate} {result.version}: {case.feature}, {result.dtype} ({name})")


def _comment(text: str) -> str:
    """One line of comment, whatever the text holds: it comes from the candidate, and people paste it."""
    return "# " + "".join(c if c.isprintable() else " " for c in text)


def _told(case: AnyCase, result: CaseResult) -> list[str]:
    """What came and what the reference expects, as comments."""
    detail = result.judgement.detail
    got = [] if result.output is None else [f"# got      {_row(result.output.get('relevance', result.output.get('pattern')))}"]
    if result.output is None and "why" in detail:
        got = [_comment(f"got      {detail['why']}")]
    exact = ", ".join(" ".join(str(v) for v in case.expected[name].reshape(-1)) for name in case.answers)
    return [*got, f"# expected {exact}"]


def _row(given: Any) -> str:
    """The numbers of an answer; of what is no array of floats, what it is."""
    parts = given if isinstance(given, list | tuple) else [given]
    if not all(isinstance(part, np.ndarray) and part.dtype.kind == "f" for part in parts):
        return " and ".join(sorted({getattr(getattr(part, "dtype", None), "name", type(part).__name__) for part in parts}))
    return ", ".join(" ".join(repr(float(v)) for v in part.reshape(-1)) for part in parts)


# torch ------------------------------------------------------------------------------------------------------------------


def _tensor(array: Any, more: str = "") -> str:
    return f"torch.tensor({_list(array)}, dtype={DTYPES[str(array.dtype)]}{', ' + more if more else ''})"


def _list(array: Any) -> str:
    """Nested lists, whole numbers as 1. and not 1.0."""
    text = str(np.asarray(array, dtype=np.float64).tolist())
    return text.replace(".0,", ".,").replace(".0]", ".]")


def _module(node: Mapping[str, Any], dtype: str) -> list[str] | None:
    """The lines that make `layer`, a torch module with its parameters; None where it takes more than a few."""
    op, attrs, params = node["op"], node["attrs"], node["params"]
    if op == "dense":
        out, into = params["weight"].shape
        made = f"torch.nn.Linear({into}, {out}, bias={'bias' in params}, dtype={DTYPES[dtype]})"
        return [f"layer = {made}", *_filled(params)]
    axes = len(attrs.get("stride", ()))
    if op in ("conv", "conv-transpose") and all(begin == end for begin, end in attrs["padding"]):
        w, swap = params["weight"], op == "conv-transpose"
        channels = (w.shape[0], w.shape[1] * attrs["groups"]) if swap else (w.shape[1] * attrs["groups"], w.shape[0])
        sizes = {"stride": attrs["stride"], "padding": [b for b, _ in attrs["padding"]], "dilation": attrs["dilation"]}
        geometry = ", ".join(f"{name}={tuple(values)}" for name, values in sizes.items())
        kind = f"Conv{'Transpose' if swap else ''}{axes}d"
        if swap and any(attrs.get("output_padding", ())):
            geometry += f", output_padding={tuple(attrs['output_padding'])}"
        made = f"torch.nn.{kind}{channels[0], channels[1], tuple(w.shape[2:])}"[:-1]
        return [
            f"layer = {made}, {geometry}, groups={attrs['groups']}, bias={'bias' in params}, dtype={DTYPES[dtype]})",
            *_filled(params),
        ]
    if op == "batch-norm" and attrs.get("linearization") == "affine":
        names = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "variance": "running_var"}
        made = f"torch.nn.BatchNorm1d({len(params['gamma'])}, eps={attrs['epsilon']!r}, dtype={DTYPES[dtype]}).eval()"
        return [f"layer = {made}", *_filled({names[n]: a for n, a in params.items()})]
    if op in ("avg-pool", "max-pool") and all(begin == end for begin, end in attrs["padding"]):
        more = (
            f", count_include_pad={attrs['count_include_pad']}"
            if op == "avg-pool"
            else f", dilation={tuple(attrs['dilation'])}"
        )
        kind = f"{'Avg' if op == 'avg-pool' else 'Max'}Pool{axes}d"
        padding = tuple(b for b, _ in attrs["padding"])
        return [f"layer = torch.nn.{kind}({tuple(attrs['kernel'])}, {tuple(attrs['stride'])}, {padding}{more})"]
    return None


def _filled(params: Mapping[str, Any]) -> list[str]:
    return ["; ".join(f"layer.{name}.data[:] = {_tensor(array)}" for name, array in params.items())]


def _zennit(asked: Asked) -> list[str] | None:
    (node,), rule = asked["nodes"], asked["rules"][asked["nodes"][0]["name"]]
    several = isinstance(asked["x"], list)
    made = ["layer = zennit.layer.Sum(dim=-1)"] if node["op"] == "add" else _module(node, asked["dtype"])
    called = calls.zennit(node, rule)
    if made is None or called is None:
        return None
    if several:
        made = [*made, *(f"{n} = {_tensor(a, 'requires_grad=True')}" for n, a in zip(node["inputs"], asked["x"], strict=True))]
        inputs = f"[{', '.join(node['inputs'])}]"
        y = f"layer(torch.stack({inputs}, dim=-1))"
    else:
        made, inputs, y = [*made, f"x = {_tensor(asked['x'], 'requires_grad=True')}"], "x", "layer(x)"
    return [
        "import torch, zennit.core, zennit.layer, zennit.rules",
        *made,
        *([] if called == "" else [f"hook = {called}.register(layer)"]),
        f"print(torch.autograd.grad({y}, {inputs}, {_tensor(asked['relevance'])}))",
    ]


def _captum(asked: Asked) -> list[str] | None:
    (node,), rule = asked["nodes"], asked["rules"][asked["nodes"][0]["name"]]
    made, called = _module(node, asked["dtype"]), calls.captum(node, rule)
    if made is None or called is None or isinstance(asked["x"], list):
        return None
    head = [
        "import torch; from captum.attr import LRP; from captum.attr._utils import lrp_rules",
        *made,
        f"x, R = {_tensor(asked['x'], 'requires_grad=True')}, {_tensor(asked['relevance'])}",
    ]
    lit = np.argwhere(asked["relevance"] != 0)
    if len(lit) == 1 and len(asked["x"]) == 1:
        at = [int(i) for i in lit[0]]
        target = at[1] if len(at) == 2 else tuple(at[1:])
        explained = f"LRP(torch.nn.Sequential(layer).eval()).attribute(x, target={target})"
        return [*head, *called, f"print({explained} * (R / layer(x)){at})  # captum multiplies by the output"]
    return [
        *head,
        "model, y, total = torch.nn.Sequential(layer).eval(), layer(x), 0",
        "for at in R.nonzero().tolist():  # captum multiplies by the output, and forgets its rules after every call",
        *(f"    {line}" for line in called),
        "    target = at[1] if len(at) == 2 else tuple(at[1:])",
        "    here = torch.arange(len(x)).reshape(-1, *[1] * (x.ndim - 1)) == at[0]",
        "    total = total + here * (R / y)[tuple(at)] * LRP(model).attribute(x, target=target)",
        "print(total)",
    ]


def _lxt(asked: Asked) -> list[str] | None:
    (node,), rule = asked["nodes"], asked["rules"][asked["nodes"][0]["name"]]
    made = _module(node, asked["dtype"])
    if made is None or isinstance(asked["x"], list) or rule["rule"] not in ("zero", "epsilon", "norm"):
        return None
    epsilon = 0.0 if rule["stabilizer"]["kind"] == "none" else rule["stabilizer"]["epsilon"]
    y = (
        f"F.linear_epsilon(x, layer.weight, layer.bias, {epsilon!r})"
        if node["op"] == "dense"
        else f"EpsilonRule(layer, {epsilon!r})(x)"
    )
    return [
        "import torch; from lxt.explicit import functional as F; from lxt.explicit.rules import EpsilonRule",
        *made,
        f"x = {_tensor(asked['x'], 'requires_grad=True')}",
        f"print(torch.autograd.grad({y}, x, {_tensor(asked['relevance'])}))",
    ]


def _innvestigate(asked: Asked) -> list[str] | None:
    """One output of a dense layer, whose value iNNvestigate starts from: times R / y."""
    (node,), rule = asked["nodes"], asked["rules"][asked["nodes"][0]["name"]]
    lit = np.argwhere(asked["relevance"] != 0)
    names = {
        "w-square": "lrp.w_square",
        "flat": "lrp.flat",
        "zero": "lrp.z",
        "epsilon": "lrp.epsilon",
        "alpha-beta": "lrp.alpha_beta",
    }
    if node["op"] != "dense" or rule["rule"] not in names or len(asked["x"]) != 1 or len(lit) != 1 or rule["bias"] == "ignore":
        return None
    more = {"epsilon": ("epsilon",), "alpha-beta": ("alpha", "beta")}.get(rule["rule"], ())
    options = "".join(f", {name}={rule[name]!r}" for name in more)
    w, b = node["params"]["weight"], node["params"].get("bias", np.zeros(len(node["params"]["weight"])))
    at = int(lit[0][1])
    return [
        "import numpy as np, tensorflow as tf, innvestigate; tf.compat.v1.disable_eager_execution()",
        f"tf.keras.backend.set_floatx({asked['dtype']!r})",
        f"layer = tf.keras.layers.Dense({len(w)}, input_shape=({w.shape[1]},))",
        f"model = tf.keras.Sequential([layer]); layer.set_weights([np.array({_list(w.T)}), np.array({_list(b)})])",
        f"x, R = np.array({_list(asked['x'])}), {float(asked['relevance'][0, at])!r}",
        f"analyzer = innvestigate.create_analyzer({names[rule['rule']]!r}, model, neuron_selection_mode='index'{options})",
        f"print(analyzer.analyze(x, neuron_selection={at}) * R / model.predict(x)[0, {at}])",
    ]


_NATIVE: dict[str, Callable[[Asked], list[str] | None]] = {
    "zennit": _zennit, "captum": _captum, "lxt": _lxt, "innvestigate": _innvestigate,
}  # fmt: skip


# Any other --------------------------------------------------------------------------------------------------------------


def _generic(asked: Asked, result: CaseResult) -> list[str]:
    """The adapter's own function, asked the case."""
    nodes, how = asked["nodes"], f"'dtype': {result.dtype!r}, 'device': {result.device!r}"
    one = len(nodes) == 1
    return [
        f"import numpy as np; from adapter import run  {_comment(f'the adapter of {result.candidate}')}",
        *([f"node = {_literal(nodes[0])}"] if one else ["nodes = []", *(f"nodes += [{_literal(node)}]" for node in nodes)]),
        f"case = {{'nodes': {'[node]' if one else 'nodes'}, 'rules': {_literal(asked['rules'])}, {how}}}",
        f"case |= {_literal({k: asked[k] for k in ('composite', 'x', 'relevance') if k in asked})}",
        "print(run(case))",
    ]


def _literal(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"np.array({_list(value) if value.dtype.kind == 'f' else value.tolist()}, dtype={str(value.dtype)!r})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k!r}: {_literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return repr(value)
