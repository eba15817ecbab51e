"""A question of one's own as a case: the reference's answer and its gauges, without the certificates of a golden file."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrp_conform.cases import model
from lrp_conform.cases.golden import uid_of
from lrp_conform.cases.layer import Case
from lrp_conform.cases.numbers import float_array, floats, tensor, write
from lrp_conform.cases.question import Answer, Question, answer, rational_roots
from lrp_conform.making import generate
from lrp_conform.making.recipes.common import Recipe, exact_formats
from lrp_ref.algebra.rounding import allowed_forward
from lrp_ref.layers.affine import affine_of
from lrp_ref.layers.drift import drift_of
from lrp_ref.propagation.shares import as_tuple

Json = dict[str, Any]


def case_of(question: Question, slug: str, group: str = "diagnosis", exactly: bool = True) -> Case:
    """The case of a question: expected values and gauges by the reference, in rationals or, where a root enters, in balls.

    `exactly`: look for formats in which every intermediate is exact, which takes most of the time. Raises LRPError or
    ZeroDivisionError where the question has no answer.
    """
    question = question.replace(ball=not rational_roots(question))
    found = answer(question)
    recipe = Recipe(slug, question.node, question.rule, question.inputs)
    usable = generate.representable(recipe, found)
    formats = exact_formats(question) if exactly and not question.ball else []
    names = question.node["inputs"]
    data: Json = {
        "id": slug,
        "status": "extended",
        "flags": [],
        "comment": "",
        "references": [],
        "features": model.features([question.node], {question.node["name"]: question.rule}, question.inputs),
        "model": {"nodes": [question.node]},
        "rules": {question.node["name"]: question.rule},
        "inputs": question.inputs,
        "expected": {
            "y": _values(found.y, question.ball),
            "relevance": {n: _values(r, question.ball) for n, r in zip(names, found.relevance, strict=True)},
        },
        "ledger": {} if question.ball else {k: tensor(getattr(found.ledger, k)) for k in ("bias", "stabilizer", "dropped")},
        "gauges": {**_gauges(found, names), "Y": tensor(_forward(question, found))},
        "conservation": _conservation(found, question.ball),
        "representable_in": usable,
        "exact_in": [f for f in formats if f in usable or f == "bfloat16"],
        "dialects": {},
        "discriminates": {},
        "certificates": ["ball-arithmetic-256-bit" if question.ball else "exact-rational"],
        "provenance": {"recipe": f"lrp_conform.{group}", "edition": generate.EDITION},
    }
    if question.ball:
        largest = max((float(np.abs(floats(a)).max(initial=0)) for a in (found.y, *found.relevance)), default=0.0)
        data["radius"] = write(max(largest, 2.0**-900) * 2.0**-52)
    return Case({**data, "uid": uid_of(data)}, group)


def _values(array: np.ndarray, ball: bool) -> Json:
    return tensor(floats(array)) if ball else tensor(array)


def _gauges(found: Answer, names: list[str]) -> Json:
    g = found.gauges
    columns = {key: zip(names, getattr(g, key), strict=True) for key in ("G", "H", "S")}
    return {
        **{key: {n: tensor(_upper(a)) for n, a in column} for key, column in columns.items()},
        "fan_in": g.fan_in,
        "fan_out": g.fan_out,
        "kappa": write(float(_upper(np.asarray([g.kappa], dtype=object))[0])),
    }


def _forward(question: Question, found: Answer) -> np.ndarray:
    """The forward gauge; where y is not W x + b of x itself, not below what the layer's own rounding needs."""
    gauge = _upper(found.gauges.Y)
    layer, x, _ = question.arrays(lambda data: float_array(data, "float64"))
    affine = affine_of(layer, as_tuple(x))
    if affine.is_sum:
        return gauge
    off = drift_of(layer, affine, as_tuple(x), tuple(np.zeros(a.shape) for a in as_tuple(x)), "float64").y
    needed: np.ndarray = np.maximum(gauge, off / allowed_forward(1.0, found.gauges.fan_in, "float64"))
    return needed


def _upper(array: np.ndarray) -> np.ndarray:
    """Gauges as doubles, not below what they were."""
    raised: np.ndarray = np.nextafter(floats(array), np.inf)
    return raised


def _conservation(found: Answer, ball: bool) -> Json:
    if ball:
        return {}
    totals = sum(r.reshape(r.shape[0], -1).sum(axis=-1) for r in found.relevance)
    work = (found.gauges.total_G, found.gauges.total_H)
    return {"total": tensor(totals), **{k: tensor(_upper(g)) for k, g in zip("GH", work, strict=True)}}
