"""Readers of files that anyone may have damaged: the outcome is what the file holds, or one line on why it is refused."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from lrp_conform.cases import golden, manifest
from lrp_conform.cases.golden import GoldenError, load, load_file, uid_of
from lrp_conform.cases.numbers import NUMBER, double, parse
from lrp_conform.cases.wellformed import Malformed, check_case

ROOT = Path(__file__).resolve().parent.parent / "golden"
CASES = [
    next(case.data for case in golden.load() if case.id == id_)
    for id_ in ("v0.zero", "convention.alpha-beta-half", "batch-norm.irrational-1", "pattern.all-1-batches")
]
SMALL = {"$schema": "../schema.json", "schema": 1, "group": "vectors/small", "notes": {}, "cases": CASES}
TEXT = json.dumps(SMALL, ensure_ascii=False)
Json = Any

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(
        ["1/0", "0x1p+99999999", "1e999999", "9" * 5000, "nan", "-inf", "-0.0", " 1", "٣", "1\n2", "0x1p+1024", "-1"]
    )
)
values = st.recursive(
    scalars | st.sampled_from([{"shape": [10**9], "data": ["1"]}, {"shape": [-1], "data": ["1"]}, {"shape": [], "data": []}]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
TOKENS = (
    "NaN", "Infinity", "1e999999", "0x1p+99999999", "9" * 5000, "[" * 5000, '{"a":' * 2000, '"', "\\", "\x00", "\ud800", "null",
    '{"shape":[1000000000],"data":[]}', "-", ",", "}", "]",
)  # fmt: skip


def many(full: int) -> settings:
    """The same examples every time; a fifth of them where the profile is quick."""
    return settings(examples(full // 5, full), derandomize=True, database=None)


def used(path: Path) -> None:
    """Read a file and use every case as a run does; refusals must be of one line."""
    try:
        cases = load_file(path)
    except GoldenError as refusal:
        one_line(refusal)
        cases = []
    for case in cases:
        for use in USES:
            try:
                use(case)
            except ValueError as refusal:
                one_line(refusal)


USES: tuple[Callable[[Any], object], ...] = (
    lambda case: (case.expected, case.expected_floats),
    lambda case: case.expected_y,
    lambda case: (case.gauge, case.radius),
    lambda case: (case.features, case.feature, case.answers, case.question),
    lambda case: case.adapter_case("float64"),
    lambda case: case.adapter_case("float32"),
)


def one_line(refusal: Exception) -> None:
    text = str(refusal)
    assert text.isprintable()
    assert 0 < len(text) < 1000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("golden") / "small.json"


@many(500)
@given(edits=st.lists(st.tuples(st.integers(0, len(TEXT)), st.integers(0, 40), st.binary(max_size=4)), min_size=1, max_size=4))
def test_bytes_may_be_replaced(path: Path, edits: list[tuple[int, int, bytes]]) -> None:
    data = TEXT.encode()
    for start, length, new in edits:
        data = data[:start] + new + data[start + length :]
    path.write_bytes(data)
    used(path)


@many(500)
@given(at=st.integers(0, len(TEXT)), token=st.sampled_from(TOKENS), drop=st.integers(0, 12))
def test_tokens_may_be_put_anywhere(path: Path, at: int, token: str, drop: int) -> None:
    path.write_bytes((TEXT[:at] + token + TEXT[at + drop :]).encode(errors="surrogatepass"))
    used(path)


@many(300)
@given(end=st.integers(0, len(TEXT)))
def test_a_file_may_be_cut_short(path: Path, end: int) -> None:
    path.write_text(TEXT[:end], encoding="utf-8")
    used(path)


@many(300)
@given(data=values, extra=st.booleans())
def test_a_file_may_hold_any_json(path: Path, data: Json, extra: bool) -> None:
    path.write_text(json.dumps({**SMALL, "cases": data} if extra else data), encoding="utf-8")
    used(path)


def places(part: Json, *above: Any) -> list[tuple[Any, ...]]:
    """The path to every value below `part`."""
    inside = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    return [way for key, value in inside for way in ((*above, key), *places(value, *above, key))]


PLACES = places(SMALL)


@many(1000)
@given(
    where=st.sampled_from(PLACES), value=values, how=st.sampled_from(("replace", "replace", "remove", "move")), other=st.data()
)
def test_any_value_may_be_of_another_kind(path: Path, where: tuple[Any, ...], value: Json, how: str, other: Any) -> None:
    """The uid is put right again, so that everything behind it is reached."""
    file = deepcopy(SMALL)
    part: Any = file
    for key in where[:-1]:
        part = part[key]
    if how == "remove":
        del part[where[-1]]
    else:
        part[where[-1]] = inside(file, other.draw(st.sampled_from(PLACES))) if how == "move" else value
    for case in file["cases"] if isinstance(file.get("cases"), list) else ():
        with suppress(KeyError, TypeError):
            case["uid"] = uid_of(case)
    try:
        text = json.dumps(file)
    except ValueError:  # a value was moved into itself
        return
    path.write_text(text, encoding="utf-8")
    used(path)


def inside(part: Json, where: tuple[Any, ...]) -> Json:
    """A copy of what is at `where`; None if it is not there any more."""
    for key in where:
        try:
            part = part[key]
        except (KeyError, IndexError, TypeError):
            return None
    return deepcopy(part)


@many(300)
@given(cases=values, edition=values, duplicate=st.booleans())
def test_a_manifest_may_hold_any_json(
    tmp_path_factory: pytest.TempPathFactory, cases: Json, edition: Json, duplicate: bool
) -> None:
    directory = tmp_path_factory.getbasetemp() / "set"
    (directory / "vectors").mkdir(parents=True, exist_ok=True)
    (directory / "vectors/small.json").write_text(TEXT, encoding="utf-8")
    text = json.dumps({"edition": edition, "cases": cases})
    (directory / "manifest.json").write_text(text[:-1] + ', "edition": "a"}' if duplicate else text, encoding="utf-8")
    with pytest.raises(GoldenError) as refusal:
        load(directory)
    one_line(refusal.value)


@many(1000)
@given(
    text=st.text(max_size=12) | st.text("0123456789/-.xpe+abf _", max_size=24) | st.from_regex(NUMBER, fullmatch=True) | scalars
)
def test_a_number_is_its_exact_value_or_refused(text: Any) -> None:
    try:
        value = parse(text)
    except ValueError as refusal:
        one_line(refusal)
        return
    if "p" in text:
        digits, _, exponent = text.replace("-", "", text.startswith("-")).removeprefix("0x").partition("p")
        whole, _, part = digits.partition(".")
        exact = Fraction(int(whole + part, 16), 16 ** len(part)) * Fraction(2) ** int(exponent)
        assert value == (-exact if text.startswith("-") else exact)
    else:
        assert value == Fraction(text)
    assert double(value) is not None


def test_the_schema_and_the_reader_spell_numbers_alike() -> None:
    schema = json.loads((ROOT / "schema.json").read_text(encoding="utf-8"))
    assert schema["$defs"]["finite"]["pattern"] == f"^{NUMBER}$"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"cases": [], "cases": []}', "the key 'cases' occurs twice in one object"),
        ("{" + ", ".join(f'"{k}": 0' for k in range(200_000)) + ', "0": 0}', "the key '0' occurs twice"),
        ('{"cases": NaN}', "NaN is no integer; numbers are strings"),
        ('{"cases": 1e999999}', "1e999999 is no integer; numbers are strings"),
        ("[" * 200_000, "cannot be read"),
        (TEXT.replace('"schema": 1', '"schema": 2', 1), "not a golden file: schema: 1 was expected"),
        (TEXT.replace('"x":{"shape":[1, 2]', "", 1) + "}", "cannot be read"),
    ],
)
def test_reason_is_given(path: Path, text: str, reason: str) -> None:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GoldenError, match=re.escape(reason)) as refusal:
        load_file(path)
    one_line(refusal.value)


RELEVANCE = ("expected", "relevance", "x")


@pytest.mark.parametrize(
    ("where", "value", "reason"),
    [
        ((*RELEVANCE, "shape"), [10**9], "expected as many numbers as the shape [1000000000] says, got 2"),
        ((*RELEVANCE, "shape"), [1, -1], "relevance.x.shape[1]: -1 is less than the minimum of 0"),
        ((*RELEVANCE, "shape"), [True, 2], 'relevance.x.shape[0]: true is not of type "integer"'),
        ((*RELEVANCE, "data"), ["1"], "expected as many numbers as the shape [1, 2] says, got 1"),
        ((*RELEVANCE, "data"), ["1", 1], 'relevance.x.data[1]: 1 is not of type "string"'),
        (
            (*RELEVANCE, "data"),
            ["1", "1\n2"],
            'relevance.x.data[1]: expected an integer, a rational, a hexadecimal float, or a word; got "1\\n2"',
        ),
        ((*RELEVANCE, "data"), ["1", "nan"], "expected an integer, a rational or a hexadecimal float, got 'nan'"),
        ((*RELEVANCE, "data"), ["1", "0x1p+1024"], "expected an exponent from -1022 to 1023"),
        ((*RELEVANCE, "data"), ["1", "9" * 400], "expected a number that a double reaches"),
        (
            ("gauges", "G", "x", "data"),
            ["1", "-1"],
            'cases[0].gauges.G.x.data[1]: expected a finite number, zero or above; got "-1"',
        ),
        (("gauges", "G", "x"), {"shape": [2], "data": ["1", "1"]}, "expected a tensor for each of expected.relevance"),
        (("gauges", "fan_in"), -1, "cases[0].gauges.fan_in: -1 is less than the minimum of 0"),
        (("conservation", "G"), {"shape": [2], "data": ["1", "1"]}, "expected one number per sample"),
        (("model", "nodes"), [], "cases[0].model.nodes: [] has less than 1 item"),
        (("model", "nodes", 0, "op"), "linear", "cases[0].model.nodes[0].op: expected one of dense"),
        (("rules", "layer", "rule"), "lrp", "cases[0].rules.layer.rule: expected one of zero"),
        (("rules", "layer", "bias"), "lost", "expected one of absorb"),
        (
            ("rules", "layer"),
            {"rule": "gamma", "bias": "absorb", "stabilizer": {}},
            'cases[0].rules.layer: "gamma" is a required property',
        ),
        (("rules", "layer", "stabilizer", "sign_at_zero"), "x", "expected one of 1, 0, -1"),
        (("inputs", "z"), {"shape": [], "data": ["1"]}, "cases[0].inputs: Additional properties are not allowed ('z'"),
        (("inputs", "x1"), {"shape": [], "data": ["1"]}, "cases[0].inputs: expected the tensors relevance, x"),
        (("model", "nodes", 0, "attrs", "stride"), [1], "cases[0].model.nodes[0].attrs: Additional properties"),
    ],
)
def test_malformed_case_is_refused_with_the_path_to_what_is_wrong(where: tuple[Any, ...], value: Json, reason: str) -> None:
    case = deepcopy(CASES[0])
    part: Any = case
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    with pytest.raises(Malformed, match=re.escape(reason)):
        check_case(case, "cases[0]")


def test_content_that_is_not_the_uids_is_refused(path: Path) -> None:
    file = deepcopy(SMALL)
    file["cases"][0]["expected"]["relevance"]["x"]["data"][0] = "2"
    path.write_text(json.dumps(file), encoding="utf-8")
    with pytest.raises(GoldenError, match=r"cases\[0\] is not what its uid was taken of"):
        load_file(path)


def test_a_file_beyond_any_golden_file_is_not_even_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(TEXT, encoding="utf-8")
    monkeypatch.setattr(manifest, "MAX_BYTES", 100)
    with pytest.raises(GoldenError, match="larger than 100 bytes"):
        load_file(path)
