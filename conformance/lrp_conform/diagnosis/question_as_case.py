"""A question of one's own as a case: the reference's answer and its gauges, without the certificates of a golden file."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrp_conform.cases import model
from lrp_conform.cases.golden import uid_of
from lrp_conform.cases.layer import Case
from lrp_conform.cases.numbers import floats, tensor, write
from lrp_conform.cases.question import Answer, Question, answer, rational_roots
from lrp_conform.making import generate
from lrp_conform.making.recipes.common import Recipe, exact_formats

Json = dict[str, Any]


def case_of(question: Question, slug: str) -> Case:
    """The case of a question: expected values and gauges by the reference, in rationals or, where a root enters, in balls.

    Raises LRPError or ZeroDivisionError where the question has no answer.
    """
    question = question.replace(ball=not rational_roots(question))
    found = answer(question)
    recipe = Recipe(slug, question.node, question.rule, question.inputs)
    usable = generate.representable(recipe, found)
    formats = [] if question.ball else exact_formats(question)
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
        "gauges": _gauges(found, names),
        "conservation": _conservation(found, question.ball),
        "representable_in": usable,
        "exact_in": [f for f in formats if f in usable or f == "bfloat16"],
        "dialects": {},
        "discriminates": {},
        "certificates": [],
    }
    if question.ball:
        largest = max((float(np.abs(floats(a)).max(initial=0)) for a in (found.y, *found.relevance)), default=0.0)
        data["radius"] = write(largest * 2.0**-52)
    return Case({**data, "uid": uid_of(data)}, "diagnosis")


def _values(array: np.ndarray, ball: bool) -> Json:
    return tensor(floats(array)) if ball else tensor(array)


def _gauges(found: Answer, names: list[str]) -> Json:
    g = found.gauges
    columns = {key: zip(names, getattr(g, key), strict=True) for key in ("G", "H", "S")}
    return {
        **{key: {n: tensor(_upper(a)) for n, a in column} for key, column in columns.items()},
        "Y": tensor(_upper(g.Y)),
        "fan_in": g.fan_in,
        "fan_out": g.fan_out,
        "kappa": write(float(_upper(np.asarray([g.kappa], dtype=object))[0])),
    }


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
