"""The fuzzer: it finds what is broken, makes it small, files it once, and says nothing where nothing is wrong."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import oracle
import pytest
from hypothesis.internal.conjecture.providers import HypothesisProvider
from jsonschema_rs import Draft202012Validator

import lrp_ref as lrp
from lrp_conform.cases.golden import GoldenError, uid_of
from lrp_conform.cli import main
from lrp_conform.making import derivations, generate
from lrp_conform.making.derivations import disagreements
from lrp_conform.making.golden_text import case_text, file_text
from lrp_conform.making.recipes import found as filed
from lrp_conform.making.recipes import vectors
from lrp_conform.proof import fuzz
from lrp_ref import stabilizers
from lrp_ref.arrays import absolute
from lrp_ref.layers import Crop, Dense
from lrp_ref.rules import Gamma

ROOT = Path(__file__).resolve().parents[2]
LOOK = 0.02  # seconds that pass from one look at the clock to the next: one question, on whatever machine
Break = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """A clock that moves by being looked at, so that the same questions are asked on any machine."""
    looks = count()
    monkeypatch.setattr(fuzz, "time", SimpleNamespace(monotonic=lambda: next(looks) * LOOK))
    monkeypatch.setattr(fuzz, "PATIENCE", 2000 * LOOK)  # what shrinking takes, in looks
    return lambda: next(looks) * LOOK


@pytest.fixture(autouse=True)
def alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same questions whatever else is loaded: Hypothesis would draw numbers that stand in any module of the tree."""
    monkeypatch.setattr(HypothesisProvider, "_maybe_draw_constant", lambda *given, **how: None)


def rule_ignores_gamma(patch: pytest.MonkeyPatch) -> None:
    whole = Gamma.parts
    patch.setattr(Gamma, "parts", lambda self, W, x, b, y: whole(lrp.Gamma(self.gamma * 0, self.kind), W, x, b, y))


def stabilizer_forgets_the_sign(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(stabilizers.KINDS, "clip", lambda d, eps, sgn: absolute(sgn()) * absolute(d) + eps)


def layer_crops_the_other_end(patch: pytest.MonkeyPatch) -> None:
    whole = Crop.affine
    patch.setattr(Crop, "affine", lambda self, x: whole(Crop(tuple((e, b) for b, e in self.crop)), x))


def stabilizer_crashes(patch: pytest.MonkeyPatch) -> None:
    def crash(d: Any, eps: Any, sgn: Any) -> Any:
        raise TypeError("no\nway")

    patch.setitem(stabilizers.KINDS, "drop", crash)


def oracle_loses_the_bias(patch: pytest.MonkeyPatch) -> None:
    whole = oracle.explain

    def explain(case: dict[str, Any]) -> dict[str, Any]:
        found = whole(case)
        found["ledger"]["bias"]["data"] = [0 * v for v in found["ledger"]["bias"]["data"]]
        return found

    patch.setattr(oracle, "explain", explain)


def floats_are_off(patch: pytest.MonkeyPatch) -> None:
    whole = derivations.evaluate

    def evaluate(*given: Any) -> Any:
        y, received = whole(*given)
        return y, tuple(r * (1 + 2**-6) for r in received)

    patch.setattr(derivations, "evaluate", evaluate)


BROKEN: dict[str, tuple[Break, int, str, str, str]] = {  # the bug; a seed; the rule and op it shrinks to; where it is seen
    "rule": (rule_ignores_gamma, 0, "gamma", "dense", "relevance of x"),
    "stabilizer": (stabilizer_forgets_the_sign, 3, "zero", "dense", "relevance of x"),
    "layer": (layer_crops_the_other_end, 4, "zero", "crop", "y"),
    "crash": (stabilizer_crashes, 0, "zero", "dense", "an answer"),
    "oracle": (oracle_loses_the_bias, 1, "zero", "dense", "ledger bias"),
    "floats": (floats_are_off, 1, "zero", "dense", "relevance of x in floats"),
}


def numbers(question: Any) -> int:
    """How many numbers the question holds."""
    return sum(len(t["data"]) for t in (*question.node["params"].values(), *question.inputs.values()))


@pytest.mark.parametrize("name", BROKEN)
def test_a_bug_is_found_soon_made_small_and_filed_until_it_is_mended(name: str, tmp_path: Path) -> None:
    bug, seed, rule, op, about = BROKEN[name]
    path = tmp_path / "found.ndjson"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fuzz, "MOST", 1)
        patch.setattr(fuzz, "EXAMPLES", 40)
        bug(patch)
        (find,) = fuzz.fuzz(1, seed, path).finds
        assert (find.question.rule["rule"], find.question.node["op"], find.wrong.about) == (rule, op, about)
        assert numbers(find.question) <= 16
        (recipe,) = filed.read(path)
        if name != "floats":
            with pytest.raises(generate.CertificateError, match="lrp-conform fuzz filed: mend the bug") as caught:
                generate.build(recipe)
            assert "\n" not in str(caught.value)
    assert "\n" not in find.wrong.said.get("structured", "")
    built = generate.build(recipe)
    assert built["id"] == find.recipe.id
    assert built["uid"] == uid_of(built)
    schema = Draft202012Validator(json.loads((ROOT / "golden/schema.json").read_text(encoding="utf-8")))
    assert schema.is_valid(json.loads(file_text("found/found", [case_text(built)])))


