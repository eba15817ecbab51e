"""The door: everything is checked and every convention settled before the engine sees it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from lrp_ref.algebra.contributions import Inputs, explicit, structured
from lrp_ref.arrays import Array, LRPError, checked, flattened, is_number, known, namespace, number, only_read, same_arithmetic
from lrp_ref.biases import MODES
from lrp_ref.dialects import Dialect, named
from lrp_ref.layers import Affine, Layer
from lrp_ref.layers.affine import LAYER, affine_of, arity
from lrp_ref.layers.maps import Routed
from lrp_ref.rules import RULE, Rule, Shaped, check_conventions
from lrp_ref.stabilizers import NONE, Stabilizer
from lrp_ref.values import brief, changed, fields_of, refuse_lacking, refuse_other

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
    dialect: Dialect | str | None = None,
    representation: str = "structured",
    output: Array | None = None,
    trusted: bool = False,
) -> Problem:
    """Check everything at the door, and settle every convention: explicit argument, dialect, reference.

    output: the layer's output at x where it is known, believed as it is. trusted: x and relevance are known to be finite.
    """
    given = inputs_of(layer, x)
    known: Dialect | None = named(dialect)
    _check_kinds(rule, stabilizer, known)
    lead, batched = entered(layer, given, trusted)
    checked("relevance", relevance, trusted)
    if known is not None:
        layer, rule, stabilizer, bias = known.apply(layer, rule, stabilizer, bias)
    affine = _only_read(affine_of(layer, batched))
    same_arithmetic(*_reference(layer, given), "relevance", relevance)
    affine = affine if output is None else _given(affine, lead, output)
    expected = (*lead, *affine.shape[1:])
    if tuple(relevance.shape) != expected:
        raise LRPError(f"relevance: expected the output's shape {expected}, got {tuple(relevance.shape)}")
    check_conventions(rule)
    bias = _mode(rule, bias)
    stabilizer = stabilizer or _own_stabilizer(rule) or NONE
    if representation not in REPRESENTATIONS:
        raise LRPError(f"representation is one of {', '.join(REPRESENTATIONS)}; got {representation!r}")
    weights, inputs = represent(representation, affine)
    if getattr(rule, "moves", False) and not getattr(layer, "selects", False):
        _only_moves(rule, layer, affine)
    arrived = namespace(relevance).reshape(relevance, (prod(lead), *affine.shape[1:]))
    resolved = in_arithmetic(rule, affine.inputs, SHAPED[representation])
    padded = _on_padding(representation, rule, layer, batched[0])

    def twin() -> Problem:
        return settle(layer, x, relevance, rule, stabilizer, bias)

    return Problem(affine, weights, inputs, resolved, bias, stabilizer, arrived, lead, padded, twin, layer)


def inputs_of(layer: Layer, x: Any) -> tuple[Array, ...]:
    """x, an array or a tuple of them, as a layer's inputs. Refuses what is no layer or no array, too many and too few."""
    given = tuple(x) if isinstance(x, tuple | list) else (x,)
    if given and isinstance(x, list | tuple) and not any(hasattr(a, "shape") for a in given):
        raise LRPError(f"x: expected an array, got a {type(x).__name__}; use numpy.asarray(...) or lrp_ref.exact(...)")
    refuse_lacking("layer", layer, LAYER, "lrp_ref.Dense(weight, bias)", "lrp_ref.Layer")
    if layer.axes is not None and (not isinstance(layer.axes, int) or isinstance(layer.axes, bool) or layer.axes < 0):
        raise LRPError(
            f"{type(layer).__name__}.axes: expected the number of axes of one sample, or None; got {brief(layer.axes)}"
        )
    _check_count(layer, given)
    return given


def entered(layer: Layer, given: tuple[Array, ...], trusted: bool = False) -> tuple[tuple[int, ...], tuple[Array, ...]]:
    """The batch axes, and the inputs with all of them as one: (lead, ((batch, ...), ...)). Refuses inputs that do not fit.

    trusted: their numbers are known to be finite.
    """
    if not takes_indices(layer):
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


def takes_indices(layer: Any) -> bool:
    """Whether the layer's input is integers, which have no arithmetic of their own."""
    return bool(getattr(layer, "takes_indices", False))


def _reference(layer: Any, given: tuple[Array, ...]) -> tuple[str, Array]:
    """The array that says which arithmetic relevance must have, and its name."""
    return (f"{type(layer).__name__}.weight", layer.weight) if takes_indices(layer) else ("x", given[0])


def _only_read(affine: Affine) -> Affine:
    """The same, with inputs and a bias that no rule can write to: they may be the caller's own."""
    return replace(affine, inputs=tuple(map(only_read, affine.inputs)), bias=only_read(affine.bias))


def _given(affine: Affine, lead: tuple[int, ...], output: Array) -> Affine:
    """The layer at its inputs, with its output believed."""
    y = namespace(output).reshape(output, (prod(lead), *output.shape[len(lead) :]))
    affine = replace(affine, maps=tuple(m.with_output(y) if hasattr(m, "with_output") else m for m in affine.maps), output=y)
    if tuple(affine.y.shape) != affine.shape:
        raise LRPError(f"output: expected shape {(*lead, *affine.shape[1:])}, got {tuple(output.shape)}")
    return affine


def _mode(rule: Any, bias: str | None) -> str:
    """The bias mode: the given one, or the rule's first."""
    chosen = str(rule.bias[0] if bias is None else bias)
    if chosen not in rule.bias:
        raise LRPError(f"{type(rule).__name__}: bias is one of {', '.join(rule.bias)}; got {bias!r}")
    if chosen not in MODES:
        raise LRPError(f"{type(rule).__name__}: a rule's bias modes are among {', '.join(MODES)}; got {chosen!r}")
    return chosen


