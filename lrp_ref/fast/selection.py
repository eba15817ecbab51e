"""The selection that a max pooling makes, without an array of weights for every tap."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lrp_ref.arrays import Array
from lrp_ref.fast import on
from lrp_ref.maps import Window, WindowMap


@dataclass(frozen=True)
class Selection:
    """A pooling in which every output reads one tap: the first (or last) of `values` that is `best`, and `inside` the image.

    The adjoint looks for it again; its weights, `winners()`, are formed only where a rule asks for more than that.
    """

    winners: Callable[[], WindowMap]
    best: Array
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

    def adjoint(self, s: Array) -> Array:
        if not on(s, self.best):
            return self.map.adjoint(s)
        total = self.window.pad(np.zeros((max(len(s), len(self.best)), *self.size), s.dtype))
        seeking = np.ones(self.best.shape, bool)
        extents = zip(self.window.kernel, self.window.stride, self.window.dilation, strict=True)
        apart = all(d * (k - 1) < s for k, s, d in extents)
        order = list(enumerate(self.window.slices(self.best.shape[2:])))
        for t, at in order[::-1] if self.last else order:
            wins = (self.values[t] == self.best) & seeking
            if any(map(any, self.window.padding)):
                wins &= self.inside[t] != 0
            seeking ^= wins
            handed = np.where(wins, s, 0)
            total[(..., *at)] = handed if apart else total[(..., *at)] + handed
        return self.window.crop(total, self.size[1:])

    def matrix(self, x: Array) -> tuple[Array, Array]:
        return self.map.matrix(x)
