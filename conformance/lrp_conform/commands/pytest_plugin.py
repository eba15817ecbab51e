"""`pytest --lrp-candidate NAME`: one test per case and dtype, in anyone's repository.

Without the option this costs nothing: whatever judges is imported when it is asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lrp_conform.candidates.adapter import Candidate
    from lrp_conform.cases.layer import Case
    from lrp_conform.commands.pytest_judge import Judge

JUDGE: pytest.StashKey[Judge] = pytest.StashKey()
ROOT = "lrp-conform"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options; each of them begins with --lrp."""
    group = parser.getgroup(ROOT, "conformance of implementations of Layer-wise Relevance Propagation")
    several: dict[str, Any] = {"action": "append", "default": []}
    group.addoption(
        "--lrp-candidate", **several, metavar="NAME", help="judge this candidate: a name, a path, a module; repeatable"
    )
    group.addoption("--lrp-command", metavar="COMMAND", help="judge a program that speaks the wire protocol")
    group.addoption("--lrp-python", metavar="PATH", help="the interpreter that runs the candidates")
    group.addoption("--lrp-dtype", **several, choices=("float64", "float32", "float16"), help="default: float64 and float32")
    group.addoption("--lrp-case", **several, metavar="GLOB", help="only cases whose id matches; repeatable")
    group.addoption("--lrp-strict", action="store_true", help="dialects fail too")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Find the candidates, so that what cannot be judged is a usage error."""
    option = session.config.option
    if not (option.lrp_candidate or option.lrp_command is not None):
        return
    try:
        from lrp_conform.candidates.adapter import AdapterError
        from lrp_conform.cases.golden import GoldenError
        from lrp_conform.commands.pytest_judge import judge
    except ImportError as missing:
        from lrp_ref.text.extras import needed

        raise pytest.UsageError(f"--lrp-candidate needs {needed(missing, 'conformance')}") from None
    is_worker = hasattr(session.config, "workerinput")
    try:
        found = judge(
            option.lrp_candidate, option.lrp_command, option.lrp_python, option.lrp_dtype, option.lrp_case, not is_worker
        )
    except (AdapterError, GoldenError) as error:
        raise pytest.UsageError(str(error)) from None
    session.config.stash[JUDGE] = found
    session.config.add_cleanup(found.close)
    if session.config.pluginmanager.hasplugin("dsession"):
        found.close()  # every worker starts its own


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Beside the tests that pytest finds, those of the candidates."""
    report = yield
    if isinstance(collector, pytest.Session) and JUDGE in collector.config.stash and report.passed:
        judge = collector.config.stash[JUDGE]
        report.result.append(Conformance.from_parent(collector, name=ROOT, nodeid=ROOT, judge=judge))
    return report


class Conformance(pytest.Collector):
    """lrp-conform"""

    def __init__(self, *, judge: Judge, **given: Any) -> None:
        super().__init__(**given)
        self.judge = judge

    def collect(self) -> Iterator[pytest.Collector]:
        for candidate in self.judge.candidates:
            yield CandidateCollector.from_parent(self, name=candidate.name.replace("::", ":"), candidate=candidate)


class CandidateCollector(pytest.Collector):
    """lrp-conform::NAME"""

    def __init__(self, *, candidate: Candidate, **given: Any) -> None:
        super().__init__(**given)
        self.candidate = candidate

    def collect(self) -> Iterator[pytest.Collector]:
        for dtype in self.config.stash[JUDGE].dtypes_of(self.candidate):
            yield DtypeCollector.from_parent(self, name=dtype, candidate=self.candidate)


class DtypeCollector(CandidateCollector):
    """lrp-conform::NAME::DTYPE"""

    def collect(self) -> Iterator[Any]:
        for case in self.config.stash[JUDGE].cases:
            yield Conforms.from_parent(self, name=case.id, candidate=self.candidate, dtype=self.name, case=case)


class WrongAnswer(Exception):
    """The evidence."""


class Conforms(pytest.Item):
    """lrp-conform::NAME::DTYPE::CASE"""

    def __init__(self, *, candidate: Candidate, dtype: str, case: Case, **given: Any) -> None:
        super().__init__(**given)
        self.candidate, self.dtype, self.case = candidate, dtype, case

    def runtest(self) -> None:
        """Pass, skip, xfail, or raise `WrongAnswer`."""
        from lrp_conform.commands import pytest_judge

        judge = self.config.stash[JUDGE]
        result = judge.result(self.candidate, self.dtype, self.case)
        self.user_properties.extend(pytest_judge.described(result))
        if pytest_judge.wrong(result, self.config.option.lrp_strict):
            if result.waiver is not None:
                pytest.xfail(result.waiver)
            raise WrongAnswer(pytest_judge.evidence(result))
        reason = pytest_judge.skipped(result)
        if reason is not None:
            pytest.skip(reason)
        if result.verdict == "dialect":
            self.add_report_section("call", ROOT, pytest_judge.evidence(result))
        problem = None if result.waiver is None else judge.problem(self.candidate, result)
        if problem is not None:
            raise WrongAnswer(f"[XPASS(strict)] {problem}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The evidence alone: where in this suite it was found says nothing."""
        return str(excinfo.value) if isinstance(excinfo.value, WrongAnswer) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        return ROOT, None, " ".join(self.nodeid.split("::")[1:])  # of a part of the id pytest would rewrite the dots


# What is shown ------------------------------------------------------------------------------------------------------------


def _dialect(report: Any) -> str | None:
    found = dict(getattr(report, "user_properties", ())).get("lrp-dialect")
    return found if isinstance(found, str) and report.when == "call" and report.passed else None


def pytest_report_teststatus(report: Any, config: pytest.Config) -> Any:
    """A dialect passes, and can be told apart."""
    dialect = _dialect(report) if JUDGE in config.stash else None
    return dialect and ("dialect", "d", (f"DIALECT {dialect}", {"yellow": True}))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Every dialect by its name, with the number of answers and one of them."""
    reports = terminalreporter.stats.get("dialect", [])
    if JUDGE not in config.stash or not reports:
        return
    from lrp_conform.commands.pytest_judge import titles

    terminalreporter.section("LRP dialects")
    for name, count in Counter(map(_dialect, reports)).most_common():
        first = next(r for r in reports if _dialect(r) == name)
        terminalreporter.line(f"{name}: {titles(str(name))}  ({count} answers)")
        shown = next((text for title, text in first.sections if ROOT in title), "")
        terminalreporter.line(f"    {shown.splitlines()[0]}" if shown else "")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One worker asks the cases of a group, which are judged together; another one would ask all of them again."""
    if JUDGE not in config.stash or config.option.dist not in ("load", "loadgroup"):
        return None
    from xdist.scheduler import LoadGroupScheduling

    groups = config.stash[JUDGE].groups()

    class Together(LoadGroupScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            above, _, case = nodeid.rpartition("::")
            return f"{above}::{groups[case]}" if nodeid.startswith(ROOT + "::") else str(super()._split_scope(nodeid))

    return Together(config, log)
