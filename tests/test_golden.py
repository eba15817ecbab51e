"""The golden files: well formed, complete, and the same from two derivations."""

import hashlib
import json
import re
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, meta
from oracle import explain

from lrp_conform.cases import entries, golden
from lrp_conform.cases.golden import GoldenError
from lrp_conform.cases.operators import OPERATORS
from lrp_conform.making.generate import documents, generate, uid_of
from lrp_ref.rules import RULES

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent / "golden"
PATHS = sorted(ROOT.glob("*/*.json"))
NAMES = [path.relative_to(ROOT).as_posix() for path in PATHS]
SCHEMA = json.loads((ROOT / "schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
FILES: dict[str, Json] = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in zip(NAMES, PATHS, strict=True)}
CASES: dict[str, Json] = {case["id"]: case for file in FILES.values() for case in file["cases"]}
LAYERS = [name for name in NAMES if not name.startswith("network/")]
EXACT_RULES = [name for name, rule in RULES.items() if entries.fits(name, OPERATORS["dense"]) and rule.formula]


def numbers(tensor: Json) -> list[Fraction]:
    return [Fraction(float.fromhex(v)) if "x" in v else Fraction(v) for v in tensor["data"]]


def tensors(part: Any) -> list[Json]:
    """Every tensor anywhere below `part`."""
    if isinstance(part, dict):
        return [part] if set(part) == {"shape", "data"} else [t for v in part.values() for t in tensors(v)]
    return [t for v in part for t in tensors(v)] if isinstance(part, list) else []


# The schema ---------------------------------------------------------------------------------------------------------


def schemas(part: Any) -> list[Json]:
    """Every subschema that describes an object."""
    below = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    own = [part] if isinstance(part, dict) and part.get("type") == "object" and "required" not in part.get("if", {}) else []
    return own + [s for v in below for s in schemas(v)]


def test_the_schema_is_a_schema_that_closes_every_object_and_describes_every_property() -> None:
    meta.validate(SCHEMA)
    objects = [s for s in schemas(SCHEMA) if "properties" in s or "patternProperties" in s]
    assert len(objects) > 60
    assert all(s["additionalProperties"] is False for s in objects)
    described = [p for s in objects for p in s.get("properties", {}).values()]
    assert all(p.get("description") for p in described)


@pytest.mark.parametrize(("name", "text"), documents().items())
def test_what_is_written_from_the_tables_is_what_the_golden_directory_holds(name: str, text: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", NAMES)
def test_file_is_valid_under_the_schema(name: str) -> None:
    wrong = [f"{e.instance_path}: {e.message[:200]}" for e in VALIDATOR.iter_errors(FILES[name])]
    assert not wrong
    assert name == FILES[name]["group"] + ".json"


def damaged(*path: Any, value: Any) -> Json:
    """vectors/v0.json with one value replaced."""
    file = json.loads(json.dumps(FILES["vectors/v0.json"]))
    part = file
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    return file


NODE, RULE = ("cases", 0, "model", "nodes", 0), ("cases", 0, "rules", "layer")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("extra",), 1),
        (("schema",), 2),
        (("cases", 0, "tolerance"), "1/1000"),
        (("cases", 0, "status"), "final"),
        (("cases", 0, "uid"), "sha256:0"),
        (("cases", 0, "inputs", "x", "data", 0), 1),
        (("cases", 0, "inputs", "x", "data", 0), "0.5"),
        (("cases", 0, "inputs", "x", "data", 0), "1e3"),
        (("cases", 0, "inputs", "x", "data", 0), "01"),
        (("cases", 0, "inputs", "x", "data", 0), "1/0"),
        (("cases", 0, "gauges", "kappa"), "-3"),
        (("cases", 0, "radius"), "0"),
        ((*NODE, "op"), "linear"),
        ((*NODE, "attrs", "stride"), [1]),
        ((*NODE, "params", "gamma"), {"shape": [1], "data": ["1"]}),
        ((*NODE, "inputs"), ["x", "x"]),
        ((*RULE, "alpha"), "2"),
        ((*RULE, "bias"), "split"),
        ((*RULE, "stabilizer", "kind"), "sometimes"),
    ],
)
def test_schema_refuses(path: tuple[Any, ...], value: Any) -> None:
    assert not VALIDATOR.is_valid(damaged(*path, value=value))


