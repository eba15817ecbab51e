"""Programs that speak the protocol wrongly: the right verdict, a plain reason, everything else judged, nothing left behind."""

import sys
from pathlib import Path
from typing import Any

import pytest
from test_harness import BAD, CASES, assert_only_the_marked_case, nothing_left
from waiting import PATIENCE, leaping

from lrp_conform.candidates.adapter import AdapterError
from lrp_conform.candidates.sources import CandidateSource, load
from lrp_conform.cases.layer import Case
from lrp_conform.judging.result import CaseResult
from lrp_conform.running import runner
from lrp_conform.wire.harness import Crashed, Harness, Launch, Limits, TimedOut

__all__ = ["nothing_left"]
LIMITS = Limits(timeout=PATIENCE, line=2**20)
SCRIPT = """
import json, os, sys, time
FEATURES = ["op.dense", "rule.epsilon", "stabilizer.signed_add", "bias.absorb", "bias.ignore"]
INFO = {"name": "program", "version": "1", "dtypes": ["float64"], "features": FEATURES}
prepared = {}

def table(t):
    flat, n = [float.fromhex(v) for v in t["data"]], t["shape"][-1]
    return [flat[i:i + n] for i in range(0, len(flat), n)]

def tensor(rows):
    return {"dtype": "float64", "shape": [len(rows), len(rows[0])], "data": [v.hex() for row in rows for v in row]}

def run(m):
    node, rule = prepared[m["handle"]]
    W, (b,) = table(node["params"]["weight"]), table(node["params"]["bias"])
    eps, xs, ys, answers = float.fromhex(rule["stabilizer"]["epsilon"]), table(m["x"]), [], []
    for x, R in zip(xs, table(m["relevance"])):
        z = [sum(w * a for w, a in zip(row, x)) for row in W]
        ys.append([v + c for v, c in zip(z, b)])
        d = ys[-1] if rule["bias"] == "absorb" else z
        s = [r / (v - eps if v < 0 else v + eps) for r, v in zip(R, d)]
        answers.append([a * sum(t * row[i] for t, row in zip(s, W)) for i, a in enumerate(x)])
    return {"y": tensor(ys), "relevance": tensor(answers)}

def prepare(m):
    handle, rule = len(prepared), m["rules"]["layer"]
    if rule["rule"] != "epsilon":
        return {"unsupported": "rule " + rule["rule"]}
    prepared[handle] = m["nodes"][0], rule
    return {"handle": handle}

def answer(m):
    if m["op"] == "hello":
        return {"info": INFO}
    if m["op"] == "prepare":
        return prepare(m)
    if m["op"] == "run":
        return run(m)
    if m["op"] in ("configure", "release", "bye"):
        return {"ok": True}
    raise ValueError("unknown op " + m["op"])

def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()

for line in sys.stdin:
    m = {"seq": None, "op": None}
    try:
        m = json.loads(line)
        reply = answer(m)
    except Exception as error:
        reply = {"error": {"type": type(error).__name__, "message": str(error)}}
    reply = json.dumps({"seq": m["seq"], **reply}) + "\\n"
    if m["op"] == "run" and m["x"]["data"] == MARKED:
        BAD
    else:
        say(reply)
    if m["op"] == "bye":
        break
"""


def program(folder: Path, bad: str = "say(reply)", script: str = SCRIPT) -> tuple[str, ...]:
    """The command of a program that answers the marked case by `bad`."""
    data = [float(v).hex() for v in BAD.adapter_case("float64")["x"].reshape(-1)]
    path = folder / "program.py"
    path.write_text(script.replace("MARKED", str(data)).replace("BAD", bad), encoding="utf-8")
    return sys.executable, "-S", str(path)


def judged(argv: tuple[str, ...], limits: Limits = LIMITS, cases: list[Case] = CASES) -> list[CaseResult]:
    (candidate,) = load(CandidateSource(command=argv, limits=limits))
    try:
        return list(runner.run(candidate, cases, ["float64"]))
    finally:
        candidate.close()


