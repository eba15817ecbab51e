"""What input i contributes to output j, in two representations with one algebra.

A rule is written once, as `pos(W * x)` or `W * x - pos(W) * low`. Here `W` is either

- `Explicit`: the matrix (out, in) itself, so that `W * x` holds every single contribution; or
- `Structured`: linear maps (a convolution, a pooling), so that `W * x` is a lazy sum of
  separable terms `V (x) u` with n_ji = v_ji u_i. Then (w x)+ = w+ x+ + w- x-, a row sum is
  one application of V, and handing out quotients is one application of its adjoint.

The engine asks contributions for two things only, `rows()` and `distribute(s)`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import add
from typing import Any

from lrp_ref.algebra.entries import entries
from lrp_ref.arrays import Array, LRPError, Number, absolute, constant, flattened, namespace, neg, pos, times
from lrp_ref.kernels import delegated


@dataclass(frozen=True)
class Explicit:
    """Weights as a matrix: `values` and the 0/1 mask `wired`, both (batch or 1, out, in)."""

    values: Array
    wired: Array

    def map(self, f: Callable[..., Array], *others: "Explicit") -> "Explicit":
        return Explicit(f(self.values, *(o.values for o in others)), self.wired)

    def connections(self) -> "Explicit":
        return Explicit(self.wired, self.wired)

    def positive_part(self) -> "Explicit":
        return self.map(pos)

    def negative_part(self) -> "Explicit":
        return self.map(neg)

    def magnitude(self) -> "Explicit":
        return self.map(absolute)

    def __add__(self, other: "Explicit") -> "Explicit":
        return self.map(add, other)

    def __sub__(self, other: "Explicit") -> "Explicit":
        return self + (-1) * other

    def __rmul__(self, factor: Number) -> "Explicit":
        return self.map(lambda w: times(factor, w))

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, Explicit):
            return self.map(lambda v, w: v * w, other)
        return Messages(self.values * other[:, None, :])

    def contributions(self) -> "Messages":
        return Messages(self.values)


@dataclass(frozen=True)
class Messages:
    """Explicit contributions n[batch, j, i]."""

    values: Array

    def positive_part(self) -> "Messages":
        return Messages(pos(self.values))

    def negative_part(self) -> "Messages":
        return Messages(neg(self.values))

    def magnitude(self) -> "Messages":
        return Messages(absolute(self.values))

    def __add__(self, other: "Messages") -> "Messages":
        return Messages(self.values + other.values)

    def __sub__(self, other: "Messages") -> "Messages":
        return Messages(self.values - other.values)

    def __rmul__(self, factor: Number) -> "Messages":
        return Messages(times(factor, self.values))

    def contributions(self) -> "Messages":
        return self

    def rows(self) -> Array:
        return namespace(self.values).sum(self.values, axis=-1)

    def distribute(self, s: Array) -> Array:
        return namespace(s).sum(self.handed(s).values, axis=-2)

    def handed(self, s: Array) -> "Messages":
        """n_ji s_j."""
        return Messages(self.values * s[..., None])


@delegated("halves")
def halves(a: Array) -> tuple[Array, Array]:
    """(a+, a-)."""
    return pos(a), neg(a)


@dataclass(frozen=True)
class Inputs:
    """The inputs of a layer, one array each, with the arithmetic a rule needs."""

    arrays: tuple[Array, ...]

    def map(self, f: Callable[[Array], Array]) -> "Inputs":
        return Inputs(tuple(f(a) for a in self.arrays))

    @cached_property
    def halves(self) -> "tuple[Inputs, Inputs]":
        """Both parts, formed once: parts of a rule that read the same half share it."""
        columns = zip(*map(halves, self.arrays), strict=True)
        positive, negative = map(Inputs, columns)
        return positive, negative

    def positive_part(self) -> "Inputs":
        return self.halves[0]

    def negative_part(self) -> "Inputs":
        return self.halves[1]

    def __rmul__(self, factor: Number) -> "Inputs":
        return self.map(lambda a: times(factor, a))


@dataclass(frozen=True)
class Structured:
    """Weights as linear maps, one per input; `ones` is an input of ones."""

    maps: tuple[Any, ...]
    ones: Inputs

    def map(self, f: Callable[..., Array], *others: "Structured") -> "Structured":
        columns = zip(self.maps, *(o.maps for o in others), strict=True)
        return Structured(tuple(m.mapped(f, *rest) for m, *rest in columns), self.ones)

    def connections(self) -> "Structured":
        return Structured(tuple(m.connections() for m in self.maps), self.ones)

    @cached_property
    def halves(self) -> "tuple[Structured, Structured]":
        """Both parts, formed once."""
        return self.map(pos), self.map(neg)

    def positive_part(self) -> "Structured":
        return self.halves[0]

    def negative_part(self) -> "Structured":
        return self.halves[1]

    def magnitude(self) -> "Structured":
        return self.map(absolute)

    def gauge(self) -> "Structured":
        """The magnitudes behind the weights: their own, but where a map knows of more."""
        return Structured(tuple(m.gauge() if hasattr(m, "gauge") else m.mapped(absolute) for m in self.maps), self.ones)

    def __add__(self, other: "Structured") -> "Structured":
        return self.map(add, other)

    def __sub__(self, other: "Structured") -> "Structured":
        return self + (-1) * other

    def __rmul__(self, factor: Number) -> "Structured":
        return self.map(lambda w: times(factor, w))

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, Structured):
            return self.map(lambda v, w: v * w, other)
        return Separable(((self, other),))

    def contributions(self) -> "Separable":
        return Separable(((self, self.ones),))


@dataclass(frozen=True)
class Separable:
    """A lazy sum of terms (V, u) with n_ji = sum of v_ji u_i; `disjoint` where at most one of them is not 0, for every j, i."""

    terms: tuple[tuple[Structured, Inputs], ...]
    disjoint: bool = False

    def _product(self) -> tuple[Structured, Inputs]:
        if len(self.terms) != 1:
            raise LRPError("the sign of a sum of products is not separable: use representation='explicit'")
        return self.terms[0]

    def positive_part(self) -> "Separable":
        V, u = self._product()
        return replace(self, terms=((pos(V), pos(u)), (neg(V), neg(u))), disjoint=True)

    def negative_part(self) -> "Separable":
        V, u = self._product()
        return replace(self, terms=((neg(V), pos(u)), (pos(V), neg(u))), disjoint=True)

    def magnitude(self) -> "Separable":
        if not self.disjoint:
            self._product()
        return replace(self, terms=tuple((absolute(V), u.map(absolute)) for V, u in self.terms), disjoint=False)

    def gauge(self) -> "Separable":
        """sum of |v_ji| |u_i|: the work that any admissible way of forming n_ji may do."""
        return Separable(tuple((V.gauge(), u.map(absolute)) for V, u in self.terms))

    def __add__(self, other: "Separable") -> "Separable":
        return replace(self, terms=self.terms + other.terms, disjoint=False)

    def __sub__(self, other: "Separable") -> "Separable":
        return self + (-1) * other

    def __rmul__(self, factor: Number) -> "Separable":
        return replace(self, terms=tuple((V, factor * u) for V, u in self.terms), disjoint=False)

    def contributions(self) -> "Separable":
        return self

    def rows(self) -> Array:
        return reduce(add, (m.apply(u) for V, us in self.terms for m, u in zip(V.maps, us.arrays, strict=True)))

    def distribute(self, s: Array) -> tuple[Array, ...]:
        per_term = [[u * m.adjoint(s) for m, u in zip(V.maps, us.arrays, strict=True)] for V, us in self.terms]
        return tuple(reduce(add, column) for column in zip(*per_term, strict=True))


def structured(maps: tuple[Any, ...], inputs: tuple[Array, ...]) -> tuple[Structured, Inputs]:
    """Weights and inputs in the structured representation."""
    ones = Inputs(tuple(constant((1, *x.shape[1:]), 1, x) for x in inputs))
    return Structured(maps, ones), Inputs(inputs)


def explicit(maps: tuple[Any, ...], inputs: tuple[Array, ...]) -> tuple[Explicit, Array]:
    """Weights and flattened inputs in the explicit representation, inputs side by side."""
    values, wired = entries(maps, inputs).dense()
    return Explicit(values, wired), namespace(inputs[0]).concat([flattened(x) for x in inputs], axis=-1)
