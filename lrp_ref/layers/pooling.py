"""Poolings as linear maps: averages, sums, and the selection that a maximum makes at x."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, reduce
from operator import add
from typing import Any, ClassVar

from lrp_ref.arrays import Array, LRPError, constant, full, namespace, where
from lrp_ref.kernels import delegated
from lrp_ref.layers.affine import Affine, linear, pairs, per_axis
from lrp_ref.layers.drift import Drift, Errors, fixed
from lrp_ref.layers.maps import Window, WindowMap
from lrp_ref.layers.rivals import lowest, rivals

__all__ = ["AvgPool", "GlobalAvgPool", "MaxPool", "SumPool"]


@dataclass(frozen=True)
class SumPool:
    """The sum over a window. x (N, C, *spatial); kernel one integer per spatial axis; stride defaults to the kernel."""

    kernel: tuple[int, ...]
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    drift = fixed

    def __post_init__(self) -> None:
        _window(self)

    @property
    def axes(self) -> int:
        return len(self.kernel) + 1

    def affine(self, x: Array) -> Affine:
        window, inside = _inside(self, x)
        return linear([WindowMap(inside, inside, window, tuple(x.shape[1:]))], [x])


@dataclass(frozen=True)
class AvgPool:
    """The mean over a window: divided by its size, or without `count_include_pad` by the taps inside the image."""

    kernel: tuple[int, ...]
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    count_include_pad: bool = True
    drift = fixed

    def __post_init__(self) -> None:
        _window(self)

    @property
    def axes(self) -> int:
        return len(self.kernel) + 1

    def affine(self, x: Array) -> Affine:
        window, inside = _inside(self, x)
        count = namespace(x).sum(inside, axis=0, keepdims=True)
        divisor = full(count.shape, len(window.taps()), x) if self.count_include_pad else count
        weight = inside / where(divisor == 0, full(count.shape, 1, x), divisor)
        return linear([WindowMap(weight, inside, window, tuple(x.shape[1:]))], [x], roundings=1)


@dataclass(frozen=True)
class GlobalAvgPool:
    """The mean over all spatial axes, which stay with size 1. x (N, C, *spatial)."""

    axes = None
    drift = fixed

    def affine(self, x: Array) -> Affine:
        if x.ndim < 3:
            raise LRPError(f"GlobalAvgPool: expected x (N, C, *spatial), got shape {tuple(x.shape)}")
        return AvgPool(tuple(x.shape[2:])).affine(x)


@dataclass(frozen=True)
class MaxPool:
    """The maximum over a window: at x, the selection of its winner. Padding never wins.

    `ties`: "first" (also where None) or "last" in row-major order of the taps, or "split" (t tied taps weigh 1/t).
    `linearization`: "winner", or "average": relevance sees the mean over the taps inside instead.
    """

    kernel: tuple[int, ...]
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    ties: str | None = None
    linearization: str = "winner"
    selects: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _window(self)
        if self.ties is not None:
            _known(self, "ties", ("first", "last", "split"))
        _known(self, "linearization", ("winner", "average"))

    @property
    def axes(self) -> int:
        return len(self.kernel) + 1

    def affine(self, x: Array) -> Affine:
        xp = namespace(x)
        window, inside, taps = taps_of(self, x, lowest(x) if any(map(any, _window(self).padding)) else 0)
        best: Callable[[], Array] = cache(lambda: _maximum(taps))
        if self.linearization == "average":
            mean = AvgPool(self.kernel, self.stride, self.padding, self.dilation, count_include_pad=False).affine(x)
            return Affine(mean.maps, mean.inputs, mean.bias, best, roundings=1)
        zero = constant((1, *taps[0].shape[1:]), 0, x)

        def winners() -> WindowMap:
            wins = [(tap == best()) & (inside[t, ...] != 0) for t, tap in enumerate(taps)]
            chosen = wins if self.ties == "split" else _single(wins, last=self.ties == "last")
            weight = xp.stack([where(w, full(w.shape, 1, x), 0) for w in chosen])
            wired = where(weight != 0, full(weight.shape, 1, x), 0)
            count = reduce(add, (wired[t, ...] for t in range(len(taps))))
            return WindowMap(weight / count[None, ...], wired, window, tuple(x.shape[1:]))

        if self.ties == "split":
            return Affine((winners(),), (x,), zero, best, roundings=1)
        selection = _selection(winners, best, taps, inside, window, tuple(x.shape[1:]), self.ties == "last")
        return Affine((selection,), (x,), zero, best)

    def drift(self, affine: Affine, x: Errors, e: Errors, dtype: str) -> Drift:
        """A maximum is off by the largest error of its window, and every tap that may win counts."""
        _, inside, errors = taps_of(self, e[0], 0)
        output = lambda: reduce(namespace(x[0]).maximum, errors)  # noqa: E731
        if self.linearization == "average":
            return Drift(output)
        values = taps_of(self, x[0], lowest(x[0]))[2]
        return Drift(output, rivals=lambda: rivals(affine.maps[0], inside, values, errors))


@delegated("maximum")
def _maximum(taps: list[Array]) -> Array:
    """The largest of what the taps read."""
    return reduce(namespace(taps[0]).maximum, taps)


@delegated("selection")
def _selection(
    winners: Callable[[], WindowMap],
    best: Callable[[], Array],
    taps: list[Array],
    inside: Array,
    window: Window,
    size: tuple[int, ...],
    last: bool,
) -> Any:
    """The map of a pooling in which every output reads one tap, the first or last of `taps` that is `best`."""
    return winners()


def taps_of(layer: Any, x: Array, fill: Any) -> tuple[Window, Array, list[Array]]:
    """The window, 1 for every tap on the image (taps, 1, 1, *out), and what every tap reads, `fill` on padding."""
    window, inside = _inside(layer, x)
    padded = window.pad(x, value=fill)
    return window, inside, [padded[(..., *at)] for at in window.slices(inside.shape[3:])]


def _single(wins: list[Array], last: bool) -> list[Array]:
    """The first (or last) winner only."""
    order = wins[::-1] if last else wins
    taken, kept = order[0] & ~order[0], []
    for win in order:
        kept.append(win & ~taken)
        taken = taken | win
    return kept[::-1] if last else kept


def _window(layer: Any) -> Window:
    if not isinstance(layer.kernel, tuple) or not layer.kernel or min(layer.kernel) < 1:
        raise LRPError(f"{type(layer).__name__}: expected kernel as a tuple of integers >= 1, got {layer.kernel!r}")
    axes = len(layer.kernel)
    return Window(
        layer.kernel,
        per_axis(layer, "stride", layer.kernel if layer.stride is None else layer.stride, axes),
        pairs(layer, "padding", layer.padding, axes),
        per_axis(layer, "dilation", layer.dilation, axes),
    )


def _inside(layer: Any, x: Array) -> tuple[Window, Array]:
    """The window, and 1 for every tap that lies on the image: (taps, 1, 1, *out)."""
    window = _window(layer)
    out = window.output(tuple(x.shape[2:]))
    if min(out) < 1:
        raise LRPError(f"{type(layer).__name__}: the window does not fit into x of shape {tuple(x.shape)}")
    if not window.reads_inside(tuple(x.shape[2:])):
        raise LRPError(f"{type(layer).__name__}: some windows lie on padding alone; reduce the padding to below the kernel")
    ones = window.pad(full((1, 1, *x.shape[2:]), 1, x))
    return window, namespace(x).stack([ones[(..., *at)] for at in window.slices(out)])


def _known(layer: Any, name: str, values: tuple[str, ...]) -> None:
    if getattr(layer, name) not in values:
        raise LRPError(f"{type(layer).__name__}: {name} is one of {', '.join(values)}; got {getattr(layer, name)!r}")
