"""What a model's file says of its inputs, before anything is built from it."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from onnx import helper

from lrp_ref.arrays import LRPError
from lrp_ref.onnx.read import one_line, parsed


@dataclass(frozen=True)
class Input:
    """An input: the shape of one sample, None where the file leaves a size open, and the dtype, such as "float32"."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


def inputs(path: str | PathLike[str]) -> dict[str, Input]:
    """Name -> input of the model in a file. Raises `LRPError`, one line that begins with the file's name."""
    try:
        graph = parsed(Path(path)).graph
        held = {tensor.name for tensor in graph.initializer}
        return {value.name: _input(value) for value in graph.input if value.name not in held}
    except LRPError as error:
        raise LRPError(f"{Path(path).name}: {one_line(error)}") from None
    except (KeyError, UnicodeDecodeError):
        raise LRPError(f"{Path(path).name}: no ONNX model: its inputs are malformed; export it again") from None


def _input(value: object) -> Input:
    tensor = value.type.tensor_type  # type: ignore[attr-defined]
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
    return Input(value.name, tuple(sizes[1:]), str(helper.tensor_dtype_to_np_dtype(tensor.elem_type)))  # type: ignore[attr-defined]
