"""index.html: one file that needs no network, no server and, for its tables, no JavaScript."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

import lrp_ref
from lrp_conform.cases import golden
from lrp_conform.report import cards, formulas, trend
from lrp_conform.report.gather import KINDS, Evidence, System, TableRow, layer_of
from lrp_conform.report.payload import embedded, payload
from lrp_conform.report.text import short

STYLES = ("style.css", "case.css")
SCRIPTS = ("data.js", "pictures.js", "case.js", "list.js", "main.js")


def html(evidence: Evidence, with_cards: bool = True) -> str:
    """The page. `with_cards`: dialect cards too, which take most of the time."""
    script = "\n".join(_page(name) for name in SCRIPTS)
    style = "\n".join(_page(name) for name in STYLES)
    features = evidence.features()
    return _environment().get_template("index.html.j2").render(
        evidence=evidence,
        kinds=KINDS,
        columns=_columns(evidence),
        profiles=evidence.profiles(),
        layers=_layers([row for row in features if row.asked]),
        idle=[row for row in features if not row.asked],
        totals=evidence.totals(),
        headlines=headlines(evidence),
        cards=cards.cards(evidence) if with_cards else [],
        steps=trend.steps(evidence),
        dates=sorted({each.started[:10] for each in evidence.origins}),
        golden_digest=golden.digest(),
        golden_edition=golden.edition(),
        suite=lrp_ref.__version__,
        formulas=formulas,
        data=Markup(embedded(payload(evidence))),
        style=Markup(style),
        script=Markup(script),
        policy=_policy(script, style),
    )  # fmt: skip


def headlines(evidence: Evidence) -> list[dict[str, Any]]:
    """Per candidate and version: what it was asked, and how that went, in answers of all its dtypes."""
    cells = dict(zip(evidence.systems, evidence.totals().cells, strict=True))
    out = []
    for (candidate, version), systems in evidence.candidates.items():
        mine = [cells[system] for system in systems]
        count = {kind.name: sum(cell.counts.get(kind.name, 0) for cell in mine) for kind in KINDS}
        size = sum(cell.size for cell in mine)
        parts = [(kind, count[kind.name]) for kind in KINDS]
        out.append(
            {"candidate": candidate, "version": version, "parts": parts, "size": size, "missing": size - sum(count.values())}
        )
    return out


def _columns(evidence: Evidence) -> list[dict[str, Any]]:
    """Candidates with the systems below each; the device is named only where there is a choice."""
    several = len({system.device for system in evidence.systems}) > 1
    return [
        {
            "candidate": candidate,
            "version": version,
            "systems": systems,
            "heads": [f"{s.dtype} {s.device}" if several else s.dtype for s in systems],
        }
        for (candidate, version), systems in evidence.candidates.items()
    ]


def _layers(rows: list[TableRow]) -> dict[str, list[TableRow]]:
    out: dict[str, list[TableRow]] = {}
    for row in rows:
        out.setdefault(layer_of(row.name), []).append(row)
    return out


def _route(system: System, **more: str) -> str:
    """The address of a filtered list."""
    chosen = {"candidate": system.label, "dtype": system.dtype, "device": system.device, "kind": "all", **more}
    return "#results?" + "&".join(f"{name}={quote(short(value), safe='')}" for name, value in chosen.items())


def _policy(script: str, style: str) -> str:
    """A content security policy: this script, this style, nothing from anywhere else."""
    sources = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)]
    return "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'".format(*sources)


def _page(name: str) -> str:
    return files("lrp_conform.report").joinpath("page", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_page), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["mathml"] = lambda text: Markup(formulas.mathml(text))
    environment.filters["said"] = short
    environment.globals["route"] = _route
    return environment
