"""The door: everything is checked and every convention settled before the engine sees it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from lrp_ref.arrays import (
    Array,
    LRPError,
    checked,
    flattened,
    full,
    is_number,
    known,
    namespace,
    number,
    placed,
    same_arithmetic,
)
from lrp_ref.contributions import Inputs, explicit, structured
from lrp_ref.dialects import Dialect
from lrp_ref.foreign import brief, changed, held, refuse_lacking
from lrp_ref.layers import Affine, Conv, Embedding, Layer, MaxPool
from lrp_ref.layers.affine import LAYER, affine_of, arity
from lrp_ref.maps import Routed
from lrp_ref.rules import RULE, Epsilon, Pass, Rule, Shares, ZBox, check_conventions
from lrp_ref.stabilizers import NONE, Stabilizer

REPRESENTATIONS = ("structured", "explicit", "sparse")
MOST_ENTRIES = 2**27  # of an explicit matrix: a gigabyte in float64


@dataclass(frozen=True)
class Problem:
    """A rule on a layer at x, with every convention settled and all arrays (batch, ...)."""

    affine: Affine
    weights: Any
    inputs: Any
    rule: Any
    bias: str
    stabilizer: Stabilizer
    arrived: Array
    lead: tuple[int, ...]
    padded: Any
    structured_twin: Callable[[], "Problem"]
    layer: Layer

    @property
    def epsilon(self) -> Any:
        return number(self.stabilizer.epsilon, self.arrived, "stabilizer epsilon")

    def flat(self, a: Array) -> Array:
        """A y-shaped array in the shape that this representation's rows have."""
        wide = namespace(a).broadcast_to(a, self.affine.shape)
        explicit_rows = not hasattr(self.weights, "maps")
        return flattened(wide) if explicit_rows else wide


def settle(
    layer: Layer,
    x: Any,
    relevance: Array,
    rule: Rule,
    stabilizer: Stabilizer | None = None,
    bias: str | None = None,
    dialect: Dialect | None = None,
    representation: str = "structured",
    output: Array | None = None,
    trusted: bool = False,
) -> Problem:
    """Check everything at the door, and settle every convention: explicit argument, dialect, reference.

    output: the layer's output at x where it is known, believed as it is. trusted: x and relevance are known to be finite.
    """
    given = tuple(x) if isinstance(x, tuple | list) else (x,)
    if given and isinstance(x, list | tuple) and not any(hasattr(a, "shape") for a in given):
        raise LRPError(f"x: expected an array, got a {type(x).__name__}; use numpy.asarray(...) or lrp_ref.exact(...)")
    _check_kinds(layer, rule, stabilizer, dialect)
    _check_count(layer, given)
    if isinstance(layer, Embedding):
        same_arithmetic("Embedding.weight", layer.weight, "relevance", checked("relevance", relevance))
    lead, batched = entered(layer, given, trusted)
    checked("relevance", relevance, trusted)
    if dialect is not None:
        layer, rule, stabilizer, bias = dialect.apply(layer, rule, stabilizer, bias)
    affine = affine_of(layer, batched)
    if not isinstance(layer, Embedding):
        same_arithmetic("x", given[0], "relevance", relevance)
    if output is not None:
        y = namespace(output).reshape(output, (prod(lead), *output.shape[len(lead) :]))
        affine = replace(affine, maps=tuple(m.given(y) if hasattr(m, "given") else m for m in affine.maps), output=y)
        if tuple(affine.y.shape) != affine.shape:
            raise LRPError(f"output: expected shape {(*lead, *affine.shape[1:])}, got {tuple(output.shape)}")
    expected = (*lead, *affine.shape[1:])
    if tuple(relevance.shape) != expected:
        raise LRPError(f"relevance: expected the output's shape {expected}, got {tuple(relevance.shape)}")
    check_conventions(rule)
    bias = rule.bias[0] if bias is None else bias
    if bias not in rule.bias:
        raise LRPError(f"{type(rule).__name__}: bias is one of {', '.join(rule.bias)}; got {bias!r}")
    if stabilizer is None:
        stabilizer = Stabilizer("signed_add", rule.epsilon) if isinstance(rule, Epsilon) else NONE
    if representation not in REPRESENTATIONS:
        raise LRPError(f"representation is one of {', '.join(REPRESENTATIONS)}; got {representation!r}")
    if representation == "explicit":
        entries = prod(affine.shape[1:]) * sum(prod(a.shape[1:]) for a in affine.inputs)
        if entries > MOST_ENTRIES:
            raise LRPError(f"an explicit matrix would have {entries:.2g} entries; use representation='structured' or 'sparse'")
    weights, inputs = _represent(representation, affine.maps, affine.inputs)
    if isinstance(rule, Pass) and not isinstance(layer, MaxPool):
        _only_moves(layer, affine)
    arrived = namespace(relevance).reshape(relevance, (prod(lead), *affine.shape[1:]))
    resolved = _in_arithmetic(rule, affine.inputs, representation)
    padded = None
    if getattr(rule, "padding", None) == "counted" and isinstance(layer, Conv):
        wide, window = layer.padded(batched[0])
        bounds = _padded_bounds(rule, batched[0], window)
        padded = (
            _represent(representation, wide.maps, wide.inputs),
            _in_arithmetic(bounds, wide.inputs, representation, on_padding=True),
        )

    def twin() -> Problem:
        return settle(layer, x, relevance, rule, stabilizer, bias)

    return Problem(affine, weights, inputs, resolved, bias, stabilizer, arrived, lead, padded, twin, layer)


