"""Differential fuzzing: small questions of every rule on every layer, put to every derivation until the time is up."""

import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import strategies as st

import lrp_ref as lrp
from lrp_conform.cases import model
from lrp_conform.cases.operators import OPERATORS
from lrp_conform.cases.question import Answer, Question
from lrp_conform.making import generate
from lrp_conform.making.derivations import Disagreement, derivations, disagreements, excess, from_tests, rounded
from lrp_conform.making.recipes import found as filed
from lrp_conform.making.recipes.common import Recipe

Place = tuple[str, str]  # a rule and an op
DTYPES = ("float64", "float32", "float16")
EXAMPLES = 200  # questions of a round; every round has a seed of its own
PATIENCE = 30.0  # seconds of shrinking
MOST = 20  # disagreements, after which there is enough to mend
PLAIN = frozenset({"op.dense", "rule.zero", "stabilizer.none", "bias.absorb"})


@dataclass(frozen=True)
class Find:
    """A question on which derivations disagree, as small as shrinking made it."""

    question: Question
    wrong: Disagreement

    @property
    def recipe(self) -> Recipe:
        return filed.recipe(self.question, f"lrp-conform fuzz found: {self.wrong}.")

    @property
    def features(self) -> frozenset[str]:
        q = self.question
        return frozenset(model.features([q.node], {q.node["name"]: q.rule}, q.inputs))

    @property
    def suspects(self) -> frozenset[str]:
        """What seems to be broken: the rule or the layer that is not plain; where both are, whatever else is not."""
        unusual = self.features - PLAIN
        return frozenset(f for f in unusual if f.startswith(("rule.", "op."))) or unusual

    def explains(self, other: "Find") -> bool:
        """Whether the other looks like the same bug: it differs in the same way, and has all that this one suspects."""
        return self.wrong.signature == other.wrong.signature and self.suspects <= other.features

    @property
    def unfiled(self) -> str | None:
        """Why no golden case can come of it; None if one can."""
        known = list(derivations(self.question))
        return None if len(known) == 3 else f"a golden case needs three derivations, and only {' and '.join(known)} can answer"

    def block(self) -> str:
        """All there is to know, one line each."""
        q = self.question
        end = f"filed as {self.recipe.id}" if self.unfiled is None else f"not filed: {self.unfiled}"
        lines = [f"{q.rule['rule']} on {q.node['op']}: derivations differ in {self.wrong.place}"]
        lines += [f"  {name}: {said}" for name, said in self.wrong.said.items()]
        node = {k: v for k, v in q.node.items() if k in ("attrs", "params")}
        shown = {"rule": q.rule, **node, **q.inputs}
        return "\n".join([*lines, *(f"  {name} = {json.dumps(value)}" for name, value in shown.items()), f"  {end}"])


@dataclass
class Campaign:
    """What a run of the fuzzer compared and found.

    undefined: questions that every derivation refuses. floats: per dtype, the questions on which the bound spoke.
    known: disagreements that were filed before and are still there.
    """

    rules: Counter[str] = field(default_factory=Counter)
    ops: Counter[str] = field(default_factory=Counter)
    floats: Counter[str] = field(default_factory=Counter)
    undefined: int = 0
    finds: list[Find] = field(default_factory=list)
    known: list[Find] = field(default_factory=list)
    interrupted: bool = False

    def summary(self, path: Path) -> Iterator[str]:
        """What was compared and found, in lines."""
        for find in self.known:
            yield f"{path}: {find.recipe.id} still differs in {find.wrong}"
        tables = (("rule", lrp.RULES, self.rules), ("layer", OPERATORS, self.ops), ("format", DTYPES, self.floats))
        for what, names, counts in tables:
            yield f"per {what}: " + ", ".join(f"{name} {counts[name]}" for name in names)
        asked = f"{sum(self.rules.values())} questions compared, {self.undefined} that every derivation refuses"
        found = f"{len(self.finds)} new disagreements, {len(self.known)} known"
        yield f"{asked}, {found}" + (", interrupted" if self.interrupted else "")


class _Over(BaseException):
    """Ends a round of Hypothesis, which takes every Exception for a finding."""


class FuzzError(RuntimeError):
    """The reference is too broken to make up questions for it."""


class _Found(Exception):
    """A finding, for Hypothesis to shrink."""


def fuzz(
    minutes: float,
    seed: int,
    path: Path = filed.PATH,
    rules: Iterable[str] = tuple(lrp.RULES),
    tell: Callable[[Find], None] = lambda find: None,
    progress: Callable[[int], None] = lambda seconds: None,
) -> Campaign:
    """Compare derivations of `rules` for that many minutes, and file what is found at the end of `path`.

    The same seed and rules ask the same questions in the same order. `tell` hears of every find, `progress` of every second.
    Raises NoSourceTree where there is no second oracle, GoldenError where `path` is no file of recipes, and FuzzError.
    """
    done, clock = Campaign(), _Clock(minutes * 60, progress)
    try:
        earlier = filed.read(path)
        done.known = [find for recipe in earlier if (find := _retried(recipe)) is not None]
        for number in _seeds(seed):
            find = _search(number, places(rules), _Search(done, clock))
            if find is not None:
                done.finds.append(find)
                if find.unfiled is None and all(find.recipe.id != recipe.id for recipe in earlier):
                    filed.append(path, find.recipe)
                tell(find)
            if done.interrupted or len(done.finds) >= MOST or clock.is_over():
                break
    except KeyboardInterrupt:
        done.interrupted = True
    return done


