"""A layer at x is an affine map, y = W x + b: what every layer hands to the engine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from inspect import signature
from operator import add
from typing import Any, Protocol

from lrp_ref.arrays import Array, LRPError, constant, full, namespace, same_arithmetic
from lrp_ref.layers.maps import Routed
from lrp_ref.values import refuse_other

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Affine:
    """The layer at its inputs, as relevance sees it. Batch axis first everywhere.

    `maps` has one linear map per input. `bias` broadcasts against `y`, the true output: `output` itself,
    or what it returns when `y` is first read.
    `bias_work` bounds the magnitudes that forming the bias may pass through, where that is more than |b|;
    `roundings` counts the operations behind one weight (0 for a weight that is given).
    `serves` masks the outputs that take part; the relevance of the others is dropped.
    `is_sum`: y is the sum of maps(inputs) and bias, so that relevance sees what the layer computes.
    """

    maps: tuple[Any, ...]
    inputs: tuple[Array, ...]
    bias: Array
    output: Array | Callable[[], Array]
    bias_work: Array | None = None
    roundings: int = 0
    serves: Array | None = None
    is_sum: bool = False

    @staticmethod
    def of(maps: Sequence[Any], inputs: Sequence[Array], bias: Array | None = None, roundings: int = 0) -> "Affine":
        """y = the sum of maps(inputs), one linear map per input, plus a bias that broadcasts against it."""
        return linear(maps, inputs, bias, roundings)

    @cached_property
    def y(self) -> Array:
        return self.output() if callable(self.output) else self.output

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of y, without forming it where the map knows."""
        outputs = getattr(self.maps[0], "outputs", None)
        return tuple(self.y.shape) if outputs is None else (self.inputs[0].shape[0], *outputs)


class Layer(Protocol):
    """What the engine asks of a layer: any object with these two, a dataclass or not. See `docs/extending.md`.

    axes: the number of axes of one sample, None for "all but the first". affine: the layer at its inputs, one positional
    parameter each (`*inputs` for any number), every one with the batch as its first axis; parameters are in their arithmetic.

    Optional: `drift`, how far the layer moves where x is off, `lrp_ref.layers.fixed` where its weights do not depend on x;
    without it the bounds of a network are refused. `takes_indices`, True where x holds integers, else numbers. `selects`,
    True where every output is one of its inputs or 0: rules that only move relevance have a meaning; else these are
    refused where an output mixes inputs. `batch_axes`, how many axes x has before a sample's, else any number. `padded(x)`,
    the map with its padding made part of x and the window that pads; else a rule that counts padding finds none.
    """

    @property
    def axes(self) -> int | None: ...

    @property
    def affine(self) -> Callable[..., Affine]: ...


LAYER = ("axes", "affine(x)")


def affine_of(layer: Layer, inputs: tuple[Array, ...]) -> Affine:
    """The layer at its inputs. Raises `LRPError` where it returns something else."""
    affine = layer.affine(*inputs)
    refuse_other(f"{type(layer).__name__}.affine", affine, Affine, "an lrp_ref.Affine, such as Affine.of(maps, inputs, bias)")
    return affine


def arity(layer: Layer) -> int | None:
    """How many inputs the layer takes; None for any number."""
    parameters = signature(layer.affine).parameters.values()
    return None if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(parameters)


def linear(maps: Sequence[Any], inputs: Sequence[Array], bias: Array | None = None, roundings: int = 0) -> Affine:
    """The affine map whose output is simply the sum of its maps, plus the bias."""

    def output() -> Array:
        if bias is not None and hasattr(maps[0], "shifted"):
            return maps[0].shifted(inputs[0], bias)
        y = reduce(add, (m.apply(x) for m, x in zip(maps, inputs, strict=True)))
        if bias is not None:
            y += bias  # into the sum itself, which no one else holds
        return y

    bare = Affine(tuple(maps), tuple(inputs), bias, output, roundings=roundings, is_sum=True)
    return bare if bias is not None else replace(bare, bias=constant((1, *bare.shape[1:]), 0, inputs[0]))


def moved(gather: Any, scatter: Any, x: Array) -> Affine:
    """The affine map of a layer that only moves the values of x."""
    outputs = tuple(gather(x[:1, ...]).shape[1:])
    return linear([Routed(full((1,) * (1 + len(outputs)), 1, x), gather, scatter, outputs)], [x])


def parameter(layer: Any, name: str, x: Array) -> Array:
    """The layer's parameter `name`, in the arithmetic of x."""
    value = getattr(layer, name)
    same_arithmetic("x", x, f"{type(layer).__name__}.{name}", value)
    return value


def expect(layer: Any, what: str, expected: Any, got: Any) -> None:
    """One clear line where a shape is not what the layer needs."""
    if expected != got:
        raise LRPError(f"{type(layer).__name__}: expected {what} {expected}, got {got}")


def per_axis(layer: Any, name: str, value: int | Sequence[int], axes: int, least: int = 1) -> tuple[int, ...]:
    """One integer per spatial axis; a single integer stands for all of them."""
    values = _sequence(value, axes)
    if len(values) != axes or not all(hasattr(v, "__index__") and v >= least for v in values):
        raise LRPError(f"{type(layer).__name__}: expected {name} as {axes} integers >= {least}, got {value}")
    return values


def _sequence(value: Any, n: int) -> tuple[Any, ...]:
    """A tuple or list as a tuple, and anything else n times."""
    return tuple(value) if isinstance(value, tuple | list) else (value,) * n


def pairs(layer: Any, name: str, value: Any, axes: int) -> Pairs:
    """(begin, end) per spatial axis; an integer stands for both ends, one integer or pair per axis."""
    both = tuple(_sequence(v, 2) for v in _sequence(value, axes))
    if len(both) != axes or not all(len(p) == 2 and all(hasattr(v, "__index__") and v >= 0 for v in p) for p in both):
        raise LRPError(f"{type(layer).__name__}: expected {name} as {axes} (begin, end) pairs >= 0, got {value}")
    return both


def flat_bias(bias: Array | None, x: Array, spatial: int) -> Array | None:
    """A bias per channel, shaped to broadcast over the batch and the spatial axes."""
    if bias is None:
        return None
    return namespace(x).reshape(bias, (1, -1, *(1,) * spatial))
