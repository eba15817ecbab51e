"""`lrp-conform protocol-check`: a right program passes every step, a wrong one fails at the step that is to blame."""

import json
from pathlib import Path

import pytest
from inline import ALL
from jsonschema_rs import meta
from test_command_run import ADAPTER, Command, lrp_conform
from test_harness import nothing_left
from test_harness_replies import SCRIPT, program
from waiting import PATIENCE, leaping, until

from lrp_conform.candidates.sources import CandidateSource
from lrp_conform.smoke.protocol import SCHEMA, ProtocolStep, check, violation
from lrp_conform.wire.harness import Harness, Launch, Limits
from lrp_conform.wire.messages import dumps

__all__ = ["lrp_conform", "nothing_left"]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The golden files are read once, and the end of a program is waited for as long as it takes."""
    monkeypatch.setattr("lrp_conform.smoke.protocol.golden.load", lambda: ALL)
    monkeypatch.setattr("lrp_conform.smoke.protocol.PATIENCE", PATIENCE)


def told(monkeypatch: pytest.MonkeyPatch, lives: Path) -> str:
    """Wait for the end of a program until it says, by this file, that it lives on; the Python text that says so."""
    ended = Harness.ended

    def known(harness: Harness, seconds: float, hang_up: bool = False) -> int | None:
        ended(harness, 0, hang_up)
        until(lambda: lives.exists() or harness.process.poll() is not None, "neither an end nor a sign of life")
        return ended(harness, 0)

    monkeypatch.setattr(Harness, "ended", known)
    return f"open({str(lives)!r}, 'w').close(); time.sleep(10**6)"


def failed(folder: Path, old: str = "", new: str = "") -> list[ProtocolStep]:
    """The steps that a program fails, some text of which is replaced."""
    assert old in SCRIPT
    launch = Launch(program(folder, script=SCRIPT.replace(old, new, 1)), Limits(timeout=PATIENCE))
    return [step for step in check(launch) if not step.ok]


def test_a_right_program_passes(tmp_path: Path) -> None:
    assert failed(tmp_path) == []


RUN = "prepare, run, release at float64"
NO_JSON = "a line that is no JSON"
WRONG = {
    "no version": ('"version": "1", ', "", "hello", '"version" is a required property'),
    "an unknown feature": ('"op.dense", ', '"op.dens", ', "hello", "INFO['features'] holds op.dens"),
    "a dtype that is none": ('["float64"]', '["double"]', "hello", '"double" is not one of'),
    "a greeting": (
        "import json", "print('Hello!', flush=True)\nimport json", "hello", "expected one line of JSON, got 'Hello!",
    ),
    "no hello": ('return {"info": INFO}', "sys.exit(3)", "hello", "the program ended with status 3"),
    "no ok": (
        '"release", "bye"):\n        return {"ok": True}', '"release", "bye"):\n        return {}', "configure float64", '"ok"',
    ),
    "only one op known": (
        '("configure", "release", "bye")', '("release", "bye")', "configure float64", "error: ValueError: unknown",
    ),
    "any op will do": (
        'raise ValueError("unknown op " + m["op"])', 'return {"ok": True}', "an unknown op", "a reply that holds seq, ok",
    ),
    "unknown ops are its end": (
        'raise ValueError("unknown op " + m["op"])', "sys.exit(4)", "an unknown op", "ended with status 4",
    ),
    "an error without type": ('"type": type(error).__name__, ', "", "an unknown op", '"type" is a required property'),
    "no handle": ('{"handle": handle}', '{"handel": handle}', RUN, '"handle" is a required'),
    "numbers as numbers": ("[v.hex() for", "[v for", RUN, "expected a number as a string"),
    "another dtype": ('{"dtype": "float64", "shape"', '{"dtype": "float32", "shape"', RUN, "relevance: float32 ["),
    "another shape": ("tensor(answers)}", "tensor(answers[:1])}", RUN, "relevance: float64 [1, "),
    "no relevance": (', "relevance": tensor(answers)', "", RUN, '"relevance" is a required'),
    "any handle will do": ('prepared[m["handle"]]', "list(prepared.values())[-1]", "an unknown handle", "a reply that holds"),
    "numbers that change": ("[v.hex() for row", "[(v + time.time()).hex() for row", "the same question twice", "another"),
    "one handle": ("handle, rule = len(prepared)", "handle, rule = 0", "two handles at once", ""),
    "no reply to no JSON": (
        "        m = json.loads(line)", "        if 'seq' not in line: SILENT\n        m = json.loads(line)",
        NO_JSON, "no reply",
    ),
    "an old seq": ("m = {\"seq\": None, \"op\": None}", "m = {\"seq\": 7, \"op\": None}", NO_JSON, "a reply with seq 7"),
    "lives after bye": ("        break", "        LIVES", "bye", "a program that lives on"),
    "ends with a status": ("        break", "        sys.exit(1)", "bye", "status 1"),
    "ends before it answers": (
        "        say(reply)\n    if", "        m['op'] == 'bye' or say(reply)\n    if", "bye", "ended with status 0",
    ),
    "lives without input": (
        "        break\n", "        break\nelse:\n    LIVES\n", "end of standard input", "lives on",
    ),
    "always seq 1": ('{"seq": m["seq"], **reply}', '{"seq": 1, **reply}', "configure float64", "seq 1 as the reply to seq 2"),
}  # fmt: skip


@pytest.mark.parametrize("world", WRONG)
def test_a_wrong_program_fails_at_the_step_that_is_to_blame(
    world: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, name, reason = WRONG[world]
    if "LIVES" in new:
        new = new.replace("LIVES", told(monkeypatch, tmp_path / "lives"))
    new = new.replace("SILENT", leaping(monkeypatch, tmp_path / "silent"))
    steps = failed(tmp_path, old, new)
    assert steps[0].name == name
    assert reason in steps[0].got
    assert "\n" not in steps[0].got


def test_the_python_harness_passes(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(ADAPTER, encoding="utf-8")
    steps = list(check(CandidateSource(str(path)).launch))
    assert [step for step in steps if not step.ok] == []
    assert {"prepare, run, release at float32", "two handles at once", "bye"} <= {step.name for step in steps}


def test_the_command_prints_every_step(lrp_conform: Command, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(ADAPTER, encoding="utf-8")
    code, out, err = lrp_conform("protocol-check", path)
    assert (code, err) == (0, "")
    assert "wrong" not in out
    wrong = program(tmp_path, script=SCRIPT.replace("        break", "        sys.exit(5)"))
    code, out, err = lrp_conform("protocol-check", "--command", " ".join(wrong))
    assert (code, err) == (1, "")
    assert "expected ok, then status 0 within 600 s; got status 5" in " ".join(out.split())


def test_what_cannot_be_tried_is_one_line(lrp_conform: Command) -> None:
    for args in (
        ["nowhere.py"],
        ["--command", ""],
        ["--command", "a 'b"],
        ["seeds", "--command", "x"],
        ["seeds", "--python", "nowhere"],
    ):
        code, out, err = lrp_conform("protocol-check", *args)
        assert (code, out) == (2, "")
        assert err.startswith("lrp-conform: ")
        assert err.count("\n") == 1


def test_the_schema_is_one_and_holds_for_what_we_send() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    meta.validate(schema)
    for case in ALL[::7]:
        given = case.adapter_case("float64")
        for message in (
            {"op": "prepare", "seq": 1, "nodes": given["nodes"], "rules": given["rules"]},
            {"op": "run", "seq": 2, "handle": "a", **{k: given[k] for k in ("x", "relevance") if k in given}},
        ):
            assert violation(json.loads(dumps(message)), "request") is None
    assert violation({"op": "run", "seq": 1, "handle": 1, "x": 5}, "request") is not None
    assert violation({"seq": 1}, "reply") is not None
