"""The scoreboard: data that add up, environments that are there as a whole or not at all."""

import json
from pathlib import Path

import pytest
from inline import EPSILON, candidate, epsilon, results

from lrp_conform.candidates.adapter import AdapterError
from lrp_conform.report import scoreboard
from lrp_conform.report.scoreboard import SHIPPED, Entry
from lrp_conform.running.folder import Run, about

ROOT = Path(__file__).resolve().parent.parent


def test_the_data_add_up_to_every_answer() -> None:
    found = results(candidate(lambda asked: epsilon(asked, smaller=1000)))
    said = about([candidate(epsilon)], (c.id for c in EPSILON), ["float64", "float32"], ["cpu"])
    (system,) = json.loads(scoreboard.text([Run(said, found)]))["systems"]
    assert (system["name"], system["version"], len(system["date"])) == ("inline", "1", 10)
    assert sum(system["verdicts"].values()) == len(found)
    cells = [cell for row in system["features"].values() for cell in row.values()]
    assert sum(cell["cases"] for cell in cells) == len(found)
    assert all(sum(cell["verdicts"].values()) == cell["cases"] for cell in cells)


def test_a_verdict_that_changed_is_told_and_a_date_is_not() -> None:
    said = about([candidate(epsilon)], (c.id for c in EPSILON), ["float64"], ["cpu"])
    before = scoreboard.data([Run(said, results(candidate(epsilon), dtypes=("float64",)))])
    wrong = results(candidate(lambda asked: epsilon(asked, smaller=1000)), dtypes=("float64",))
    later = {**said, "started": "2030-01-01T00:00:00+00:00"}
    assert scoreboard.differences(before, scoreboard.data([Run(later, results(candidate(epsilon), dtypes=("float64",)))])) == []
    (told,) = scoreboard.differences(before, scoreboard.data([Run(said, wrong)]))
    assert told.startswith("inline 1 epsilon on dense float64: {'exact'")


def test_every_shipped_candidate_is_on_it() -> None:
    assert {entry.candidate for entry in SHIPPED} == {"seeds", "zennit", "captum", "lxt", "innvestigate"}
    assert len({entry.key for entry in SHIPPED}) == len(SHIPPED)


@pytest.mark.parametrize("pip", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["without pip", "with pip"])
def test_an_environment_that_cannot_be_made_is_one_line_and_leaves_nothing_that_looks_made(
    pip: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scoreboard._call
    if not pip:  # which takes as long as all the rest to come
        monkeypatch.setattr(scoreboard, "_call", lambda *of: whole(*of, *(["--without-pip"] if "venv" in of else [])))
    entry = Entry("broken", "zennit", ("--no-index there-is-no-such-package",))
    for _ in range(2):  # the second try is not fooled by the first
        with pytest.raises(AdapterError, match="the environment of broken cannot be made: pip install") as caught:
            scoreboard.prepare(entry, tmp_path)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "broken").exists()


def test_an_environment_that_is_there_is_used(tmp_path: Path) -> None:
    entry = Entry("there", "zennit", ("never-installed",))
    python = Path(entry.python(tmp_path) or "")
    python.parent.mkdir(parents=True)
    python.touch()
    scoreboard.prepare(entry, tmp_path)
    assert Entry("none", "seeds").python(tmp_path) is None


def test_the_committed_scoreboard_is_of_this_golden_set_and_holds_every_known_deviation() -> None:
    from lrp_conform.cases import golden

    board = json.loads((ROOT / "docs/scoreboard/scoreboard.json").read_text(encoding="utf-8"))
    assert (board["edition"], board["golden"]) == (golden.edition(), golden.digest())
    spoken = {
        f"{s['name']} {s['version']}": {
            name for row in s["features"].values() for cell in row.values() for name in cell["dialects"]
        }
        for s in board["systems"]
    }
    for version in ("zennit 1.0.0", "zennit 0.5.1"):
        assert spoken[version] == {"bias.absorb", "bias.square", "rule.norm-keeps-bias"}
    for name in ("bias.raw", "bias.full_in_both + split.weight + stabilizer.signed_add-1e-9", "stabilizer.signed_add-1e-9"):
        assert name in spoken["captum 0.9.0"]
    assert spoken["lxt 2.1"] == {"stabilizer.unsigned_add"}
    for name in (
        "bias.full_in_both + stabilizer.replace_zero-1e-7", "alpha1_from.beta1", "padding.counted",
        "linearization.variance_squared", "stabilizer.replace_zero-1e-7",
    ):  # fmt: skip
        assert name in spoken["innvestigate 2.1.2"]
