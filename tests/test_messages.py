"""What comes over a wire or out of a report folder may be anything: a message, or one line on why it is refused."""

import json
import os
import resource
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from inline import DENSE, EPSILON, candidate, epsilon
from safetensors.numpy import save_file

from lrp_conform.judging.result import CaseResult
from lrp_conform.running import folder as results
from lrp_conform.running import runner
from lrp_conform.wire.messages import MessageError, decode, dumps, loads

ASKED = EPSILON[0].adapter_case("float64")
MESSAGES = [
    dumps({"op": "prepare", "seq": 3, "nodes": ASKED["nodes"], "rules": ASKED["rules"]}),
    dumps({"op": "run", "seq": 4, "handle": 1, "x": ASKED["x"], "relevance": ASKED["relevance"]}),
    dumps({"seq": 4, "y": ASKED["relevance"], "relevance": [ASKED["x"], np.zeros((2, 0), np.int64)]}),
    dumps({"seq": 5, "error": {"type": "ValueError", "message": "no", "traceback": "..."}}),
]
WORDS = st.sampled_from(
    [
        *("0x1p+99999999", "0x" + "f" * 500 + "p+0", "1e999999", "9" * 500, "nan", "-inf", "0x", "-0x", "--0x1", "0x1p"),
        *("\x00", "\ud800", "1_000", "٣", " 1", "", "a\nb", "=", "tensor", "float64", "float16", "int64", "bfloat16", "O"),
        *("V99999999999", "S9999999999999", "(9999,9999)f8", "f8,f8", "complex128", "datetime64[ns]", "<f8", "double"),
    ]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | WORDS
sizes = st.sampled_from([0, 1, 2, 2**20, 2**39, 2**40, 2**63, 2**200, -1, True, 1.0, "2"])
tensors = st.fixed_dictionaries(
    {
        "dtype": scalars | st.sampled_from(["float64", "float32", "float16", "int64"]),
        "shape": st.lists(sizes, max_size=4) | scalars,
    },
    optional={"data": st.lists(scalars, max_size=3) | scalars, "file": scalars, "name": scalars},
)
values = st.recursive(
    scalars | tensors,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["dtype", "shape", "data", "python", "nodes", "a"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
fields = st.sampled_from(["seq", "op", "nodes", "rules", "x", "relevance", "y", "pattern", "error", "python", "handle"])


def many(full: int) -> settings:
    """The same examples every time; a fifth of them where the profile is quick."""
    return settings(examples(full // 5, full), derandomize=True, database=None)


def one_line(refusal: Exception) -> None:
    text = str(refusal)
    assert text.isprintable()
    assert 0 < len(text) < 1000


def heard(line: bytes, exchange: Path | None = None) -> None:
    """Read a line as either side does; a refusal is of one line."""
    try:
        message = loads(line, exchange)
        assert isinstance(message, dict)
    except MessageError as refusal:
        one_line(refusal)


@pytest.fixture(scope="module", autouse=True)
def nothing_takes_much_memory() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 300 * 2**10  # KiB


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exchange")


@many(1000)
@given(line=st.binary(max_size=60) | st.text(max_size=30).map(lambda text: text.encode(errors="surrogatepass")))
def test_any_bytes(line: bytes) -> None:
    heard(line)


@many(1000)
@given(
    message=st.sampled_from(MESSAGES),
    edits=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 40), st.binary(max_size=4)), min_size=1, max_size=4),
)
def test_bytes_of_a_message_may_be_replaced(message: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    for start, length, new in edits:
        message = message[:start] + new + message[start + length :]
    heard(message)


@many(1000)
@given(name=fields, value=values)
def test_a_field_may_hold_any_json(name: str, value: Any, exchange: Path) -> None:
    heard(json.dumps({"seq": 1, name: value}).encode(errors="surrogatepass"), exchange)


@many(1000)
@given(tensor=tensors)
def test_a_tensor_may_say_anything(tensor: dict[str, Any], exchange: Path) -> None:
    try:
        decode(tensor, exchange)
    except MessageError as refusal:
        one_line(refusal)


@pytest.mark.parametrize("token", ["[" * 200_000, '{"a":' * 200_000, '{"y":' * 900 + "1" + "}" * 900, "9" * 200_000])
def test_depth_and_length_are_no_crash(token: str) -> None:
    heard(b'{"seq": 1, "y": ' + token.encode() + b"}")


# Files ----------------------------------------------------------------------------------------------------------------


def header(entries: Any, length: int | None = None, body: bytes = b"") -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(dtype: str = "F64", shape: Any = (2,), offsets: Any = (0, 16)) -> dict[str, Any]:
    return {"tensor": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


BOMBS = {
    "an empty file": b"",
    "half a length": b"\x01\x02",
    "a length of 2**60": header({}, 2**60),
    "a length of 2**64 - 1": header({}, 2**64 - 1),
    "a length of 100 MB": header({}, 10**8),
    "a length of 99 MB": header({}, 99 * 10**6),
    "no JSON": header(b"{" * 100),
    "deep JSON": header(b'{"a":' * 10**5),
    "a list": header([]),
    "another name": header({"other": entry()["tensor"]}, body=bytes(16)),
    "no data": header(entry()),
    "too much data": header(entry(), body=bytes(99)),
    "offsets beyond the end": header(entry(offsets=(0, 2**62)), body=bytes(16)),
    "offsets backwards": header(entry(offsets=(16, 0)), body=bytes(16)),
    "negative offsets": header(entry(offsets=(-16, 0)), body=bytes(16)),
    "overlapping offsets": header({**entry(), "b": entry(offsets=(8, 24))["tensor"]}, body=bytes(24)),
    "a huge shape": header(entry(shape=(2**40, 2**40)), body=bytes(16)),
    "a shape that overflows": header(entry(shape=(2**63, 2)), body=bytes(16)),
    "an empty huge shape": header(entry(shape=(0, 2**62), offsets=(0, 0))),
    "a shape that is none": header(entry(shape=("a",)), body=bytes(16)),
    "bfloat16": header(entry("BF16", (8,)), body=bytes(16)),
    "float8": header(entry("F8_E4M3", (16,)), body=bytes(16)),
    "no dtype": header(entry("X"), body=bytes(16)),
    "another dtype": header(entry("F32", (4,)), body=bytes(16)),
    "another shape": header(entry(shape=(1, 2)), body=bytes(16)),
}


@pytest.mark.parametrize("world", BOMBS)
def test_a_file_may_hold_anything(world: str, exchange: Path) -> None:
    path = exchange / "bomb.safetensors"
    path.write_bytes(BOMBS[world])
    tensor = {"dtype": "float64", "shape": [2], "file": str(path), "name": "tensor"}
    with pytest.raises(MessageError) as refused:
        decode(tensor, exchange)
    one_line(refused.value)
    assert not path.exists()


@many(300)
@given(edits=st.lists(st.tuples(st.integers(0, 90), st.integers(0, 9), st.binary(max_size=3)), min_size=1, max_size=3))
def test_bytes_of_a_file_may_be_replaced(edits: list[tuple[int, int, bytes]], exchange: Path) -> None:
    data = header(entry(), body=bytes(16))
    for start, length, new in edits:
        data = data[:start] + new + data[start + length :]
    path = exchange / "edited.safetensors"
    path.write_bytes(data)
    try:
        assert decode({"dtype": "float64", "shape": [2], "file": str(path), "name": "tensor"}, exchange).shape == (2,)
    except MessageError as refusal:
        one_line(refusal)


def test_only_plain_files_of_the_exchange_folder_are_read(exchange: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.safetensors"
    save_file({"tensor": np.zeros(2)}, outside)
    (exchange / "link").symlink_to(outside)
    (exchange / "loop").symlink_to(exchange / "loop")
    (exchange / "folder").mkdir()
    os.mkfifo(exchange / "fifo")
    names = (
        *(exchange / name for name in ("link", "loop", "folder", "fifo", "missing", "../outside.safetensors", "a" * 300, "")),
        *(outside, "/dev/zero", "/dev/stdin", "/proc/self/mem", "a\0b", "", ".", "/", "\ud800", 5, None, ["a"], "loop/a"),
        f"{exchange}/folder/../../{tmp_path.name}/outside.safetensors",
        f"{exchange}/loop/a",
    )
    for name in names:
        told = name if not isinstance(name, Path) else str(name)
        with pytest.raises(MessageError, match="expected a file in the exchange folder") as refused:
            decode({"dtype": "float64", "shape": [2], "file": told, "name": "tensor"}, exchange)
        one_line(refused.value)
    assert outside.exists()
    with pytest.raises(MessageError, match="expected a file in the exchange folder"):
        decode({"dtype": "float64", "shape": [2], "file": str(outside), "name": "tensor"})


# Results --------------------------------------------------------------------------------------------------------------

RECORD = next(iter(runner.run(candidate(epsilon, DENSE), EPSILON[:1], ["float64"]))).record()


@many(1000)
@given(name=st.sampled_from(sorted(RECORD)), value=values, drop=st.booleans())
def test_a_record_may_hold_any_json(name: str, value: Any, drop: bool, exchange: Path) -> None:
    record = {k: v for k, v in RECORD.items() if k != name} if drop else {**RECORD, name: value}
    recorded(json.dumps(record), exchange)


@many(1000)
@given(edits=st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 9), st.text(max_size=3) | WORDS), min_size=1, max_size=3))
def test_a_line_may_be_edited(edits: list[tuple[int, int, str]], exchange: Path) -> None:
    text = json.dumps(RECORD)
    for start, length, new in edits:
        text = text[:start] + new + text[start + length :]
    recorded(text, exchange)


@many(300)
@given(text=st.text(max_size=30) | values.map(json.dumps), about=values.map(json.dumps) | st.text(max_size=5))
def test_the_files_may_hold_anything(text: str, about: str, exchange: Path) -> None:
    recorded(text, exchange, about)


def recorded(text: str, folder: Path, about: str = '{"schema": 1}') -> None:
    """Read a report folder with one line; a refusal is of one line."""
    (folder / results.ABOUT).write_bytes(about.encode(errors="surrogatepass"))
    (folder / results.LINES).write_bytes((text + "\n").encode(errors="surrogatepass"))
    try:
        assert all(isinstance(r, CaseResult) for r in results.read(folder).results)
    except results.ReportError as refusal:
        one_line(refusal)


def test_a_record_is_read_as_it_was_written(exchange: Path) -> None:
    recorded(json.dumps(RECORD), exchange)
    (read,) = results.read(exchange).results
    assert read.record() == RECORD
