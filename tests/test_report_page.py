"""The page of a report as text: complete, self-contained, safe; its formulas. The browser is asked elsewhere."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import pytest
from inline import ALL, candidate, epsilon, results
from reported import ASKED, HOSTILE, RIGHT, SHAPES, WRONG, Page, run_of

from lrp_conform.diagnosis.card import Card, CardRow
from lrp_conform.report import cards, formulas, html
from lrp_conform.report.gather import gather
from lrp_conform.report.payload import embedded, payload
from lrp_conform.running.folder import Run
from lrp_ref.rules import RULES
from lrp_ref.stabilizers import KINDS as STABILIZERS
from lrp_ref.stabilizers import row as kind_row


@pytest.fixture(autouse=True)
def no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the cards say is tested elsewhere; inferring them takes long."""
    monkeypatch.setattr(cards, "card", lambda found, known, one_hot: Card(found[0].candidate, found[0].version, ()))


def test_embedded_json_reads_back_and_ends_no_script() -> None:
    text = embedded({"a": HOSTILE.replace("\ud800", ""), "b": ["<!--", "</SCRIPT>"]})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text)["b"] == ["<!--", "</SCRIPT>"]


@pytest.mark.parametrize("relevance", SHAPES.values(), ids=SHAPES)
def test_answers_of_any_kind_are_shown(relevance: Any) -> None:
    wrong = results(candidate(lambda asked: {**epsilon(asked), "relevance": relevance}), ASKED)
    page = html.html(gather([run_of(candidate(epsilon), wrong)], ALL))
    assert "invalid-output" in page


def test_the_page_needs_nothing_from_elsewhere_and_holds_everything() -> None:
    page = Page(html.html(gather([RIGHT, WRONG], ALL)))
    assert not [e for e in page.elements if e[0] in ("link", "iframe", "object", "embed", "base") or "src" in e[1]]
    policy = next(str(e[1]["content"]) for e in page.elements if e[1].get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    data = json.loads(page.data)
    assert sum(len(s["results"]) for s in data["systems"]) == len(RIGHT.results) + len(WRONG.results)
    assert {c["id"] for c in data["cases"]} == {c.id for c in ASKED}
    wrong = next(r for r in data["systems"][2]["results"] if data["verdicts"][r["v"]] == "nonconformant")
    case = next(c for c in ALL if c.id == data["cases"][wrong["c"]]["id"])
    assert wrong["a"]["x"]["s"] == list(case.expected["x"].shape)
    assert max(abs(float(e)) for e in wrong["a"]["x"]["e"].split()) > 1
    assert data["texts"][wrong["p"]]


def test_links_of_the_page_lead_somewhere() -> None:
    page = Page(html.html(gather([RIGHT, WRONG], ALL)))
    ids = {e[1]["id"] for e in page.elements if "id" in e[1]} | {"top"}
    links = [str(e[1]["href"]) for e in page.elements if e[0] == "a"]
    assert all(link.startswith("#") for link in links)
    assert {link[1:].split("?")[0] for link in links if not link.startswith("#case=")} <= ids


def test_a_case_of_another_golden_set_is_shown_without_its_data() -> None:
    other = [replace(r, uid="sha256:" + "0" * 64) for r in RIGHT.results]
    data = payload(gather([Run(RIGHT.about, other)], ALL))
    assert all(set(c) == {"id", "uid", "feature"} for c in data["cases"])


def test_cards_are_shown_with_their_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    row = CardRow("stabilizer of epsilon", "signed, <measured>", ("v0.epsilon",), 12, 1)
    monkeypatch.setattr(cards, "card", lambda found, known, one_hot: Card(found[0].candidate, found[0].version, (row,)))
    page = html.html(gather([RIGHT], ALL))
    assert "signed, &lt;measured&gt;" in page
    assert '<a href="#case=v0.epsilon">' in page


def test_every_rule_stabilizer_and_bias_has_a_formula() -> None:
    parts = formulas.parts()
    assert {formulas.key(case.rule) for case in ALL} <= {*parts, "pattern"}
    assert {name for name in RULES if not parts[name]} == {"gradient"}
    assert all(kind_row(kind).words for kind in STABILIZERS)
    assert {mode for rule in RULES.values() for mode in rule.bias} == set(formulas.BIAS)
    lines = [*formulas.stabilized().values(), *(text for lines in parts.values() for p in lines for text in p)]
    for text in filter(None, lines):
        ET.fromstring(formulas.mathml(text))
    for formula in (formulas.main_formula(), formulas.gradient_formula(), formulas.pattern_formula()):
        ET.fromstring(f"<p>{formula}</p>")


def test_a_rule_without_a_formula_and_a_stabilizer_without_one_go_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "odd", object())
    monkeypatch.setitem(STABILIZERS, "odd", lambda d, eps, sgn: d)
    assert formulas.parts()["odd"] == ()
    assert formulas.key({"rule": "odd"}) == "odd"
    assert formulas.stabilized()["odd"] == "odd"
