"""A rule's own text, run on numbers that may be off: how far its contributions, biases and branches may move.

The same algebra as `contributions`, in float64, where every number carries a bound on its error. Inputs, weights and their
products know |n' - n|, a bias or an output is a `Ball`, and a comparison says for which outputs an error decides it. Nothing
about a rule is listed here: what its text does with W, x, b and y is what its errors are, and a text that leaves this algebra
has no bounds.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import add
from typing import Any

from lrp_ref.algebra.contributions import Inputs, Separable, Structured
from lrp_ref.arrays import Array, LRPError, Number, absolute, neg, pos, where


@dataclass(frozen=True)
class UncertainInputs(Inputs):
    """Inputs with a bound on the error of each; pos and neg cut off what surely has the other sign."""

    errors: tuple[Array, ...]
    __array_ufunc__ = None  # else NumPy would take it for a number, and lose its errors

    def map(self, f: Callable[[Array], Array]) -> "UncertainInputs":
        _lipschitz(f)
        return UncertainInputs(tuple(map(f, self.arrays)), self.errors)

    def positive_part(self) -> "UncertainInputs":
        errors = tuple(where(a + e > 0, e, 0) for a, e in zip(self.arrays, self.errors, strict=True))
        return UncertainInputs(tuple(map(pos, self.arrays)), errors)

    def negative_part(self) -> "UncertainInputs":
        errors = tuple(where(a - e < 0, e, 0) for a, e in zip(self.arrays, self.errors, strict=True))
        return UncertainInputs(tuple(map(neg, self.arrays)), errors)

    def __rmul__(self, factor: Number) -> "UncertainInputs":
        return UncertainInputs(tuple(factor * a for a in self.arrays), tuple(abs(factor) * e for e in self.errors))


@dataclass(frozen=True)
class UncertainWeights(Structured):
    """Weights with, per input, a map of how far each may be off, or None where they do not depend on x.

    rounds: gamma_(m+5), what rounding does to a sum over inputs. operations: the roundings behind one of these weights, besides
    those of the weights it is made of.
    """

    bends: tuple[Any, ...] = ()
    rounds: float = 0
    operations: int = 0
    __array_ufunc__ = None

    def _with(self, weights: Structured, bends: tuple[Any, ...], operations: int = 0) -> "UncertainWeights":
        return replace(self, maps=weights.maps, bends=bends, operations=self.operations + operations)

    def map(self, f: Callable[..., Array], *others: Structured) -> "UncertainWeights":
        _lipschitz(f)
        return self._with(super().map(f), self.bends)

    def connections(self) -> "UncertainWeights":
        return self._with(super().connections(), tuple(None for _ in self.maps))

    def __add__(self, other: Structured) -> "UncertainWeights":
        behind = max(getattr(other, "operations", 0) - self.operations, 0) + 1
        return self._with(Structured.map(self, add, other), self._both(other, lambda a, b, v, w: a + b), behind)

    def __rmul__(self, factor: Number) -> "UncertainWeights":
        scaled = tuple(None if d is None else d.mapped(lambda a: abs(factor) * a) for d in self.bends)
        return self._with(Structured.map(self, lambda w: factor * w), scaled, 1)

    def __mul__(self, other: Any) -> Any:
        if not isinstance(other, Structured):
            return UncertainContributions(((self, other),))
        product = Structured.map(self, lambda v, w: v * w, other)
        bends = self._both(other, lambda a, b, v, w: a * absolute(w) + b * absolute(v) + a * b)
        return self._with(product, bends, getattr(other, "operations", 0) + 1)

    def contributions(self) -> "UncertainContributions":
        return UncertainContributions(((self, self.ones),))

    def _both(self, other: Any, f: Callable[..., Array]) -> tuple[Any, ...]:
        """The bends of what f makes of two weights v, w that are off by a, b."""
        rows = zip(self.bends, other.bends, self.maps, other.maps, strict=True)
        return tuple(
            None if a is None and b is None else (a or _still(b)).mapped(f, b or _still(a), v, w) for a, b, v, w in rows
        )


@dataclass(frozen=True)
class UncertainContributions(Separable):
    """Contributions n_ji with a bound on the error of each."""

    def errors(self) -> Separable:
        """N >= |n' - n|: a sum of terms |V| e, and |V' - V| (|u| + e) where weights depend on x."""
        found: list[tuple[Structured, Inputs]] = []
        for V, u in self.terms:
            if not isinstance(u, UncertainInputs) or not isinstance(V, UncertainWeights):
                raise TypeError("contributions of arrays that the rule took out of x or W")
            e = u.errors
            found.append((Structured(V.maps, V.ones).magnitude(), Inputs(e)))
            if any(d is not None for d in V.bends):
                far = tuple(absolute(a) + b for a, b in zip(u.arrays, e, strict=True))
                whole = tuple(_still(m) if d is None else d for m, d in zip(V.maps, V.bends, strict=True))
                found.append((Structured(whole, V.ones), Inputs(far)))
        return Separable(tuple(found))

    @property
    def operations(self) -> int:
        """The most roundings behind a weight."""
        return max(int(V.operations) for V, _ in self.terms)  # type: ignore[attr-defined]

    def rows(self) -> Any:
        """The row sums, as a Ball: what their terms are off by, and the rounding of the sum."""
        off, rounds = self.errors().rows(), self.terms[0][0].rounds  # type: ignore[attr-defined]
        return Ball(super().rows(), off + rounds * (self.gauge().rows() + off))


@dataclass(frozen=True, eq=False)
class Ball:
    """A number per output, with a bound on its error."""

    value: Array
    error: Array
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]  # == is a question about numbers

    def positive_part(self) -> "Ball":
        return Ball(pos(self.value), where(self.value + self.error > 0, self.error + 0 * self.value, 0))

    def negative_part(self) -> "Ball":
        return Ball(neg(self.value), where(self.value - self.error < 0, self.error + 0 * self.value, 0))

    def magnitude(self) -> "Ball":
        return Ball(absolute(self.value), self.error)

    def __add__(self, other: Any) -> "Ball":
        other = as_ball(other)
        return Ball(self.value + other.value, self.error + other.error)

    __radd__ = __add__

    def __neg__(self) -> "Ball":
        return Ball(-self.value, self.error)

    def __sub__(self, other: Any) -> "Ball":
        return self + -as_ball(other)

    def __rsub__(self, other: Any) -> "Ball":
        return as_ball(other) + -self

    def __mul__(self, other: Any) -> "Ball":
        other = as_ball(other)
        moved = self.error * abs(other.value) + other.error * abs(self.value) + self.error * other.error
        return Ball(self.value * other.value, moved)

    __rmul__ = __mul__

    def __gt__(self, other: Any) -> "Choice":
        return self._choice(other, lambda d: d > 0)

    def __ge__(self, other: Any) -> "Choice":
        return self._choice(other, lambda d: d >= 0)

    def __lt__(self, other: Any) -> "Choice":
        return self._choice(other, lambda d: d < 0)

    def __le__(self, other: Any) -> "Choice":
        return self._choice(other, lambda d: d <= 0)

    def __eq__(self, other: object) -> "Choice":  # type: ignore[override]
        return self._choice(other, lambda d: d == 0)

    def __ne__(self, other: object) -> "Choice":  # type: ignore[override]
        return self._choice(other, lambda d: d != 0)

    def _choice(self, other: Any, holds: Callable[[Array], Array]) -> "Choice":
        apart = self - other
        return Choice(holds(apart.value), (absolute(apart.value) <= apart.error) & (apart.error > 0))


@dataclass(frozen=True)
class Choice:
    """Which outputs a comparison chooses, and of which an error decides it."""

    chosen: Array
    doubtful: Array
    __array_ufunc__ = None

    def __and__(self, other: "Choice") -> "Choice":
        return Choice(self.chosen & other.chosen, self.doubtful | other.doubtful)

    def __or__(self, other: "Choice") -> "Choice":
        return Choice(self.chosen | other.chosen, self.doubtful | other.doubtful)

    def __invert__(self) -> "Choice":
        return Choice(~self.chosen, self.doubtful)


def as_ball(a: Any) -> Ball:
    """The number itself, off by nothing unless it says so."""
    return a if isinstance(a, Ball) else Ball(a, 0 * a)


def _still(m: Any) -> Any:
    """The map with weights of 0: nothing is off."""
    return m.mapped(lambda w: 0 * w)


def _lipschitz(f: Callable[..., Array]) -> None:
    """The errors pass through functions that bring no two numbers further apart, and only these are known here."""
    if f not in (pos, neg, absolute):
        raise LRPError(
            f"bounds are not known: {getattr(f, '__name__', f)} is mapped over numbers that may be off; use pos, neg, |.|"
        )
