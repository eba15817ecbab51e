"""The evidence a run leaves: the page, junit.xml, the summary, the badges, and the schema of a result."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inline import ALL, EVERY
from reported import EMPTY, RIGHT, WAIVED, WRONG, Page, hostile, renamed

from lrp_conform import cli
from lrp_conform.cases.profiles import PROFILES
from lrp_conform.diagnosis.card import Card
from lrp_conform.judging.verdict import PASSES, VERDICTS, Judgement
from lrp_conform.report import cards, html
from lrp_conform.report.badges import badges
from lrp_conform.report.gather import KIND_OF, KINDS, gather
from lrp_conform.report.junit import junit
from lrp_conform.report.markdown import markdown
from lrp_conform.report.trend import steps
from lrp_conform.report.write import write
from lrp_conform.running.folder import ReportError, Run, read


@pytest.fixture(autouse=True)
def no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the cards say is tested elsewhere; inferring them takes long."""
    monkeypatch.setattr(cards, "card", lambda found, known, one_hot: Card(found[0].candidate, found[0].version, ()))


# Counting -----------------------------------------------------------------------------------------------------------


def test_every_verdict_is_counted_under_one_kind() -> None:
    assert sorted(v for kind in KINDS for v in kind.verdicts) == sorted(VERDICTS)
    assert {kind.name for kind in KINDS if set(kind.verdicts) & set(PASSES)} == set(PASSES)


@pytest.mark.parametrize(
    "runs", [[RIGHT], [RIGHT, WRONG, WAIVED], [hostile()], [EMPTY]], ids=["one", "three", "hostile", "empty"]
)
def test_the_cells_add_up_to_every_result(runs: list[Run]) -> None:
    evidence = gather(runs, EVERY)
    found = Counter(KIND_OF[r.verdict].name for run in runs for r in run.results)
    for rows in (evidence.features(), [evidence.totals()]):
        counted = Counter[str]()
        for row in rows:
            for cell in row.cells:
                counted.update(cell.counts)
                assert cell.total + cell.missing == cell.size == row.size
        assert counted == found
    sizes = {row.name: row.size for row in evidence.profiles()}
    assert sizes == {p.name: len(p.cases(EVERY)) for p in PROFILES if p.cases(EVERY)}
    assert set(sizes) == {p.name for p in PROFILES} - {"fresh"}  # of which no golden file holds a case


def test_a_partial_run_says_what_is_not_in_it() -> None:
    row = next(r for r in gather([RIGHT], ALL).profiles() if r.name == "core")
    assert row.cells[0].missing > 800
    assert f"{row.cells[0].missing} not in this run; of {row.size}" in row.cells[0].words


def test_a_waiver_improves_nothing() -> None:
    plain, waived = (gather([run], ALL).totals().cells for run in (WRONG, WAIVED))
    assert [c.counts for c in plain] == [c.counts for c in waived]
    assert plain[0].waived == 0 < waived[0].waived


def test_the_same_answer_twice_is_refused_but_shards_are_put_together() -> None:
    with pytest.raises(ReportError, match=r"right 1\.0 answers .* twice: give each run once"):
        gather([RIGHT, RIGHT], ALL)
    half = len(RIGHT.results) // 2
    shards = [Run(RIGHT.about, RIGHT.results[:half]), Run(RIGHT.about, RIGHT.results[half:])]
    assert gather(shards, ALL).totals() == gather([RIGHT], ALL).totals()


@pytest.mark.parametrize("change", [{"candidates": None}, {"candidates": [1]}, {"environment": []}, {"environment": {}}])
def test_a_run_that_says_nothing_of_itself_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ReportError, match=r"run\.json: not what `lrp-conform run` writes"):
        gather([Run({**RIGHT.about, **change}, [])], ALL)


# junit.xml ----------------------------------------------------------------------------------------------------------


def parsed(runs: list[Run], strict: bool = False) -> ET.Element:
    return ET.fromstring(junit(gather(runs, ALL), strict))


def test_junit_counts_what_a_run_counts() -> None:
    root = parsed([RIGHT, WRONG])
    suites = root.findall("testsuite")
    assert [s.get("name") for s in suites] == [
        f"{n} {d} cpu" for n in ("right 1.0", "wrong 2.0") for d in ("float64", "float32")
    ]
    assert root.get("tests") == str(len(RIGHT.results) + len(WRONG.results)) == str(len(root.findall(".//testcase")))
    assert root.get("failures") == str(sum(r.fails for r in WRONG.results)) == str(len(root.findall(".//failure")))
    assert root.get("skipped") == str(len(root.findall(".//skipped")))
    failure = root.find(".//failure")
    assert failure is not None
    assert "a thousand times too small" in str(failure.get("message"))
    assert re.search(r"= .*, expected .*, \|error\| .*, allowed ", str(failure.text))


def test_junit_skips_what_is_waived_with_its_reason() -> None:
    root = parsed([WAIVED])
    assert root.get("failures") == "0"
    reasons = {s.get("message") for s in root.findall(".//skipped")}
    assert "waived: epsilon is known to be small" in reasons
    assert any(str(text).startswith("unsupported: does not declare") for text in reasons)


def test_junit_takes_a_dialect_for_a_failure_only_if_strict() -> None:
    dialect = Judgement("dialect", dialect="bias.ignore", hint="bias ignored", detail={"why": "so"})
    run = Run(RIGHT.about, [replace(RIGHT.results[0], judgement=dialect)])
    assert parsed([run]).get("failures") == "0"
    assert "bias.ignore: bias ignored" in str(parsed([run]).findtext(".//system-out"))
    assert parsed([run], strict=True).get("failures") == "1"


