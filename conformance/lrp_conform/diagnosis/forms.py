"""Which stabiliser takes d to D: per form, the epsilons with which it gives a denominator that was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from lrp_conform.diagnosis.denominators import Denominator
from lrp_conform.diagnosis.spans import ANY, Span

Form = Callable[[Denominator], Span | None]  # the epsilons with which a form gives this D; None if there are none


def _signed(at_zero: int) -> Form:
    def form(m: Denominator) -> Span | None:
        if m.D is None:
            return None
        if m.d == 0 and at_zero == 0:
            return ANY if 0 in m.D else None
        sign = at_zero if m.d == 0 else (1 if m.d > 0 else -1)
        return _nonnegative(m.D.moved(-m.d).scaled(sign))

    return form


def _unsigned(m: Denominator) -> Span | None:
    return None if m.D is None else _nonnegative(m.D.moved(-m.d))


def _none(m: Denominator) -> Span | None:
    if m.d == 0:
        return ANY if m.D is None or 0 in m.D else None
    return ANY if m.D is not None and m.d in m.D else None


def _replace_zero(m: Denominator) -> Span | None:
    return _unsigned(m) if m.d == 0 else _none(m)


def _clip(at_zero: int) -> Form:
    def form(m: Denominator) -> Span | None:
        if m.D is None:
            return None
        sign = at_zero if m.d == 0 else (1 if m.d > 0 else -1)
        return _at_least(abs(m.d), m.D.scaled(sign))

    return form


def _floor(m: Denominator) -> Span | None:
    """D = max(d, epsilon), whatever the sign of d."""
    return None if m.D is None else _at_least(m.d, m.D)


def _at_least(d: Fraction, D: Span) -> Span | None:
    """The epsilons of D = max(d, epsilon)."""
    if d in D:
        return Span(0, max(d, Fraction(0), D.high)) if D.high >= 0 else None
    return _nonnegative(D) if D.low > d else None


def _drop(m: Denominator) -> Span | None:
    return (ANY if m.D is None else None) if m.d == 0 else _unsigned(m)


def _magnitude(m: Denominator) -> Span | None:
    """D = |d| + epsilon."""
    return None if m.D is None else _nonnegative(m.D.moved(-abs(m.d)))


def _scaled_by(spread: str) -> Form:
    def form(m: Denominator) -> Span | None:
        size = getattr(m, spread)
        if m.D is None or size == 0:
            return None if m.D is None or m.d not in m.D else ANY
        found = _nonnegative(m.D.moved(-m.d).scaled(1 if m.d >= 0 else -1))
        return None if found is None else found.scaled(Fraction(1 / size))

    return form


def _nonnegative(span: Span) -> Span | None:
    return Span(max(span.low, Fraction(0)), span.high) if span.high >= 0 else None


# In the order of preference where several fit. Those that the reference has no word for have none of its signs either.
FORMS: Mapping[tuple[str, int], Form] = {
    ("none", 1): _none,
    **{("signed_add", at_zero): _signed(at_zero) for at_zero in (1, 0, -1)},
    ("unsigned_add", 1): _unsigned,
    ("replace_zero", 1): _replace_zero,
    **{("clip", at_zero): _clip(at_zero) for at_zero in (1, -1)},
    ("drop", 1): _drop,
    ("rms_scaled", 1): _scaled_by("rms"),
    ("std_scaled", 1): _scaled_by("std"),
    ("floor", 1): _floor,
    ("magnitude", 1): _magnitude,
}
MEANING = {
    "none": "D = d",
    "signed_add": "D = d + epsilon sgn(d)",
    "unsigned_add": "D = d + epsilon",
    "replace_zero": "D = d, and epsilon where d = 0",
    "clip": "D = sgn(d) max(|d|, epsilon)",
    "drop": "D = d + epsilon, and nothing where d = 0",
    "rms_scaled": "D = d + sgn(d) epsilon rms(d)",
    "std_scaled": "D = d + sgn(d) epsilon std(d)",
    "floor": "D = max(d, epsilon)",
    "magnitude": "D = |d| + epsilon",
}
