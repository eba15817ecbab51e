"""Models in the ONNX format, read into a network.

`read` takes the file apart and trusts nothing in it, `fold` evaluates what does not depend on the network's input,
`graph` walks the nodes, and `operators` says in one table which layers every operator is; `windows` and `affine` help it.
"""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from lrp_ref.arrays import LRPError, same
from lrp_ref.network.network import Network


def load_onnx(
    path: str | PathLike[str],
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    convert: Callable[[Any], Any] | None = None,
) -> Network:
    """The model in the file `path`, of opset 7 or newer, as a network.

    The inputs are called as in the file, without those that no output depends on, and take any number of samples, the batch
    axis first, whatever batch the file was exported with. A node is called as in the file, or by the value it computes
    where it has no name of its own, and always so where that value is an output; what takes several layers has further
    nodes, "<name>/1" and so on. A bias added after a layer with weights becomes part of it, under the addition's name.

    shapes: input -> the shape of one sample, where the file leaves it open. convert: what is done to every parameter, NumPy
    arrays in the model's float type; `lrp_ref.exact` for rationals, `cupy.asarray` for a GPU.

    Raises `LRPError` for a file that is no valid model, and, all at once and by name, for the nodes that no layer stands for.
    """
    try:
        from lrp_ref.onnx.graph import network
        from lrp_ref.onnx.read import read
    except ModuleNotFoundError as error:
        from lrp_ref.text.extras import needed

        raise LRPError(f"load_onnx needs {needed(error, 'onnx')}") from None
    if not isinstance(path, str | PathLike):
        raise LRPError(f"load_onnx: expected the path of a model, got {type(path).__name__}")
    try:
        return network(read(path), shapes or {}, convert or same)
    except UnicodeDecodeError:  # protobuf decodes names when they are asked for
        raise LRPError(f"{Path(path).name}: no ONNX model: its names are no UTF-8; export it again") from None