WORLDS = {
    "half a line, then nothing": ("say(reply[:20]); SILENT", "timeout", "no reply within 600 s"),
    "half a line, then the end": ("say(reply[:20]); os._exit(0)", "error", "the output ended in the middle of a line: b'{"),
    "what is no JSON": ("say('Loading weights...\\n')", "error", "expected one line of JSON, got 'Loading weights"),
    "what is no object": ("say('[1]\\n')", "error", "expected a JSON object"),
    "what is no UTF-8": ("os.write(1, b'\\xff\\xfe\\n')", "error", "expected one line of JSON"),
    "NUL bytes": ("os.write(1, bytes(99) + b'\\n')", "error", "expected one line of JSON"),
    "an empty line": ("say('\\n')", "error", "expected one line of JSON"),
    "deep nesting": ("say('[' * 100000 + '\\n')", "error", "expected one line of JSON"),
    "a line that is too long": ("say('x' * 2**21 + '\\n')", "error", "a line of more than 1 MiB"),
    "a line without end": ("[say('x' * 2**16) for _ in iter(int, 1)]", "error", "a line of more than 1 MiB"),
    "lines without end": ("[say('\\n' * 2**16) for _ in iter(int, 1)]", "error", "expected one line of JSON"),
    "the wrong seq": ("say(reply.replace(str(m['seq']), '1', 1))", "error", "expected a reply with seq"),
    "no seq": ("say('{}\\n')", "error", "expected a reply with seq"),
    "an object without an answer": ("say(json.dumps({'seq': m['seq']}) + '\\n')", "invalid-output", ""),
    "too few numbers": ("say(reply.replace('\"0x', '\"0x1\", \"0x', 1))", "error", "elements for shape"),
    "no numbers": ("say(reply.replace('0x', 'zero'))", "error", "expected a number, got 'zero"),
    "an error that is none": ("say(json.dumps({'seq': m['seq'], 'error': 'bad'}) + '\\n')", "error", "expected an error with"),
    "nothing at all": ("SILENT", "timeout", "no reply within 600 s"),
    "the end of its output": ("os.close(1); time.sleep(10**6)", "crash", "the program closed its standard output"),
    "its end": ("sys.stderr.write('bye\\n'); sys.exit(3)", "crash", "the program ended with status 3; its last words: bye"),
}  # fmt: skip


@pytest.mark.parametrize("world", WORLDS)
def test_one_bad_reply_spoils_no_other(world: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, verdict, reason = WORLDS[world]
    silent = leaping(monkeypatch, tmp_path / "silent")
    assert_only_the_marked_case(judged(program(tmp_path, bad.replace("SILENT", silent))), verdict, reason)


@pytest.mark.parametrize(
    "bad",
    [
        "say(reply)",
        "say(reply + reply)",  # the second one is nobody's answer: the process is replaced
        "sys.stderr.write('x' * 2**25); say(reply)",
        "[(say(part), time.sleep(0.01)) for part in reply]",
        "say('   ' + reply)",
        "os.close(2); say(reply)",
    ],
)
def test_what_does_not_change_the_reply_does_not_change_the_verdict(bad: str, tmp_path: Path) -> None:
    assert {r.verdict for r in judged(program(tmp_path, bad), Limits(timeout=PATIENCE))} == {"exact"}


def test_sixty_four_mebibytes_are_the_most_of_a_line(tmp_path: Path) -> None:
    results = judged(program(tmp_path, "[say('x' * 2**20) for _ in iter(int, 1)]"), Limits(timeout=PATIENCE))
    assert_only_the_marked_case(results, "error", "a line of more than 64 MiB")


def test_after_twenty_crashes_in_a_row_the_rest_is_not_run(tmp_path: Path) -> None:
    crashes = SCRIPT.replace("return run(m)", "os._exit(9)")
    results = judged(program(tmp_path, script=crashes), cases=(CASES * 3)[:23])
    assert [r.verdict for r in results] == ["crash"] * 20 + ["not-run"] * 3
    assert {str(r.judgement.detail["why"]) for r in results} == {
        "the program ended with status 9",
        "not asked after 20 crashes in a row",
    }


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("raise SystemExit(3)", "the program ended with status 3"),
        ("import os; os.close(1); import time; time.sleep(10**6)", "the program closed its standard output"),
        ("import time; time.sleep(10**6)", "no reply within 1 s"),
        ("print('Welcome to R')", "expected one line of JSON, got 'Welcome to R"),
        ('input(); print(\'{"seq": 1, "info": 5}\')', "expected info as the reply to hello"),
        ('input(); print(\'{"seq": 1, "unsupported": "nothing"}\'); input()', "nothing"),
        ("import os; os.kill(os.getpid(), 6)", "the program was ended by signal 6"),
    ],
)
def test_a_program_that_cannot_start_is_one_line(script: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(AdapterError) as refused:
        judged(program(tmp_path, script=script), Limits(timeout=1 if "no reply" in reason else PATIENCE))
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("argv", [("no-such-program",), ("/",), (__file__,), ("a\0b",)])
def test_a_program_that_is_none_is_one_line(argv: tuple[str, ...]) -> None:
    with pytest.raises(AdapterError, match="cannot be started"):
        judged(argv)


def test_a_program_that_does_not_read_does_not_block_us(tmp_path: Path) -> None:
    silent = Harness(Launch(program(tmp_path, script="import time; time.sleep(10**6)"), Limits(timeout=1)))
    huge: Any = "x" * 2**25
    with pytest.raises(TimedOut, match="no reply within 1 s"):
        silent.ask("hello", huge=huge)
    assert silent.process.poll() is not None


def test_a_program_that_closes_its_input_is_a_crash(tmp_path: Path) -> None:
    gone = Harness(Launch(program(tmp_path, script="import os; os.close(0); os._exit(2)"), Limits(timeout=PATIENCE)))
    with pytest.raises(Crashed, match="ended with status 2"):
        gone.ask("hello", huge="x" * 2**25)
