"""Shrinking: the smallest question that still shows a deviation, and the lines that show it in a bug report."""

import contextlib
import io
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inline import Asked, Output, candidate, cases, epsilon, results

from lrp_conform.candidates import adapter
from lrp_conform.candidates.adapter import Candidate
from lrp_conform.cases import golden
from lrp_conform.cases.layer import Case
from lrp_conform.cases.numbers import exact_array, float_array, parse
from lrp_conform.cases.question import Question, evaluate
from lrp_conform.diagnosis.probes import result_of
from lrp_conform.diagnosis.question_as_case import case_of
from lrp_conform.diagnosis.repro import repro
from lrp_conform.diagnosis.shrink import NothingToShrink, shrink
from lrp_conform.diagnosis.smaller import fewer, plainer, size
from lrp_conform.judging.deviations import BY_NAME

CASES = {case.id: case for case in golden.load()}


def numbers(case: Case) -> list[str]:
    tensors = [*case.node["params"].values(), *case.data["inputs"].values()]
    return [v for t in tensors for v in t["data"]]


def deviating(name: str, case: Case) -> Candidate:
    """The reference itself with a named deviation, asked anything."""

    def run(asked: Asked) -> Output:
        node, rule = asked["nodes"][0], asked["rules"]["layer"]
        question = Question(
            {**node, "params": {n: exact(a) for n, a in node["params"].items()}, "attrs": texts(node["attrs"])},
            texts(rule),
            inputs(node, asked),
        )
        changed = BY_NAME[name].change(question)
        y, _ = evaluate(question, asked["dtype"])
        _, found = evaluate(question if changed is None else changed, asked["dtype"])
        return {"y": y, "relevance": list(found) if len(found) > 1 else found[0]}

    return candidate(run, case.features)


def exact(a: np.ndarray) -> dict[str, Any]:
    return {"shape": list(a.shape), "data": [str(parse(float(v).hex())) if v else "0" for v in a.reshape(-1)]}


def texts(given: dict[str, Any]) -> dict[str, Any]:
    """A rule or attributes with their floats as rationals again."""
    out: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, dict):
            out[name] = texts(value) | {"sign_at_zero": str(value["sign_at_zero"])}
        elif isinstance(value, np.ndarray):
            out[name] = exact(value)
        else:
            out[name] = (
                str(parse(value.hex())) if isinstance(value, float) and value else "0" if isinstance(value, float) else value
            )
    return out


def inputs(node: dict[str, Any], asked: Asked) -> dict[str, Any]:
    xs = asked["x"] if isinstance(asked["x"], list) else [asked["x"]]
    return {**{n: exact(x) for n, x in zip(node["inputs"], xs, strict=True)}, "relevance": exact(asked["relevance"])}


@pytest.mark.parametrize(
    ("id", "name", "most"),
    [
        ("dense.w-square.generic-01", "bias.square", 4),
        ("dense.epsilon.exact-01", "mistake.sign", 5),
        ("dense.alpha-beta.exact-02", "bias.full_in_both", 8),
        ("conv.w-square.exact-01", "bias.square", 7),
        ("conv.flat.exact-01", "padding.counted", 8),
        ("conv.epsilon.exact-02", "mistake.flipped-kernel", 10),
        ("add.residual", "rule.flat", 4),
        ("add.residual", "mistake.first-input-twice", 4),
        ("max-pool.ties-first", "ties.last", 5),
        ("batch-norm.dense.zero-absorb-none", "linearization.centered", 8),
    ],
)
def test_a_deviation_shrinks_to_a_few_small_integers(id: str, name: str, most: int) -> None:
    case = next(c for c in CASES.values() if c.id.startswith(id))
    one = deviating(name, case)
    found = shrink(one, case, "float64", asks=600)
    assert found.asks <= 600
    assert size(found.case.question) < size(case.question)
    assert len(numbers(found.case)) <= most
    assert all(parse(v).denominator == 1 and abs(parse(v)) <= 4 for v in numbers(found.case))
    assert found.result.verdict in ("nonconformant", "dialect")
    assert name in (found.result.judgement.dialect or found.result.judgement.hint or "")
    assert result_of(one, found.case, "float64").verdict == "nonconformant"
    again = shrink(one, case, "float64", asks=600)
    assert again.case.data == found.case.data


def test_what_is_asked_is_bounded() -> None:
    (case,) = cases("dense.epsilon.generic-01")
    asked: list[Asked] = []
    wrong = candidate(lambda a: asked.append(a) or {**(right := epsilon(a)), "relevance": -right["relevance"]}, case.features)
    found = shrink(wrong, case, "float64", asks=5)
    assert found.asks <= 5
    assert len(asked) == found.asks + 2  # once more for the result, and for its name
    assert found.result.verdict == "nonconformant"


def test_what_does_not_deviate_is_not_shrunk() -> None:
    (case,) = cases("dense.epsilon.exact-01")
    with pytest.raises(NothingToShrink, match=r"inline does not deviate on dense.epsilon.exact-01 at float64: exact"):
        shrink(candidate(epsilon), case, "float64")
    with pytest.raises(NothingToShrink, match="not asked"):
        shrink(candidate(epsilon, {"op.dense", "rule.flat"}), case, "float64")


def test_a_division_by_zero_shrinks_to_one() -> None:
    (case,) = cases("classic.output-is-zero-dropped")

    def divides(asked: Asked) -> Output:
        w, b = (asked["nodes"][0]["params"][n] for n in ("weight", "bias"))
        y = asked["x"] @ w.T + b
        return {"y": y, "relevance": asked["x"] * ((asked["relevance"] / y) @ w)}

    found = shrink(candidate(divides, case.features), case, "float64")
    assert found.result.verdict == "invalid-output"
    assert len(numbers(found.case)) <= 5


