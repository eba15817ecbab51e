"""How far a layer moves where its inputs are off: what every layer says of itself to the bounds of a network.

Everything here is float64. x are the layer's inputs, e bounds the error of each, and y' = W' x' + b' is what a run at `dtype`
makes of inputs within e of x. A layer whose weights do not depend on x says `drift = fixed`; any other has a method

    drift(self, affine, x, e, dtype) -> Drift

and a layer that says nothing has no bounds: it is refused, never guessed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from typing import Any

from lrp_ref.algebra.contributions import Inputs, Separable, structured
from lrp_ref.algebra.rounding import allowed_forward
from lrp_ref.arrays import Array, LRPError, absolute, namespace, where
from lrp_ref.layers.affine import Affine

Errors = tuple[Array, ...]


@dataclass(frozen=True)
class Drift:
    """How far a layer may be off.

    output: |y' - y|, the layer's own rounding included; an array of y's shape, or what returns it when it is read.
    weights: per input a map whose weights bound |W' - W|, None where they do not depend on x; empty where none does.
    bias: |b' - b|; where it is None, that of b = y - W x for a bias that is not 0.
    inputs: how far what relevance sees of x may be off; e itself where None.
    rivals: what returns the windows whose winner may change.
    doubtful: the outputs of which an error may decide whether they take part.
    """

    output: Array | Callable[[], Array]
    weights: tuple[Any, ...] = ()
    bias: Array | None = None
    inputs: Errors | None = None
    rivals: Callable[[], Any] | None = None
    doubtful: Array | None = None

    @cached_property
    def y(self) -> Array:
        found = self.output() if callable(self.output) else self.output
        if not hasattr(found, "shape") or not bool(namespace(found).all(found >= 0)):
            raise LRPError("Drift: expected output as an array of errors >= 0, of y's shape; give |y' - y|")
        return found


def fixed(layer: Any, affine: Affine, x: tuple[Array, ...], e: Errors, dtype: str) -> Drift:
    """The drift of y = W x + b where W and b do not depend on x: |W| e, and the rounding of m products and sums.

    e_y = |W| e + gamma_(m+4) (sum |w x| + |b| + |W| e), and 0 where an output is made of nothing.
    """
    if not affine.is_sum or not all(_same(seen, given) for seen, given in zip(affine.inputs, x, strict=False)):
        raise LRPError(
            f"{type(layer).__name__}: `drift = fixed` is for y = W x + b of x itself; write a method drift(affine, x, e, dtype)"
        )
    if not type(layer).__module__.startswith(__package__):  # of ours, a law knows
        _refuse_moving(layer, affine, x)
    return Drift(lambda: inherited(affine, e, dtype), bias=0 * affine.bias)


def _same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool(namespace(a).all(a == b))


def _refuse_moving(layer: Any, affine: Affine, x: tuple[Array, ...]) -> None:
    """Refuse a layer whose weights or bias are others at other inputs: it is asked at one more place."""
    try:
        other = layer.affine(*(1.5 * a + 0.25 for a in x))
    except (ValueError, ArithmeticError, LookupError, TypeError):  # what is no input of its own, a layer may refuse as it likes
        return
    found = [(m.apply(a), n.apply(a)) for m, n, a in zip(affine.maps, other.maps, x, strict=True)]
    for here, there in (*found, (affine.bias, other.bias)):
        slack = 1e-9 * (absolute(here) + absolute(there)) if here.shape == there.shape else None
        if slack is None or bool(namespace(here).any(absolute(here - there) > slack)):
            raise LRPError(
                f"{type(layer).__name__}: it says `drift = fixed`, but has other weights or another bias at another x; write "
                "a method drift(affine, x, e, dtype)"
            )


def inherited(affine: Affine, e: Errors, dtype: str) -> Array:
    """The error of y = W x + b with W and b as they are."""
    weights, inputs = structured(affine.maps, affine.inputs)
    passed = Separable(((weights.magnitude(), Inputs(e)),)).rows()
    work = absolute(affine.bias) if affine.bias_work is None else affine.bias_work
    ones = weights.connections().contributions().rows()
    m = round(float(namespace(ones).max(ones))) + affine.roundings if 0 not in ones.shape else 0
    found = passed + allowed_forward((weights * inputs).gauge().rows() + work + passed, m, dtype)
    return where(found * 0 + ones + absolute(affine.bias) > 0, found, 0)


def drift_of(layer: Any, affine: Affine, x: tuple[Array, ...], e: Errors, dtype: str) -> Drift:
    """What the layer says. Raises `LRPError` where it says nothing."""
    kind = type(layer).__name__
    if not callable(getattr(layer, "drift", None)):
        raise LRPError(
            f"bounds are not known for {kind}, which does not say how far it moves with x; give it "
            "`drift = lrp_ref.layers.fixed` if its weights do not depend on x, else a method drift(affine, x, e, dtype)"
        )
    try:
        signature(layer.drift).bind(affine, x, e, dtype)
    except TypeError as error:
        raise LRPError(f"{kind}.drift: {error}; it is a method drift(affine, x, e, dtype)") from None
    found = layer.drift(affine, x, e, dtype)
    if not isinstance(found, Drift):
        raise LRPError(f"{kind}.drift: expected a lrp_ref.layers.Drift, got {type(found).__name__}")
    return found
