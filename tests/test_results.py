"""The schema of a line of results.ndjson, and that every line is valid under it."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from inline import EPSILON, candidate, results
from jsonschema_rs import Draft202012Validator, meta
from reported import RIGHT, SHAPES, WAIVED, WRONG, hostile

from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import VERDICTS


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("lrp_conform.running").joinpath("results.schema.json").read_text(encoding="utf-8"))
    return found


def objects(part: Any) -> list[dict[str, Any]]:
    """Every subschema with properties."""
    own = [part] if isinstance(part, dict) and isinstance(part.get("properties"), dict) else []
    below = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return own + [found for each in below for found in objects(each)]


def test_the_schema_of_results_closes_every_object() -> None:
    meta.validate(schema())
    assert all(each["additionalProperties"] is False for each in objects(schema()))
    assert schema()["properties"]["verdict"]["enum"] == list(VERDICTS)


@pytest.mark.parametrize("relevance", [*SHAPES.values(), np.full((1, 2), np.nan), {"a": 1.5}, object()])
def test_lines_of_wrong_answers_are_valid(relevance: Any) -> None:
    found = results(candidate(lambda asked: {"y": 1, "relevance": relevance}), EPSILON[:3])
    check(found)


def test_lines_of_a_run_are_valid() -> None:
    check([*RIGHT.results, *WRONG.results, *WAIVED.results, *hostile().results])
    with pytest.raises(AssertionError):
        check([replace(RIGHT.results[0], uid="abc")])


def check(found: list[CaseResult]) -> None:
    validator = Draft202012Validator(schema())
    for r in found:
        text = json.dumps(r.record(), allow_nan=False, ensure_ascii=False)
        line = json.loads(text.encode(errors="replace"))  # JSON may hold half a surrogate, a validator may not
        errors = [f"{e.instance_path}: {e.message}" for e in validator.iter_errors(line)]
        assert not errors, errors[:3]