def test_every_smaller_question_is_smaller_or_plainer_and_well_posed() -> None:
    for id in ("dense.z-box.exact-01", "conv.alpha-beta.exact-03", "conv.z-box.exact-04", "max-pool.ties-first"):
        case = next(c for c in CASES.values() if c.id.startswith(id))
        steps = [*fewer(case.question), *plainer(case.question)]
        assert any(size(q) < size(case.question) for q in steps)
        asked = 0
        for question in steps[:12]:
            with contextlib.suppress(ValueError):  # x outside of its box, for example
                small = case_of(question, "smaller")
                asked += 1
                assert small.expected_y.shape == tuple(question.inputs["relevance"]["shape"])
        assert asked > 4


# For a bug report -------------------------------------------------------------------------------------------------------


def printed(text: str, **modules: types.ModuleType) -> str:
    """What the lines print."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        exec(compile(text, "<bug report>", "exec"), {})
    return out.getvalue()


def test_the_lines_of_an_adapter_show_the_deviation() -> None:
    (case,) = cases("dense.epsilon.exact-01")

    def wrong(asked: Asked) -> Output:
        return {**(right := epsilon(asked)), "relevance": -right["relevance"]}

    found = shrink(candidate(wrong, case.features), case, "float32")
    text = repro(found.case, found.result)
    module = types.ModuleType("adapter")
    vars(module)["run"] = wrong
    got = float_array(found.case.data["expected"]["relevance"]["x"], "float32")
    assert repr(-got.reshape(-1)[0].item()).rstrip("0") in printed(text, adapter=module)
    assert (
        text.splitlines()[-1]
        == f"# expected {' '.join(map(str, exact_array(found.case.data['expected']['relevance']['x']).reshape(-1)))}"
    )
    assert "the sign of the relevance flipped (mistake.sign)" in text.splitlines()[0]


ZENNIT = [
    "v0.w-square",
    "dense.z-plus.exact-01",
    "dense.norm.exact-02",
    "conv.w-square.exact-01",
    "conv.z-plus.exact-02",
    "add.sum-is-zero",
]
CAPTUM = ["dense.gamma.exact-02", "v0.alpha1-beta0-tiny-epsilon", "conv.alpha-beta.exact-04", "v0.z-plus"]


@pytest.mark.parametrize(("name", "id"), [*(("zennit", id) for id in ZENNIT), *(("captum", id) for id in CAPTUM)])
def test_the_lines_for_a_library_show_the_deviation(name: str, id: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    if name == "zennit":
        import torchvision_shim

        torchvision_shim.install()
    pytest.importorskip(name, reason=f"{name} is not installed")
    import torch

    (one,) = adapter.load(name)
    try:
        found = shrink(one, CASES[id], "float64")
    except NothingToShrink as why:
        pytest.skip(str(why))
    text = repro(found.case, found.result)
    assert name in text.splitlines()[1]
    assert len([line for line in text.splitlines() if not line.startswith("#")]) <= 7
    out = printed(text)
    assert found.result.output is not None
    relevance = found.result.output["relevance"]
    for part in relevance if isinstance(relevance, list) else [relevance]:
        shown = str(torch.tensor(part)).partition("(")[2].rpartition(", dtype")[0]
        assert shown in out
    assert text.splitlines()[-1].startswith("# expected ")


@pytest.mark.parametrize(
    "id",
    [
        "dense.epsilon.exact-01",
        "conv.flat.exact-01",
        "max-pool.ties-first",
        "batch-norm.dense.zero-absorb-none",
        "add.residual",
    ],
)
@pytest.mark.parametrize("name", ["zennit", "captum", "lxt", "innvestigate", "mine"])
def test_there_are_lines_for_every_candidate_and_layer(name: str, id: str) -> None:
    case = next(c for c in CASES.values() if c.id.startswith(id))
    one = candidate(lambda asked: {"y": asked["x"], "relevance": asked["x"]}, case.features)
    result = result_of(one, case, "float64")
    text = repro(case, type(result)(**{**vars(result), "candidate": name}))
    compile(text, "<bug report>", "exec")
    assert text.startswith(f"# {name} 1: {case.feature}, float64")


def test_the_command_prints_mathematics_and_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from test_command_run import ADAPTER, called

    path = tmp_path / "mine.py"
    path.write_text(ADAPTER + "\nFACTOR = 2\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        assert called(patch, "shrink", path, "dense.epsilon.exact-01", "--in-process") == 0
        out = capsys.readouterr().out
        assert "dense.epsilon.exact-01.shrunk" in out
        assert "# expected" in out
        assert called(patch, "shrink", path, "no.such.case", "--in-process") == 2
        assert "there is no such case" in capsys.readouterr().err
        assert called(patch, "card", path, "--in-process") == 0
        assert "stabilizer of epsilon" in capsys.readouterr().out


def test_what_a_candidate_says_of_itself_cannot_become_code() -> None:
    hostile = replace(candidate(epsilon), name="x\nimport os", version="1\u2028os.abort()")
    (case,) = cases("dense.epsilon.exact-01")
    (result,) = results(hostile, [case], ("float64",))
    for answer in (result, replace(result, output={"relevance": ["no", None]})):
        lines = repro(case, answer).splitlines()
        assert lines[0].startswith("# x import os 1 os.abort():")
        compile("\n".join(lines), "repro", "exec")
    plain = replace(result, candidate="x", version="1")
    code = [[line.partition("  #")[0] for line in repro(case, r).splitlines() if line[0] != "#"] for r in (result, plain)]
    assert code[0] == code[1]