def test_a_bug_of_one_rule_is_filed_once_whatever_layer_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "found.ndjson"
    monkeypatch.setattr(fuzz, "EXAMPLES", 40)
    with pytest.MonkeyPatch.context() as patch:
        rule_ignores_gamma(patch)
        first = fuzz.fuzz(3 / 60, 0, path, ("gamma", "zero"))
        again = fuzz.fuzz(1 / 60, 1, path, ("gamma", "zero"))
    assert len(first.finds) == 1
    assert [find.recipe.id for find in again.known] == [find.recipe.id for find in first.finds]
    assert not again.finds
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1
    mended = fuzz.fuzz(0.01, 0, path, ("gamma",))
    assert not mended.known


def test_nothing_is_written_where_nothing_is_found_and_the_time_is_kept(tmp_path: Path, clock: Callable[[], float]) -> None:
    path, seconds = tmp_path / "found.ndjson", []
    done = fuzz.fuzz(2 / 60, 5, path, progress=seconds.append)
    assert 2 <= clock() < 2 + 5 * LOOK
    assert sum(seconds) == 2
    assert not done.finds
    assert not path.exists()
    assert sum(done.rules.values()) == sum(done.ops.values()) > 50
    assert set(done.rules) <= set(lrp.RULES)
    assert all(done.floats[dtype] for dtype in fuzz.DTYPES)


def test_what_is_filed_becomes_a_golden_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("vectors", "rules", "layers", "users_questions", "kinds", "networks"):
        monkeypatch.setattr(generate, name, SimpleNamespace(recipes=dict))
    monkeypatch.setattr(filed, "PATH", tmp_path / "found.ndjson")
    assert generate.recipes() == {}
    recipe = filed.recipe(vectors.recipes()["vectors/v0"][0].question, "a story")
    filed.append(filed.PATH, recipe)
    assert generate.recipes() == {"found/found": [recipe]}
    assert set(generate.generate(workers=1)) == {"found/found.json", "manifest.json", *generate.documents()}


def test_the_same_seed_asks_the_same_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[Any]] = []

    def examined(question: Any, *rest: Any) -> None:
        asked[-1].append(question)
        if len(asked[-1]) == 50:
            raise KeyboardInterrupt

    monkeypatch.setattr(fuzz, "examined", examined)
    for seed in (3, 3, 4):
        asked.append([])
        assert fuzz.fuzz(1, seed, tmp_path / "found.ndjson").interrupted
    assert asked[0] == asked[1] != asked[2]


def called(*arguments: str) -> tuple[int, str]:
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main(["fuzz", *arguments])
    return code, said.getvalue()


def test_the_command_says_what_was_compared_and_ends_with_0(tmp_path: Path) -> None:
    code, said = called("--minutes", "0.01", "--seed", "1", "--rule", "zero", "--out", str(tmp_path / "found.ndjson"))
    assert code == 0
    assert "per rule: zero " in said
    assert "per layer: dense " in said
    assert "0 new disagreements" in said
    assert not any(tmp_path.iterdir())


