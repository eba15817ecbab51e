"""A layer at x as matrices, y = W x + b: dense in any arithmetic, or sparse where a dense one does not fit."""

from dataclasses import dataclass
from itertools import count, takewhile
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lrp_ref.arrays import Array, LRPError, element_type, flattened, is_exact, namespace
from lrp_ref.files.arrays import load_arrays, rationals, save_arrays
from lrp_ref.layers import Layer
from lrp_ref.layers.affine import affine_of
from lrp_ref.propagation.settle import entered, inputs_of, represent
from lrp_ref.text.printing import described


@dataclass(frozen=True, eq=False)
class Matrix:
    """A layer at x as relevance sees it, with outputs and inputs flattened, several inputs side by side:

        y.reshape(N, -1) = W x.reshape(N, -1) + b

    weight: W, an array (N or 1, out, in), or a tuple of N or 1 `scipy.sparse.csr_array` (out, in) that store what is connected.
    wired: 1 where an output reads an input, be its weight 0 or not, else 0; of the same kind and shape as `weight`.
    bias: b, (N or 1, out). x_shapes, y_shape: one sample of every input, and of the output.

    For these x is what the linearisation reads, and y what it gives: x - mean for a "centered" BatchNorm, 1 for an Embedding;
    W = 1 for an Activation under "identity" and a Softmax; LRN's and MaxPool's other linearisations are no part of y either.
    """

    weight: Any
    wired: Any
    bias: Array
    x_shapes: tuple[tuple[int, ...], ...]
    y_shape: tuple[int, ...]

    @property
    def sparse(self) -> bool:
        """Whether weight and wired are sparse."""
        return isinstance(self.weight, tuple)

    def __repr__(self) -> str:
        if not self.sparse:
            return f"Matrix(weight {described(self.weight)}, bias {tuple(self.bias.shape)})"
        first = self.weight[0]
        shape = (len(self.weight), *first.shape)
        return f"Matrix(weight {shape} {first.dtype}, sparse with {first.nnz} entries, bias {tuple(self.bias.shape)})"

    def save(self, path: str | PathLike[str]) -> None:
        """One `.npz` file, which is there whole or not at all: NumPy floats, or rationals as strings "p/q".

        It holds weight, wired, bias, x_shape_0, x_shape_1, ... and y_shape; sparse ones as the entries (N or 1, entries) of
        CSR matrices, with columns and begins as their indices and indptr. `Matrix.load` reads it.

        Raises `LRPError` for arrays of other namespaces, for balls, and where the file cannot be written.
        """
        arrays = {"bias": self.bias, "y_shape": np.array(self.y_shape, np.int64)}
        arrays |= {f"x_shape_{k}": np.array(shape, np.int64) for k, shape in enumerate(self.x_shapes)}
        if self.sparse:
            arrays |= {"columns": self.weight[0].indices, "begins": self.weight[0].indptr}
        for name in ("weight", "wired"):
            held = getattr(self, name)
            arrays[name] = np.stack([one.data for one in held]) if self.sparse else held
        for name, a in arrays.items():
            if not isinstance(a, np.ndarray) or hasattr(element_type(a) if is_exact(a) else None, "rad"):
                kind = element_type(a).__name__ if is_exact(a) else type(a).__name__
                raise LRPError(f"Matrix.save: expected {name} in NumPy floats or rationals, got {kind}; convert it first")
        save_arrays(Path(path), arrays)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Matrix":
        """What `save` wrote; rationals come back as `Fraction`. Raises `LRPError` for any other file."""
        arrays = load_arrays(Path(path))
        missing = [name for name in ("weight", "wired", "bias", "x_shape_0", "y_shape") if name not in arrays]
        if missing:
            raise LRPError(f"{path}: no matrix of a layer: it lacks {', '.join(missing)}; expected what Matrix.save wrote")
        weight, wired, bias = (
            rationals(path, a) if a.dtype.kind == "U" else a for a in map(arrays.__getitem__, ("weight", "wired", "bias"))
        )
        names = takewhile(arrays.__contains__, (f"x_shape_{k}" for k in count()))
        *shapes, outputs = (tuple(arrays[name].ravel().tolist()) for name in (*names, "y_shape"))
        places = (prod(outputs), sum(map(prod, shapes)))
        unfit = LRPError(
            f"{path}: its arrays do not fit x of shapes {tuple(shapes)} and y {outputs}; expected what Matrix.save wrote"
        )
        if wired.shape[1:] != weight.shape[1:] or bias.shape[1:] != places[:1]:
            raise unfit
        if "columns" not in arrays or "begins" not in arrays:
            if weight.shape[1:] != places:
                raise unfit
            return cls(weight, wired, bias, tuple(shapes), outputs)
        from lrp_ref.propagation.sparse import Pattern, Sparse

        held = Sparse(weight, wired, Pattern(arrays["columns"], arrays["begins"], places))
        try:
            matrices, connections = held.matrices, held.connections().matrices
            matrices[0].check_format(full_check=True)
        except (ValueError, IndexError):
            raise unfit from None
        return cls(matrices, connections, bias, tuple(shapes), outputs)


def matrix(layer: Layer, x: Any, *, sparse: bool = False) -> Matrix:
    """The affine map of a layer at x: y.reshape(N, -1) = W x.reshape(N, -1) + b, as relevance sees it.

    layer: a layer; x: its input (a tuple for several), batch axes first, which become one; W depends on x for layers such
    as MaxPool. sparse: SciPy matrices instead of a dense array, from NumPy float32 and float64; they are never dense on the
    way, so that a convolution of 64 channels takes seconds.

    Raises `LRPError` for x that is no finite float or exact array or does not fit the layer, for a dense matrix of more than
    2^27 entries, and for a sparse one in another arithmetic.
    """
    _, batched = entered(layer, inputs_of(layer, x))
    affine = affine_of(layer, batched)
    weights, _ = represent("sparse" if sparse else "explicit", affine)
    values, wired = (weights.matrices, weights.connections().matrices) if sparse else (weights.values, weights.wired)
    bias, xp = affine.bias, namespace(affine.bias)
    wide = flattened(xp.broadcast_to(bias, (bias.shape[0], *affine.shape[1:])))
    return Matrix(values, wired, wide, tuple(tuple(a.shape[1:]) for a in affine.inputs), tuple(affine.shape[1:]))
