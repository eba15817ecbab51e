"""Adapters that do what they must not: the right verdict, a plain reason, everything else judged, and nothing left behind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from inline import EPSILON
from waiting import PATIENCE, leaping, until

from lrp_conform.candidates.adapter import AdapterError
from lrp_conform.candidates.sources import CandidateSource, load
from lrp_conform.cases.layer import Case
from lrp_conform.judging.result import CaseResult
from lrp_conform.running import runner
from lrp_conform.wire.harness import MARK, Harness, Limits

CASES = runner.groups(c for c in EPSILON if ".exact-" in c.id)[0][:8]
BAD = CASES[4]  # beyond the cases that are asked twice
LIMITS = Limits(timeout=PATIENCE, memory=2**30)
ADAPTER = """
import os, signal, subprocess, sys, threading, time
import numpy as np
INFO = {"name": "mine", "version": "2", "dtypes": ["float64", "float32"],
        "features": ["op.dense", "rule.epsilon", "stabilizer.signed_add", "bias.absorb", "bias.ignore"]}
CALLS = []

def right(case):
    node, rule = case["nodes"][0]["params"], case["rules"]["layer"]
    y = case["x"] @ node["weight"].T + node["bias"]
    d = y if rule["bias"] == "absorb" else y - node["bias"]
    eps = y.dtype.type(rule["stabilizer"]["epsilon"])
    s = case["relevance"] / np.where(d < 0, d - eps, d + eps)
    return {"y": y, "relevance": case["x"] * (s @ node["weight"])}

def other(case, change):
    answer = right(case)
    return {**answer, "relevance": change(answer["relevance"])}

def run(case):
    CALLS.append(1)
    return bad(case) if case["x"].tobytes().hex() == "MARKED" else right(case)
"""


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever happens, no process that carries the mark of a harness of this test outlives it."""
    marks: set[str] = set()
    started = Harness.__init__

    def noted(self: Harness, *args: Any) -> None:
        try:
            started(self, *args)
        finally:
            marks.add(self.mark)

    monkeypatch.setattr(Harness, "__init__", noted)
    yield
    until(lambda: not [p for mark in marks for p in carriers(mark)], "a process that a harness started is still there")


