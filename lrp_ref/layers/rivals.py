"""The windows of a max pooling whose winner an error may change."""

from dataclasses import dataclass
from functools import reduce
from typing import Any

from lrp_ref.algebra.rounding import capped
from lrp_ref.arrays import Array, absolute, count_of, full, namespace, where


@dataclass(frozen=True)
class Rivals:
    """Windows whose maximum an error may move: `taps` marks every tap that may win there; `spread` is twice their error."""

    taps: Any  # a WindowMap
    spread: Array

    def handed(self, s: Array) -> Array:
        """s at every tap that may win."""
        found: Array = self.taps.adjoint(capped(s))
        return found


def rivals(weights: Any, inside: Array, values: list[Array], errors: list[Array]) -> Rivals:
    """The windows in doubt where every tap's value may be off by its error; `weights` are those of the winners."""
    xp = namespace(values[0])
    wins = [weights.weight[t, ...] > 0 for t in range(len(values))]
    best = reduce(xp.maximum, values)
    surely = reduce(xp.maximum, (where(w, v - f, -float("inf")) for w, v, f in zip(wins, values, errors, strict=True)))
    doubt = reduce(xp.maximum, (where(w, f, 0) for w, f in zip(wins, errors, strict=True)))
    slack = 2.0**-50 * absolute(best)
    may = [
        (inside[t, ...] != 0) & (v + f + where(f + doubt > 0, slack, 0) >= surely) & (f + doubt > 0)
        for t, (v, f) in enumerate(zip(values, errors, strict=True))
    ]
    contested = reduce(xp.logical_or, (m & ~w for m, w in zip(may, wins, strict=True)))
    one = full(best.shape, 1, best)
    chosen = xp.stack([where(contested & (m | w), one, 0) for m, w in zip(may, wins, strict=True)])
    return Rivals(weights.with_weight(chosen), where(contested, 2 * reduce(xp.maximum, errors), 0))


def lowest(x: Array) -> Array | int:
    """Less than every element of x: what padding holds, so that it never wins."""
    return namespace(x).min(x) - 1 if count_of(x) else 0
