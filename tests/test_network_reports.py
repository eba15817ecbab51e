"""Network cases on their way: over the wire, into results and out of them, on the page, on a terminal."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema_rs import Draft202012Validator
from network_mutants import MUTANTS, answer

from lrp_conform.candidates.adapter import Candidate
from lrp_conform.candidates.sources import CandidateSource, load
from lrp_conform.cases import golden
from lrp_conform.cases.network import NetworkCase
from lrp_conform.cases.wellformed import Malformed, check_case
from lrp_conform.cli import main
from lrp_conform.judging.result import CaseResult
from lrp_conform.report.gather import gather
from lrp_conform.report.junit import junit
from lrp_conform.report.markdown import markdown
from lrp_conform.report.payload import payload
from lrp_conform.report.terminal import line
from lrp_conform.running import folder, offline, runner
from lrp_conform.running.folder import Run, Writer

Json = dict[str, Any]
HERE = Path(__file__).resolve().parent.parent
CASES = {case.id: case for case in golden.load_all() if isinstance(case, NetworkCase)}
MLP = CASES["network.reference.epsilon.mlp"]
MUTANT, CHANGED, NODE, SEEN = MUTANTS["residual branch dropped"]
ADAPTER = """
import numpy as np
INFO = {"name": "wired", "version": "1", "features": FEATURES, "dtypes": ["float64"]}

def run(case):
    assert case["composite"] == {"library": "reference", "name": "epsilon", "options": {"epsilon": 0.25}}, case["composite"]
    values = {"x": case["x"]}
    for node in case["nodes"]:
        x, p = values[node["inputs"][0]], node["params"]
        values[node["name"]] = x @ p["weight"].T + p["bias"] if node["op"] == "dense" else np.maximum(x, 0)
    R, nodes = case["relevance"], {}
    for node in reversed(case["nodes"]):
        nodes[node["name"]], x, z = R, values[node["inputs"][0]], values[node["name"]]
        if node["op"] == "dense":
            epsilon = case["rules"][node["name"]]["stabilizer"]["epsilon"]
            R = x * ((R / (z + np.where(z < 0, -epsilon, epsilon))) @ node["params"]["weight"])
    return {"y": values[case["nodes"][-1]["name"]], "relevance": R, "nodes": nodes}