def output(layer: Layer, *given: Array, trusted: bool = False) -> Array:
    """The layer's output y at its inputs, batch axes first. trusted: these are known to be finite."""
    lead, batched = entered(layer, given, trusted)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by whoever asked
        y = affine_of(layer, batched).y
    return namespace(y).reshape(y, (*lead, *y.shape[1:]))


def _check_kinds(rule: Any, stabilizer: Any, dialect: Any) -> None:
    """Refuse what is no rule, stabiliser or dialect at all."""
    refuse_lacking("rule", rule, RULE, "lrp_ref.Epsilon(1e-6)", "lrp_ref.Rule")
    if not isinstance(rule.bias, tuple | list) or not rule.bias or not all(isinstance(mode, str) for mode in rule.bias):
        raise LRPError(f"rule: {type(rule).__name__}.bias is a tuple of modes such as ('absorb', 'ignore'); got {rule.bias!r}")
    for name, value, right, example in (
        ("stabilizer", stabilizer, isinstance(stabilizer, Stabilizer | None), "lrp_ref.Stabilizer('signed_add', 1e-6)"),
        ("dialect", dialect, isinstance(dialect, Dialect | None), "lrp_ref.DIALECTS['zennit-1.0']"),
    ):
        if not right or isinstance(value, type):
            raise LRPError(f"{name}: expected one such as {example}, got {type(value).__name__} {brief(value)}")


def _own_stabilizer(rule: Any) -> Stabilizer | None:
    """The rule's own stabiliser, where it has one."""
    own = getattr(rule, "stabilizer", None)
    if own is not None and not isinstance(own, Stabilizer):
        raise LRPError(f"{type(rule).__name__}.stabilizer: expected a lrp_ref.Stabilizer or None, got {brief(own)}")
    return own


def _check_count(layer: Layer, given: tuple[Any, ...]) -> None:
    """Refuse more or fewer inputs than the layer takes, and what is no array."""
    count = arity(layer)
    if not given or count not in (None, len(given)):
        expected = "a tuple of inputs" if count is None else f"{count} input(s)"
        raise LRPError(f"{type(layer).__name__}: expected {expected}, got {len(given)}")
    for array in given:
        if not hasattr(array, "shape"):
            raise LRPError(f"x: expected an array, got {type(array).__name__}; use numpy.asarray(...) or lrp_ref.exact(...)")


def represent(representation: str, affine: Affine) -> tuple[Any, Any]:
    """The weights and inputs of a layer in a representation."""
    maps, inputs = affine.maps, affine.inputs
    if representation == "structured":
        return structured(maps, inputs)
    if representation == "explicit":
        entries = prod(affine.shape[1:]) * sum(prod(a.shape[1:]) for a in inputs)
        if entries > MOST_ENTRIES:
            raise LRPError(
                f"an explicit matrix would have {entries:.2g} entries; "
                "use representation='structured' or 'sparse', or sparse=True"
            )
        return explicit(maps, inputs)
    from lrp_ref.propagation.sparse import sparse  # SciPy is imported only where it is asked for

    return sparse(maps, inputs)


def in_arithmetic(rule: Any, inputs: tuple[Array, ...], shaped: Shaped) -> Any:
    """The rule with its numbers converted once to the arithmetic of x."""
    if hasattr(rule, "fitted"):
        fitted = rule.fitted(inputs, shaped)
        refuse_other(f"{type(rule).__name__}.fitted", fitted, type(rule), "the rule itself or a changed copy")
        return fitted
    numbers = {name: value for name, value in fields_of(rule).items() if is_number(value)}
    return changed(rule, {name: number(value, inputs[0], f"{type(rule).__name__}.{name}") for name, value in numbers.items()})


def _on_padding(representation: str, rule: Any, layer: Any, x: Array) -> Any:
    """Weights, inputs and rule with the padding made part of the input, where the rule counts it and the layer has one."""
    if getattr(rule, "padding", None) != "counted" or not hasattr(layer, "padded"):
        return None
    (wide, window), shaped = layer.padded(x), SHAPED[representation]
    if hasattr(rule, "on_padding"):
        return represent(representation, wide), rule.on_padding(x, window, wide.inputs, shaped)
    return represent(representation, wide), in_arithmetic(rule, wide.inputs, shaped)


def _side_by_side(arrays: tuple[Array, ...]) -> Array:
    return namespace(arrays[0]).concat([flattened(a) for a in arrays], axis=-1)


SHAPED: dict[str, Shaped] = {"structured": Inputs, "explicit": _side_by_side, "sparse": _side_by_side}


def _only_moves(rule: Any, layer: Layer, affine: Affine) -> None:
    """Refuse a rule that only moves relevance where an output mixes several inputs."""
    if len(affine.maps) == 1 and isinstance(affine.maps[0], Routed):
        return
    xp = namespace(affine.y)
    ones = structured(affine.maps, affine.inputs)[0].connections().contributions().rows()
    names, mixes = f"{type(rule).__name__}: {type(layer).__name__}", known(xp.any(ones > 1))
    if mixes is None:
        kind = type(rule).__name__
        raise LRPError(f"{kind}: how {type(layer).__name__} connects is not known while it is traced; use Norm or Flat")
    if mixes:
        raise LRPError(f"{names} mixes several inputs in one output; use Zero, Norm or Flat")
