"""Readings: the questions of a card tell every convention from every other."""

from fractions import Fraction
from typing import Any

import pytest
from examples import PROFILE
from inline import candidate, epsilon

from lrp_conform.cases.question import evaluate
from lrp_conform.diagnosis.denominators import Denominator
from lrp_conform.diagnosis.forms import FORMS
from lrp_conform.diagnosis.inference import Shown, infer
from lrp_conform.diagnosis.probes import questions
from lrp_conform.diagnosis.readings import family, readings
from lrp_conform.diagnosis.spans import Span
from lrp_ref.rules import RULES

ASKED = [name for name in (*RULES, "alpha1-beta0") if name not in ("shares", "gradient")]
FEATURES = {
    *(f"op.{op}" for op in ("dense", "add", "avg-pool", "max-pool", "batch-norm", "activation")),
    *(f"bias.{mode}" for mode in ("absorb", "split", "ignore", "full_in_both", "raw", "square")),
    *("spatial.1", "bounds.scalar", "activation.relu", "activation.leaky-relu"),
}


def groups(name: str) -> dict[str, list[Any]]:
    """Per layer, the questions of a rule in one bias mode and with one kind of stabiliser."""
    rules = {"rule.alpha-beta", "rule.alpha1-beta0"} if name == "alpha1-beta0" else {f"rule.{name}"}
    kind = "stabilizer.none" if name == "pass" else "stabilizer.signed_add"
    found: dict[tuple[str, str], list[Any]] = {}
    for case in questions(candidate(epsilon, FEATURES | rules | {kind})):
        if family(case.question) == name:
            found.setdefault((case.question.node["op"], case.rule["bias"]), []).append(case)
    return {op: cases for (op, _), cases in found.items()}


@pytest.mark.parametrize("name", ASKED)
def test_every_reading_is_recognized_in_the_answers_of_the_reference(name: str) -> None:
    """The questions tell every convention from every other: what the reference answers under one is read as that one."""
    asked = groups(name)
    assert asked
    for group in asked.values():
        recognize_every_reading(group)


def recognize_every_reading(group: list[Any]) -> None:
    posed = [dict(readings(case.question)) for case in group]
    every = list(posed[0])
    for reading in every[:: len(every) // (10 if PROFILE == "full" else 3) + 1]:
        answered = [evaluate(asked[reading], "float64")[1] for asked in posed]
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