def test_the_command_prints_what_was_found_and_ends_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle_loses_the_bias(monkeypatch)
    monkeypatch.setattr(fuzz, "MOST", 1)
    monkeypatch.setattr(fuzz, "EXAMPLES", 120)
    out = str(tmp_path / "found.ndjson")
    code, said = called("--minutes", "0.5", "--seed", "1", "--rule", "zero", "--out", out)
    assert code == 1
    for line in (
        "zero on dense: derivations differ in ledger bias[",
        "  structured: ",
        "  second oracle: 0",
        "  filed as found.zero",
    ):
        assert line in said
    code, said = called("--minutes", "0.01", "--rule", "zero", "--out", out)
    assert code == 1
    assert "still differs in ledger bias[" in said


def test_a_reference_too_broken_to_ask_is_a_finding_of_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dense, "affine", None)
    code, said = called("--rule", "norm", "--out", str(tmp_path / "found.ndjson"))
    assert code == 1
    assert "no question can be made up: TypeError: " in said.splitlines()[-1]


def test_an_interrupt_ends_the_command_with_the_counts_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, asked = fuzz.examined, []

    def examined(*given: Any) -> Any:
        asked.append(given)
        if len(asked) == 20:
            raise KeyboardInterrupt
        return whole(*given)

    monkeypatch.setattr(fuzz, "examined", examined)
    code, said = called("--rule", "zero", "--out", str(tmp_path / "found.ndjson"))
    assert code == 0
    assert "19 questions compared" in said
    assert "interrupted" in said


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("--minutes", "0"), "expected a number above 0"),
        (("--minutes", "inf"), "expected a number above 0"),
        (("--rule", "lrp"), "--rule: expected one of zero"),
        (("--out", "/nowhere/at/all"), "is no directory"),
        (("--out", "/"), "Is a directory"),
    ],
)
def test_misuse_is_one_line_and_2(arguments: tuple[str, ...], match: str) -> None:
    code, said = called(*arguments)
    assert code == 2
    assert match in said


@pytest.mark.parametrize(
    "line", ["", "[]", "{", '{"id": "found.x"}', '{"id": 3, "comment": "", "node": {}, "rule": {}, "inputs": {}}']
)
def test_a_spoilt_recipe_is_refused_with_its_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "found.ndjson"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(GoldenError, match=r"found.ndjson:1: not a recipe") as caught:
        filed.read(path)
    assert "\n" not in str(caught.value)


def test_a_wheel_has_no_second_oracle_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derivations, "TESTS", tmp_path)
    code, said = called("--out", str(tmp_path / "found.ndjson"))
    assert code == 2
    assert "needs a source checkout" in said
    recipe = vectors.recipes()["vectors/v0"][0]
    with pytest.raises(generate.CertificateError, match="needs a source checkout"):
        generate.build(recipe)


def test_relevance_that_all_derivations_lose_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    question = vectors.recipes()["vectors/v0"][0].question
    assert disagreements(question) == (True, None)
    accounts = {name: derive(question) for name, derive in derivations.derivations(question).items()}
    wrong = {**accounts["explicit"], "ledger dropped": ([1, 1], [accounts["explicit"]["ledger dropped"][1][0] + 1])}
    monkeypatch.setattr(derivations, "derivations", lambda q: dict.fromkeys(accounts, lambda asked: wrong))
    answered, found = disagreements(question)
    assert answered
    assert found is not None
    assert found.about == "ledger of sample"


def test_no_question_is_filed_that_lacks_a_derivation() -> None:
    base = vectors.recipes()["vectors/v0"][0].question
    question = base.with_rule(
        rule="z-box",
        low="-7",
        high="7",
        padding="absent",
        bias="ignore",
        stabilizer={"kind": "abs_share", "epsilon": "1", "sign_at_zero": "1"},
    )
    find = fuzz.Find(question, derivations.Disagreement("y", (0,), {"explicit": "1", "second oracle": "2"}))
    assert find.unfiled == "a golden case needs three derivations, and only explicit and second oracle can answer"
    assert "not filed: a golden case" in find.block()