def entered(layer: Layer, given: tuple[Array, ...], trusted: bool = False) -> tuple[tuple[int, ...], tuple[Array, ...]]:
    """The batch axes, and the inputs with all of them as one: (lead, ((batch, ...), ...)). Refuses inputs that do not fit.

    trusted: their numbers are known to be finite.
    """
    if not isinstance(layer, Embedding):
        for index, array in enumerate(given):
            checked(f"x[{index}]" if len(given) > 1 else "x", array, trusted)
            same_arithmetic("x", given[0], f"x[{index}]", array)
    axes = max(given[0].ndim, 1) - 1 if layer.axes is None else layer.axes
    if given[0].ndim < max(axes, layer.axes is None):
        raise LRPError(f"{type(layer).__name__}: expected x with at least {axes} axes, got shape {tuple(given[0].shape)}")
    lead = tuple(given[0].shape[: given[0].ndim - axes])
    if getattr(layer, "batch_axes", None) not in (None, len(lead)):
        raise LRPError(
            f"{type(layer).__name__}: expected x with {layer.batch_axes} batch axis and {axes} of a sample, got shape "  # type: ignore[attr-defined]
            f"{tuple(given[0].shape)}; a batch norm was merged into it, which merge_batch_norm(net, x) leaves alone for such x"
        )
    for index, array in enumerate(given):
        if array.ndim != given[0].ndim or tuple(array.shape[: len(lead)]) != lead:
            first = tuple(given[0].shape)
            raise LRPError(f"x[{index}]: expected the axes and batch size of x[0], {first}, got {tuple(array.shape)}")
    return lead, tuple(namespace(a).reshape(a, (prod(lead), *a.shape[a.ndim - axes :])) for a in given)


def output(layer: Layer, *given: Array, trusted: bool = False) -> Array:
    """The layer's output y at its inputs, batch axes first. trusted: these are known to be finite."""
    lead, batched = entered(layer, given, trusted)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by whoever asked
        y = affine_of(layer, batched).y
    return namespace(y).reshape(y, (*lead, *y.shape[1:]))


def _check_kinds(layer: Any, rule: Any, stabilizer: Any, dialect: Any) -> None:
    """Refuse what is no layer, rule, stabiliser or dialect at all."""
    refuse_lacking("layer", layer, LAYER, "lrp_ref.Dense(weight, bias)", "lrp_ref.Layer")
    refuse_lacking("rule", rule, RULE, "lrp_ref.Epsilon(1e-6)", "lrp_ref.Rule")
    if not isinstance(rule.bias, tuple | list) or not rule.bias or not all(isinstance(mode, str) for mode in rule.bias):
        raise LRPError(f"rule: {type(rule).__name__}.bias is a tuple of modes such as ('absorb', 'ignore'); got {rule.bias!r}")
    for name, value, right, example in (
        ("stabilizer", stabilizer, isinstance(stabilizer, Stabilizer | None), "lrp_ref.Stabilizer('signed_add', 1e-6)"),
        ("dialect", dialect, isinstance(dialect, Dialect | None), "lrp_ref.DIALECTS['zennit-1.0']"),
    ):
        if not right or isinstance(value, type):
            raise LRPError(f"{name}: expected one such as {example}, got {type(value).__name__} {brief(value)}")


def _check_count(layer: Layer, given: tuple[Any, ...]) -> None:
    """Refuse more or fewer inputs than the layer takes, and what is no array."""
    count = arity(layer)
    if not given or count not in (None, len(given)):
        expected = "a tuple of inputs" if count is None else f"{count} input(s)"
        raise LRPError(f"{type(layer).__name__}: expected {expected}, got {len(given)}")
    for array in given:
        if not hasattr(array, "shape"):
            raise LRPError(f"x: expected an array, got {type(array).__name__}; use numpy.asarray(...) or lrp_ref.exact(...)")


def _padded_bounds(rule: Any, x: Array, window: Any) -> Any:
    """Bounds on the padded input: numbers and bounds per channel reach the padding, arrays are 0 there."""
    if not isinstance(rule, ZBox):
        return rule

    def widened(bound: Any) -> Any:
        per_element = isinstance(bound, str) or (hasattr(bound, "shape") and bound.ndim > 1)
        return window.pad(_bound(bound, x)) if per_element else bound

    return replace(rule, low=widened(rule.low), high=widened(rule.high))


