"""Readings: the questions of a card tell every convention from every other."""

from fractions import Fraction
from typing import Any

import pytest
from inline import candidate, epsilon

from lrp_conform.cases.question import evaluate
from lrp_conform.diagnosis.denominators import Denominator
from lrp_conform.diagnosis.forms import FORMS
from lrp_conform.diagnosis.inference import Shown, infer
from lrp_conform.diagnosis.probes import questions
from lrp_conform.diagnosis.readings import family, readings
from lrp_conform.diagnosis.spans import Span
from lrp_ref.rules import RULES

EVERYTHING = candidate(
    epsilon,
    [
        *(f"op.{op}" for op in ("dense", "conv", "add", "avg-pool", "max-pool", "batch-norm", "activation")),
        *(f"rule.{rule}" for rule in (*RULES, "alpha1-beta0") if rule not in ("shares", "gradient")),
        *(f"bias.{mode}" for mode in ("absorb", "split", "ignore", "full_in_both", "raw", "square")),
        *("spatial.1", "conv.padding", "bounds.scalar", "activation.relu", "activation.leaky-relu", "stabilizer.signed_add"),
        "stabilizer.none",
    ],
)


def groups() -> dict[tuple[str, str], list[Any]]:
    """Per rule and layer, the questions of one bias mode and one kind of stabiliser."""
    found: dict[tuple[str, str, str], list[Any]] = {}
    for case in questions(EVERYTHING):
        q = case.question
        if q.node["op"] != "conv" and q.rule["stabilizer"]["kind"] == ("none" if q.rule["rule"] == "pass" else "signed_add"):
            found.setdefault((family(q), q.node["op"], q.rule["bias"]), []).append(case)
    return {(name, op): cases for (name, op, _), cases in found.items()}


@pytest.mark.parametrize("group", groups().values(), ids=["-".join(key) for key in groups()])
def test_every_reading_is_recognized_in_the_answers_of_the_reference(group: list[Any]) -> None:
    """The questions tell every convention from every other: what the reference answers under one is read as that one."""
    every = [reading for reading, _ in readings(group[0].question)]
    for reading in every[:: len(every) // 10 + 1]:
        answered = [evaluate(dict(readings(case.question))[reading], "float64")[1] for case in group]
        found = infer([Shown(case, "float64", list(r), False) for case, r in zip(group, answered, strict=True)])
        assert found is not None
        assert found.fits, reading
        others = [dict(set(fit.reading) - set(reading)).keys() for fit in found.best]
        # values that are only moved are all that there is to share, in proportion or not
        assert all(topics <= ({"rule"} if group[0].rule["rule"] == "pass" else set()) for topics in others), reading


@pytest.mark.parametrize("d", [Fraction(3), Fraction(-3), Fraction(0)])
def test_forms_measure_the_epsilon_that_made_a_denominator(d: Fraction) -> None:
    eps = Fraction(1, 1024)
    made = {
        "signed_add": d + (eps if d >= 0 else -eps),
        "unsigned_add": d + eps,
        "magnitude": abs(d) + eps,
        "floor": max(d, eps),
        "replace_zero": d or eps,
        "clip": d or eps,
    }
    for kind, D in made.items():
        span = FORMS[kind, 1](Denominator(d, Span(D, D), 0.0, 0.0))
        assert span is not None
        assert eps in span
