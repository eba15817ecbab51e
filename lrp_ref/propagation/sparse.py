"""The explicit representation in SciPy sparse matrices, in NumPy floats: only what is connected takes memory."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from lrp_ref.algebra.entries import Entries, entries
from lrp_ref.arrays import Array, LRPError, Number, flattened, times


@dataclass(frozen=True)
class Sparse:
    """Per sample, the stored entries of one matrix (out, in): where they lie, `values` and 0/1 `wired` (batch or 1, entries).

    Every connection is stored, zero or not, so that Flat and WSquare see all of them.
    """

    values: Array
    wired: Array
    index: "Pattern"

    def _with(self, values: Array) -> "Sparse":
        return Sparse(values, self.wired, self.index)

    def connections(self) -> "Sparse":
        return self._with(self.wired)

    def positive_part(self) -> "Sparse":
        return self._with(np.maximum(self.values, 0))

    def negative_part(self) -> "Sparse":
        return self._with(np.minimum(self.values, 0))

    def magnitude(self) -> "Sparse":
        return self._with(np.abs(self.values))

    def __add__(self, other: "Sparse") -> "Sparse":
        return self._with(self.values + other.values)

    def __sub__(self, other: "Sparse") -> "Sparse":
        return self._with(self.values - other.values)

    def __rmul__(self, factor: Number) -> "Sparse":
        return self._with(times(factor, self.values))

    def __mul__(self, other: Any) -> "Sparse":
        if isinstance(other, Sparse):
            return self._with(self.values * other.values)
        return self._with(self.values * other[:, self.index.columns])

    def contributions(self) -> "Sparse":
        return self

    def rows(self) -> Array:
        return np.stack([one.sum(axis=1, dtype=one.dtype) for one in self.matrices])

    def distribute(self, s: Array) -> Array:
        data = np.broadcast_to(self.values, (s.shape[0], self.values.shape[1]))
        return np.stack([self.index.matrix(row).T @ q for row, q in zip(data, s, strict=True)])

    def handed(self, s: Array) -> "Sparse":
        """n_ji s_j."""
        return self._with(self.values * s[:, self.index.rows])

    @property
    def matrices(self) -> tuple[Any, ...]:
        """One `scipy.sparse.csr_array` (out, in) per sample, which share the places of their entries."""
        return tuple(self.index.matrix(row) for row in self.values)


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where the entries of a sparse matrix lie, row by row: `columns`, and where each row begins among them."""

    columns: Array
    begins: Array
    shape: tuple[int, int]

    @cached_property
    def rows(self) -> Array:
        return np.repeat(np.arange(self.shape[0], dtype=self.columns.dtype), np.diff(self.begins))

    def matrix(self, data: Array) -> Any:
        return csr_array((data, self.columns, self.begins), shape=self.shape)


def sparse(maps: tuple[Any, ...], inputs: tuple[Array, ...]) -> tuple[Sparse, Array]:
    """Weights and flattened inputs as SciPy sparse matrices."""
    return stored(entries(maps, inputs)), np.concatenate([flattened(x) for x in inputs], axis=-1)


def stored(found: Entries) -> Sparse:
    """The weights of `found`, row by row."""
    weight = found.weight
    if not isinstance(weight, np.ndarray) or weight.dtype not in (np.float32, np.float64):
        raise LRPError(f"a sparse matrix takes NumPy float32 and float64, got {weight.dtype}; use 'explicit', or sparse=False")
    numbers = csr_array((found.index, (found.row, found.column)), shape=found.shape)
    pattern = Pattern(numbers.indices, numbers.indptr, found.shape)
    return Sparse(np.take(weight, numbers.data, axis=1), np.take(found.wired, numbers.data, axis=1), pattern)