def carriers(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def judged(
    folder: Path, bad: str, limits: Limits = LIMITS, cases: list[Case] = CASES, dtype: str = "float64"
) -> list[CaseResult]:
    """The results of an adapter whose answer to the marked case is that of `bad`."""
    path = folder / "mine.py"
    x = BAD.adapter_case(dtype)["x"].tobytes().hex()
    path.write_text(ADAPTER.replace("MARKED", x) + bad, encoding="utf-8")
    (candidate,) = load(CandidateSource(str(path), limits=limits))
    try:
        return list(runner.run(candidate, cases, [dtype]))
    finally:
        candidate.close()


def assert_only_the_marked_case(results: list[CaseResult], verdict: str, reason: str) -> None:
    """Everything before and after the marked case is judged as ever."""
    assert [r.case for r in results] == [c.id for c in CASES]
    assert {r.case: r.verdict for r in results} == {c.id: verdict if c is BAD else "exact" for c in CASES}
    why = str(results[CASES.index(BAD)].judgement.detail.get("why", ""))
    assert reason in why
    assert "\n" not in why


def test_the_mark_tells_what_is_left(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(ADAPTER, encoding="utf-8")
    living = Harness(CandidateSource(str(tmp_path / "mine.py")).launch)
    living.ask("hello", protocol=1)
    assert [p.pid for p in carriers(living.mark)] == [living.process.pid]
    living.close()
    assert carriers(living.mark) == []


PLAIN = {
    "raises": ("raise ValueError('expected\\nsomething else')", "error", "ValueError: expected"),
    "raises what has no text": ("raise type('Odd', (Exception,), {'__str__': lambda s: 1 / 0})()", "error", "Odd"),
    "reads standard input": ("input()", "error", "EOFError"),
    "declines": ("return {'unsupported': 'no such layer'}", "unsupported-undeclared", "no such layer"),
    "returns None": ("return None", "invalid-output", "expected a dict, got NoneType"),
    "returns a list": ("return [1]", "invalid-output", "expected a dict, got list"),
    "returns a dict without relevance": ("return {'y': right(case)['y']}", "invalid-output", "relevance"),
    "returns what is no array": ("return {**right(case), 'relevance': object()}", "invalid-output", "relevance"),
    "returns itself": ("a = {}; a['y'] = a; return a", "error", "RecursionError"),
    "returns another shape": ("return other(case, np.ravel)", "invalid-output", "shape"),
    "returns another dtype": ("return other(case, np.float32)", "invalid-output", "float32"),
    "returns complex numbers": ("return other(case, np.complex128)", "invalid-output", "complex128"),
    "returns objects": ("return other(case, lambda r: r.astype(object))", "invalid-output", "object"),
    "returns NaN": ("return other(case, lambda r: r * np.nan)", "invalid-output", ""),
    "returns another byte order": ("return other(case, lambda r: r.astype('>f8'))", "invalid-output", "array of >f8"),
    "returns structured data": ("return other(case, lambda r: np.zeros(2, 'f8,f8'))", "invalid-output", "array of"),
    "exits": ("sys.exit(3)", "crash", "ended with status 3"),
    "exits with 0": ("sys.exit()", "crash", "ended with status 0"),
    "exits at once": ("os.write(2, b'out of luck\\n'); os._exit(7)", "crash", "status 7; its last words: out of luck"),
    "is ended by a signal": ("os.kill(os.getpid(), signal.SIGSEGV)", "crash", "signal 11"),
    "overflows the stack of C": ("import ctypes; ctypes.string_at(0)", "crash", "signal 11"),
    "interrupts itself": ("raise KeyboardInterrupt", "crash", "ended"),
}  # fmt: skip


@pytest.mark.parametrize("world", PLAIN)
def test_one_bad_answer_spoils_no_other(world: str, tmp_path: Path) -> None:
    bad, verdict, reason = PLAIN[world]
    assert_only_the_marked_case(judged(tmp_path, f"def bad(case): {bad}\n"), verdict, reason)


def test_waiting_for_ever_is_a_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = leaping(monkeypatch, tmp_path / "silent")
    assert_only_the_marked_case(judged(tmp_path, f"def bad(case): {silent}\n"), "timeout", "no reply within 600 s")


def test_too_much_memory_is_a_crash_that_says_so(tmp_path: Path) -> None:
    eats = "def bad(case):\n    eaten = b'x' * 2**29\n    time.sleep(10**6)\n"
    results = judged(tmp_path, eats, Limits(timeout=PATIENCE, memory=2**28))
    assert_only_the_marked_case(results, "crash", "used more than 0.25 GiB of memory")


def test_memory_of_children_counts(tmp_path: Path) -> None:
    eats = "def bad(case):\n    if os.fork() == 0: eaten = b'x' * 2**29; time.sleep(10**6)\n    time.sleep(10**6)\n"
    results = judged(tmp_path, eats, Limits(timeout=PATIENCE, memory=2**28))
    assert_only_the_marked_case(results, "crash", "used more than 0.25 GiB of memory")


HARMLESS = {
    "prints": "print('{}'); os.write(1, b'{\"seq\": 1}\\n'); os.system('echo out'); return right(case)",
    "floods its log": "os.write(2, b'x' * 2**24); return right(case)",
    "returns its input": "a = right(case); case['x'][...] = a['relevance']; return {**a, 'relevance': case['x'][:]}",
    "writes to what it was given": """
    answer = right(case)
    case["nodes"][0]["params"]["weight"][...] = case["x"][...] = 0
    case["rules"].clear()
    return answer
""",
    "leaves a child": "os.fork() or time.sleep(10**6); return right(case)",
    "lets a child come back": "os.fork(); return right(case)",
    "leaves a thread": "threading.Thread(target=time.sleep, args=(10**6,)).start(); return right(case)",
    "leaves a daemon": """
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 100)
            time.sleep(10**6)
        os._exit(0)
    os.wait()
    return right(case)
""",
    "leaves its descriptors to a child": "subprocess.Popen(['sleep', '1000000'], close_fds=False); return right(case)",
    "changes folder and signals": """
    os.chdir("/")
    os.environ.clear()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return right(case)
""",
    "returns the same buffers": """return right(case)
BUFFER, plain = {}, right
def right(case):
    answer = plain(case)
    for key, array in answer.items():
        BUFFER.setdefault((key, array.shape), array)[...] = array
    return {key: BUFFER[key, array.shape] for key, array in answer.items()}
""",
    "crashes on its fifth call": """return right(case)
def right(case, plain=right):
    return os._exit(5) if len(CALLS) == 5 else plain(case)
""",
    "leaks": """return right(case)
def right(case, plain=right, leak=[]):
    leak.append(b"x" * 2**26)
    return plain(case)
""",
}


@pytest.mark.parametrize("world", HARMLESS)
def test_what_does_not_change_the_answer_does_not_change_the_verdict(world: str, tmp_path: Path) -> None:
    limits = Limits(timeout=PATIENCE, memory=2**29 if world == "leaks" else 2**30)
    assert {r.verdict for r in judged(tmp_path, f"def bad(case): {HARMLESS[world]}\n", limits)} == {"exact"}


def test_a_child_without_the_mark_is_ended_too(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    leaves = (
        "def bad(case):\n    child = subprocess.Popen(['sleep', '1000000'], env={}, start_new_session=True)\n"
        f"    open({str(note)!r}, 'w').write(str(child.pid)); return right(case)\n"
    )
    assert {r.verdict for r in judged(tmp_path, leaves)} == {"exact"}
    pid = int(note.read_text())

    def gone() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    until(gone, "the child is still there")


@pytest.mark.parametrize(
    ("added", "reason"),
    [
        ("import os; os._exit(4)", "ended with status 4"),
        ("raise ValueError('two\\nlines')", "importing it raised ValueError: two lines"),
        ("raise SystemExit('no licence')", "its last words: no licence"),
        ("INFO = 5", "importing it raised TypeError"),
        ("INFO['features'] = np.zeros(3)", "INFO['features'] holds dtype, shape, data"),
        ("INFO['version'] = object()", ""),
        ("SYSTEMS = {}\nINFO = {}", "INFO lacks name"),
    ],
)
def test_an_adapter_that_cannot_start_is_one_line(added: str, reason: str, tmp_path: Path) -> None:
    if not reason:
        judged(tmp_path, f"{added}\nbad = right\n")
        return
    with pytest.raises(AdapterError) as refused:
        judged(tmp_path, f"{added}\n")
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_after_many_crashes_in_a_row_the_rest_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrp_conform.wire.remote.IN_A_ROW", 3)
    results = judged(tmp_path, "def run(case): os._exit(9)\n", cases=CASES[:6])
    assert [r.verdict for r in results] == ["crash"] * 3 + ["not-run"] * 3
    assert results[-1].judgement.detail["why"] == "not asked after 3 crashes in a row"
