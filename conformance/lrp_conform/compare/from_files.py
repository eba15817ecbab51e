"""A comparison of files: a model from any framework, its input, and the relevance that a library gave."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lrp_conform.compare.comparison import Comparison, compare
from lrp_conform.compare.given import Given
from lrp_ref import LRPError, load_onnx
from lrp_ref.arrays import Array
from lrp_ref.composites import Composite
from lrp_ref.layers import BatchNorm, Permute
from lrp_ref.network.network import Network
from lrp_ref.propagation.gauges import in_float64
from lrp_ref.transforms import merge_batch_norm as merged
from lrp_ref.transforms import strip_softmax as stripped


def compare_files(
    model: str | Path,
    x: str | Path,
    relevance: str | Path,
    composite: str | Composite,
    *,
    nodes: str | Path | None = None,
    values: str | Path | None = None,
    target: Any = None,
    seed: Any = "logit",
    merge_batch_norm: bool = False,
    strip_softmax: bool = False,
    library: str = "the library",
    close: float = 0.0,
) -> Comparison:
    """Compare what a library gave with the reference on the ONNX file `model`.

    x, relevance: .npy files of one shape; the relevance has the library's dtype. nodes, values: .npz files, name of a node or
    of a layer -> the relevance that arrived at its output, and what the library computed there; other names are listed, and
    arrays with the channels last are turned. target: by default the argmax of the reference's output. merge_batch_norm,
    strip_softmax: rewrite the network, as the library does. seed, close: as of `lrp_conform.compare.compare`.

    Raises `LRPError`, one line, for files that cannot be read and arrays that do not fit.
    """
    net = load_onnx(model, convert=in_float64)
    if len(net.inputs) > 1:
        raise LRPError(f"{model}: inputs {', '.join(net.inputs)}; files compare models of one input, use lrp_conform.compare")
    norms = merge_batch_norm and any(isinstance(node.layer, BatchNorm) for node in net.nodes)
    net = merged(net) if merge_batch_norm else net
    net = stripped(net) if strip_softmax else net
    arrays = _npy(x)
    given = _by_node(net, arrays, _npz(nodes), _npz(values))
    given = replace(given, relevance={net.inputs[0]: _npy(relevance), **given.relevance}, library=library)
    return compare(net, arrays, given, composite, target=target, seed=seed, merged=norms, close=close)


def _by_node(net: Network, x: Array, relevance: Mapping[str, Array], values: Mapping[str, Array]) -> Given:
    """What is given by the names of layers or nodes, by the names of nodes; with the channels where the nodes have them."""
    homes = _homes(net, [*relevance, *values])
    shapes = {name: tuple(a.shape) for name, a in net.forward(in_float64(x), at="all").items()}
    named = [(a, shapes[homes[name]]) for name, a in (*relevance.items(), *values.items()) if name in homes]
    last = any(a.shape != shape and _first(a).shape == shape for a, shape in named)  # the library has its channels last
    by_relevance, by_value = (
        {homes[name]: _turned(a, shapes[homes[name]], last) for name, a in table.items() if name in homes}
        for table in (relevance, values)
    )
    unmatched = dict.fromkeys(name for name in (*relevance, *values) if name not in homes)
    return Given(by_relevance, by_value, unmatched=tuple(unmatched))


def _homes(net: Network, names: Iterable[str]) -> dict[str, str]:
    """Name -> the node of that name, or the last that computes something in the layer "model/<name>/..."."""
    known, found = net.names_at("all"), dict[str, str]()
    for name in names:
        scoped = [n.name for n in net.nodes if name in n.name.split("/")[:-1] and not isinstance(n.layer, Permute)]
        if name in known or scoped:
            found[name] = name if name in known else scoped[-1]
    return found


def _turned(a: Array, shape: tuple[int, ...], last: bool) -> Array:
    """The array with its channels where the node has them, if they are last."""
    return np.ascontiguousarray(_first(a)) if last and _first(a).shape == shape else a


def _first(a: Array) -> Array:
    """The last axis in the place of the second, where there are more than two."""
    return np.moveaxis(a, -1, 1) if a.ndim > 2 else a


def _npy(path: str | Path) -> Array:
    """The array in a .npy file."""
    found = _load(path)
    if not isinstance(found, np.ndarray):
        raise LRPError(f"{path}: several arrays; expected one, as numpy.save writes it")
    return found


def _npz(path: str | Path | None) -> Mapping[str, Array]:
    """Name -> array of a .npz file."""
    found = {} if path is None else _load(path)
    if isinstance(found, np.ndarray):
        raise LRPError(f"{path}: one array; expected names with arrays, as numpy.savez writes them")
    return found


def _load(path: str | Path) -> Any:
    try:
        found = np.load(path, allow_pickle=False)
        return found if isinstance(found, np.ndarray) else {name: found[name] for name in found.files}
    except OSError as error:
        raise LRPError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception:  # whatever damaged bytes lead to
        raise LRPError(f"{path}: no NumPy file of numbers; write it with numpy.save or numpy.savez") from None
