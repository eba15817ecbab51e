"""Counterexamples, shrunk: the fewest inputs and outputs and the smallest integers that still show a deviation.

Greedy and deterministic: a smaller question is kept if the candidate's answer to it still deviates from the reference, by the
bound that the reference computes for that very question, and in the same way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from lrp_conform.candidates.adapter import Candidate
from lrp_conform.cases.layer import Case
from lrp_conform.cases.numbers import parse
from lrp_conform.cases.question import Question
from lrp_conform.diagnosis.probes import result_of
from lrp_conform.diagnosis.question_as_case import case_of
from lrp_conform.diagnosis.smaller import fewer, plainer, size
from lrp_conform.judging import layer
from lrp_conform.judging.deviations import apply
from lrp_conform.judging.layer_naming import resolve
from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import FAILURES, Judgement
from lrp_conform.running import ask
from lrp_ref.arrays import LRPError

ASKS, SECONDS = 300, 60.0


class NothingToShrink(ValueError):
    """The candidate's answer does not deviate."""


@dataclass(frozen=True, eq=False)
class Shrunk:
    """The smallest case that was found to show a deviation, the result on it, and how often the candidate was asked.

    The result has the name that the deviation has on the case it was shrunk from: the smallest one fits more of them.
    """

    case: Case
    result: CaseResult
    asks: int


def shrink(
    candidate: Candidate,
    case: Case,
    dtype: str,
    device: str = "cpu",
    asks: int = ASKS,
    seconds: float = SECONDS,
    progress: Callable[[int], None] = lambda n: None,
) -> Shrunk:
    """Shrink the deviation that a candidate shows on a case at `dtype`.

    Every step asks the candidate again, `asks` times and for `seconds` at the most. What the answer is explained by, a
    convention or a known mistake, has to explain it to the end. Raises NothingToShrink where nothing deviates.
    """
    search = _Descent(candidate, dtype, device, asks, time.monotonic() + seconds, progress)
    first = search.judged(case)
    if first is None or first.verdict not in FAILURES or case.is_pattern:
        verdict = "not asked" if first is None else first.verdict
        raise NothingToShrink(f"{candidate.name} does not deviate on {case.id} at {dtype}: {verdict}")
    search.begin(case, first)
    best = case
    improved = True
    while improved and search.left:
        improved = False
        for steps in (fewer, plainer):
            smaller = search.first(steps, best)
            while smaller is not None:
                best, improved = smaller, True
                smaller = search.first(steps, best)
    (named,) = resolve([result_of(candidate, case, dtype, device)], [case], candidate.one_hot)  # where there is more to tell by
    result, name = result_of(candidate, best, dtype, device), named.judgement
    judgement = result.judgement.replace(verdict=name.verdict, dialect=name.dialect, hint=name.hint)
    return Shrunk(best, replace(result, judgement=judgement), search.spent)


class _Descent:
    """Asks a candidate, and tells whether its answer still deviates in the same way."""

    def __init__(
        self, candidate: Candidate, dtype: str, device: str, asks: int, deadline: float, progress: Callable[[int], None]
    ) -> None:
        self._candidate, self._dtype, self._device = candidate, dtype, device
        self._asks, self._deadline, self._progress = asks, deadline, progress
        self._verdict, self._names = "", ()  # type: str, tuple[str, ...]
        self._seen: set[str] = set()
        self.spent = 0

    @property
    def left(self) -> bool:
        return self.spent < self._asks and time.monotonic() < self._deadline

    def judged(self, case: Case) -> Judgement | None:
        """The verdict on a case; None where it says nothing of the candidate."""
        if not case.features <= self._candidate.features or self._dtype not in case.data["representable_in"]:
            return None
        self.spent += 1
        self._progress(1)
        judgement, self._output = ask.judged(self._candidate, case, self._dtype, self._device)
        return judgement

    def begin(self, case: Case, first: Judgement) -> None:
        """Remember how the first answer deviates."""
        self._verdict = first.verdict
        if first.verdict == "nonconformant" and self._output is not None:
            found = layer.relevances(case, dict(self._output))
            explained = layer.explanations(case, found, self._dtype, self._candidate.one_hot)
            self._names = explained[0].names if explained else ()

    def first(self, steps: Callable[[Question], Iterable[Question]], best: Case) -> Case | None:
        """The first smaller question that still shows the deviation."""
        smallest = size(best.question)
        for question in steps(best.question):
            if not self.left:
                return None
            key = repr((question.node, question.rule, question.inputs))
            nothing = not any(parse(v) for v in question.inputs["relevance"]["data"])
            if key in self._seen or nothing or size(question) >= smallest:
                continue
            self._seen.add(key)
            try:
                case = case_of(question, best.id if best.id.endswith(".shrunk") else f"{best.id}.shrunk")
            except (LRPError, ValueError, ZeroDivisionError, IndexError):
                continue
            if self._shows(case):
                return case
        return None

    def _shows(self, case: Case) -> bool:
        judgement = self.judged(case)
        if judgement is None or judgement.verdict != self._verdict:
            return False
        if not self._names:
            return True
        assert self._output is not None
        changed = apply(self._names, case.question)
        found = layer.relevances(case, dict(self._output))
        composed = self._candidate.one_hot
        return changed is not None and layer.reproduces(case, found, self._dtype, changed, composed) <= 1
