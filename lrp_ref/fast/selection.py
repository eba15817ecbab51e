"""The selection that a max pooling makes, without an array of weights for every tap."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np

from lrp_ref.algebra.entries import Entries
from lrp_ref.arrays import Array
from lrp_ref.fast import on
from lrp_ref.fast.threads import across, chunks
from lrp_ref.layers.maps import Window, WindowMap


def maximum(taps: Sequence[Array]) -> Array:
    """The largest of what the taps read."""
    best = np.empty(taps[0].shape, taps[0].dtype)

    def work(pieces: Iterable[tuple[slice, ...]]) -> None:
        for at in pieces:
            reduce(lambda a, b: np.maximum(a, b, out=best[at]), [tap[at] for tap in taps])

    if len(taps) == 1:
        return np.array(taps[0])
    across(work, list(chunks(best)), best.size * len(taps))
    return best


@dataclass(frozen=True)
class Selection:
    """A pooling in which every output reads one tap: the first (or last) of `values` that is `best`, and `inside` the image.

    The adjoint looks for it again; its weights, `winners()`, are formed only where a rule asks for more than that.
    """

    winners: Callable[[], WindowMap]
    best: Callable[[], Array]
    values: Sequence[Array]
    inside: Array
    window: Window
    size: tuple[int, ...]
    last: bool

    @cached_property
    def map(self) -> WindowMap:
        return self.winners()

    @property
    def weight(self) -> Array:
        return self.map.weight

    @property
    def wired(self) -> Array:
        return self.map.wired

    def mapped(self, f: Callable[..., Array], *others: "Selection | WindowMap") -> WindowMap:
        return self.map.mapped(f, *others)  # type: ignore[arg-type]

    def with_weight(self, weight: Array) -> WindowMap:
        return self.map.with_weight(weight)

    def connections(self) -> WindowMap:
        return self.map.connections()

    def apply(self, u: Array) -> Array:
        return self.map.apply(u)

    def with_output(self, best: Array) -> "Selection":
        """The same where the pooling's output is known."""
        return replace(self, best=lambda: best)

    def adjoint(self, s: Array) -> Array:
        best = self.best()
        if not on(s, best):
            return self.map.adjoint(s)
        batch = max(len(s), len(best))
        s, best = (np.broadcast_to(a, (batch, *a.shape[1:])) for a in (s, best))
        total = self.window.pad(np.zeros((batch, *self.size), s.dtype))

        def work(pieces: Iterable[tuple[slice, ...]]) -> None:
            for at in pieces:
                self._hand_back(at, s[at], best[at], total[at])

        across(work, list(chunks(s)), s.size * len(self.values))
        return self.window.crop(total, self.size[1:])

    def _hand_back(self, at: tuple[slice, ...], s: Array, best: Array, total: Array) -> None:
        """Adds s, of the samples and channels `at`, to what the taps read that win there."""
        padded, apart = any(map(any, self.window.padding)), not self.window.overlaps
        seeking = np.ones(s.shape, bool)
        order = list(enumerate(self.window.slices(s.shape[2:])))
        for t, reads in order[::-1] if self.last else order:
            value = self.values[t]
            wins = (value[at] if len(value) > 1 else value[(slice(None), *at[1:])]) == best
            wins &= seeking
            if padded:
                wins &= self.inside[t] != 0
            seeking ^= wins
            place = total[(..., *reads)]
            if apart:
                np.multiply(s, wins, out=place)
            else:
                place += s * wins  # a masked copy guesses at every element, and guesses wrong

    def entries(self, x: Array) -> Entries:
        return self.map.entries(x)
