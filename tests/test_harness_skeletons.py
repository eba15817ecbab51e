"""The harnesses to start from, docs/harness: a program in another language is judged, and keeps to the protocol."""

import json
import math
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from examples import sweep
from waiting import PATIENCE

from lrp_conform.candidates.sources import CandidateSource, load
from lrp_conform.cases import golden
from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import PASSES
from lrp_conform.running import runner
from lrp_conform.wire.harness import Harness, Launch

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "harness"
LANGUAGES = ("cpp", "R", "jl", "mjs")
DTYPES = {"cpp": ("float64", "float32"), "R": ("float64",), "mjs": ("float64", "float32")}  # Julia is not run
DENSE_CORE = [
    case
    for case in golden.load()
    if case.data["status"] == "core" and {f for f in case.features if f[:3] == "op."} == {"op.dense"}
]
NOT_DECLARED = {"rule.pattern"}  # another method, and another function to replace
ASKED = sweep(DENSE_CORE, 4)
LEAST = 0.9  # 467 of all 485: 11 are patterns, the data of one fit into no dtype, those of six into float64 only


def source(language: str) -> str:
    return (FOLDER / f"harness.{language}").read_text(encoding="utf-8")


def declared(language: str) -> set[str]:
    """The features in the text of a harness, without running it."""
    kinds = "op|rule|quadrants|bounds|bias|stabilizer|sign_at_zero"
    return set(re.findall(rf'"((?:{kinds})\.[a-z0-9_-]+)"', source(language)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_is_short_and_marks_one_place_for_the_library(language: str) -> None:
    lines = source(language).splitlines()
    assert len(lines) < 200
    assert len([line for line in lines if re.match("(//|#) ==== YOUR LIBRARY: ", line)]) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_declares_all_that_the_dense_core_needs_but_patterns(language: str) -> None:
    needed = {feature for case in DENSE_CORE for feature in case.features}
    assert needed - declared(language) == NOT_DECLARED
    assert declared(language) - needed == {"stabilizer.clip", "stabilizer.replace_zero", "sign_at_zero.0", "sign_at_zero.-1"}


def installed(*command: str) -> bool:
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0


def compiled(folder: Path) -> str:
    binary = str(folder / "harness")
    flags = ("-std=c++17", "-O2", "-ffp-contract=off")  # as the file says
    subprocess.run(["g++", *flags, str(FOLDER / "harness.cpp"), "-o", binary], check=True)
    return binary


@pytest.fixture(scope="module", params=DTYPES)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, tuple[str, ...]]:
    """A language, and the command that starts its harness; a visible skip where the language is missing."""
    language = request.param
    if language == "cpp":
        if not installed("g++", "-E", "-x", "c++", "-include", "nlohmann/json.hpp", "/dev/null"):
            pytest.skip("no g++, or no nlohmann/json.hpp (Debian: g++ nlohmann-json3-dev)")
        return language, (compiled(tmp_path_factory.mktemp("cpp")),)
    if language == "R":
        if not installed("Rscript", "--vanilla", "-e", "loadNamespace('jsonlite')"):
            pytest.skip("no Rscript, or no jsonlite (Debian: r-base-core r-cran-jsonlite)")
        return language, ("Rscript", "--vanilla", str(FOLDER / "harness.R"))
    if not installed("node", "--version"):
        pytest.skip("no node (Debian: nodejs)")
    return language, ("node", str(FOLDER / "harness.mjs"))


@pytest.fixture
def harness(program: tuple[str, tuple[str, ...]]) -> Iterator[Harness]:
    """The harness as the runner starts it, greeted."""
    one = Harness(Launch(program[1]))
    try:
        assert set(one.ask("hello", protocol=1)["info"]["features"]) == declared(program[0])
        yield one
    finally:
        one.close()


def test_passes_the_dense_core(program: tuple[str, tuple[str, ...]]) -> None:
    language, command = program
    (candidate,) = load(CandidateSource(command=command))
    try:
        found: list[CaseResult] = list(runner.run(candidate, ASKED, candidate.dtypes))
    finally:
        candidate.close()
    assert set(candidate.dtypes) == set(DTYPES[language])
    assert {r.verdict for r in found} <= {*PASSES, "indeterminate", "unsupported"}
    passed = Counter(r.dtype for r in found if r.verdict in PASSES)
    assert all(passed[dtype] >= LEAST * len(ASKED) for dtype in candidate.dtypes), passed
    assert all(r.deterministic is not False for r in found)
    asked = {case.id for case in ASKED if not case.features & NOT_DECLARED}
    assert {r.case for r in found if r.verdict != "unsupported"} == asked


def prepared(harness: Harness, dtype: str) -> Any:
    """A layer of one weight 1 under the rule that hands on what arrives: every number comes back."""
    assert harness.ask("configure", dtype=dtype, device="cpu", threads=1, tf32=False)["ok"] is True
    params = {"weight": np.ones((1, 1), dtype), "bias": np.zeros(1, dtype)}
    node = {"name": "layer", "op": "dense", "inputs": ["x"], "attrs": {}, "params": params}
    rule = {"rule": "gradient", "bias": "ignore", "stabilizer": {"kind": "none", "epsilon": 0.0, "sign_at_zero": 1}}
    return harness.ask("prepare", nodes=[node], rules={"layer": rule})["handle"]


def test_reads_and_writes_every_number_exactly(program: tuple[str, tuple[str, ...]], harness: Harness) -> None:
    random = np.random.default_rng(20261)
    for dtype in DTYPES[program[0]]:
        limits, bits = np.finfo(dtype), np.dtype(dtype.replace("float", "uint"))
        edges = [0, 0.1, -1.5, limits.max, limits.min, limits.tiny, limits.smallest_subnormal, math.inf, -math.inf, math.nan]
        scattered = random.integers(0, np.iinfo(bits).max, 400, dtype=bits).view(dtype)
        subnormal = random.integers(0, 2 ** (limits.nmant - 1), 100, dtype=bits).view(dtype)
        column = np.concatenate([np.array(edges, dtype), scattered, subnormal])[:, None]
        reply = harness.ask("run", handle=prepared(harness, dtype), x=column, relevance=column)
        for name in ("y", "relevance"):
            assert reply[name].dtype == dtype
            np.testing.assert_array_equal(reply[name], column)


def test_keeps_to_the_protocol(harness: Harness) -> None:
    handle, other = prepared(harness, "float64"), prepared(harness, "float64")
    one = np.ones((1, 1))
    assert harness.ask("release", handle=handle) == {"ok": True}
    assert "error" in harness.ask("run", handle=handle, x=one, relevance=one)
    assert "error" in harness.ask("nonsense")
    assert "error" in harness.ask("run", handle=other, x=one)
    assert "unsupported" in harness.ask("configure", dtype="float16", device="cpu", threads=1, tf32=False)
    node = {"name": "layer", "op": "flatten", "inputs": ["x"], "attrs": {}, "params": {}}
    assert "unsupported" in harness.ask("prepare", nodes=[node], rules={"layer": {"rule": "pass"}})
    assert harness.ask("run", handle=other, x=one, relevance=one)["relevance"] == one
    assert harness.bye() == 0


@pytest.mark.parametrize("line", ["{", "[1]", "5", "null", "{}", '{"op": 1, "seq": 7}'])
def test_answers_what_is_no_request_with_an_error_and_goes_on(program: tuple[str, tuple[str, ...]], line: str) -> None:
    text = f'{line}\n{{"op": "release", "seq": "last"}}\n'
    done = subprocess.run(program[1], input=text, capture_output=True, text=True, check=True, timeout=PATIENCE)
    replies = [json.loads(reply) for reply in done.stdout.splitlines()]
    assert [reply["seq"] for reply in replies] == [7 if "7" in line else None, "last"]
    assert replies[0]["error"].keys() >= {"type", "message"}


def test_ends_with_its_input(program: tuple[str, tuple[str, ...]]) -> None:
    done = subprocess.run(program[1], input="", capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (0, "")
