"""The rules as mathematics for a browser: MathML from a notation of one line.

`z_ji^+` is a letter with a subscript and a superscript; everything else is an operator or a number. The table is
that of golden/README.md, section 3.
"""

import re
from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple


class Part(NamedTuple):
    """What a rule adds up (n), what belongs to no input (c), the factor, and where it is in force."""

    n: str
    c: str
    factor: str = "1"
    where: str = ""


_PRODUCT = Part("z_ji", "b_j")
_HALVES = tuple(
    Part(f"w_ji^{w} x_i^{x}", f"b_j^{w}", f)
    for w, x, f in (("+", "+", "α"), ("−", "−", "α"), ("+", "−", "−β"), ("−", "+", "−β"))
)
PARTS: dict[str, tuple[Part, ...]] = {
    "zero": (_PRODUCT,),
    "epsilon": (_PRODUCT,),
    "alpha-beta": (Part("z_ji^+", "b_j^+", "α"), Part("z_ji^−", "b_j^−", "−β")),
    "alpha-beta half": _HALVES,
    "alpha-beta weight": (Part("w_ji^+ x_i", "b_j^+", "α"), Part("w_ji^− x_i", "b_j^−", "−β")),
    "z-plus": (Part("z_ji^+", "b_j^+"),),
    "z-plus-fast": (Part("w_ji^+ x_i", "b_j^+"),),
    "gamma": (Part("(w_ji + γ w_ji^+) x_i", "b_j + γ b_j^+"),),
    "gamma squared": (Part("(w_ji + γ (w_ji^+)^2) x_i", "b_j + γ (b_j^+)^2"),),
    "generalized-gamma": (
        Part("z_ji + γ z_ji^+", "b_j + γ b_j^+", "1", "z_j > 0"),
        Part("z_ji + γ z_ji^−", "b_j + γ b_j^−", "1", "z_j < 0"),
    ),
    "w-square": (Part("w_ji^2", "b_j^2"),),
    "flat": (Part("1", "0"),),
    "z-box": (Part("z_ji − l_i w_ji^+ − h_i w_ji^−", "b_j − b_j^+ − b_j^− = 0"),),
    "alpha-beta-x": (
        Part("w_ji^+ x_i^+", "b_j^+", "α_0"),
        Part("w_ji^− x_i^−", "b_j^−", "α_1"),
        Part("w_ji^− x_i^+", "b_j^−", "−β_0"),
        Part("w_ji^+ x_i^−", "b_j^+", "−β_1"),
    ),
    "abs-z": (Part("| z_ji |", "| b_j |"),),
    "norm": (Part("z_ji", "0"),),
    "pass": (Part("1", "0"),),
    "shares": (Part("p_i", "0"),),
    "gradient": (),
    "pattern": (),
}
STABILIZED: dict[str, str] = {
    "none": "D = d",
    "signed_add": "D = d + ε sgn(d)",
    "unsigned_add": "D = d + ε",
    "replace_zero": "D = d where d ≠ 0, ε where d = 0",
    "zero_to_eps_then_signed": "D = ε where d = 0, d + ε sgn(d) where d ≠ 0",
    "clip": "D = sgn(d) max(| d |, ε)",
    "drop": "D = d + ε, dropped where d = 0",
    "abs_share": "D = | d | + ε, with | n | and | c |",
    "rms_scaled": "D = d + sgn(d) ε rms(d)",
    "std_scaled": "D = d + sgn(d) ε std(d)",
}
BIAS: dict[str, str] = {
    "absorb": "c as above",
    "split": "c as above",
    "square": "c as above",
    "ignore": "c is left out of the denominators",
    "raw": "c is the bias itself, unmodified",
    "full_in_both": "c is the whole bias, in every part",
    "redistribute": "c as above; the inputs share out what it received, in equal parts",
    "share": "relevance is first reduced by the bias's share of |s| + |b|; then c is left out",
}
_NAMES = ("sgn", "max", "rms", "std", "where", "dropped", "with", "and")
_TOKEN = re.compile(r"[A-Za-zα-ω]+(?:_[a-z0-9]+)?(?:\^[+−0-9k])?|\)\^[+−0-9]|\d+|\S")


def key(rule: Mapping[str, Any]) -> str:
    """The row of PARTS for a case's rule: its name, and the split or kind that changes its formula."""
    name = str(rule["rule"])
    other = f"{name} {rule.get('split') or rule.get('kind')}"
    return other if other in PARTS else name


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
