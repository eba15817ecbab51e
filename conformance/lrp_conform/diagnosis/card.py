"""Dialect cards: the conventions that a candidate's answers show, whatever it claims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lrp_conform.cases.layer import Case
from lrp_conform.diagnosis.forms import MEANING
from lrp_conform.diagnosis.inference import Inference, Shown, infer, nearest, readable_answers
from lrp_conform.diagnosis.precision import precision
from lrp_conform.diagnosis.readings import AS_ASKED, family, own_value
from lrp_conform.diagnosis.spans import Span, short
from lrp_conform.judging.changes import WEIGHTED
from lrp_conform.judging.deviations import BY_NAME
from lrp_conform.judging.result import CaseResult

UNTOLD = "not told apart by what was asked"
ANY_AT_ZERO = "replace_zero, whatever the epsilon"  # where no denominator was 0
UNKNOWN = "no convention known here reproduces the answers"


@dataclass(frozen=True)
class CardRow:
    """One convention: what the answers show, the ids of the cases that show it, and how many answers agree or contradict."""

    topic: str
    finding: str
    evidence: tuple[str, ...]
    agreeing: int
    contradicting: int


@dataclass(frozen=True)
class Card:
    """The conventions of one candidate."""

    candidate: str
    version: str
    rows: tuple[CardRow, ...]

    def __getitem__(self, topic: str) -> str:
        """The finding on a topic, such as "stabilizer of epsilon"; KeyError if nothing was asked about it."""
        kind, _, name = topic.partition(" of ")
        for row in self.rows:
            of, _, names = row.topic.partition(" of ")
            if row.topic == topic or (of == kind and name and name in names.split(", ")):
                return row.finding
        raise KeyError(topic)


def card(results: list[CaseResult], cases: dict[str, Case], one_hot: bool = False) -> Card:
    """What the answers of one candidate show, topic by topic.

    Per rule, layer, bias mode and kind of stabiliser, every reading of the question (`readings.py`) is held against every
    answer, with every stabiliser and the epsilon that its denominators measure (`denominators.py`); what reproduces most
    answers is what the candidate does. `one_hot`: the relevances were composed, which costs three more roundings.
    """
    seen: list[_Seen] = []
    for (name, op, _, _), answers in _grouped(readable_answers(results, cases, one_hot)).items():
        found = infer(answers)
        if found is not None:
            passes = name == "pass" and dict(found.best[0].reading).get("rule", AS_ASKED) == AS_ASKED
            seen += [] if passes else [_stabilizer(name, op, found)]
            seen += [*_at_zero(found), *_conventions(name, op, found)]
    first = results[0]
    return Card(first.candidate, first.version, (*_rows(seen), *_precise(results, cases)))


def _grouped(answers: Iterable[Shown]) -> dict[tuple[str, str, str, str], list[Shown]]:
    """The answers that one set of conventions should explain."""
    groups: dict[tuple[str, str, str, str], list[Shown]] = {}
    for a in answers:
        question = a.case.question
        key = (family(question), str(question.node["op"]), str(question.rule["bias"]), a.stabilizer["kind"])
        groups.setdefault(key, []).append(a)
    return dict(sorted(groups.items()))


@dataclass(frozen=True)
class _Seen:
    """What one group of answers shows on one topic: what was asked for, and what may have been done; nothing if unknown.

    measured: per value, the epsilon that was measured. near: what an unknown answer is nearest to.
    """

    topic: str
    of: str
    asked: str
    values: tuple[str, ...]
    evidence: tuple[str, ...]
    agreeing: int
    contradicting: int
    measured: tuple[tuple[str, Span], ...] = ()
    near: str | None = None


def _of(name: str, op: str) -> str:
    return name if op in WEIGHTED else f"{name} on {op}"


def _conventions(name: str, op: str, each: Inference) -> Iterator[_Seen]:
    question, reading = each.answers[0].case.question, dict(each.best[0].reading)
    for topic in reading:
        values, deciding = each.values_of(topic)
        own = LABELS.get(topic, {}).get(op)
        shared = topic == "rule" and own_value(question, topic) != AS_ASKED
        label, of = (own, "") if own else ("shares" if shared else TOPICS.get(topic, topic), _of(name, op))
        values = [v for v in values if v in (AS_ASKED, UNSAID.get(label))] or values
        if topic in ("branch", "at_zero") and reading["gamma"] != "generalized":
            continue
        ids = tuple(a.case.id for a in deciding)
        yield _seen(label, of, own_value(question, topic), values, ids, each)


def _seen(
    topic: str,
    of: str,
    wanted: str,
    values: Iterable[str],
    ids: tuple[str, ...],
    each: Inference,
    own: Iterable[tuple[str, Span]] = (),
) -> _Seen:
    counts = each.best[0].score, len(each.answers) - each.best[0].score
    if each.fits:
        return _Seen(topic, of, wanted, tuple(values), ids, *counts, measured=tuple(own))
    return _Seen(topic, of, wanted, (), tuple(a.case.id for a in each.answers), *counts, near=nearest(each))


LABELS = {
    "rule": {
        "add": "residual",
        "avg-pool": "average pooling",
        "sum-pool": "sum pooling",
        "global-avg-pool": "global average pooling",
    },
    "ties": {"max-pool": "ties of max pooling"},
    "linearization": {"max-pool": "max pooling", "batch-norm": "batch norm", "activation": "activation"},
    "bias": {"batch-norm": "bias in batch norm"},
}
ORDER = ("stabilizer", "sign at zero", "bias", "split", "empty half", "kind", "branch", "z = 0", "alpha1_from", "padding taps")
UNSAID = {"shares": "proportional"}  # findings that go without saying, as does what is as asked
TOPICS = {"gamma": "kind", "at_zero": "z = 0", "empty_half": "empty half", "padding": "padding taps"}


# Stabilisers ------------------------------------------------------------------------------------------------------------


def _stabilizer(name: str, op: str, each: Inference) -> _Seen:
    """The stabilisers that fit under the best reading; those whose epsilon may be 0 say nothing of their own."""
    best, wanted = each.best[0], each.answers[0].stabilizer["kind"]
    values: dict[str, Span | None] = {}
    for fit in each.best:
        if fit.reading != best.reading:
            continue
        if fit.own is None:
            values["none" if fit.kind == "none" else f"{fit.kind}, epsilon as asked"] = None
        elif fit.own.bounded and fit.own.low > 0:
            values[f"{fit.kind}, epsilon {short(fit.own):g}"] = fit.own
        elif fit.kind == "replace_zero" and not fit.own.bounded:
            values[ANY_AT_ZERO] = None
    own = ((text, span) for text, span in values.items() if span is not None)
    ids = tuple(a.case.id for a, ok in zip(each.answers, best.held, strict=True) if ok)
    return _seen("stabilizer", _of(name, op), wanted, values or ["not measured"], ids, each, own)


def _at_zero(each: Inference) -> Iterator[_Seen]:
    """sgn(0), where a denominator of 0 was asked for; 0 divides by zero."""
    best = each.best[0]
    if each.zeros and each.fits and best.kind in ("signed_add", "clip"):
        values = {
            fit.at_zero
            for fit in each.best
            if (fit.reading, fit.kind, fit.own is None) == (best.reading, best.kind, best.own is None)
        }
        ids = tuple(a.case.id for a in each.zeros)
        found = tuple(f"{sign:+d}" if sign else "0" for sign in sorted(values, reverse=True))
        wanted = f"{int(each.answers[0].stabilizer['sign_at_zero']):+d}".replace("+0", "0")
        yield _Seen("sign at zero", "", wanted, found, ids, len(ids), 0)


# Rows -------------------------------------------------------------------------------------------------------------------


def _rows(seen: Iterable[_Seen]) -> Iterator[CardRow]:
    """One row for every finding: rules that share it share the row."""
    topics: dict[tuple[str, str], list[_Seen]] = {}
    for s in seen:
        topics.setdefault((s.topic, s.of), []).append(s)
    merged: dict[tuple[str, str], list[tuple[str, list[_Seen]]]] = {}
    for (topic, of), members in topics.items():
        finding = _finding(members)
        if finding not in (AS_ASKED, UNSAID.get(topic)):
            merged.setdefault((topic, finding), []).append((of, members))
    for (topic, finding), group in sorted(merged.items(), key=_order):
        names = ", ".join(of for of, _ in group if of)
        everything = [s for _, members in group for s in members]
        evidence = tuple(dict.fromkeys(id for s in everything for id in s.evidence))
        counts = sum(s.agreeing for s in everything), sum(s.contradicting for s in everything)
        yield CardRow(f"{topic} of {names}" if names else topic, finding + _epsilon(everything, finding), evidence, *counts)


def _order(entry: tuple[tuple[str, str], object]) -> tuple[int, str, str]:
    """Rules before layers, stabilisers first."""
    topic, finding = entry[0]
    return ORDER.index(topic) if topic in ORDER else len(ORDER), topic, finding


def _finding(members: list[_Seen]) -> str:
    """What is done for what is asked, in one line."""
    known = [s for s in members if s.values]
    if not known:
        near = next((s.near for s in members if s.near), None)
        return UNKNOWN + (f"; nearest: {near}" if near else "")
    done: dict[str, list[str]] = {}
    for s in known:
        done.setdefault(s.asked, []).extend(_narrowed([m.values for m in known if m.asked == s.asked], s.asked))
    texts = {wanted: _text(list(dict.fromkeys(values)), wanted) for wanted, values in done.items()}
    left = sum(not s.values for s in members)
    return _together(members[0].topic, texts) + (
        f"; {left} of {len(members)} kinds of question fit nothing known" if left else ""
    )


def _narrowed(given: list[tuple[str, ...]], wanted: str) -> list[str]:
    """What every group of answers allows; where there is nothing, what each of them allows."""

    def allows(values: tuple[str, ...], v: str) -> bool:
        return v in values or (v.startswith("replace_zero, epsilon") and ANY_AT_ZERO in values)

    everything = dict.fromkeys(v for values in given for v in values)
    common = [v for v in everything if all(allows(values, v) for values in given)]
    return common or [v for v in everything if v != ANY_AT_ZERO]


def _text(values: list[str], wanted: str) -> str:
    fitting = next((v for v in values if v.split(",")[0] == wanted), None)
    if fitting is not None and "epsilon" in fitting:  # what else would do is no news then
        return fitting
    if "none" in values and len(values) > 1:
        return "none (no denominator was 0)"
    values = [v for v in values if v != ANY_AT_ZERO]
    first = fitting or values[0]
    others = [
        v.split(",")[0] for v in values if v != first and ("epsilon" not in first or v.split(",")[0] != first.split(",")[0])
    ]
    if not others:
        return first
    if "epsilon" in first:  # forms that differ where this rule's denominators never are
        return f"{first} ({', '.join(dict.fromkeys(others))} would look the same)"
    return f"{' or '.join([first, *others])}, {UNTOLD}"


def _together(topic: str, texts: dict[str, str]) -> str:
    """One line for what is done under everything that was asked."""
    if all(text.split(",")[0].split(" (")[0] == wanted and UNTOLD not in text for wanted, text in texts.items()):
        words = list(texts)
        return _explained(topic, texts[words[0]]) if len(words) == 1 else "as asked: " + ", ".join(sorted(words))
    if len(set(texts.values())) == 1:
        return _explained(topic, next(iter(texts.values()))) + (", whatever is asked" if len(texts) > 1 else "")
    return "; ".join(f"{text} where {wanted} is asked" for wanted, text in sorted(texts.items()))


def _explained(topic: str, found: str) -> str:
    word = found.split(",")[0]
    known = BY_NAME.get(f"{topic}.{word}")
    meaning = MEANING.get(word) if topic == "stabilizer" else known.title if known is not None and topic == "bias" else None
    return f"{found}: {meaning}" if meaning else found


def _epsilon(members: list[_Seen], finding: str) -> str:
    """The epsilon that was measured, from everything that measures the one of the finding."""
    spans: dict[float, Span] = {}
    for text, span in (pair for s in members for pair in s.measured):
        if text not in finding:
            continue
        value = short(span)
        spans[value] = spans.get(value, span) & span or span
    texts = [f"{v:g} ± {max(s.reach, abs(s.middle - v)):.1g}" for v, s in spans.items()]
    return f" (epsilon measured: {', '.join(texts)})" if texts else ""


def _precise(results: list[CaseResult], cases: dict[str, Case]) -> Iterator[CardRow]:
    for found in precision(results, cases):
        yield CardRow(f"precision of {found.feature} at {found.dtype}", found.text, found.evidence, found.agreeing, 0)
