"""Which conventions reproduce the answers of one rule on one layer: a table of readings and stabilisers against answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from lrp_conform.cases.layer import Case
from lrp_conform.cases.numbers import parse, write
from lrp_conform.cases.question import Question
from lrp_conform.diagnosis.denominators import Measurement, measured, relevances
from lrp_conform.diagnosis.forms import FORMS
from lrp_conform.diagnosis.readings import Reading, readings
from lrp_conform.diagnosis.spans import Span, consensus, short
from lrp_conform.judging import layer
from lrp_conform.judging.result import CaseResult
from lrp_ref.arrays import LRPError
from lrp_ref.stabilizers import KINDS

MOST = 8  # answers of a run that are looked at in a group, the smallest first
BEHIND = 2  # a reading that is contradicted this much more often than the best one is given up
UNSEEN = ("unsupported", "unsupported-undeclared", "forward-mismatch", "error", "crash", "timeout", "not-run")


@dataclass(frozen=True, eq=False)
class Shown:
    """One answer that a convention can be read off."""

    case: Case
    dtype: str
    found: list[Any]
    composed: bool

    @property
    def stabilizer(self) -> dict[str, str]:
        return dict(self.case.rule["stabilizer"])

    @property
    def epsilon(self) -> Fraction:
        """The epsilon that was asked for, as the candidate's format holds it."""
        return Fraction(float(np.dtype(self.dtype).type(float(parse(self.stabilizer["epsilon"])))))


@dataclass(frozen=True)
class Fit:
    """A reading with a stabiliser, and which answers it reproduces. `own`: its epsilon, None for the one asked for."""

    reading: Reading
    kind: str
    at_zero: int
    own: Span | None
    held: tuple[bool, ...]

    @property
    def score(self) -> int:
        return sum(self.held)


@dataclass(frozen=True, eq=False)
class Inference:
    """The fits of one group of answers: all that were tried, and the best."""

    answers: tuple[Shown, ...]
    tried: tuple[Fit, ...]
    best: tuple[Fit, ...]
    zeros: tuple[Shown, ...]  # answers with a denominator of 0 under the best reading

    @property
    def fits(self) -> bool:
        """Whether the best fit reproduces more answers than it contradicts."""
        return 2 * self.best[0].score > len(self.answers)

    def values_of(self, topic: str) -> tuple[list[str], list[Shown]]:
        """The values of a convention that fit best, and the answers that told them from the others."""
        values = list(dict.fromkeys(dict(fit.reading)[topic] for fit in self.best))
        others = [fit for fit in self.tried if dict(fit.reading)[topic] not in values]
        deciding = [a for k, a in enumerate(self.answers) if self.best[0].held[k] and not all(f.held[k] for f in others)]
        return values, deciding


def nearest(inference: Inference) -> str | None:
    """The known deviation that reproduces an answer which no reading does."""
    for a, held in zip(inference.answers, inference.best[0].held, strict=True):
        finite = all(np.isfinite(r).all() for r in a.found)
        names = layer.explanations(a.case, a.found, a.dtype, a.composed) if finite and not held else []
        if names:
            return names[0].name
    return None


def readable_answers(results: Iterable[CaseResult], cases: dict[str, Case], one_hot: bool = False) -> list[Shown]:
    """The answers that conventions can be read off: of the right shape, at the finest format asked, the smallest first."""
    usable = []
    for r in results:
        case = cases.get(r.case)
        if case is None or case.is_pattern or r.output is None or r.verdict in UNSEEN:
            continue
        found = relevances(case, r.output)
        if found is not None and not all(np.isnan(a).all() for a in found):
            usable.append(Shown(case, r.dtype, found, one_hot))
    finest = max((np.finfo(a.dtype).nmant for a in usable), default=0)
    kept = {a.case.id: a for a in usable if np.finfo(a.dtype).nmant == finest}
    return sorted(kept.values(), key=_size)


