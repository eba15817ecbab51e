"""What fresh questions found, as small as it gets: one case for each rule on each layer that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from lrp_conform.candidates.adapter import Candidate
from lrp_conform.cases.layer import Case
from lrp_conform.diagnosis.shrink import NothingToShrink, Shrunk, shrink
from lrp_conform.judging.result import CaseResult

MOST, SECONDS = 3, 5.0


def smallest(
    candidate: Candidate, results: Iterable[CaseResult], cases: Mapping[str, Case], most: int = MOST, seconds: float = SECONDS
) -> Iterator[Shrunk]:
    """The failures of a candidate on these cases, shrunk: the first of every rule on a layer, `most` of them.

    The candidate is asked again, for `seconds` each; what fails no more then is passed over.
    """
    first: dict[str, CaseResult] = {}
    for r in results:
        if r.fails and r.case in cases:
            first.setdefault(r.feature, r)
    found = 0
    for r in first.values():
        if found == most:
            return
        try:
            yield shrink(candidate, cases[r.case], r.dtype, r.device, seconds=seconds)
        except NothingToShrink:
            continue
        found += 1
