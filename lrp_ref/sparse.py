"""The explicit representation in SciPy sparse matrices: convolutions and poolings in NumPy floats."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array, hstack

from lrp_ref.arrays import Array, LRPError, Number, flattened


@dataclass(frozen=True)
class Sparse:
    """Per sample, the stored entries of one matrix (out, in): where they lie, `data` and 0/1 `wired` (batch or 1, entries).

    Every connection is stored, zero or not, so that Flat and WSquare see all of them.
    """

    data: Array
    wired: Array
    index: "Pattern"

    def _with(self, data: Array) -> "Sparse":
        return Sparse(data, self.wired, self.index)

    def connections(self) -> "Sparse":
        return self._with(self.wired)

    def positive_part(self) -> "Sparse":
        return self._with(np.maximum(self.data, 0))

    def negative_part(self) -> "Sparse":
        return self._with(np.minimum(self.data, 0))

    def magnitude(self) -> "Sparse":
        return self._with(np.abs(self.data))

    def __add__(self, other: "Sparse") -> "Sparse":
        return self._with(self.data + other.data)

    def __sub__(self, other: "Sparse") -> "Sparse":
        return self._with(self.data - other.data)

    def __rmul__(self, factor: Number) -> "Sparse":
        return self._with(factor * self.data)

    def __mul__(self, other: Any) -> "Sparse":
        if isinstance(other, Sparse):
            return self._with(self.data * other.data)
        return self._with(self.data * other[:, self.index.columns])

    def contributions(self) -> "Sparse":
        return self

    def rows(self) -> Array:
        return np.stack([self.index.matrix(row).sum(axis=1, dtype=row.dtype) for row in self.data])

    def distribute(self, s: Array) -> Array:
        data = np.broadcast_to(self.data, (s.shape[0], self.data.shape[1]))
        return np.stack([self.index.matrix(row).T @ q for row, q in zip(data, s, strict=True)])


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where the entries of a sparse matrix lie."""

    wired: Any

    @property
    def columns(self) -> Array:
        return self.wired.indices

    def matrix(self, data: Array) -> Any:
        return csr_array((data, self.wired.indices, self.wired.indptr), shape=self.wired.shape)

    @cached_property
    def places(self) -> tuple[Array, Array]:
        return self.wired.nonzero()  # type: ignore[no-any-return]


def sparse(maps: tuple[Any, ...], inputs: tuple[Array, ...]) -> tuple[Sparse, Array]:
    """Weights and flattened inputs as SciPy sparse matrices."""
    if not isinstance(inputs[0], np.ndarray) or inputs[0].dtype not in (np.float32, np.float64):
        raise LRPError(f"representation='sparse' takes NumPy float32 and float64, got {inputs[0].dtype}; use 'explicit'")
    blocks = [m.matrix(x) for m, x in zip(maps, inputs, strict=True)]
    batch = max(values.shape[0] for values, _ in blocks)
    union = [wired.max(axis=0) for _, wired in blocks]
    pattern = Pattern(hstack([csr_array(w) for w in union], format="csr"))
    row, column = pattern.places
    wide = [[np.broadcast_to(a, (batch, *a.shape[1:])) for a in block] for block in blocks]
    values, wired = (np.concatenate([block[k] for block in wide], axis=-1)[:, row, column] for k in (0, 1))
    return Sparse(values, wired, pattern), np.concatenate([flattened(x) for x in inputs], axis=-1)
