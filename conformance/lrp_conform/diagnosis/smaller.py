"""Smaller questions: one sample, output, input, position or tap less, or plainer numbers, with everything else refitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import gcd
from typing import Any

import numpy as np

from lrp_conform.cases.model import operator
from lrp_conform.cases.numbers import exact_array, parse, rational, tensor
from lrp_conform.cases.question import Question
from lrp_conform.making.recipes.common import outputs

Json = dict[str, Any]
Tensors = dict[tuple[str, str], np.ndarray]  # by ("params" | "inputs" | "rule", name)
GEOMETRY = {"stride": 1, "dilation": 1, "padding": [0, 0], "output_padding": 0}
NORMAL = {"gamma": "1", "beta": "0", "mean": "0", "variance": "1"}


def tensors(question: Question) -> Tensors:
    """Every tensor of a question, exact."""
    found = {("params", name): t for name, t in question.node["params"].items()}
    found |= {("inputs", name): t for name, t in question.inputs.items()}
    found |= {("rule", name): t for name, t in question.rule.items() if isinstance(t, dict) and "data" in t}
    return {key: exact_array(t) for key, t in found.items()}


def size(question: Question) -> tuple[int, Fraction]:
    """What shrinking makes smaller: the number of numbers, then how plain they are, and geometry."""
    arrays = tensors(question)
    plainness = sum((_cost(rational(v)) for a in arrays.values() for v in a.reshape(-1)), Fraction(0))
    attrs = question.node["attrs"]
    odd = sum(v != GEOMETRY[name] for name in GEOMETRY for v in attrs.get(name, [])) + attrs.get("groups", 1) - 1
    return sum(a.size for a in arrays.values()) + len(question.node["inputs"]), plainness + odd


def _cost(v: Fraction) -> Fraction:
    """0, 1, -1, 2, -2, ... in this order, and fractions after every integer that could stand for them."""
    whole = Fraction(abs(v.numerator)) * 2 + (v < 0)
    return whole if v.denominator == 1 else 1000 + whole + v.denominator


# Fewer numbers ----------------------------------------------------------------------------------------------------------


def fewer(question: Question) -> Iterator[Question]:
    """Questions with one index less along some axis, the last index first."""
    for along in (*_axes(question), *_windows(question)):
        yield from along
    yield from _one_group(question)
    names = question.node["inputs"]
    if question.node["op"] == "add" and len(names) > 2:
        inputs = {n: t for n, t in question.inputs.items() if n != names[-1]}
        yield question.replace(node={**question.node, "inputs": names[:-1]}, inputs=inputs)


def _axes(question: Question) -> Iterator[Iterator[Question]]:
    """Samples, outputs, inputs and channels: axes that several tensors share."""
    row, arrays = operator(question.node), tensors(question)
    ins = [("inputs", n) for n in question.node["inputs"]] + [("rule", n) for n in ("low", "high") if ("rule", n) in arrays]
    out, weight, bias = ("inputs", "relevance"), ("params", "weight"), ("params", "bias")
    all_of = [*ins, out]
    yield _without(question, arrays, dict.fromkeys(all_of, 0))
    grouped = question.node["attrs"].get("groups", 1) > 1
    if row.weighted and not grouped:
        axes = next(p for p in row.params if p.name == "weight")
        yield _without(question, arrays, {weight: axes.axis("out") or 0, bias: 0, out: 1})
        yield _without(question, arrays, {weight: axes.axis("in") or 0, **dict.fromkeys(ins, 1)}, channel=True)
    elif row.channelwise:
        params = {key: 0 for key in arrays if key[0] == "params"}
        yield _without(question, arrays, {**params, **dict.fromkeys(all_of, 1)}, channel=True)
    elif row.elementwise:
        for axis in range(1, arrays[out].ndim):
            yield _without(question, arrays, dict.fromkeys(all_of, axis))


def _without(
    question: Question, arrays: Tensors, axes: dict[tuple[str, str], int], channel: bool = False
) -> Iterator[Question]:
    """One index less along an axis that tensors share, wherever they have it."""
    here = {key: axis for key, axis in axes.items() if key in arrays}
    length = max(arrays[key].shape[axis] for key, axis in here.items())
    for k in reversed(range(length if length > 1 else 0)):
        cut = {key: np.delete(arrays[key], k, axis) for key, axis in here.items() if arrays[key].shape[axis] == length}
        smaller = _with(question, cut)
        bounds = {n: v[:k] + v[k + 1 :] for n, v in smaller.rule.items() if n in ("low", "high") and isinstance(v, list)}
        yield smaller.with_rule(**bounds) if channel and bounds else smaller


def _windows(question: Question) -> Iterator[Iterator[Question]]:
    """Positions of the image and taps of the kernel."""
    arrays, attrs = tensors(question), question.node["attrs"]
    if not operator(question.node).spatial:
        return
    x = ("inputs", question.node["inputs"][0])
    bounds = [key for key in (("rule", "low"), ("rule", "high")) if key in arrays]
    for axis in range(2, arrays[x].ndim):
        yield _fitted(_without(question, arrays, dict.fromkeys((x, *bounds), axis)))
        if ("params", "weight") in arrays:
            weight, dilation = ("params", "weight"), attrs.get("dilation", [1] * axis)[axis - 2]
            taps, places = arrays[weight].shape[axis], arrays[x].shape[axis]
            yield _fitted(_without(question, arrays, {weight: axis}))
            if taps > 1 and places > dilation:  # a tap and the positions it alone needs, from either end
                for first, rest in ((0, slice(dilation, None)), (taps - 1, slice(places - dilation))):
                    cut = {key: np.moveaxis(np.moveaxis(arrays[key], axis, 0)[rest], 0, axis) for key in (x, *bounds)}
                    yield _fitted(iter([_with(question, {**cut, weight: np.delete(arrays[weight], first, axis)})]))
        elif "kernel" in attrs and attrs["kernel"][axis - 2] > 1:
            yield _fitted(iter([_attr(question, "kernel", axis - 2, attrs["kernel"][axis - 2] - 1)]))


def _one_group(question: Question) -> Iterator[Question]:
    """The first group of a grouped convolution alone."""
    groups = question.node["attrs"].get("groups", 1)
    if groups > 1 and question.node["op"] == "conv":
        arrays = tensors(question)
        keys = {("params", "weight"): 0, ("params", "bias"): 0, ("inputs", "relevance"): 1, ("inputs", "x"): 1}
        cut = {k: np.take(arrays[k], range(arrays[k].shape[a] // groups), a) for k, a in keys.items() if k in arrays}
        yield _with(question, cut).with_attrs(groups=1)


def _attr(question: Question, name: str, at: int, value: Any) -> Question:
    old = question.node["attrs"][name]
    return question.with_attrs(**{name: [*old[:at], value, *old[at + 1 :]]})


def _with(question: Question, arrays: Tensors) -> Question:
    """The question with some of its tensors replaced."""
    new: dict[str, Json] = {"params": {}, "inputs": {}, "rule": {}}
    for (kind, name), array in arrays.items():
        new[kind][name] = tensor(array)
    node = {**question.node, "params": {**question.node["params"], **new["params"]}}
    return question.replace(node=node, inputs={**question.inputs, **new["inputs"]}, rule={**question.rule, **new["rule"]})


def _fitted(questions: Iterator[Question]) -> Iterator[Question]:
    """Relevance cut to the output that is left, 0 where there was none, 1 where nothing is left."""
    for question in questions:
        try:
            shape = outputs(question.node, {n: t for n, t in question.inputs.items() if n != "relevance"}).shape
        except (ValueError, ZeroDivisionError):
            continue
        relevance = exact_array(question.inputs["relevance"])
        if 0 in shape:
            continue
        fitted = np.full(shape, _exact(relevance, Fraction(0)), dtype=object)
        common = tuple(slice(min(new, old)) for new, old in zip(shape, relevance.shape, strict=True))
        fitted[common] = relevance[common]
        if not fitted.any():
            fitted[...] = _exact(relevance, Fraction(1))
        yield _with(question, {("inputs", "relevance"): fitted})


# Plainer numbers --------------------------------------------------------------------------------------------------------


def plainer(question: Question) -> Iterator[Question]:
    """Questions with plainer numbers: a whole tensor at once, then one number at a time, then the geometry."""
    arrays = tensors(question)
    for (kind, name), array in arrays.items():
        usual = [NORMAL.get(name, "0"), "1"] if kind == "params" else ["1"]
        for text in usual:
            value = array.reshape(-1)[0] * 0 + _exact(array, parse(text))
            yield _with(question, {(kind, name): np.full(array.shape, value, dtype=object)})
        yield _with(question, {(kind, name): _mapped(array, _whole)})
    given = {key: a for key, a in arrays.items() if key[0] == "inputs" and key[1] != "relevance"}
    common = gcd(*(int(rational(v)) for a in given.values() for v in a.reshape(-1)))
    if common > 1:
        yield _with(question, {key: _mapped(a, lambda v: v / common) for key, a in given.items()})
    for (kind, name), array in arrays.items():
        for at in range(array.size):
            value = rational(array.reshape(-1)[at])
            for plain in _plain(value):
                changed = array.copy()
                changed.reshape(-1)[at] = _exact(array, plain)
                yield _with(question, {(kind, name): changed})
    for name, usual_value in GEOMETRY.items():
        for at, value in enumerate(question.node["attrs"].get(name, [])):
            if value != usual_value:
                yield from _fitted(iter([_attr(question, name, at, usual_value)]))


def _plain(value: Fraction) -> Iterator[Fraction]:
    """Plainer numbers in the place of one, the plainest first."""
    tried = {
        Fraction(0),
        Fraction(1),
        Fraction(-1),
        Fraction(2),
        Fraction(-2),
        Fraction(_whole(value)),
        Fraction(int(value / 2)),
    }
    yield from sorted((v for v in tried if _cost(v) < _cost(value)), key=_cost)


def _whole(value: Fraction) -> Fraction:
    """The nearest integer that is not 0."""
    return Fraction(round(value) or (1 if value > 0 else -1)) if value else value


def _mapped(array: np.ndarray, f: Callable[[Fraction], Fraction]) -> np.ndarray:
    out = np.empty(array.size, dtype=object)
    out[:] = [_exact(array, f(rational(v))) for v in array.reshape(-1)]
    return out.reshape(array.shape)


def _exact(like: np.ndarray, value: Fraction) -> Any:
    return type(like.reshape(-1)[0])(value.numerator, value.denominator)
