"""What keeps a denominator away from zero: from d to the stabilised D."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lrp_ref.arrays import Array, LRPError, Number, absolute, full, is_exact, is_number, namespace, sqrt, where
from lrp_ref.kernels import delegated


@dataclass(frozen=True)
class Stabilizer:
    """From a denominator d to the stabilised D; `KINDS` holds the formula of every kind.

    `sign_at_zero` is sgn(0): 1, 0 or -1 (-0.0 counts as 0). Where D = 0 the relevance is dropped.
    """

    kind: str = "none"
    epsilon: Number = 0
    sign_at_zero: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in KINDS:
            raise LRPError(f"stabilizer kind: expected one of {', '.join(KINDS)}; got {self.kind!r}")
        if not is_number(self.sign_at_zero) or self.sign_at_zero not in (1, 0, -1):
            raise LRPError(f"sign_at_zero: expected 1, 0 or -1; got {self.sign_at_zero!r}")
        counts = hasattr(self.epsilon, "__sub__") and not isinstance(self.epsilon, bool)
        if not counts or getattr(self.epsilon, "shape", ()) != () or not self.epsilon >= 0:
            raise LRPError(f"stabilizer epsilon: expected a number >= 0, got {self.epsilon!r}")

    def __call__(self, d: Array, epsilon: Number) -> Array:
        """D of d (batch, *out), with `epsilon` in the arithmetic of d."""
        return KINDS[self.kind](d, epsilon, lambda size=1: signed(d, self.sign_at_zero, size))

    def live(self, d: Array, stabilized: Array) -> Array:
        """Where a quotient exists and is not dropped."""
        return (d != 0) & (stabilized != 0) if self._row.drops else stabilized != 0

    @property
    def coupled(self) -> bool:
        """Whether D looks at other outputs than its own; so does what says nothing of itself."""
        return self._row.coupled is not False

    @property
    def pole(self) -> bool:
        """Whether D may be 0 where d is not; so may what says nothing of itself."""
        return self._row.pole is not False

    @property
    def magnitudes(self) -> bool:
        """Whether contributions and bias are shared by their magnitudes."""
        return self._row.magnitudes

    @property
    def known(self) -> bool:
        """Whether its row says how D moves, without which there is no bound."""
        return None not in (self._row.coupled, self._row.pole)

    @property
    def _row(self) -> "Kind":
        return row(self.kind)


@delegated("signed")
def signed(d: Array, at_zero: int, size: Any = 1) -> Array:
    """`size` >= 0 with the sign of d, and `at_zero` times it where d = 0."""
    one = full(d.shape, 1, d)
    return size * where(d > 0, one, where(d < 0, -one, at_zero * one))


def rms(d: Array) -> Array:
    """The root of the mean of d^2 over each sample's outputs, kept with size 1."""
    return _root_mean_square(d, tuple(range(1, d.ndim)))


def std(d: Array) -> Array:
    """The standard deviation of d over the whole batch (divisor N): it couples samples."""
    if 0 in d.shape:
        return full((1,) * d.ndim, 0, d)
    return _root_mean_square(d - namespace(d).mean(d), tuple(range(d.ndim)))


def _root_mean_square(d: Array, axes: tuple[int, ...]) -> Array:
    """In floats of numbers of size 1, whose squares neither underflow nor overflow."""
    xp = namespace(d)
    if is_exact(d) or 0 in d.shape:
        return sqrt(xp.mean(d * d, axis=axes, keepdims=True))
    largest = xp.max(absolute(d), axis=axes, keepdims=True)
    unit = d / where(largest > 0, largest, 1)
    return largest * sqrt(xp.mean(unit * unit, axis=axes, keepdims=True))


Signs = Callable[..., Array]  # of a size, which then has the sign of d
Formula = Callable[[Array, Any, Signs], Array]


@dataclass(frozen=True)
class Kind:
    """A row of `KINDS`: the formula of D, and what must be known of it; None is "not said", and taken for the worst.

    `coupled`: D also looks at other outputs, through epsilon times what moves no further than the largest of their d; else
    only at its own d, and moves no further than it does. `pole`: D may be 0 where d is not. `drops`: d = 0 hands nothing on.
    `magnitudes`: contributions and bias are shared by their magnitudes. `words`: D in words, for pages and tables.
    """

    formula: Formula
    coupled: bool | None = None
    pole: bool | None = None
    drops: bool = False
    magnitudes: bool = False
    words: str = ""

    def __call__(self, d: Array, epsilon: Any, sgn: Signs) -> Array:
        return self.formula(d, epsilon, sgn)


def _own(formula: Formula, pole: bool = False, **columns: Any) -> Kind:
    """A kind that looks at its own denominator alone."""
    return Kind(formula, coupled=False, pole=pole, **columns)


KINDS: dict[str, Kind | Formula] = {
    "none": _own(lambda d, eps, sgn: d, words="d"),
    "signed_add": _own(lambda d, eps, sgn: d + sgn(eps), words="d + epsilon sgn(d)"),
    "unsigned_add": _own(lambda d, eps, sgn: d + eps, pole=True, words="d + epsilon"),
    "replace_zero": _own(lambda d, eps, sgn: where(d == 0, d + eps, d), words="d where d != 0, epsilon where d = 0"),
    "zero_to_eps_then_signed": _own(
        lambda d, eps, sgn: where(d == 0, d + eps, d + sgn(eps)), words="epsilon where d = 0, d + epsilon sgn(d) where d != 0"
    ),
    "clip": _own(
        lambda d, eps, sgn: sgn() * namespace(d).maximum(absolute(d), full(d.shape, eps, d)), words="sgn(d) max(| d |, epsilon)"
    ),
    "drop": _own(lambda d, eps, sgn: d + eps, pole=True, drops=True, words="d + epsilon, dropped where d = 0"),
    "abs_share": _own(
        lambda d, eps, sgn: d + eps, pole=True, magnitudes=True, words="d + epsilon, with | n | and | c | for n and c"
    ),
    "rms_scaled": Kind(
        lambda d, eps, sgn: d + sgn() * eps * rms(d), coupled=True, pole=False, words="d + sgn(d) epsilon rms(d)"
    ),
    "std_scaled": Kind(
        lambda d, eps, sgn: d + sgn() * eps * std(d), coupled=True, pole=False, words="d + sgn(d) epsilon std(d)"
    ),
}
NONE = Stabilizer()


def row(kind: str) -> Kind:
    """The row of a kind; a bare formula says nothing of itself."""
    found = KINDS[kind]
    return found if isinstance(found, Kind) else Kind(found)
