"""The fresh questions of a run: made before it, and shown as small as they get where they found something."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lrp_conform.candidates.adapter import Candidate
from lrp_conform.candidates.sources import CandidateSource, load
from lrp_conform.cases import golden
from lrp_conform.diagnosis.repro import repro
from lrp_conform.fresh.failures import smallest
from lrp_conform.fresh.portion import Portion, file_of, kept, portion
from lrp_conform.judging.result import CaseResult
from lrp_conform.running import folder, pools
from lrp_ref.files.arrays import write_file
from lrp_ref.text.progress import progress

FOUND = "found.json"


def resumed(report: Path) -> Portion | None:
    """The questions of the run in a report folder, None where there is no run."""
    return kept(folder.read(report, broken_end=True)) if (report / folder.LINES).exists() else None


def made(
    most: int, seed: str | None, candidates: Iterable[Candidate], needs: Sequence[str], files: Iterable[Path], jobs: int | None
) -> Portion:
    """At most so many questions, shared by candidates that declare different features, and the cases of files."""
    chosen = secrets.token_hex(4) if seed == "random" else seed or golden.edition()
    with progress(most, "fresh questions") as advance:
        found = portion((c.features for c in candidates), chosen, most, needs, jobs or pools.cores(), advance)
    return found.with_files(files)


def show_smallest(
    results: Iterable[CaseResult], sources: Iterable[CandidateSource], asked: Portion, report: Path | None, out: Console
) -> None:
    """Print what fresh questions found, as small as it gets; a report folder keeps it as cases that can be asked again."""
    failed, cases, found = list(results), {case.id: case for case in asked.cases}, []
    for candidate in (c for source in sources for c in load(source)):
        try:
            for shrunk in smallest(candidate, (r for r in failed if r.candidate == candidate.name), cases):
                found.append(shrunk.case)
                out.print(Text(f"\nas small as it gets, for a bug report: {shrunk.case.id}", style="dim"))
                out.print(Text(repro(shrunk.case, shrunk.result)), end="", soft_wrap=True)
        finally:
            candidate.close()
    if report is not None and found:
        write_file(report / FOUND, file_of(found) or "")
        out.print(Text(f"kept in {report / FOUND}, which --ask asks again"))
