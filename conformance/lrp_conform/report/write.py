"""Everything a run leaves beside its results: the page, junit.xml, the Markdown summary, the badges."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from lrp_conform.cases.layer import Case
from lrp_conform.report.badges import badges
from lrp_conform.report.gather import gather
from lrp_conform.report.html import html
from lrp_conform.report.junit import junit
from lrp_conform.report.markdown import markdown
from lrp_conform.running.folder import ReportError, Run
from lrp_ref.arrays import LRPError
from lrp_ref.files.arrays import write_file

PAGE, JUNIT, SUMMARY, BADGES = "index.html", "junit.xml", "summary.md", "badges"


def write(
    folder: Path,
    runs: Iterable[Run],
    cases: Iterable[Case] | None = None,
    strict: bool = False,
    with_cards: bool = True,
    kinds: Collection[str] = (PAGE, JUNIT, SUMMARY, BADGES),
) -> list[Path]:
    """Write the evidence of some runs to `folder`; the paths of what was written.

    Every file appears as a whole or not at all. Badges of an earlier report that this one does not write are removed.
    `cases`: the golden cases, if they are loaded already. `strict`: a dialect is a failure in junit.xml.
    `with_cards`: infer dialect cards, which takes most of the time. `kinds`: what is written, everything by default.
    """
    evidence = gather(runs, cases)
    made: dict[str, Callable[[], dict[str, str]]] = {
        PAGE: lambda: {PAGE: html(evidence, with_cards)},
        JUNIT: lambda: {JUNIT: junit(evidence, strict)},
        SUMMARY: lambda: {SUMMARY: markdown(evidence)},
        BADGES: lambda: {f"{BADGES}/{name}": text for name, text in badges(evidence).items()},
    }
    found = {name: text for kind in kinds for name, text in made[kind]().items()}
    try:
        (folder / BADGES if BADGES in kinds else folder).mkdir(parents=True, exist_ok=True)
        for stale in (folder / BADGES).glob("*.json"):
            if f"{BADGES}/{stale.name}" not in found:
                stale.unlink()
        for name, text in found.items():
            write_file(folder / name, text)
    except LRPError as error:
        raise ReportError(f"{folder}: cannot write the report: {error}") from None
    except OSError as error:
        raise ReportError(f"{folder}: cannot write the report: {error.strerror or error}") from None
    return [folder / name for name in found]
