"""Results, and the folder a run leaves them in: enough to judge again without the candidate."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

import lrp_ref
from lrp_conform.candidates.adapter import Candidate
from lrp_conform.cases import golden
from lrp_conform.cases.golden import AnyCase
from lrp_conform.judging.result import CaseResult
from lrp_conform.wire.messages import MessageError
from lrp_ref.arrays import LRPError
from lrp_ref.files.arrays import write_file

LINES, ABOUT, QUESTIONS = "results.ndjson", "run.json", "fresh.json"
PACKAGES = ("lrp-ref", "numpy", "scipy", "python-flint", "torch", "zennit", "captum", "lxt")
IDENTITY = ("edition", "golden", "dtypes", "devices", "cases", "candidates", "shard")  # what a resumed run must share


class ReportError(LRPError):
    """A report folder that cannot be used."""


@dataclass(frozen=True)
class Run:
    """A report folder that was read: what was run, and every result."""

    about: dict[str, Any]
    results: list[CaseResult]
    fresh: list[AnyCase] = field(default_factory=list)  # the cases that were made for it

    @property
    def cases(self) -> list[AnyCase]:
        """Every case that an answer of the run may be to."""
        return [*golden.load_all(), *self.fresh]


def about(
    candidates: Iterable[Candidate],
    cases: Iterable[str],
    dtypes: Iterable[str],
    devices: Iterable[str],
    shard: str | None = None,
    fresh: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a run is: suite, goldens, candidates, what was asked of them, and where."""
    return {
        "schema": 1,
        "suite": lrp_ref.__version__,
        "edition": golden.edition(),
        "golden": golden.digest(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "finished": None,
        "dtypes": list(dtypes),
        "devices": list(devices),
        "cases": sorted(cases),
        "shard": shard,
        "fresh": None if fresh is None else dict(fresh),
        "candidates": [
            {
                "name": c.name,
                "version": c.version,
                "features": sorted(c.features),
                "dtypes": list(c.dtypes),
                "devices": list(c.devices),
                "environment": dict(c.environment),
                "relevance_init": "one-hot" if c.one_hot else "arbitrary",
                "waivers": [{"case": w.case, "dtype": w.dtype, "reason": w.reason, "link": w.link} for w in c.waivers],
            }
            for c in candidates
        ],
        "environment": environment(),
    }


def environment() -> dict[str, Any]:
    """Where and with what a run was made."""
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "packages": packages,
    }


def part(uid: str, parts: int) -> int:
    """The shard, from 1 to `parts`, that a case belongs to: its uid decides, so that every machine agrees."""
    return int(uid.rpartition(":")[2], 16) % parts + 1


class Writer:
    """Results as they come: what was judged is on disk before the next group is asked."""

    def __init__(
        self, folder: Path, about: dict[str, Any], overwrite: bool = False, resume: bool = False, fresh: str | None = None
    ) -> None:
        """Open `folder` for one run; `earlier` holds the results of the run that is resumed.

        `fresh`: the text of the file of the cases that were made for the run.
        """
        self.folder, self.about, self._fresh = folder, about, fresh
        self._path = folder / LINES
        self._file: TextIO | None = None
        self.earlier: list[CaseResult] = []
        with _told(folder):
            exists = self._path.exists()
            folder.mkdir(parents=True, exist_ok=True)
        if exists and resume:
            self.earlier = self._resumable()
        elif exists and not overwrite:
            raise ReportError(f"{self._path} exists: choose another folder, or --overwrite, or --resume")

    def begin(self, kept: Iterable[CaseResult] = ()) -> None:
        """Start the file with what is kept of the earlier run."""
        with _told(self.folder):
            write_file(self.folder / ABOUT, json.dumps(self.about, indent=1) + "\n", durable=True)
            (self.folder / QUESTIONS).unlink(missing_ok=True)
            if self._fresh is not None:
                write_file(self.folder / QUESTIONS, self._fresh, durable=True)
            write_file(self._path, "".join(map(_line, kept)), durable=True)
            self._file = self._path.open("a", encoding="utf-8", newline="\n")

    def add(self, results: Iterable[CaseResult]) -> None:
        """Write one group; it is there as a whole or, if the disk is full, told to be incomplete."""
        assert self._file is not None
        with _told(self.folder):
            self._file.write("".join(map(_line, results)))
            self._file.flush()

    def finish(self, results: Iterable[CaseResult]) -> None:
        """The whole run is judged: `results` are written in their order, whatever order they came in."""
        self.close()
        self.about["finished"] = self.about["finished"] or datetime.now(UTC).isoformat(timespec="seconds")
        with _told(self.folder):
            write_file(self._path, "".join(map(_line, results)), durable=True)
            write_file(self.folder / ABOUT, json.dumps(self.about, indent=1) + "\n", durable=True)

    def close(self) -> None:
        if self._file is not None:
            with _told(self.folder):
                self._file.close()
            self._file = None

    def _resumable(self) -> list[CaseResult]:
        run = read(self.folder, broken_end=True)
        for name in IDENTITY:
            if run.about.get(name) != self.about[name]:
                raise ReportError(f"{self.folder} holds another run: its {name} differ; choose another folder, or --overwrite")
        return run.results


def read(folder: Path, broken_end: bool = False) -> Run:
    """The run in a report folder; ReportError with file and line if it is none.

    `broken_end`: leave out a last line that was cut off, as an interrupted run or a full disk leaves it.
    """
    path = folder / LINES
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError, RecursionError) as error:
        raise ReportError(f"{folder}: not the folder of a run: {error}") from None
    if not isinstance(about, dict) or about.get("schema") != 1:
        raise ReportError(f"{folder / ABOUT}: expected an object of schema 1; another version of the suite wrote it")
    *lines, rest = text.split("\n")
    if rest and not broken_end:
        raise ReportError(f"{path}: the last line is cut off; run again with --resume")
    results = []
    for number, line in enumerate(lines, start=1):
        try:
            results.append(CaseResult.from_record(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError, MessageError, RecursionError) as error:
            raise ReportError(f"{path}, line {number}: not a result: {type(error).__name__} {error}"[:300]) from None
    questions = folder / QUESTIONS
    return Run(about, results, golden.load_file(questions) if questions.exists() else [])


def _line(result: CaseResult) -> str:
    return json.dumps(result.record(), allow_nan=False, separators=(",", ":")) + "\n"


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except LRPError as error:
        raise ReportError(f"{folder}: cannot write the report: {error}") from None
    except OSError as error:
        raise ReportError(f"{folder}: cannot write the report: {error.strerror or error}") from None
