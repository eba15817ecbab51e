"""Networks rewritten without changing what they return: batch norms merged, softmax stripped, identities removed.

Every function takes a `Network` and returns another; layers are values and are never changed. Forward equality is exact in
rationals (where the batch norms' roots are), and within rounding in floats, but for `strip_softmax` and `rectify_output`,
which say what they change.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lrp_ref.arrays import Array, LRPError, full, namespace, number, sqrt
from lrp_ref.layers import Activation, BatchNorm, Conv, ConvTranspose, Dense, Dropout, Identity, Softmax
from lrp_ref.layers.affine import pairs
from lrp_ref.layers.kinds import WEIGHTED
from lrp_ref.network.graph import Node, inputs_of
from lrp_ref.network.network import Network


def merge_batch_norm(net: Network, x: Any = None) -> Network:
    """Every batch norm merged into the weighted layer before it, or else after it.

    y = g x + t with g = gamma / sqrt(variance + epsilon), t = beta - g mean. Before, where no one else reads the layer:

        W' = g W (per output channel),   b' = g b + t

    After, where no one else reads the batch norm:

        W' = W g (per input channel),    b' = b + W t (summed over taps)

    The latter needs an output that reads every tap everywhere: a dense layer, or a convolution without padding; any other
    only where t = 0. A batch norm without such a neighbour stays.

    The channels of a batch norm are its axis 1; those of a dense layer on sequences (N, T, in) are the last. So a merge is
    right for one batch axis alone, and the merged layer takes no more (`batch_axes`). Where x, an example of the input as of
    `Network.forward`, shows that a layer gets more of them, its batch norm stays.
    Raises `LRPError` where a root is irrational in rationals.
    """
    values = {} if x is None else net.forward(x, at="all")
    for name in [node.name for node in net.nodes if isinstance(node.layer, BatchNorm)]:
        net = _merged_before(net, net[name], values) or _merged_after(net, net[name], values) or net
    return net


def strip_softmax(net: Network) -> Network:
    """Every output that is a softmax replaced by what the softmax reads: logits for probabilities."""
    return _without(
        net, lambda node: isinstance(node.layer, Softmax) and node.name in net.outputs and not net.readers(node.name)
    )


def remove_identity(net: Network) -> Network:
    """Without `Identity` and `Dropout` nodes; one that returns an input unchanged as an output stays."""
    return _without(net, lambda node: isinstance(node.layer, Identity | Dropout))


def rectify_output(net: Network) -> Network:
    """A ReLU after every output, named "<output>_rectified", as deep Taylor decomposition expects: y becomes max(y, 0)."""
    relus = [Node(f"{name}_rectified", Activation("relu"), (name,)) for name in net.outputs]
    return Network([*net.nodes, *relus], net.inputs, [node.name for node in relus])


def _without(net: Network, removed: Callable[[Node], bool]) -> Network:
    """The network with these one-input nodes taken out, and their readers reading what they read."""
    stands_for = {name: name for name in net.inputs}
    kept: list[Node] = []
    for node in net.nodes:
        reads = tuple(stands_for[name] for name in inputs_of(node))
        gone = removed(node) and not (node.name in net.outputs and reads[0] in net.inputs)
        stands_for[node.name] = reads[0] if gone else node.name
        if not gone:
            kept.append(replace(node, inputs=reads))
    outputs = [stands_for[name] for name in net.outputs]
    if len(set(outputs)) < len(outputs):
        raise LRPError(f"outputs {', '.join(net.outputs)} would become one; explain them one at a time")
    return Network(kept, net.inputs, outputs)


def _rewritten(net: Network, layers: Mapping[str, Any], gone: str) -> Network:
    """The network with new layers for some nodes, and one node taken out."""
    nodes = [replace(node, layer=layers.get(node.name, node.layer)) for node in net.nodes]
    return _without(Network(nodes, net.inputs, net.outputs), lambda node: node.name == gone)


def _merged_before(net: Network, norm: Node, values: Mapping[str, Array]) -> Network | None:
    (name,), folded = inputs_of(norm), _norm(norm)
    if name in net.inputs or name in net.outputs or len(net.readers(name)) > 1:
        return None
    layer: Any = net[name].layer
    if not isinstance(layer, WEIGHTED) or _outputs(layer) != folded.gamma.shape[0] or _on_sequences(layer, values.get(name)):
        return None
    g, t = scale_and_shift(folded)
    weight = layer.weight * _along(layer, g, "output")
    bias = t if layer.bias is None else g * layer.bias + t
    return _rewritten(net, {name: replace(layer, weight=weight, bias=bias, batch_axes=1)}, norm.name)


def _merged_after(net: Network, norm: Node, values: Mapping[str, Array]) -> Network | None:
    readers = net.readers(norm.name)
    if len(readers) != 1 or norm.name in net.outputs or not isinstance(readers[0].layer, WEIGHTED):
        return None
    layer: Any = readers[0].layer
    folded = _norm(norm)
    if _inputs(layer) != folded.gamma.shape[0] or _on_sequences(layer, values.get(norm.name)):
        return None
    g, t = scale_and_shift(folded)
    shifted = bool(namespace(t).any(t != 0))
    if shifted and not _reads_every_tap(layer):
        return None
    weight = layer.weight * _along(layer, g, "input")
    bias = layer.bias
    if shifted:
        moved = layer.weight * _along(layer, t, "input")
        added = namespace(moved).sum(moved, axis=tuple(range(1, moved.ndim)))
        bias = added if bias is None else bias + added
    return _rewritten(net, {readers[0].name: replace(layer, weight=weight, bias=bias, batch_axes=1)}, norm.name)


def _on_sequences(layer: Any, value: Array | None) -> bool:
    """Whether the example's value beside the layer shows more than one batch axis."""
    return value is not None and value.ndim != layer.axes + 1