"""


@pytest.fixture(scope="module")
def wrong() -> Run:
    """The run of a candidate that drops a skip connection."""
    case = CASES[CHANGED]
    candidate = Candidate("dropping", "1", case.features, ("float64",), ("cpu",), False, lambda asked: MUTANT(case))
    found = list(runner.run(candidate, [case], ["float64"]))
    return Run(folder.about([candidate], [case.id], ["float64"], ["cpu"]), found)


def test_a_network_and_the_relevance_of_its_nodes_go_over_the_wire(tmp_path: Path) -> None:
    path = tmp_path / "wired.py"
    path.write_text(ADAPTER.replace("FEATURES", repr(sorted(MLP.features))), encoding="utf-8")
    (candidate,) = load(CandidateSource(str(path)))
    try:
        (found,) = runner.run(candidate, [MLP], ["float64"])
    finally:
        candidate.close()
    assert (found.verdict, found.judgement.hint) == ("conformant", None)
    assert found.output is not None
    assert set(found.output["nodes"]) == set(MLP.asked.rules)


def test_messages_about_networks_are_of_the_protocol() -> None:
    from lrp_conform.wire.messages import encode

    schema = Draft202012Validator(
        json.loads((HERE / "conformance/lrp_conform/smoke/protocol.schema.json").read_text(encoding="utf-8"))
    )
    asked = MLP.adapter_case("float64")
    question = {name: asked[name] for name in ("nodes", "rules", "composite")}
    assert schema.is_valid({"op": "prepare", "seq": 1, **encode(question)})
    assert schema.is_valid({"seq": 1, **encode(answer(MLP))})
    assert not schema.is_valid({"seq": 1, **encode(answer(MLP) | {"nodes": [1]}), "error": {}})


def test_a_result_keeps_the_nodes_and_is_judged_again_from_them(wrong: Run, tmp_path: Path) -> None:
    schema = Draft202012Validator(
        json.loads((HERE / "conformance/lrp_conform/running/results.schema.json").read_text(encoding="utf-8"))
    )
    writer = Writer(tmp_path / "report", wrong.about)
    writer.begin()
    writer.finish(wrong.results)
    (record,) = map(json.loads, (tmp_path / "report/results.ndjson").read_text(encoding="utf-8").splitlines())
    assert not list(schema.iter_errors(record))
    assert set(record["output"]["nodes"]) == set(CASES[CHANGED].asked.rules)
    again = offline.rejudge(folder.read(tmp_path / "report"), golden.load_all())
    assert [(r.verdict, r.judgement.hint, r.judgement.detail) for r in again.results] == [
        (r.verdict, r.judgement.hint, r.judgement.detail) for r in wrong.results
    ]


def test_every_report_names_the_first_diverging_node(wrong: Run) -> None:
    evidence = gather([wrong])
    said = f"first diverging node: {NODE}, which hands nothing to {SEEN}"
    assert f"first diverging node {NODE}" in line(wrong.results[0])
    assert said in junit(evidence)
    assert said in markdown(evidence)
    data = payload(evidence)
    (case,) = data["cases"]
    assert [node["name"] for node in case["network"]] == list(CASES[CHANGED].asked.rules)
    assert any(said in text for text in data["texts"])
    (record,) = data["systems"][0]["results"]
    assert len(record["a"]["x"]["e"].split()) == CASES[CHANGED].expected["x"].size
    assert "nodes += [" in data["texts"][record["p"]]


Printed = pytest.CaptureFixture[str]


def test_show_prints_the_network_the_relevance_and_the_ledger(capsys: Printed) -> None:
    assert main(["show", "network.zennit.epsilon-gamma-box.convnet"]) == 0
    shown = capsys.readouterr().out
    for text in ("z-box(", "stabilizer=1/8", "arriving at each node", "max-pool(", "second-oracle", "total"):
        assert text in shown


def test_networks_are_chosen_as_other_cases_are(capsys: Printed) -> None:
    def listed(*args: str) -> str:
        assert main(["list", *args]) == 0
        return capsys.readouterr().out

    assert len(listed("--case", "network.reference.*").splitlines()) == 12
    assert listed("--profile", "networks").count("\n") == len(CASES)
    branches = listed("--feature", "network.branches")
    assert "residual" in branches
    assert "mlp" not in branches


def test_a_candidate_without_the_feature_is_not_asked() -> None:
    features = frozenset(f for f in MLP.features if not f.startswith("network."))
    (found,) = runner.run(Candidate("a", "1", features, ("float64",), ("cpu",), False, lambda asked: {}), [MLP], ["float64"])
    assert (found.verdict, found.judgement.detail["why"]) == ("unsupported", "does not declare network.sequence")


def damaged(*path: Any, value: Any) -> Json:
    case: Json = json.loads(json.dumps(MLP.data))
    part = case
    for step in path[:-1]:
        part = part[step]
    if value is None:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return case


@pytest.mark.parametrize(
    ("path", "value", "match"),
    [
        (("rules", "dense2"), None, "a rule for every node"),
        (("model", "nodes", 1, "inputs"), ["dense3"], "nodes before this one"),
        (("model", "nodes", 1, "name"), "x", "a name of its own"),
        (("expected", "nodes", "relu1"), None, "the relevance at every node"),
        (("bounds", "float32", "nodes", "relu1", "data", 0), "-1", "expected a finite number, zero or above"),
        (("bounds", "float32", "nodes", "relu1"), {"shape": [1], "data": ["1"]}, "a bound for every expected number"),
        (("bounds", "float32"), None, 'bounds: "float32" is a required property'),
        (("representable_in",), ["float16"], "formats whose bounds are there"),
        (("inputs", "relevance"), None, "the relevance at the output"),
        (("ledger", "nodes", "relu1"), None, "an account of every node"),
        (("composite", "name"), None, 'composite: "name" is a required property'),
    ],
)
def test_a_damaged_case_is_refused_with_the_place(path: tuple[Any, ...], value: Any, match: str) -> None:
    with pytest.raises(Malformed, match=match):
        check_case(damaged(*path, value=value), "cases[0]")


def test_what_a_candidate_writes_to_later_is_kept_as_it_was() -> None:
    buffer = answer(MLP)

    same = Candidate("a", "1", MLP.features, ("float64",), ("cpu",), False, lambda asked: buffer)
    found: CaseResult = next(runner.run(same, [MLP], ["float64"]))
    assert found.output is not None
    assert not any(np.shares_memory(found.output["nodes"][name], array) for name, array in buffer["nodes"].items())