def test_junit_tells_a_broken_candidate_from_a_wrong_one() -> None:
    crash = Judgement("crash", detail={"why": "killed by signal 11"})
    root = parsed([Run(RIGHT.about, [replace(RIGHT.results[0], judgement=crash)])])
    assert (root.get("errors"), root.get("failures")) == ("1", "0")
    assert root.findtext(".//error") == "killed by signal 11"


# Hostile text, every format -----------------------------------------------------------------------------------------


def test_hostile_text_stays_text() -> None:
    evidence = gather([hostile(), RIGHT], ALL)
    root = ET.fromstring(junit(evidence))
    assert "</script>" in str(root.find("testsuite/testcase[@name]").get("name"))  # type: ignore[union-attr]
    page = html.html(evidence)
    assert not [e for e in Page(page).elements if e[0] == "img" or any(name.startswith("on") for name in e[1])]
    assert page.count("</script") == page.count("<script") == 2
    summary = markdown(evidence)
    for text in (page, summary, junit(evidence), *badges(evidence).values()):
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\u2028\u202e\ud800-\udfff]", text)
        text.encode()
    assert "<img" not in summary
    assert not any("/" in name or name.startswith(".") for name in badges(evidence))


# Badges and versions ------------------------------------------------------------------------------------------------


def test_badges_count_cases_of_the_whole_profile() -> None:
    found = {name: json.loads(text) for name, text in badges(gather([RIGHT], ALL)).items()}
    assert set(found) == {f"right.{p.name}.json" for p in PROFILES}
    assert all(b["schemaVersion"] == 1 for b in found.values())
    core = found["right.core.json"]
    assert core["color"] == "lightgrey"  # a run of a few cases is no claim
    assert re.fullmatch(r"no data: \d+ of \d+ not run", core["message"])


def test_a_badge_is_as_good_as_the_worst_dtype() -> None:
    members = next(p for p in PROFILES if p.name == "known-bugs").cases(ALL)
    blank = RIGHT.results[0]

    def badge(**verdicts: str) -> dict[str, str]:
        found = [
            replace(blank, case=c.id, uid=c.uid, feature=c.feature, dtype=dtype, judgement=Judgement(verdict))
            for dtype, verdict in verdicts.items()
            for c in members
        ]
        named = badges(gather([Run(RIGHT.about, found)], ALL))["right.known-bugs.json"]
        said: dict[str, str] = json.loads(named)
        return said

    size = len(members)
    assert badge(float64="exact", float32="conformant")["message"] == f"conformant {size} of {size}"
    assert badge(float64="exact", float32="conformant")["color"] == "brightgreen"
    assert badge(float64="exact", float32="nonconformant")["message"] == f"conformant 0 of {size}, {size} wrong"
    assert badge(float64="exact", float32="dialect")["color"] == "yellow"
    assert badge(float64="exact", float32="unsupported")["message"] == f"conformant 0 of {size}"
    assert badge(float64="exact", float32="crash")["color"] == "lightgrey"
    assert badge(float64="exact", float32="not-run")["message"] == f"no data: {size} of {size} not run"


def test_versions_are_compared_in_their_order() -> None:
    runs = [
        renamed(RIGHT, "lib", "0.10"),
        renamed(WRONG, "lib", "0.9"),
        renamed(RIGHT, "lib", "1.0"),
        renamed(RIGHT, "lib", "1.0rc1"),
    ]
    found = steps(gather(runs, ALL))
    assert [(s.older, s.newer) for s in found] == [("0.9", "0.10"), ("0.10", "1.0rc1"), ("1.0rc1", "1.0")]
    assert {c.feature for c in found[0].changes} == {"epsilon on dense"}
    assert found[0].changes[0].before.counts != found[0].changes[0].after.counts
    assert not found[1].changes
    assert "lib 0.9 → 0.10" in html.html(gather(runs, ALL))


# Files --------------------------------------------------------------------------------------------------------------


def test_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, [RIGHT, WRONG], ALL)
    found = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert {str(p) for p in found} >= {"index.html", "junit.xml", "summary.md", "badges/right.core.json"}
    for name in found:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_no_run_is_a_report_too(tmp_path: Path) -> None:
    write(tmp_path, [EMPTY], ALL)
    assert "No candidate was judged" in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "No results." in (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert ET.parse(tmp_path / "junit.xml").getroot().get("tests") == "0"


def test_a_report_replaces_an_earlier_one_and_its_badges(tmp_path: Path) -> None:
    write(tmp_path, [WRONG], ALL)
    written = write(tmp_path, [RIGHT], ALL)
    assert sorted((tmp_path / "badges").iterdir()) == sorted(p for p in written if p.parent.name == "badges")
    assert not list(tmp_path.rglob("*.new"))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ReportError, match=r"file: cannot write the report: "):
        write(tmp_path / "file", [RIGHT], ALL)


def test_the_command_reports_several_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def called(*args: object) -> int:
        monkeypatch.setattr(sys, "argv", ["lrp-conform", "report", *map(str, args)])
        return cli.main()

    for name, run in (("a", RIGHT), ("b", WRONG)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps(run.about), encoding="utf-8")
        lines = "".join(json.dumps(r.record()) + "\n" for r in run.results)
        (tmp_path / name / "results.ndjson").write_text(lines, encoding="utf-8")
    assert called(tmp_path / "a", tmp_path / "b") == 2
    assert "say where with --out" in capsys.readouterr().err
    assert called(tmp_path / "a", tmp_path / "b", "--out", tmp_path / "both") == 0
    assert "right 1.0" in (tmp_path / "both" / "summary.md").read_text(encoding="utf-8")
    assert called(tmp_path / "a") == 0
    assert len(read(tmp_path / "a").results) == len(RIGHT.results)
    assert called(tmp_path / "nothing") == 2
