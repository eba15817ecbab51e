"""Runs to be reported: a right candidate, a wrong one, one with a waiver, and one whose every text is an attack."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from typing import Any

import numpy as np
from inline import EPSILON, candidate, cases, epsilon, results

from lrp_conform.candidates.adapter import Candidate, Waiver
from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import Judgement
from lrp_conform.running.folder import Run, about

HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[31m\x00&\u2028|`*_\u202e]]>\ud800"
SHAPES: dict[str, Any] = {"wrong-shape": np.zeros(3), "wrong-dtype": np.zeros((1, 2), "int64"), "none": None, "text": "x"}
ASKED = [*cases("v0."), *EPSILON]
SHORT = partial(epsilon, smaller=1000)


def run_of(one: Candidate, found: list[CaseResult] | None = None) -> Run:
    found = results(one, ASKED) if found is None else found
    return Run(about([one], (c.id for c in ASKED), ["float64", "float32"], ["cpu"]), found)


def renamed(run: Run, name: str, version: str) -> Run:
    declared = [{**run.about["candidates"][0], "name": name, "version": version}]
    return Run({**run.about, "candidates": declared}, [replace(r, candidate=name, version=version) for r in run.results])


RIGHT = renamed(run_of(candidate(epsilon)), "right", "1.0")
WRONG = renamed(run_of(candidate(SHORT)), "wrong", "2.0")
WAIVED = renamed(
    run_of(candidate(SHORT, waivers=(Waiver("*", "epsilon is known to be small", "https://example.org/1"),))), "waived", "3"
)
EMPTY = Run({**RIGHT.about, "candidates": []}, [])


def hostile() -> Run:
    """A run in which every text that a candidate can set is an attack."""
    detail = {"why": HOSTILE}
    judgement = Judgement("error", hint=HOSTILE, detail=detail)
    found = [replace(r, candidate=HOSTILE, version=HOSTILE, judgement=judgement, waiver=None) for r in RIGHT.results[:4]]
    found[0] = replace(found[0], case=HOSTILE, feature=f"{HOSTILE} on {HOSTILE}")
    found[1] = replace(found[1], judgement=Judgement("dialect", dialect=HOSTILE, hint=HOSTILE, detail=detail))
    found[2] = replace(found[2], judgement=Judgement("nonconformant", detail=detail), waiver=HOSTILE)
    named = renamed(Run(RIGHT.about, []), HOSTILE, HOSTILE).about
    return Run({**named, "started": HOSTILE, "suite": HOSTILE, "shard": HOSTILE}, found)


class Page(HTMLParser):
    """The elements of a page with their attributes, and the text of its data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.data, self._open = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = ("id", "data") in attrs

    def handle_data(self, data: str) -> None:
        self.data += data if self._open else ""