def _seeds(seed: int) -> Iterator[int]:
    source = random.Random(seed)
    while True:
        yield source.getrandbits(64)


class _Clock:
    """The time that is left, told to a progress bar in whole seconds."""

    def __init__(self, seconds: float, progress: Callable[[int], None]) -> None:
        self._start = time.monotonic()
        self._seconds, self._progress, self._told = seconds, progress, 0

    def is_over(self) -> bool:
        passed = time.monotonic() - self._start
        whole = int(min(passed, self._seconds))
        self._progress(whole - self._told)
        self._told = whole
        return passed >= self._seconds


def _retried(recipe: Recipe) -> Find | None:
    """What was filed, if its derivations still disagree."""
    wrong = examined(recipe.question, DTYPES)
    return None if wrong is None else Find(recipe.question, wrong)


def examined(question: Question, dtypes: tuple[str, ...], counts: Campaign | None = None) -> Disagreement | None:
    """What is wrong with the answers to a question: of the exact derivations, then of floats at `dtypes`."""
    answered, wrong = disagreements(question)
    if counts is not None:
        counts.rules[question.rule["rule"]] += 1
        counts.ops[question.node["op"]] += 1
        counts.undefined += not answered
    if wrong is not None or not answered or "structured" not in derivations(question):
        return wrong
    for dtype in dtypes:

        def fits(asked: Question, found: Answer, dtype: str = dtype) -> bool:
            return dtype in generate.representable(filed.recipe(asked, ""), found)

        spoke, wrong = excess(rounded(question, dtype), dtype, fits)
        if counts is not None:
            counts.floats[dtype] += spoke
        if wrong is not None:
            return wrong
    return None


class _Search:
    """What rounds look for: anything new, and once that is found, plainer questions with the same disagreement."""

    def __init__(self, done: Campaign, clock: _Clock) -> None:
        self.done, self._clock, self._patience = done, clock, math.inf
        self.find: Find | None = None

    def is_over(self) -> bool:
        return self._clock.is_over() if self.find is None else time.monotonic() > self._patience

    def __call__(self, question: Question, dtype: str) -> None:
        first = self.find is None
        wrong = examined(question, (dtype,), self.done if first else None)
        if wrong is None:
            return
        find = Find(rounded(question, dtype) if dtype in wrong.said else question, wrong)
        if any(known.explains(find) for known in (*self.done.known, *self.done.finds)):
            return
        if self.find is not None and self.find.wrong.signature != wrong.signature:
            return  # another bug, which a later round will meet
        if first:
            self._patience = time.monotonic() + PATIENCE
        self.find = find
        raise _Found


def _search(seed: int, where: list[Place], search: _Search) -> Find | None:
    """Something new, if a round meets it: shrunk on the plainest rule and layer that show it.

    A bug of a rule shows on dense, one of a layer under zero. Hypothesis would not get there by itself: to it, what is
    drawn in fewer steps is simpler. Where only this rule on this layer shows it, the same round again finds it again.
    """
    _round(seed, search, where, EXAMPLES, shrink=False)
    found = search.find
    if found is None:
        return None
    rule, op = found.question.rule["rule"], found.question.node["op"]
    for place in (("zero", "dense"), (rule, "dense"), ("zero", op)):
        if place in places(lrp.RULES) and search.find is found:
            _round(seed, search, [place], EXAMPLES // 2)
    if search.find is found:
        _round(seed, search, where, EXAMPLES)
    return search.find


def _round(seed: int, search: _Search, where: list[Place], examples: int, shrink: bool = True) -> None:
    """One round of Hypothesis, which shrinks what `search` finds as far as the patience goes."""
    asked, generating = questions(where), (hypothesis.Phase.generate,)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        verbosity=hypothesis.Verbosity.quiet,
        phases=(*generating, hypothesis.Phase.shrink) if shrink else generating,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.data())
    def ask(data: st.DataObject) -> None:
        if search.is_over():
            raise _Over
        search(*data.draw(asked))

    try:
        ask()
    except (_Over, _Found, hypothesis.errors.Flaky):
        pass
    except KeyboardInterrupt:
        search.done.interrupted = True
    except Exception as error:  # the strategies ask the reference for the shape of an output
        raise FuzzError(f"no question can be made up: {type(error).__name__}: {' '.join(str(error).split())[:200]}") from None


def places(rules: Iterable[str]) -> list[Place]:
    """Every rule on every layer that it has a meaning on."""
    made = from_tests("strategies")
    return [(rule, op) for rule in rules for op in made.OPS if made.fits(rule, op)]


@st.composite
def questions(draw: Callable[[Any], Any], where: list[Place]) -> tuple[Question, str]:
    """A question of a rule on a layer of `where`, and a format to ask it in too."""
    made = from_tests("strategies")
    rule, op = draw(st.sampled_from(where))
    values = draw(st.sampled_from((made.COARSE, made.RATIONAL)))
    question = draw(made.questions(rule, op, values, (*made.EXACT_KINDS, *made.SCALED_KINDS)))
    attrs = dict(question.node["attrs"])
    hypothesis.assume(-1 not in attrs.get("shape", ()))  # golden files spell sizes out
    question = question.replace(node={**question.node, "attrs": attrs})
    return question, draw(st.sampled_from(DTYPES))
