"""`pytest --lrp-candidate`: one test per case and dtype, in a folder that holds nothing but an adapter."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from test_command_run import ADAPTER
from test_harness_replies import SCRIPT

from lrp_conform.commands import pytest_judge

pytest_plugins = ["pytester"]
assert pytest_judge  # so that runs in this process do not import NumPy again
Run = Callable[..., pytest.RunResult]
EXACT = "lrp-conform::mine[[]gpu[]]::float64::dense.epsilon.exact-01"
UNSIGNED = ADAPTER.replace("np.where(y < 0, y - eps, y + eps)", "(y + eps)")


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Runs pytest in an empty folder that holds the adapter."""

    def judged(*args: str, adapter: str = ADAPTER, cases: str = "dense.epsilon.exact-0[1-4]") -> pytest.RunResult:
        (pytester.path / "mine.py").write_text(adapter, encoding="utf-8")
        return pytester.runpytest_inprocess("-p", "no:randomly", "--lrp-candidate", "mine.py", "--lrp-case", cases, *args)

    return judged


def test_one_test_per_case_and_dtype(run: Run) -> None:
    result = run("-v")
    result.assert_outcomes(passed=6, skipped=2)
    result.stdout.fnmatch_lines(["*collected 8 items", f"{EXACT} PASSED*"])
    assert result.ret == 0


def test_seeds_of_v0(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--lrp-candidate", "seeds", "--lrp-case", "v0.*", "--lrp-dtype", "float64", "-q")
    assert result.ret == 0
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] + outcomes["skipped"] + outcomes["xfailed"] + outcomes["dialect"] == 19 * 10
    assert outcomes["xfailed"] > 0


def test_selecting_and_leaving_out(run: Run) -> None:
    run("-k", "float64 and exact-01").assert_outcomes(passed=1, deselected=7)
    run("-k", "lrp-conform and mine", "--deselect", "lrp-conform::mine[gpu]::float32").assert_outcomes(
        passed=3, skipped=1, deselected=4
    )
    run("--lrp-dtype", "float32").assert_outcomes(passed=3, skipped=1)
    run("--collect-only", "-q").stdout.fnmatch_lines([EXACT])


