"""Questions made on the spot: what is asked, that honest answers pass, that bugs which goldens cannot see do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_candidate

import lrp_conform.fresh.portion as portions
from lrp_conform import cli
from lrp_conform.candidates.adapter import Candidate, candidate
from lrp_conform.cases import golden, model
from lrp_conform.cases.layer import FRESH, Case
from lrp_conform.cases.operators import OPERATORS
from lrp_conform.fresh.covering import Covering
from lrp_conform.fresh.failures import smallest
from lrp_conform.fresh.portion import Portion, file_of, portion
from lrp_conform.fresh.trial import Trial
from lrp_conform.judging.verdict import FAILURES, PASSES
from lrp_conform.running import runner
from lrp_conform.running.folder import read

Run = Callable[[dict[str, Any]], dict[str, Any]]
PLAIN = frozenset({"op.identity", "rule.zero", "bias.absorb", "stabilizer.signed_add"})


def asked_of(run: Run) -> Candidate:
    info = {"name": "mine", "version": "1", "dtypes": ["float64", "float32"], "features": sorted(reference_candidate.FEATURES)}
    return candidate("mine", info, run, ())


@cache
def made(*needs: str, most: int = 24) -> Portion:
    return portion([reference_candidate.FEATURES], "tests", most, needs)


# What is asked ----------------------------------------------------------------------------------------------------------


def test_the_same_seed_asks_the_same_whoever_computes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    here = portion([reference_candidate.FEATURES], "a", 30)
    monkeypatch.setattr(portions, "FEW", 0)
    there = portion([reference_candidate.FEATURES], "a", 30, workers=2)
    assert [case.data for case in there.cases] == [case.data for case in here.cases]
    assert there.about == here.about
    other = portion([reference_candidate.FEATURES], "b", 30)
    assert not {case.uid for case in other.cases} & {case.uid for case in here.cases}


def test_no_question_needs_what_is_not_declared() -> None:
    declared = frozenset(
        {"op.conv", "spatial.2", "conv.stride", "rule.epsilon", "rule.z-plus", "bias.ignore", "stabilizer.none"}
    )
    found = portion([declared], "tests", 30).cases
    assert len(found) == 30
    assert all(case.features <= declared for case in found)
    assert {case.rule["rule"] for case in found} == {"epsilon", "z-plus"}
    assert not portion([declared], "tests", 3, ["rule.gamma"]).cases


def test_every_operator_and_rule_that_is_declared_is_asked() -> None:
    found = portion([reference_candidate.FEATURES], "tests", 120).cases
    assert {case.node["op"] for case in found} == set(OPERATORS)
    assert sum(case.data["inputs"]["relevance"]["shape"][0] > 1 for case in found) > len(found) / 2


def test_nearly_every_pair_of_values_that_go_together_is_asked() -> None:
    covering = Covering("identity", PLAIN, "tests")
    taken = [asked.taken for asked in covering.cases()]
    met = {pair for values in taken for pair in combinations(sorted(values.items()), 2)}
    assert met == covering.asked
    left = [pair for pair in covering.known if pair not in met]
    assert len(left) < len(met) / 20
    for a, b in combinations(
        [("batch", "7"), ("axes", "3"), ("x holds", "a sample of zeros"), ("relevance of size", "2^-27")], 2
    ):
        assert tuple(sorted((a, b))) in met


def test_a_value_that_is_offered_is_an_axis_and_nothing_else_is_needed() -> None:
    trial = Trial("conv", reference_candidate.FEATURES, "tests", {"rule": "gamma", "groups": "3", "batch": "7"}, plain=1.0)
    question = trial.write()
    assert (question.rule["rule"], question.node["attrs"]["groups"]) == ("gamma", 3)
    assert question.inputs["x"]["shape"][0] == 7
    assert {"stride[0]", "outputs a group", "bias", "stabilizer", "gamma", "kind"} <= trial.taken.keys()
    assert all(trial.taken[axis] in values for axis, values in trial.offered.items())


def test_questions_are_golden_files_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_text(file_of(made().cases) or "", encoding="utf-8")
    again = golden.load_file(path)
    assert [case.uid for case in again] == [case.uid for case in made().cases]
    assert {case.group for case in again} == {FRESH}
    assert file_of([]) is None


# Who is judged ----------------------------------------------------------------------------------------------------------


def test_the_reference_is_never_rejected() -> None:
    cases = portion([reference_candidate.FEATURES], "honest", 60).cases
    for result in runner.run(asked_of(reference_candidate.answer), cases, ["float64", "float32"]):
        assert result.verdict in (*PASSES, "indeterminate"), (result.case, result.judgement)


@pytest.mark.parametrize("op", ["softmax", "activation"])
def test_an_output_that_is_no_sum_has_a_bound_of_its_own(op: str) -> None:
    """The gauge |W| |x| of softmax and sigmoid is next to nothing where x is; their values are not."""
    asked = made(f"op.{op}", most=40)
    assert "2^-27" in {taken["x of size"] for taken in asked.taken.values()}
    found = runner.run(asked_of(reference_candidate.answer), asked.cases, ["float32"])
    assert not [r for r in found if r.verdict == "forward-mismatch"]


def first_sample(case: dict[str, Any], found: np.ndarray) -> np.ndarray:
    return np.broadcast_to(found[:1], found.shape).copy()


def channels_last(case: dict[str, Any], found: np.ndarray) -> np.ndarray:
    return np.moveaxis(found, 1, -1).reshape(found.shape) if len(found) > 1 else found


def groups_reversed(case: dict[str, Any], found: np.ndarray) -> np.ndarray:
    node = case["nodes"][0]
    groups = node["attrs"]["groups"] if node["params"]["weight"].shape[1] > 1 else 1
    return found.reshape(found.shape[0], groups, -1)[:, ::-1].reshape(found.shape)


def dilated_scaled(case: dict[str, Any], found: np.ndarray) -> np.ndarray:
    return found * (1 + 2**-8) if max(case["nodes"][0]["attrs"]["dilation"]) > 1 else found


def long_stride_dropped(case: dict[str, Any], found: np.ndarray) -> np.ndarray:
    node = case["nodes"][0]
    beyond = max(node["attrs"]["stride"]) > max(node["params"]["weight"].shape[2:])
    return np.where(np.arange(found.size).reshape(found.shape) == np.argmax(np.abs(found)), 0, found) if beyond else found


BUGS = [first_sample, channels_last, groups_reversed, dilated_scaled, long_stride_dropped]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: str(bug.__name__))
def test_a_bug_of_batches_groups_or_geometry_is_wrong_and_no_dialect(bug: Callable[..., np.ndarray]) -> None:
    def run(case: dict[str, Any]) -> dict[str, Any]:
        found = reference_candidate.answer(case)
        return {**found, "relevance": np.asarray(bug(case, found["relevance"]), found["relevance"].dtype)}

    cases = list(made("op.conv", "rule.z-plus", most=24).cases)
    verdicts = [r.verdict for r in runner.run(asked_of(run), cases, ["float64"])]
    assert "nonconformant" in verdicts
    assert "dialect" not in verdicts


def test_a_table_of_the_golden_answers_knows_nothing_of_fresh_questions() -> None:
    table: dict[str, dict[str, Any]] = {}
    for case in (c for c in golden.load() if c.node["op"] == "dense" and not c.is_pattern):
        shown = case.adapter_case("float64")
        relevance = [case.expected_floats[name] for name in case.answers]
        table[repr((shown["x"], shown["relevance"], shown["rules"]))] = {"relevance": relevance[0]}

    def looked_up(case: dict[str, Any]) -> dict[str, Any]:
        honest = reference_candidate.answer(case)
        return {
            **honest,
            **table.get(repr((case["x"], case["relevance"], case["rules"])), {"relevance": 0 * honest["relevance"]}),
        }

    known = [case for case in golden.load() if case.id.startswith("dense.epsilon.exact")]
    assert {r.verdict for r in runner.run(asked_of(looked_up), known, ["float64"])} <= {*PASSES}
    assert {*FAILURES} & {r.verdict for r in runner.run(asked_of(looked_up), made("op.dense").cases, ["float64"])}


def test_no_denominator_is_zero_that_nothing_stabilises() -> None:
    cases = made("op.dense", "rule.zero", "bias.absorb", "stabilizer.none").cases
    assert len(cases) > 4
    assert all((case.expected_y != 0).all() for case in cases)


def test_what_is_found_is_shrunk() -> None:
    def doubled(case: dict[str, Any]) -> dict[str, Any]:
        found = reference_candidate.answer(case)
        return {**found, "relevance": found["relevance"] * (2 if len(found["relevance"]) > 1 else 1)}

    one, cases = asked_of(doubled), made("op.dense").cases
    results = list(runner.run(one, cases, ["float64"]))
    (found, *_) = smallest(one, results, {case.id: case for case in cases}, most=1)
    first = next(case for case in cases if found.case.id.startswith(case.id))
    assert found.result.verdict in FAILURES
    assert len(found.case.data["inputs"]["x"]["data"]) <= len(first.data["inputs"]["x"]["data"])
    assert found.case.data["inputs"]["x"]["shape"][0] > 1


# The command ------------------------------------------------------------------------------------------------------------

ADAPTER = """
import numpy as np
INFO = {"name": "mine", "version": "1", "dtypes": ["float64"],
        "features": ["op.dense", "rule.epsilon", "bias.absorb", "stabilizer.signed_add"]}
