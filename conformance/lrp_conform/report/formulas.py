"""The rules as mathematics for a browser: MathML from a notation of one line.

`z_ji^+` is a letter with a subscript and a superscript; everything else is an operator or a number. Rules and stabilisers
say their own formulas; the same ones stand in golden/README.md, section 3.
"""

import re
from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple

from lrp_ref.rules import BIAS, RULES
from lrp_ref.stabilizers import KINDS, row

__all__ = ["BIAS", "gradient_formula", "key", "main_formula", "mathml", "parts", "pattern_formula", "stabilized"]


class FormulaPart(NamedTuple):
    """What a rule adds up (n), what belongs to no input (c), the factor, and where it is in force."""

    n: str
    c: str
    factor: str = "1"
    where: str = ""


def parts() -> dict[str, tuple[FormulaPart, ...]]:
    """The parts of every rule's formula, and of its variants as "rule value", in the rule's own words."""
    found = {}
    for name, kind in RULES.items():
        found[name] = tuple(map(_part, getattr(kind, "formula", ())))
        variants = getattr(kind, "variants", {})
        found |= {f"{name} {value}": tuple(map(_part, lines)) for value, lines in variants.items()}
    return found


def stabilized() -> dict[str, str]:
    """D of every kind of stabiliser; a kind without a formula goes by its name."""
    return {kind: _spelled(f"D = {row(kind).words}") if row(kind).words else kind for kind in KINDS}


def _part(line: str) -> FormulaPart:
    return FormulaPart(*map(_spelled, line.split("; ")))


def _spelled(text: str) -> str:
    """Words as letters, signs as a typesetter has them."""
    for word, letter in _LETTERS:
        text = re.sub(rf"\b{word}(?![a-z])", letter, text)
    return text.replace("-", "−").replace("!=", "≠")


_LETTERS = (
    ("alpha(?=[0-9])", "α_"), ("beta(?=[0-9])", "β_"), ("alpha", "α"), ("beta", "β"), ("gamma", "γ"), ("epsilon", "ε"),
    ("low", "l"), ("high", "h"),
)  # fmt: skip
_NAMES = ("sgn", "max", "rms", "std", "where", "dropped", "with", "and", "for")
_TOKEN = re.compile(r"[A-Za-zα-ω]+(?:_[a-z0-9]+)?(?:\^[+−0-9k])?|\)\^[+−0-9]|\d+|\S")


def key(rule: Mapping[str, Any]) -> str:
    """The formula of a case's rule, as `parts` calls it: its name, and the convention that changes it."""
    name = str(rule["rule"])
    variants = getattr(RULES.get(name), "variants", {})
    chosen = [value for value in rule.values() if isinstance(value, str) and value in variants]
    return f"{name} {chosen[0]}" if chosen else name


def mathml(text: str) -> str:
    """One line of the notation as a MathML element."""
    return f"<math>{_row(text)}</math>"


def main_formula() -> str:
    """R_i as a sum over parts and outputs, and what a denominator is."""
    fraction = _fraction(_row("f_k n_ji^k"), _atom("D_j^k"))
    relevance = _display(f"{_atom('R_i')}<mo>=</mo>{_sum('k')}{_sum('j')}{fraction}{_atom('R_j')}<mo>,</mo>")
    return f"{relevance} {_display(_atom('d_j^k') + '<mo>=</mo>' + _sum('i') + _row('n_ji^k + c_j^k'))}"


def gradient_formula() -> str:
    """The rule without a denominator."""
    return _display(f"{_atom('R_i')}<mo>=</mo>{_sum('j')}{_row('w_ji R_j')}")


def pattern_formula() -> str:
    """Pattern statistics: the covariance of an input and an output, over that of the output."""
    covariance = f"<msub><mi>cov</mi>{_plain('ij')}</msub>"
    return _display(f"{_atom('a_ij')}<mo>=</mo>{_fraction(covariance, _sum('i') + _atom('w_ji') + covariance)}")


def _display(inner: str) -> str:
    return f'<math display="block">{inner}</math>'


def _fraction(above: str, below: str) -> str:
    return f"<mfrac><mrow>{above}</mrow><mrow>{below}</mrow></mfrac>"


def _sum(over: str) -> str:
    return f"<munder><mo>∑</mo><mi>{over}</mi></munder>"


def _row(text: str) -> str:
    return "".join(_atom(token) for token in _TOKEN.findall(text))


def _atom(token: str) -> str:
    """A letter with its indices, a number, a word, or an operator."""
    if token.startswith(")^"):
        return f"<msup><mo>)</mo>{_plain(token[2:])}</msup>"
    base, _, upper = token.partition("^")
    base, _, lower = base.partition("_")
    if base in _NAMES:
        words = f'<mspace width="0.4em"/><mtext>{base}</mtext><mspace width="0.4em"/>'
        return words if base not in ("sgn", "max", "rms", "std") else f"<mi>{base}</mi>"
    if not lower and not upper:
        return _plain(base)
    inner = _plain(base)
    if lower and upper:
        return f"<msubsup>{inner}{_plain(lower)}{_plain(upper)}</msubsup>"
    return f"<msub>{inner}{_plain(lower)}</msub>" if lower else f"<msup>{inner}{_plain(upper)}</msup>"


def _plain(text: str) -> str:
    if text.isdigit():
        return f"<mn>{text}</mn>"
    if not text.isalpha():
        return f"<mo>{escape(text)}</mo>"
    letters = "".join(f"<mi>{letter}</mi>" for letter in text)  # two letters in one element would stand upright
    return letters if len(text) == 1 else f"<mrow>{letters}</mrow>"