def test_a_failure_is_its_evidence_and_no_traceback(run: Run) -> None:
    result = run("--lrp-dtype", "float64", adapter=ADAPTER + "FACTOR = -1")
    result.assert_outcomes(failed=3, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*mine[[]gpu[]] float64 dense.epsilon.exact-01*",
            "nonconformant: dense.epsilon.exact-01 float64: x[[]*[]] = *, expected *, |error| *, allowed *",
            "nearest: *(mistake.sign)",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_plugin.py*runtest*")
    assert result.ret == 1


def test_what_says_nothing_is_skipped_with_the_reason(run: Run) -> None:
    result = run("-rs")
    result.stdout.fnmatch_lines(["SKIPPED*unsupported: does not declare bias.ignore"])
    result = run("-rs", adapter=ADAPTER + "def run(case): return {'unsupported': 'not on Mondays'}")
    result.stdout.fnmatch_lines(["SKIPPED*unsupported-undeclared: not on Mondays"])


def test_a_missing_library_is_no_skip(run: Run) -> None:
    result = run("--lrp-dtype", "float64", adapter=ADAPTER + "def run(case): raise ImportError('no torch')")
    result.assert_outcomes(failed=3, skipped=1)


def waivers(*entries: str) -> str:
    return "\nWAIVERS = [" + ", ".join(f"{{'case': {case!r}, 'reason': 'issue 7'}}" for case in entries) + "]\n"


def test_a_waived_failure_is_an_xfail_with_its_reason(run: Run) -> None:
    result = run("-rx", adapter=ADAPTER + "FACTOR = -1" + waivers("dense.epsilon.*"))
    result.assert_outcomes(xfailed=6, skipped=2)
    result.stdout.fnmatch_lines(["XFAIL*dense.epsilon.exact-01*issue 7*"])


def test_a_waiver_is_strict(run: Run) -> None:
    result = run("--lrp-dtype", "float64", adapter=ADAPTER + waivers("dense.epsilon.exact-01"))
    result.assert_outcomes(failed=1, passed=2, skipped=1)
    result.stdout.fnmatch_lines(["[[]XPASS(strict)[]] waiver 'dense.epsilon.exact-01' is no longer needed: every case it*"])


def test_a_waiver_that_one_case_needs_is_needed(run: Run) -> None:
    once = """
right, seen = run, []
def run(case):
    answer, x = right(case), case["x"].tobytes()
    seen.append(x)
    return {**answer, "relevance": -answer["relevance"]} if x == seen[0] else answer
"""
    result = run("--lrp-dtype", "float64", adapter=ADAPTER + once + waivers("dense.epsilon.*"))
    outcomes = result.parseoutcomes()
    assert outcomes["xfailed"] >= 1
    assert "failed" not in outcomes


def test_a_dialect_passes_visibly_or_fails_under_strict(run: Run, pytester: pytest.Pytester) -> None:
    result = run("-v", "--lrp-dtype", "float64", "--junit-xml", "junit.xml", adapter=UNSIGNED)
    assert result.ret == 0
    assert result.parseoutcomes()["dialect"] >= 1
    result.stdout.fnmatch_lines(
        [
            "*DIALECT stabilizer.*",
            "*LRP dialects*",
            "stabilizer.*: * answers)",
            "    dialect stabilizer.*: dense.epsilon.*, expected *",
        ]
    )
    assert '<property name="lrp-dialect" value="stabilizer.' in (pytester.path / "junit.xml").read_text(encoding="utf-8")
    result = run("--lrp-dtype", "float64", "--lrp-strict", adapter=UNSIGNED)
    assert result.parseoutcomes()["failed"] >= 1
    result.stdout.fnmatch_lines(["dialect stabilizer.*: dense.epsilon.*"])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--lrp-candidate", "nobody"], "ERROR: nobody: no candidate of that name (*"),
        (["--lrp-candidate", "nowhere.py"], "ERROR: nowhere.py: no such file"),
        (["--lrp-candidate", "seeds", "--lrp-case", "no.such.*"], "ERROR: no case matches no.such.*; see lrp-conform list"),
        (
            ["--lrp-candidate", "seeds", "--lrp-dtype", "float16"],
            "ERROR: seeds/1-bounded: declares float64, float32, not float16",
        ),
        (["--lrp-candidate", "seeds", "--lrp-python", "nowhere"], "ERROR: --python nowhere: no such program"),
        (["--lrp-candidate", "seeds", "--lrp-command", "x"], "ERROR: --command stands alone*"),
        (["--lrp-command", ""], "ERROR: --command is empty*"),
        (["--lrp-candidate", "seeds", "--lrp-dtype", "float8"], "*invalid choice: 'float8'*"),
    ],
)
def test_misuse_is_a_usage_error_of_one_line(pytester: pytest.Pytester, args: list[str], message: str) -> None:
    result = pytester.runpytest_inprocess(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_a_waiver_that_matches_nothing_is_a_usage_error(run: Run) -> None:
    result = run(adapter=ADAPTER + waivers("no.such"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: mine[[]gpu[]]: waiver 'no.such' matches no case"])


NOTES = """
import os
open("started", "a").write(f"{os.getpid()}\\n")
right = run
def run(case):
    open("asked", "a").write(f"{os.getpid()}\\n")
    return right(case)
"""


def noted(path: Path) -> Counter[str]:
    return Counter(path.read_text(encoding="utf-8").split())


SPREAD = ("--lrp-candidate", "mine.py", "--lrp-case", "dense.epsilon.*", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")


def test_every_worker_has_one_process_and_no_group_is_asked_twice(pytester: pytest.Pytester) -> None:
    (pytester.path / "mine.py").write_text(ADAPTER + NOTES, encoding="utf-8")
    pytester.runpytest_inprocess(*SPREAD).assert_outcomes(passed=53, skipped=13)
    alone = noted(pytester.path / "asked")
    (pytester.path / "asked").unlink()
    result = pytester.runpytest_subprocess(*SPREAD, "-n", "2")
    result.assert_outcomes(passed=53, skipped=13)
    spread = noted(pytester.path / "asked")
    assert len(alone) == 1
    assert len(spread) == 2
    assert sum(spread.values()) == sum(alone.values())
    assert not any(psutil.pid_exists(int(pid)) for pid in noted(pytester.path / "started"))


@pytest.mark.slow
def test_work_may_be_stolen(pytester: pytest.Pytester) -> None:
    (pytester.path / "mine.py").write_text(ADAPTER, encoding="utf-8")
    pytester.runpytest_subprocess(*SPREAD, "-n", "2", "--dist", "worksteal").assert_outcomes(passed=53, skipped=13)


def test_it_stands_beside_other_tests(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_own="def test_one(): pass\ndef test_two(): assert False")
    run("--lrp-dtype", "float64").assert_outcomes(passed=4, skipped=1, failed=1)
    pytester.runpytest_inprocess().assert_outcomes(passed=1, failed=1)


def test_a_program_is_judged(pytester: pytest.Pytester) -> None:
    (pytester.path / "program.py").write_text(SCRIPT.replace("MARKED", "None").replace("BAD", "pass"), encoding="utf-8")
    command = f"{sys.executable} program.py"
    result = pytester.runpytest_inprocess("-v", "--lrp-command", command, "--lrp-case", "dense.epsilon.exact-01")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["lrp-conform::program::float64::dense.epsilon.exact-01 PASSED*"])


def test_without_the_option_nothing_is_imported(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_imports():
            heavy = ("lrp_conform", "lrp_ref", "numpy", "flint", "click", "psutil")
            found = {name for name in sys.modules if name.split(".")[0] in heavy}
            assert found == {"lrp_conform", "lrp_conform.commands", "lrp_conform.commands.pytest_plugin"}
        """
    )
    pytester.runpytest_subprocess("-p", "no:hypothesispytest", "-p", "no:xdist").assert_outcomes(passed=1)


def test_without_the_extra_it_says_what_to_install(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(bare="import sys\nsys.modules['jsonschema_rs'] = None")
    result = pytester.runpytest_subprocess("-p", "bare", "--lrp-candidate", "seeds")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = '--lrp-candidate needs jsonschema-rs, which is not installed: pip install "lrp-ref[[]conformance[]]"'
    result.stderr.fnmatch_lines([f"ERROR: {told}"])