def _norm(node: Node) -> BatchNorm:
    assert isinstance(node.layer, BatchNorm)
    return node.layer


def scale_and_shift(norm: BatchNorm) -> tuple[Array, Array]:
    """g = gamma / sqrt(variance + epsilon) and t = beta - g mean, each (C,)."""
    root = sqrt(norm.variance + number(norm.epsilon, norm.variance, "BatchNorm.epsilon"))
    g = norm.gamma / root
    return g, norm.beta - g * norm.mean


def _outputs(layer: Any) -> int:
    """The number of output channels."""
    return int(layer.weight.shape[1] * layer.groups if isinstance(layer, ConvTranspose) else layer.weight.shape[0])


def _inputs(layer: Any) -> int:
    """The number of input channels."""
    if isinstance(layer, ConvTranspose):
        return int(layer.weight.shape[0])
    return int(layer.weight.shape[1] * getattr(layer, "groups", 1))


def _along(layer: Any, values: Array, side: str) -> Array:
    """Values per input or output channel, spread over the weights that read or feed it; groups hold consecutive channels."""
    xp, shape = namespace(values), tuple(layer.weight.shape)
    one = full(shape[2:], 1, values)
    across = (side == "input") != isinstance(layer, ConvTranspose)  # along the weight's second axis, which holds one group
    if not across:
        return xp.reshape(values, (-1, *(1,) * (len(shape) - 1)))
    groups = getattr(layer, "groups", 1)
    per_group = xp.reshape(values, (groups, 1, shape[1], *(1,) * (len(shape) - 2)))
    rows = xp.broadcast_to(per_group, (groups, shape[0] // groups, shape[1], *(1,) * (len(shape) - 2)))
    return xp.reshape(rows, (shape[0], shape[1], *(1,) * (len(shape) - 2))) * one


def _reads_every_tap(layer: Any) -> bool:
    """Whether every output sums over all taps, wherever it lies."""
    if isinstance(layer, Conv):
        return not any(map(any, pairs(layer, "padding", layer.padding, layer.axes - 1)))
    return isinstance(layer, Dense)