@pytest.mark.parametrize("text", ["-3", "17/90", "0x1.8p+1", "-0x1.fa047236cc03fp-2", "-0.0", "nan", "inf", "-inf", "0"])
def test_schema_takes_every_way_of_writing_a_number(text: str) -> None:
    assert VALIDATOR.is_valid(damaged("cases", 0, "inputs", "x", "data", 0, value=text))


# What the files hold ------------------------------------------------------------------------------------------------


def test_only_sizes_and_axes_are_json_numbers() -> None:
    def refuse(text: str) -> None:
        raise AssertionError(f"a float literal: {text}")

    for path in PATHS:
        json.loads(path.read_text(encoding="utf-8"), parse_float=refuse, parse_constant=refuse)
    assert all(isinstance(v, str) for t in tensors(list(CASES.values())) for v in t["data"])


def test_every_tensor_holds_as_many_elements_as_its_shape_says() -> None:
    found = tensors(list(CASES.values()))
    assert len(found) > 10_000
    assert all(len(t["data"]) == prod(t["shape"]) <= 256 for t in found)


def test_ids_are_unique_and_the_manifest_lists_them_all() -> None:
    ids = [case["id"] for file in FILES.values() for case in file["cases"]]
    manifest = json.loads((ROOT / "manifest.json").read_text(encoding="utf-8"))
    assert len(ids) == len(set(ids)) == len(manifest["cases"])
    assert manifest["cases"] == {i: case["uid"] for i, case in CASES.items()}
    assert {case["provenance"]["edition"] for case in CASES.values()} == {manifest["edition"]}


def test_uid_is_the_hash_of_the_content() -> None:
    assert [i for i, case in CASES.items() if uid_of(case) != case["uid"]] == []
    case = CASES["v0.zero"]
    text = json.dumps([case[k] for k in ("model", "rules", "inputs", "expected")], sort_keys=True, separators=(",", ":"))
    assert case["uid"] == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_flags_and_notes_explain_each_other(name: str) -> None:
    flags = {flag for case in FILES[name]["cases"] for flag in case["flags"]}
    assert flags == set(FILES[name]["notes"])


@pytest.mark.parametrize("rule", EXACT_RULES)
def test_rule_has_exact_data_vectors(rule: str) -> None:
    for op, least in (("dense", 24), ("conv", 12)):
        ids = [i for i in CASES if re.fullmatch(rf"{op}\.{rule}\.exact-\d\d", i)]
        assert len(ids) >= least
        assert all({"float64", "float32"} <= set(CASES[i]["exact_in"]) for i in ids)
        assert {CASES[i]["rules"]["layer"]["rule"] for i in ids} == {rule}


def test_golden_directory_stays_small() -> None:
    assert sum(p.stat().st_size for p in ROOT.rglob("*") if p.is_file()) < 5 * 2**20


def test_exact_relevance_is_neither_one_nor_the_output() -> None:
    """A relevance that is applied twice, or taken for the output, hides there."""
    chosen = [c for i, c in CASES.items() if i.startswith(("dense.", "conv.")) and "float32" in c["exact_in"]]
    assert len(chosen) > 400
    for case in chosen:
        pairs = zip(numbers(case["inputs"]["relevance"]), numbers(case["expected"]["y"]), strict=True)
        assert all(r not in (1, y) for r, y in pairs), case["id"]


@pytest.mark.parametrize("name", LAYERS)
def test_second_oracle_agrees_exactly(name: str) -> None:
    for case in FILES[name]["cases"]:
        if "pattern" in case["flags"] or "irrational" in case["flags"]:
            continue
        found = explain(case)
        for part, stored in (("relevance", case["expected"]["relevance"]), ("ledger", case["ledger"])):
            assert {k: t["data"] for k, t in found[part].items()} == {k: numbers(t) for k, t in stored.items()}, case["id"]
        assert found["y"] is None or found["y"]["data"] == numbers(case["expected"]["y"]), case["id"]


def test_second_oracle_notices_one_unit_in_the_last_digit() -> None:
    case = CASES["dense.alpha-beta.exact-01"]
    for k, value in enumerate(numbers(case["expected"]["relevance"]["x"])):
        flipped = value + Fraction(1, value.denominator)
        assert explain(case)["relevance"]["x"]["data"][k] == value != flipped