def run(case):
    layer, rule = case["nodes"][0], case["rules"]["layer"]
    W, b, x, R = layer["params"]["weight"], layer["params"].get("bias", 0), case["x"], case["relevance"]
    y = x @ W.T + b
    s = R / (y + rule["stabilizer"]["epsilon"] * np.where(y >= 0, 1, -1))
    return {"y": y, "relevance": x * (s @ W) * FACTOR(x)}
"""
WRONG = "FACTOR = lambda x: 1.37 if len(x) == 7 else 1\n"
RIGHT = "FACTOR = lambda x: 1\n"


@pytest.fixture
def conform(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def command(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["lrp-conform", *map(str, args)])
        code = cli.main()
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def adapter(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "mine.py"
        path.write_text(text + ADAPTER, encoding="utf-8")
        return path

    return write


def verdicts(folder: Path) -> dict[str, str]:
    return {r.case: r.verdict for r in read(folder).results}


FRESH_ONLY = ("--case", "none", "--in-process", "--no-cards", "--jobs", "1")


def test_fresh_questions_alone_and_what_is_kept_of_them(conform: Any, adapter: Any, tmp_path: Path) -> None:
    code, out, err = conform("run", adapter(RIGHT), *FRESH_ONLY, "--fresh", 12, "--report", tmp_path / "run")
    assert (code, err) == (0, "")
    assert f"0 cases and 12 fresh questions (seed {golden.edition()})" in out
    run = read(tmp_path / "run")
    assert len(run.fresh) == len(run.results) == 12
    assert {case.id for case in run.fresh} == set(verdicts(tmp_path / "run")) == set(run.about["fresh"]["taken"])
    code, out, _ = conform("rejudge", tmp_path / "run", "--out", tmp_path / "again")
    assert code == 0
    assert "12 results judged again, 0 verdicts changed" in out
    assert verdicts(tmp_path / "again") == verdicts(tmp_path / "run")
    assert conform("report", tmp_path / "again", "--no-cards")[0] == 0


def test_what_fails_is_shown_small_kept_and_asked_again(conform: Any, adapter: Any, tmp_path: Path) -> None:
    path = adapter(WRONG)
    code, out, _ = conform("run", path, *FRESH_ONLY, "--fresh", 24, "--report", tmp_path / "run")
    assert code == 1
    assert "as small as it gets" in out
    assert "# expected" in out
    found = tmp_path / "run" / "found.json"
    assert str(found) in out.replace("\n", "")
    (case,) = golden.load_file(found)
    assert isinstance(case, Case)
    assert case.data["inputs"]["x"]["shape"][0] == 7
    code, out, _ = conform("run", path, *FRESH_ONLY, "--fresh", 0, "--ask", found)
    assert code == 1, out
    assert case.id in out
    assert conform("run", adapter(RIGHT), *FRESH_ONLY, "--fresh", 0, "--ask", found)[0] == 0


def test_shards_and_a_resumed_run_hold_the_same_questions(conform: Any, adapter: Any, tmp_path: Path) -> None:
    path, how = adapter(RIGHT), ("--case", "dense.epsilon.exact*", *FRESH_ONLY[2:], "--fresh", 8, "--seed", "random")
    assert conform("run", path, *how, "--report", tmp_path / "whole")[0] == 0
    whole = read(tmp_path / "whole")
    assert whole.about["fresh"]["seed"] != golden.edition()
    lines = (tmp_path / "whole" / "results.ndjson").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "whole" / "results.ndjson").write_text("".join(lines[:3]), encoding="utf-8")
    assert conform("run", path, *how, "--report", tmp_path / "whole", "--resume")[0] == 0
    assert verdicts(tmp_path / "whole") == {r.case: r.verdict for r in whole.results}
    how = (*how[:-1], whole.about["fresh"]["seed"])
    for k in (1, 2):
        assert conform("run", path, *how, "--shard", f"{k}/2", "--report", tmp_path / f"{k}")[0] == 0
    assert conform("merge", tmp_path / "1", tmp_path / "2", "--out", tmp_path / "merged")[0] == 0
    assert verdicts(tmp_path / "merged") == verdicts(tmp_path / "whole")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--case", "none", "--fresh", "0"), "nothing to ask: --case none leaves the golden cases out"),
        (("--case", "none", "--feature", "op.conv", "--fresh", "5"), "no question fits"),
        (("--case", "none", "--ask", "no.json"), "no.json: cannot be read"),
        (("--fresh", "-1"), "--fresh"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(conform: Any, adapter: Any, args: tuple[str, ...], message: str) -> None:
    code, _, err = conform("run", adapter(RIGHT), *args)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err


def test_a_run_of_everything_asks_a_fresh_portion(conform: Any, adapter: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("lrp_conform.commands.run.FRESH", 5)
    code, out, _ = conform("run", adapter(RIGHT), *FRESH_ONLY[2:], "--report", tmp_path / "run")
    assert code == 0
    assert "cases and 5 fresh questions" in out
    kept = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["fresh"]
    assert [reach["op"] for reach in kept["reach"]] == ["dense"]


def test_what_only_few_declare_is_a_feature_that_the_suite_knows() -> None:
    assert model.needed_features() < model.known_features()
    assert "split.joint" not in model.needed_features()
    assert {"split.half", "rule.zero", "ties.last"} <= model.needed_features()
