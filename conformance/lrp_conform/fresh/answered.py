"""A drawn question as a case, where its answer says something."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from lrp_conform.cases import model
from lrp_conform.cases.layer import FRESH, Case
from lrp_conform.cases.numbers import ball_array, exact_array, float_array
from lrp_conform.cases.question import Question, pose
from lrp_conform.diagnosis.question_as_case import case_of
from lrp_conform.judging.layer import expected, vacuous
from lrp_ref.arrays import LRPError
from lrp_ref.propagation.shares import normalized

Json = dict[str, Any]
LEAST = 2.0**-126


def answered(question: Question) -> Case | None:
    """The case of a question; None where it has no answer, or none that says anything.

    That is where a denominator is exactly 0 and no stabiliser is asked for, which implementations answer with a division by 0,
    where float64 does not hold its numbers, where an output is so small that a format may make it 0, and where rounding may
    change everything.
    """
    if _divides_by_zero(question, lambda data: float_array(data, "float64")):  # which tells most of them in a moment
        return None
    case = _case(question) or _case(question.replace(ball=True))
    if case is None or "float64" not in case.data["representable_in"] or vacuous(expected(case, "float64")):
        return None
    hidden = _divides_by_zero(case.question, ball_array if case.radius else exact_array)
    return None if hidden or _underflows(case) else case


def _case(question: Question) -> Case | None:
    """The case in rationals, or in balls if the question says so."""
    try:
        return case_of(question, name_of(question), FRESH, exactly=False)
    except (LRPError, ArithmeticError, ValueError):
        return None


def name_of(question: Question) -> str:
    """An id that says what is asked, and that no other question has."""
    content = json.dumps([question.node, question.rule, question.inputs], sort_keys=True)
    return f"fresh.{question.node['op']}.{model.rule_name(question.rule)}.{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def _divides_by_zero(question: Question, read: Callable[[Json], Any]) -> bool:
    """Whether a denominator is 0 that no stabiliser speaks of."""
    if question.rule["stabilizer"]["kind"] == "drop":
        return False
    try:
        with np.errstate(all="ignore"):
            shares = list(normalized(pose(question, read)))
    except LRPError:
        return True
    return any(bool((share.stabilized == 0).any()) for share in shares)


def _underflows(case: Case) -> bool:
    """Whether an output is no 0, but less than the least normal number of float32: exponentials may be."""
    if case.radius == 0:
        return False
    y = pose(case.question, ball_array).affine.y.reshape(-1)
    return any(v != 0 and abs(v) < LEAST for v in y)