V0 = {  # W = (1, -1), b = -1, x = (1, 1), R = -1
    "zero": "1 -1",
    "alpha1-beta0": "-1 0",
    "alpha1-beta0-bias-ignored": "-1 0",
    "alpha2-beta1": "-2 1/2",
    "alpha2-beta1-bias-ignored": "-2 1",
    "w-square": "-1/2 -1/2",
    "w-square-bias-squared": "-1/3 -1/3",
    "flat": "-1/2 -1/2",
    "z-box": "-3/4 -1/4",
    "gamma": "5/3 -4/3",
    "gamma-bias-ignored": "-5 4",
    "generalized-gamma": "2/3 -5/6",
    "bias-redistributed": "1/2 -3/2",
}


@pytest.mark.parametrize(("name", "relevance"), V0.items())
def test_canonical_vector_has_the_numbers_derived_on_paper(name: str, relevance: str) -> None:
    case = CASES[f"v0.{name}"]
    given = {k: t["data"] for k, t in {**case["model"]["nodes"][0]["params"], **case["inputs"]}.items()}
    assert given == {"weight": ["1", "-1"], "bias": ["-1"], "x": ["1", "1"], "relevance": ["-1"]}
    assert case["expected"]["relevance"]["x"]["data"] == relevance.split()


@pytest.mark.slow
def test_regenerating_gives_the_same_bytes() -> None:
    made = generate(workers=2)
    assert set(made) == {*NAMES, "manifest.json", *documents()}
    assert [name for name, text in made.items() if (ROOT / name).read_bytes() != text.encode()] == []


# Damaged sets -------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A golden set of one file."""
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors/v0.json").write_bytes((ROOT / "vectors/v0.json").read_bytes())
    uids = {case["id"]: case["uid"] for case in FILES["vectors/v0.json"]["cases"]}
    (tmp_path / "manifest.json").write_text(json.dumps({"edition": "2026.11", "cases": uids}), encoding="utf-8")
    return tmp_path


def refused(directory: Path, match: str) -> None:
    with pytest.raises(GoldenError, match=match) as caught:
        golden.load(directory)
    assert "\n" not in str(caught.value)
    assert str(directory) in str(caught.value)


def test_small_set_loads(small: Path) -> None:
    assert len(golden.load(small)) == len(golden.load_all(small)) == len(FILES["vectors/v0.json"]["cases"])
    assert golden.edition(small) == "2026.11"


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("vectors/v0.json", FILES["vectors/v0.json"]["$schema"], "cannot be read"),
        ("vectors/v0.json", '{"group": "a', "cannot be read"),
        ("vectors/v0.json", '{"group": "a", "group": "b"}', "'group' occurs twice"),
        ("vectors/v0.json", '{"cases": [], "group": 1' + "1" * 5000 + "}", "cannot be read"),
        ("vectors/v0.json", "[" * 100_000, "cannot be read"),
        ("vectors/v0.json", "[]", "expected a JSON object"),
        ("vectors/v0.json", "{}", "not a golden file"),
        ("vectors/v0.json", '{"group": "vectors/v0", "notes": {}, "cases": [5]}', "not a golden file"),
        ("vectors/v0.json", '{"group": "vectors/v0", "notes": {}, "cases": [{"id": "v0.zero"}]}', "not a golden file"),
        ("vectors/v0.json", '{"group": "vectors/v0", "notes": {}, "cases": []}', "is a required property"),
        ("manifest.json", '{"edition": "2026.11", "cases": {"v0.zero": "sha256:0"}}', "do not match manifest"),
        ("manifest.json", "{}", "expected an object with an edition"),
    ],
)
def test_damaged_set_is_refused_in_one_line(small: Path, name: str, text: str, match: str) -> None:
    (small / name).write_text(text, encoding="utf-8")
    refused(small, match)


def test_missing_and_unreadable_files_are_refused_in_one_line(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (small / "vectors/v0.json").write_bytes(b"\xff\xfe")
    refused(small, "cannot be read")
    (small / "manifest.json").unlink()
    refused(small, "cannot be read")
    monkeypatch.setenv("LRP_GOLDEN", str(small))
    with pytest.raises(GoldenError, match="no golden vectors found"):
        golden.load()


def test_a_case_given_twice_is_refused(small: Path) -> None:
    (small / "vectors/again.json").write_bytes((small / "vectors/v0.json").read_bytes())
    refused(small, "do not match manifest")
