"""The shipped candidates side by side: an environment for each that needs one, a run of each, one page and its data."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrp_conform.candidates.adapter import AdapterError
from lrp_conform.cases import golden
from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import VERDICTS
from lrp_conform.running.folder import Run


@dataclass(frozen=True)
class Entry:
    """A candidate at one version, and how its environment is made: one line for pip after the other."""

    key: str
    candidate: str
    install: tuple[str, ...] = ()

    def python(self, environments: Path) -> str | None:
        """The interpreter of its environment; None for what runs in this one."""
        return str(environments / self.key / "bin" / "python") if self.install else None


_ZENNIT = ("torch", "--no-deps torchvision", "click numpy pillow")  # of which zennit imports torchvision and no more
SHIPPED = (
    Entry("zennit-1.0.0", "zennit", (*_ZENNIT, "--no-deps --ignore-requires-python zennit==1.0.0")),
    Entry("zennit-0.5.1", "zennit", (*_ZENNIT, "--no-deps --ignore-requires-python zennit==0.5.1")),
    Entry("captum-0.9.0", "captum", ("torch", "captum==0.9.0")),
    Entry("lxt-2.1", "lxt", ("torch numpy", "--no-deps lxt==2.1")),
    Entry(
        "innvestigate-2.1.2",
        "innvestigate",
        ("tensorflow-cpu==2.14.1 numpy<2 matplotlib>=3.5,<4 future<0.19", "--no-deps innvestigate==2.1.2"),
    ),
    Entry("seeds", "seeds"),
)


def prepare(entry: Entry, environments: Path, say: Callable[[str], None] = lambda text: None) -> None:
    """Make the environment of an entry where there is none; AdapterError with pip's last word if that fails.

    What pip takes is pip's to decide: PIP_CONSTRAINT names a file of constraints.
    """
    python = entry.python(environments)
    if python is None or Path(python).is_file():
        return
    say(f"making the environment of {entry.key}")
    folder = environments / entry.key
    made = folder.with_name(folder.name + ".new")  # an environment that is there is complete
    shutil.rmtree(made, ignore_errors=True)
    _call(entry, sys.executable, "-m", "venv", str(made))
    for line in entry.install:
        _call(entry, str(made / "bin" / "python"), "-m", "pip", "install", "--quiet", *line.split())
    made.rename(folder)


def _call(entry: Entry, *argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        raise AdapterError(f"the environment of {entry.key} cannot be made: {' '.join(argv[2:])[:80]}: {last[:200]}")


def data(runs: Iterable[Run]) -> dict[str, Any]:
    """Per system, feature and dtype: how many cases got which verdict, and the names of what deviates."""
    systems: list[dict[str, Any]] = []
    for run in runs:
        for said in run.about["candidates"]:
            own = [r for r in run.results if r.candidate == said["name"]]
            systems.append(
                {
                    "name": said["name"],
                    "version": said["version"],
                    "date": run.about["started"][:10],
                    "suite": run.about["suite"],
                    "environment": said["environment"],
                    "verdicts": _counts(own),
                    "features": {
                        feature: {
                            dtype: _told([r for r in own if (r.feature, r.dtype) == (feature, dtype)]) for dtype in dtypes
                        }
                        for feature, dtypes in _rows(own).items()
                    },
                }
            )
    return {"schema": 1, "edition": golden.edition(), "golden": golden.digest(), "systems": systems}


def _rows(results: list[CaseResult]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for r in results:
        if r.verdict != "unsupported" and r.dtype not in found.setdefault(r.feature, []):
            found[r.feature].append(r.dtype)
    return dict(sorted(found.items()))


def _told(results: list[CaseResult]) -> dict[str, Any]:
    dialects = Counter(r.judgement.dialect for r in results if r.judgement.dialect)
    taus = [r.judgement.tau for r in results if r.verdict in ("exact", "conformant") and r.judgement.tau is not None]
    return {
        "cases": len(results),
        "verdicts": _counts(results),
        "dialects": dict(sorted(dialects.items())),
        "tau": float(f"{max(taus, default=0.0):.3g}"),
    }


def _counts(results: Iterable[CaseResult]) -> dict[str, int]:
    counted = Counter(r.verdict for r in results)
    return {verdict: counted[verdict] for verdict in VERDICTS if counted[verdict]}


def text(runs: Iterable[Run]) -> str:
    """The data as the file that is committed."""
    return json.dumps(data(runs), indent=1, ensure_ascii=False) + "\n"


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Where two scoreboards give another verdict or another name; dates, machines and tau are not compared."""
    old, new = _cells(before), _cells(after)
    return [
        f"{' '.join(key)}: {old.get(key)} -> {new.get(key)}" for key in sorted({*old, *new}) if old.get(key) != new.get(key)
    ]


def _cells(board: dict[str, Any]) -> dict[tuple[str, ...], str]:
    return {
        (system["name"], system["version"], feature, dtype): f"{cell['verdicts']} {cell['dialects']}"
        for system in board["systems"]
        for feature, row in system["features"].items()
        for dtype, cell in row.items()
    }
