"""Covering arrays: few questions in which every pair of values, each of another axis, is asked.

The space is whatever the rows of operators and rules offer when they are drawn; nothing is listed here. Drawn greedily: of some
trials, each wishing for pairs that were not asked yet, the one that brings most of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import combinations

from lrp_conform.cases.layer import Case
from lrp_conform.fresh.answered import answered
from lrp_conform.fresh.trial import Pair, Trial, Value

Wish = tuple[Value, ...]
TRIALS, MOST_TRIALS = 4, 16  # within the features, of which the best is asked; and without regard to them
PATIENCE = 4  # how often a pair is wished for in vain
WISHES = 60  # pairs that a trial may wish for at once, as far as they agree
PLAIN = (0.0, 0.4, 0.8)  # how often trials take the plainest value: what few implementations declare is seldom drawn otherwise
REDRAWN = 5  # times that numbers are drawn again where they have no answer
IDLE = 60  # turns that bring nothing, after which there is hardly more to be had
MOST_WORK = 3000  # products of rationals that one answer may take


@dataclass(frozen=True)
class Asked:
    """A case of a covering array, and what was taken on every axis."""

    case: Case
    taken: dict[str, str]


@dataclass
class Covering:
    """What can be asked about one operator within some features, and what was."""

    op: str
    features: frozenset[str]
    seed: str
    needs: tuple[str, ...] = ()  # globs, each of which a feature of every question matches
    asked: set[Pair] = field(default_factory=set)
    _offered: dict[Value, None] = field(default_factory=dict)
    _beside: dict[Value, set[str]] = field(default_factory=dict)  # the axes that were there where a value was taken
    _example: dict[Value, dict[str, str]] = field(default_factory=dict)  # what was taken beside it, the last time
    _known: list[Pair] = field(default_factory=list)
    _vain: dict[Wish, int] = field(default_factory=dict)
    _trials: int = 0

    def cases(self) -> Iterator[Asked]:
        """Cases until every pair was asked, or wished for in vain, or nothing new comes any more."""
        dice, idle = random.Random(f"{self.seed}/{self.op}"), 0
        while idle < IDLE and (left := self.open() or self._first()):
            before = len(self.asked)
            yield from self._turn(dice, left)
            idle = 0 if len(self.asked) > before else idle + 1

    def _first(self) -> list[Wish]:
        """No wish at all, as long as nothing is known of what is offered."""
        return [] if self._offered else [()]

    def _turn(self, dice: random.Random, left: list[Wish]) -> Iterator[Asked]:
        """One of the wishes that are left, if it can be had, and as many pairs as come with it."""
        wish = dice.choice(left)
        best = self._best(dice, wish, left)
        case = None if best is None else next(filter(None, (answered(best.write()) for _ in range(REDRAWN))), None)
        if best is None or case is None or not best.takes(wish):
            self._vain[wish] = self._vain.get(wish, 0) + 1
        if best is not None and case is not None and not best.pairs <= self.asked:
            self.asked |= best.pairs
            yield Asked(case, best.taken)

    @property
    def known(self) -> list[Pair]:
        """Every pair of values, each of which was taken where the other's axis was there."""
        if not self._known:
            by_axis: dict[str, list[Value]] = {}
            for value in sorted(self._beside):
                by_axis.setdefault(value[0], []).append(value)
            axes = combinations(sorted(by_axis), 2)
            pairs = ((v, w) for a, b in axes for v in by_axis[a] for w in by_axis[b])
            self._known = [(v, w) for v, w in pairs if w[0] in self._beside[v] and v[0] in self._beside[w]]
        return self._known

    def open(self) -> list[Wish]:
        """The values that were never taken, and where there are none, the pairs that were not asked."""
        alone: list[Wish] = [(v,) for v in self._offered if v not in self._beside and self._vain.get((v,), 0) < PATIENCE]
        return alone or [p for p in self.known if p not in self.asked and self._vain.get(p, 0) < PATIENCE]

    def _best(self, dice: random.Random, wish: Wish, left: list[Wish]) -> Trial | None:
        """The trial that brings most pairs which were not asked; None where none is within the features."""
        found: list[tuple[bool, int, int, Trial]] = []
        needed = dict(glob.split(".", 1) for glob in self.needs if "." in glob)  # what is one value of an axis
        for k in range(MOST_TRIALS):
            if len(found) == TRIALS:
                break
            self._trials += 1
            wishes = needed | dict(wish)
            if k % 2 and wish:  # as where one of the two was taken before: the axes are there, if not all that is wished for
                wishes = self._example.get(dice.choice(wish), {}) | wishes
            more = dice.sample(left, min(WISHES, len(left))) if k % 2 == 0 else []
            for other in more:
                if all(wishes.get(axis, value) == value for axis, value in other):
                    wishes |= dict(other)
            trial = Trial(self.op, self.features, f"{self.seed}/{self.op}/{self._trials}", wishes, dice.choice(PLAIN))
            if self._admits(trial):
                self._learn(trial)
                found.append((trial.takes(wish), len(trial.pairs - self.asked), self._trials, trial))
        return max(found)[-1] if found else None

    def _admits(self, trial: Trial) -> bool:
        """Whether the question is one that may be asked, and that exact numbers answer soon."""
        needed = trial.features
        wanted = all(any(fnmatchcase(name, glob) for name in needed) for glob in self.needs)
        return wanted and needed <= self.features and trial.work <= MOST_WORK

    def _learn(self, trial: Trial) -> None:
        """Take note of what is offered, and of the axes that there are beside what is taken."""
        self._offered |= {(axis, label): None for axis, labels in trial.offered.items() for label in labels}
        axes = {*trial.taken}
        for value in trial.taken.items():
            self._example[value] = trial.taken
            beside = self._beside.setdefault(value, set())
            if not axes <= beside:
                beside |= axes
                self._known = []
