"""A portion of fresh questions: so many, over everything that somebody declares, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from lrp_conform.cases import golden
from lrp_conform.cases.golden import AnyCase
from lrp_conform.cases.layer import FRESH, Case
from lrp_conform.cases.operators import OPERATORS
from lrp_conform.fresh.covering import Asked, Covering
from lrp_conform.making.golden_text import case_text, file_text
from lrp_conform.running.folder import Run

Json = dict[str, Any]
Place = tuple[frozenset[str], str]  # what is declared, and an operator
ROUNDS = 4  # covering arrays, after which an operator has been asked enough
FEW = 60  # questions that are answered sooner than a pool of processes starts


@dataclass(frozen=True)
class Reach:
    """How far the questions about an operator reach: pairs of values that were asked, that could be had, and cases."""

    op: str
    asked: int
    known: int
    cases: int


@dataclass(frozen=True)
class Portion:
    """Cases that were made for a run, what each took on every axis, and how far they reach."""

    seed: str
    cases: tuple[Case, ...] = ()
    taken: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reach: tuple[Reach, ...] = ()

    def __str__(self) -> str:
        return f" and {len(self.cases)} fresh questions (seed {self.seed})" if self.cases else ""

    @property
    def about(self) -> Json | None:
        """What is kept of it in `run.json`."""
        told = {"seed": self.seed, "reach": [asdict(reach) for reach in self.reach], "taken": dict(self.taken)}
        return told if self.cases else None

    @property
    def text(self) -> str | None:
        """The cases as a golden file, with which they can be kept and asked again; None where there are none."""
        return file_of(self.cases)

    def with_files(self, paths: Iterable[Path]) -> Portion:
        """The cases of these files too, whatever they are called there. Raises GoldenError for what is no golden file."""
        loaded = (case for path in paths for case in golden.load_file(path))
        kept = tuple(replace(case, group=FRESH) for case in loaded if isinstance(case, Case))
        return self + Portion(self.seed, kept)

    def __add__(self, other: Portion) -> Portion:
        cases = {case.id: case for case in (*self.cases, *other.cases)}
        return Portion(self.seed, tuple(cases.values()), {**self.taken, **other.taken}, (*self.reach, *other.reach))


def kept(run: Run) -> Portion:
    """The portion of a run that is resumed."""
    about = run.about.get("fresh") or {"seed": "", "reach": [], "taken": {}}
    cases = tuple(case for case in run.fresh if isinstance(case, Case))
    return Portion(about["seed"], cases, about["taken"], tuple(Reach(**reach) for reach in about["reach"]))


def portion(
    declared: Iterable[frozenset[str]],
    seed: str,
    most: int,
    needs: Iterable[str] = (),
    workers: int = 1,
    progress: Callable[[int], None] = lambda n: None,
) -> Portion:
    """At most `most` cases, shared by those who declare different features: for each a covering array of every operator, or
    as much of one as there is room.

    Each needs a feature that matches, for each glob of `needs`. They depend on these four alone, and on nobody's luck or speed.
    `progress` hears of every case.
    """
    globs, kinds = tuple(needs), list(dict.fromkeys(declared))
    shares: dict[Place, int] = {}
    for features, share in zip(kinds, _split(most, [1] * len(kinds)), strict=True):
        ops = [op for op in OPERATORS if f"op.{op}" in features and _may_match(op, globs)]
        weights = [4 if OPERATORS[op].weighted else 1 for op in ops]  # there is more to ask
        shares |= {(features, op): n for op, n in zip(ops, _split(share, weights), strict=True)}
    shares = {place: share for place, share in shares.items() if share}
    found: dict[Place, tuple[list[Asked], Reach]] = {}
    if workers == 1 or most <= FEW:
        for place, share in shares.items():
            found[place] = _of(place, seed, globs, share)
            progress(share)
    else:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            by_size = sorted(shares, key=shares.__getitem__, reverse=True)
            futures = {pool.submit(_of, place, seed, globs, shares[place]): place for place in by_size}
            for future in as_completed(futures):
                found[futures[future]] = future.result()
                progress(shares[futures[future]])
    asked = {one.case.id: one for place in shares for one in found[place][0]}
    reach = tuple(found[place][1] for place in shares if found[place][0])
    return Portion(seed, tuple(one.case for one in asked.values()), {id: one.taken for id, one in asked.items()}, reach)


def _split(most: int, weights: list[int]) -> list[int]:
    """A number in whole parts, by weight."""
    ends = [most * sum(weights[:k]) // max(1, sum(weights)) for k in range(len(weights) + 1)]
    return [end - begin for begin, end in pairwise(ends)]


def _may_match(op: str, globs: Iterable[str]) -> bool:
    """Whether questions about the operator may need what every glob says: one about operators has to match its name."""
    about = [glob for glob in globs if any(fnmatchcase(f"op.{name}", glob) for name in OPERATORS)]
    return all(fnmatchcase(f"op.{op}", glob) for glob in about)


def _of(place: Place, seed: str, needs: tuple[str, ...], most: int) -> tuple[list[Asked], Reach]:
    """Covering arrays, each with another seed, until there are `most` cases."""
    features, op = place
    found: dict[str, Asked] = {}
    reach = Reach(op, 0, 0, 0)
    for turn in range(ROUNDS):
        covering = Covering(op, features, f"{seed}/{turn}", needs)
        for asked in covering.cases():
            found.setdefault(asked.case.id, asked)
            if len(found) == most:
                break
        if turn == 0:
            reach = Reach(op, len(covering.asked), len(covering.known), 0)
        if len(found) == most or not covering.asked:
            break
    return list(found.values()), replace(reach, cases=len(found))


def file_of(cases: Iterable[AnyCase]) -> str | None:
    """The cases as a golden file, with which they can be kept and asked again; None where there are none."""
    chosen = [case_text(case.data) for case in cases]
    return file_text(FRESH, chosen) if chosen else None