def _size(a: Shown) -> tuple[bool, int, int, str]:
    inputs = a.case.data["inputs"].values()
    elements = sum(len(t["data"]) for t in inputs)
    outputs = len(a.case.data["inputs"]["relevance"]["data"])
    return (not a.case.id.startswith("probe."), outputs // max(1, a.found[0].shape[0]), elements, a.case.id)


def infer(answers: list[Shown]) -> Inference | None:
    """The readings and stabilisers that reproduce most of the answers; None where there is nothing to read."""
    own = sum(a.case.id.startswith("probe.") for a in answers)  # built to be told apart by, and first in order
    chosen = answers[: max(MOST, own)]
    table = _measurements(chosen)
    drafts = [draft for reading, (questions, row) in table.items() for draft in _drafts(reading, questions, row, chosen)]
    tried = _checked(sorted(drafts, key=lambda d: (-d.fit.score, _preference(d.fit, chosen[0].case.question))), chosen)
    if not tried:
        return None
    most = max(fit.score for fit in tried)
    best = sorted((fit for fit in tried if fit.score == most), key=lambda f: _preference(f, chosen[0].case.question))
    if best[0].own is None:  # an epsilon of its own explains nothing that is not explained without
        best = [fit for fit in best if fit.own is None or fit.reading == best[0].reading]
    pairs = zip(chosen, table[best[0].reading][1], strict=True)
    zeros = tuple(a for a, m in pairs if m is not None and any(each.d == 0 for each in m.denominators))
    return Inference(tuple(chosen), tuple(tried), tuple(best), zeros)


Row = list[Measurement | None]


def _measurements(answers: list[Shown]) -> dict[Reading, tuple[list[Question], Row]]:
    """Per reading, its question and what is measured under it in every answer; readings that fall behind are left out."""
    alive: dict[Reading, tuple[list[Question], Row]] = {r: ([], []) for r, _ in readings(answers[0].case.question)}
    for a in answers:
        for reading, question in readings(a.case.question):
            if reading in alive:
                questions, row = alive[reading]
                questions.append(question)
                row.append(_measured(a, question))
        alive = {r: v for r, v in alive.items() if len(v[1]) == len(next(iter(alive.values()))[1])}
        refuted = {r: sum(m is None for m in row) for r, (_, row) in alive.items()}
        least = min(refuted.values(), default=0)
        alive = {r: v for r, v in alive.items() if refuted[r] <= least + BEHIND}
    return alive


def _measured(a: Shown, question: Question) -> Measurement | None:
    try:
        return measured(a.case, question, a.found, a.dtype)
    except (LRPError, ZeroDivisionError, ValueError):
        return None


@dataclass(frozen=True, eq=False)
class _Draft:
    """A fit by its measurements alone: what could not be measured completely is yet to be checked."""

    fit: Fit
    questions: list[Question]
    row: Row


def _drafts(reading: Reading, questions: list[Question], row: Row, answers: list[Shown]) -> Iterable[_Draft]:
    """Every stabiliser under a reading, with the epsilon that was asked for and with one of its own."""
    blind = not any(m is not None and m.denominators for m in row)
    zeros = any(d.d == 0 for m in row if m is not None for d in m.denominators)
    kinds = {a.stabilizer["kind"] for a in answers}
    for (kind, at_zero), form in FORMS.items():
        if (blind and kind not in (*kinds, "none")) or (at_zero != 1 and not zeros):
            continue  # nothing was measured that could speak for it
        spans = [None if m is None else [form(d) for d in m.denominators] for m in row]
        if kind == "none" or kinds != {"none"}:
            fits = [
                s is not None and all(p is not None and (kind == "none" or a.epsilon in p) for p in s)
                for s, a in zip(spans, answers, strict=True)
            ]
            yield _Draft(Fit(reading, kind, at_zero, None, tuple(fits)), questions, row)
        own = None if kind == "none" or blind else consensus(p for s in spans if s for p in s)
        if own is not None and (
            own.low > 0 or (kind == "replace_zero" and not own.bounded)
        ):  # else it is none, as far as shows
            fits = [s is not None and all(p is not None and p & own is not None for p in s) for s in spans]
            yield _Draft(Fit(reading, kind, at_zero, own, tuple(fits)), questions, row)


def _checked(drafts: list[_Draft], answers: list[Shown]) -> list[Fit]:
    """The drafts that may be best, every answer checked; the others as they are, none the better for it."""
    most, found = 0, []
    for draft in drafts:  # the most promising first
        fit = draft.fit
        if fit.score >= most:
            held = tuple(
                ok and ((m is not None and m.complete) or _reproduced(a, q, draft))
                for ok, a, q, m in zip(fit.held, answers, draft.questions, draft.row, strict=True)
            )
            fit = replace(fit, held=held)
            most = max(most, fit.score)
        found.append(fit)
    return found


def _reproduced(a: Shown, question: Question, draft: _Draft) -> bool:
    """Whether the question under this stabiliser gives the whole answer.

    Where the reference has no word for it, or takes a root, or the answer is not finite, what could be measured has to do.
    """
    kind, own = draft.fit.kind, draft.fit.own
    if kind not in KINDS or kind.endswith("_scaled") or not all(np.isfinite(r).all() for r in a.found):
        return any(m is not None and m.denominators for m in draft.row)
    epsilon = a.stabilizer["epsilon"] if own is None else write(Fraction(short(own))) if own.bounded else "0"
    stabilizer = {"kind": kind, "epsilon": "0" if kind == "none" else epsilon, "sign_at_zero": str(draft.fit.at_zero)}
    tau = layer.reproduces(a.case, a.found, a.dtype, question.with_rule(stabilizer=stabilizer), a.composed)
    return not tau > 1  # NaN speaks neither for nor against


def _preference(fit: Fit, question: Question) -> tuple[bool, bool, int]:
    """What is asked for first, then the plainest."""
    asked = question.rule["stabilizer"]["kind"]
    return fit.own is not None, fit.kind != asked, list(FORMS).index((fit.kind, fit.at_zero))