def _represent(representation: str, maps: tuple[Any, ...], inputs: tuple[Array, ...]) -> tuple[Any, Any]:
    if representation == "structured":
        return structured(maps, inputs)
    if representation == "explicit":
        return explicit(maps, inputs)
    from lrp_ref.sparse import sparse  # SciPy is imported only where it is asked for

    return sparse(maps, inputs)


def _in_arithmetic(rule: Any, inputs: tuple[Array, ...], representation: str, on_padding: bool = False) -> Any:
    """The rule with its numbers converted once to the arithmetic of x, and input-shaped parameters shaped."""
    if isinstance(rule, ZBox):
        arrays = {name: tuple(_bound(getattr(rule, name), x) for x in inputs) for name in ("low", "high")}
        for x, low, high in () if on_padding else zip(inputs, arrays["low"], arrays["high"], strict=True):
            _check_box(x, low, high)
        return replace(rule, **{name: _shaped(bounds, representation) for name, bounds in arrays.items()})
    if isinstance(rule, Shares):
        if len(rule.shares) != len(inputs):
            raise LRPError(f"Shares: expected one share per input, {len(inputs)}, got {len(rule.shares)}")
        parts = tuple(full(x.shape, number(p, x, "Shares"), x) for p, x in zip(rule.shares, inputs, strict=True))
        return replace(rule, shares=_shaped(parts, representation))
    numbers = {name: value for name, value in held(rule).items() if is_number(value)}
    return changed(rule, {name: number(value, inputs[0], f"{type(rule).__name__}.{name}") for name, value in numbers.items()})


def _shaped(arrays: tuple[Array, ...], representation: str) -> Any:
    if representation == "structured":
        return Inputs(arrays)
    xp = namespace(arrays[0])
    return xp.concat([flattened(a) for a in arrays], axis=-1)


def _bound(bound: Any, x: Array) -> Array:
    """A bound of the z-box rule as an array of x's shape."""
    xp = namespace(x)
    if isinstance(bound, str):
        if bound not in ("min", "max"):
            raise LRPError(f"ZBox: expected a bound as a number, array, 'min' or 'max'; got {bound!r}")
        return getattr(xp, bound)(x, axis=tuple(range(1, x.ndim)), keepdims=True) + 0 * x
    if isinstance(bound, list | tuple):
        bound = _row(bound, x)
    if not hasattr(bound, "shape"):
        return full(x.shape, number(bound, x, "ZBox bound"), x)
    checked("ZBox bound", bound)
    same_arithmetic("x", x, "ZBox bound", bound)
    if bound.ndim == 1 and bound.shape[0] == x.shape[1]:
        bound = xp.reshape(bound, (1, -1, *(1,) * (x.ndim - 2)))
    if tuple(bound.shape) not in (tuple(x.shape), tuple(x.shape[1:]), (1, x.shape[1], *(1,) * (x.ndim - 2))):
        raise LRPError(
            f"ZBox: expected a bound as a number, one per channel ({x.shape[1]},) or of x's shape {tuple(x.shape)}; "
            f"got shape {tuple(bound.shape)}"
        )
    return bound + 0 * x


def _row(values: Any, x: Array) -> Array:
    row = full((len(values),), 0, x)
    for k, value in enumerate(values):
        row = placed(row, k, number(value, x, "ZBox bound"))
    return row


def _check_box(x: Array, low: Array, high: Array) -> None:
    xp = namespace(x)
    for wrong, text in (
        (low > high, "expected low <= high"),
        (x < low, "expected x >= low"),
        (x > high, "expected x <= high"),
    ):
        if known(xp.any(wrong)):
            first = int(xp.argmax(xp.astype(xp.reshape(wrong, (-1,)), xp.int8)))
            at = [float(xp.reshape(a, (-1,))[first]) for a in (low, x, high)]
            raise LRPError(f"ZBox: {text}; at flat index {first} low={at[0]}, x={at[1]}, high={at[2]}; widen the bounds")


def _only_moves(layer: Layer, affine: Affine) -> None:
    """Refuse Pass where an output mixes several inputs."""
    if len(affine.maps) == 1 and isinstance(affine.maps[0], Routed):
        return
    xp = namespace(affine.y)
    ones = structured(affine.maps, affine.inputs)[0].connections().contributions().rows()
    mixes = known(xp.any(ones > 1))
    if mixes is None:
        raise LRPError(f"Pass: how {type(layer).__name__} connects is not known while it is traced; use Norm or Flat")
    if mixes:
        raise LRPError(f"Pass: {type(layer).__name__} mixes several inputs in one output; use Zero, Norm or Flat")
