"""Questions of our own, small and built to tell conventions apart, for candidates that declare whatever they like.

Per rule, layer, bias mode and kind of stabiliser that a candidate declares: a *ladder* of denominators from 2^-40 to 1 and
of both signs, which shows the stabiliser; *structure*, which shows bias, split and branches; and per layer what its own
conventions are about: padding, ties, sums, statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

from lrp_conform.candidates.adapter import Candidate
from lrp_conform.cases import model
from lrp_conform.cases.layer import Case
from lrp_conform.cases.numbers import parse
from lrp_conform.cases.question import Question
from lrp_conform.diagnosis.question_as_case import case_of
from lrp_conform.judging.result import CaseResult
from lrp_conform.making.recipes.common import Draw, integers, node, spec, stab
from lrp_conform.running import ask
from lrp_ref.arrays import LRPError
from lrp_ref.rules import RULES

Spec = dict[str, Any]
Numbers = list[list[Any]]
COARSE, FINE = "1/64", str(Fraction(1e-6))
RUNGS = (0, 20, 40)
TINY = Fraction(1, 2**20)
QUADRANTS = ("alpha0", "alpha1", "beta0", "beta1")
RULE_SPECS: dict[str, Spec] = {
    "zero": {}, "epsilon": {}, "norm": {}, "z-plus": {}, "z-plus-fast": {}, "w-square": {}, "flat": {}, "abs-z": {},
    "alpha-beta": {"alpha": "2", "beta": "1"}, "alpha1-beta0": {"alpha": "1", "beta": "0"}, "gamma": {"gamma": "1/4"},
    "generalized-gamma": {"gamma": "1/4"}, "z-box": {"low": "-4", "high": "4"},
    **{f"alpha-beta-x/{k}": {**dict.fromkeys(QUADRANTS, "0"), k: "1"} for k in QUADRANTS},
}  # fmt: skip
ROW = [1, 1, -1, -1]  # the weights of a ladder
STEP = [3, -2, -1, 1]  # its inputs: contributions 3, -2, 1, -1 of every kind, sum 1
ZEROS = {  # inputs under which the denominator of a rule is 0 though its contributions are not
    **{key: [[1, -1, 0, 0], [-2, 2, 0, 0]] for key in ("zero", "epsilon", "norm", "generalized-gamma")},
    "z-plus-fast": [[1, -1, 2, 1], [-2, 2, 1, 1]],
    "gamma": [[5, -1, 3, 2], [-5, 1, -3, -2]],
}


def probe(
    candidate: Candidate, device: str | None = None, progress: Callable[[int], None] = lambda n: None
) -> tuple[list[CaseResult], dict[str, Case]]:
    """Every question that the candidate's features admit, asked at its finest format, and the answers judged.

    Where float32 is not the finest, what shows lower precision is asked at float32 too.
    """
    device = device or ("cpu" if "cpu" in candidate.devices else candidate.devices[0])
    finest = max(candidate.dtypes, key=("bfloat16", "float16", "float32", "float64").index)
    cases = {case.id: case for case in questions(candidate)}
    todo = [(case, finest) for case in cases.values()]
    if finest != "float32" and "float32" in candidate.dtypes:
        todo += [(case, "float32") for case in cases.values() if case.id.endswith((".exact", ".structure", ".awkward"))]
    results = []
    for case, dtype in todo:
        results.append(result_of(candidate, case, dtype, device))
        progress(1)
    return results, cases


def result_of(candidate: Candidate, case: Case, dtype: str, device: str = "cpu") -> CaseResult:
    """The result of one question, before any name is looked for."""
    judgement, output = ask.judged(candidate, case, dtype, device)
    identity = (case.id, case.uid, case.feature, candidate.name, candidate.version, dtype, device)
    return CaseResult(*identity, tuple(sorted(case.features)), judgement, 0.0, output=output)


def questions(candidate: Candidate) -> Iterator[Case]:
    """The questions that need nothing beyond what a candidate declares."""
    has = {
        kind: [f.partition(".")[2] for f in sorted(candidate.features) if f.startswith(kind + ".")]
        for kind in ("stabilizer", "bias", "spatial")
    }
    makers: list[Callable[[dict[str, list[str]]], Iterable[tuple[str, Question]]]] = [_weighted, _padded, _sums, _pools, _norms]
    for make in makers:
        for slug, question in make(has):
            features = model.features([question.node], {"layer": question.rule}, question.inputs)
            if candidate.features.issuperset(features):
                try:
                    yield case_of(question, f"probe.{slug}")
                except (LRPError, ZeroDivisionError):
                    continue


# Rules ------------------------------------------------------------------------------------------------------------------


def _weighted(has: dict[str, list[str]]) -> Iterator[tuple[str, Question]]:
    """Ladders and structure of every rule, on a dense layer and on a convolution of one tap."""
    axes = [f"conv{n}" for n in has["spatial"][:1]]
    for op in ("dense", *axes):
        draw = Draw("probe/3")  # well-conditioned under every rule
        drawn = [parse(v) for v in draw.significant(4, 4, bits=24, scale=1)["data"]]
        awkward = [drawn[k : k + 4] for k in (0, 4, 8, 12)]
        for key, numbers in RULE_SPECS.items():
            name = "alpha-beta" if key == "alpha1-beta0" else key.partition("/")[0]
            for bias in (b for b in RULES[name].bias if b in has["bias"]):
                for kind, epsilon in _stabilizers(has["stabilizer"]):
                    given = {**numbers, **({"epsilon": epsilon} if name == "epsilon" else {})}
                    if name == "epsilon" and kind == "none":
                        continue
                    rule = spec(name, stabilizer=stab(kind, epsilon), bias=bias, **given)
                    slug = f"{key.replace('/', '-')}.{op}.{bias}.{kind.replace('_', '-')}" + (
                        "-fine" if epsilon == FINE else ""
                    )
                    for what, row in _rows(key):
                        yield f"{slug}.{what}", _layer(op, *row, rule)
                    if epsilon != FINE:
                        whole = spec(
                            name,
                            stabilizer=stab(kind, 0 if kind == "none" else 1),
                            bias=bias,
                            **{**given, **({"epsilon": "1"} if name == "epsilon" else {})},
                        )
                        x = 4 if kind == "none" else EXACT.get(name, 3)
                        yield f"{slug}.exact", _layer(op, [[1]], [0], [[x]], [[16]], whole)
                        yield f"{slug}.v0", _layer(op, [[1, -1]], [-1], [[1, 1]], [[-1]], rule)
                        yield f"{slug}.structure", _layer(op, WEIGHT, BIAS, *DATA, rule)
                        yield f"{slug}.awkward", _layer(op, awkward[:2], BIAS, awkward[1:3], [r[:2] for r in awkward[2:]], rule)


def _stabilizers(kinds: list[str]) -> Iterator[tuple[str, str]]:
    for kind in kinds:
        if kind == "none":
            yield kind, "0"
        else:
            yield from ((kind, COARSE), (kind, FINE))


EXACT = {"gamma": 12, "generalized-gamma": 12}  # inputs whose denominators are powers of two, where 3 does not do
WEIGHT = [[2, -3, 1, -1], [-2, 1, 3, -1]]
BIAS = [-3, 2]
DATA: tuple[Numbers, Numbers] = (
    [[1, -1, -2, 1], [2, 1, -3, -1], [-1, 1, 2, 2], [3, 2, -1, -2]],
    [[5, 0], [0, -7], [4, 0], [0, -2]],
)  # relevance at one output of each sample, so that its denominator can be read off


def _rows(key: str) -> Iterator[tuple[str, tuple[Numbers, list[Any], Numbers, Numbers]]]:
    """(weight, bias, x, relevance) of a ladder: samples whose denominators differ by powers of two."""
    rule = key.partition("/")[0]
    if rule in ("w-square", "flat"):  # x does not enter: one tiny weight, one usual one
        for what, w in (("usual", Fraction(1)), ("tiny", Fraction(1, 2**20))):
            yield f"ladder-{what}", ([[w * v for v in ROW]], [0], [STEP], [[5]])
            if rule == "flat":
                return
        return
    if rule == "z-box":
        near = [[-4 + Fraction(1, 2**k), -4, 4, 4] for k in (0, 20, 30)]
        yield "ladder", ([ROW], [0], near, [[5], [-3], [7]])
        return
    rungs = [[Fraction(sign * v, 2**k) for v in STEP] for k in RUNGS for sign in (1, -1)]
    yield "ladder", ([ROW], [0], rungs, [[r] for r in (5, -3, 7, 5, -3, 7)])
    if rule == "alpha-beta":
        yield "empty-half", ([[1, 1, 2, 1]], [0], [[1, 2, 1, 3], [-1, -2, -1, -1]], [[5], [-3]])
    if rule in ZEROS:
        yield "zero", ([ROW], [0], ZEROS[rule], [[5], [-3]])


def _layer(op: str, weight: Numbers, bias: list[Any], x: Numbers, relevance: Numbers, rule: Spec) -> Question:
    """The same numbers for a dense layer, or for a convolution of one tap with a channel for every number."""
    tail = [1] * (0 if op == "dense" else int(op[-1]))
    usual: Spec = {"stride": tail, "padding": [[0, 0]] * len(tail), "dilation": tail, "groups": 1}
    params = {"weight": _tensor(weight, tail), "bias": integers([len(bias)], bias)}
    made = node("dense", params) if op == "dense" else node("conv", params, **usual)
    return Question(made, rule, {"x": _tensor(x, tail), "relevance": _tensor(relevance, tail)})


def _tensor(rows: Numbers, tail: list[int]) -> Spec:
    return integers([len(rows), len(rows[0]), *tail], [v for row in rows for v in row])


# Layers -----------------------------------------------------------------------------------------------------------------


def _padded(has: dict[str, list[str]]) -> Iterator[tuple[str, Question]]:
    """A padded convolution under the rules that may count taps on padding."""
    for axes in has["spatial"][:1]:
        tail = [1] * (int(axes) - 1)
        params = {"weight": integers([1, 1, 3, *tail], [2, -1, 3]), "bias": integers([1], [1])}
        pads = [[1, 1], *([0, 0] for _ in tail)]
        made = node("conv", params, stride=[1, *tail], padding=pads, dilation=[1, *tail], groups=1)
        x, relevance = [1, -2, 3, 2] * 3, [6, 0, 0, 0, 0, -5, 0, 0, 0, 0, 0, 3]
        data = {"x": integers([3, 1, 4, *tail], x), "relevance": integers([3, 1, 4, *tail], relevance)}
        for name, bias, kind, epsilon in _asked(("flat", "w-square", "z-box"), has):
            rule = spec(name, bias=bias, stabilizer=stab(kind, epsilon), **RULE_SPECS[name])
            yield f"{name}.padded.{bias}.{kind.replace('_', '-')}", Question(made, rule, data)


def _asked(names: Iterable[str], has: dict[str, list[str]]) -> Iterator[tuple[str, str, str, str]]:
    """Every rule with its bias modes and every kind of stabiliser, at the coarse epsilon."""
    for name in names:
        for bias in (b for b in RULES[name].bias if b in has["bias"]):
            for kind in has["stabilizer"]:
                if (name, kind) != ("epsilon", "none"):
                    yield name, bias, kind, "0" if kind == "none" else COARSE


def _sums(has: dict[str, list[str]]) -> Iterator[tuple[str, Question]]:
    """A residual sum, averages and sums over windows."""
    for name, bias, kind, epsilon in _asked(("zero", "epsilon", "norm", "flat"), has):
        rule = spec(name, bias=bias, stabilizer=stab(kind, epsilon), **({"epsilon": epsilon} if name == "epsilon" else {}))
        tag = f"{name}.{{}}.{bias}.{kind.replace('_', '-')}"
        summands = {"x0": integers([2, 3], [3, 1, TINY + 1, -5, 2, 1]), "x1": integers([2, 3], [-1, 3, -1, 1, 6, -TINY - 1])}
        residual = Question(
            node("add", inputs=("x0", "x1")), rule, {**summands, "relevance": integers([2, 3], [4, -3, 7, 8, 5, 6])}
        )
        yield tag.format("add"), residual
        for axes in has["spatial"][:1]:
            n = int(axes)
            window: Spec = {
                "kernel": [2] + [1] * (n - 1),
                "stride": [2] + [1] * (n - 1),
                "padding": [[0, 0]] * n,
                "dilation": [1] * n,
            }
            x = integers([1, 1, 4, *[1] * (n - 1)], [3, -1, -6, 2])
            pools: dict[str, tuple[Spec, list[int]]] = {
                "avg-pool": ({**window, "count_include_pad": True}, [4, -3]),
                "sum-pool": (window, [4, -3]),
                "global-avg-pool": ({}, [7]),
            }
            for op, (attrs, arriving) in pools.items():
                relevance = integers([1, 1, len(arriving), *[1] * (n - 1)], arriving)
                yield tag.format(op), Question(node(op, **attrs), rule, {"x": x, "relevance": relevance})


def _pools(has: dict[str, list[str]]) -> Iterator[tuple[str, Question]]:
    """Max pooling with ties; an activation where its gradient, its ratio and 1 differ."""
    passing = spec("pass", stabilizer=stab("none"))
    for axes in has["spatial"][:1]:
        ones = [1] * (int(axes) - 1)
        attrs: Spec = {"kernel": [3, *ones], "stride": [3, *ones], "padding": [[0, 0]] * int(axes), "dilation": [1, *ones]}
        data = {"x": integers([1, 1, 6, *ones], [2, 5, 5, 1, 4, 2]), "relevance": integers([1, 1, 2, *ones], [6, 9])}
        yield "max-pool", Question(node("max-pool", ties="first", linearization="winner", **attrs), passing, data)
    functions: dict[str, Spec] = {"leaky-relu": {"slope": "1/4"}, "relu": {}}
    for function, more in functions.items():
        data = {"x": integers([1, 3], [2, -4, 1]), "relevance": integers([1, 3], [3, 5, -2])}
        yield (
            f"activation.{function}",
            Question(node("activation", function=function, linearization="identity", **more), passing, data),
        )


def _norms(has: dict[str, list[str]]) -> Iterator[tuple[str, Question]]:
    """Batch norm with every statistic away from its default, and a root that is rational with epsilon."""
    params = {
        "gamma": integers([2], [2, -3]), "beta": integers([2], [3, 1]), "mean": integers([2], [1, -2]),
        "variance": integers([2], ["7/2", "17/2"]),
    }  # fmt: skip
    data = {"x": integers([3, 2], [3, 1, -4, 5, 1, 3]), "relevance": integers([3, 2], [4, -3, 8, 5, 6, -2])}
    made = node("batch-norm", params, epsilon="1/2", linearization="affine")
    for name, bias, kind, epsilon in _asked(("zero", "epsilon", "pass"), has):
        rule = spec(name, bias=bias, stabilizer=stab(kind, epsilon), **({"epsilon": epsilon} if name == "epsilon" else {}))
        yield f"{name}.batch-norm.{bias}.{kind.replace('_', '-')}", Question(made, rule, data)
