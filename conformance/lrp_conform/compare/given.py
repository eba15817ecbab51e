"""What a library gave for one explanation, by the names of the reference's nodes and inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lrp_ref.algebra.rounding import UNIT_ROUNDOFF
from lrp_ref.arrays import Array, LRPError
from lrp_ref.network.network import Network
from lrp_ref.text.nearest import nearest

Message = tuple[str, int]  # a node, and which of its inputs it hands relevance to


@dataclass(frozen=True, eq=False)
class Given:
    """NumPy arrays of the library's dtype, shaped as the network's values.

    relevance: input or node -> the relevance that arrived there; the inputs' at least. values: node -> what the library
    computed there. messages: (node, k) -> what the node alone handed to its k-th input. unmatched: what the library calls
    modules that no node stands for.
    """

    relevance: Mapping[str, Array]
    values: Mapping[str, Array] = field(default_factory=dict)
    messages: Mapping[Message, Array] = field(default_factory=dict)
    unmatched: Sequence[str] = ()
    library: str = "the library"

    @property
    def dtype(self) -> str:
        """The float format of the relevance."""
        return str(next(iter(self.relevance.values())).dtype)

    def ends(self, net: Network) -> "Given":
        """The relevance of the inputs alone."""
        return Given({name: self.relevance[name] for name in net.inputs}, library=self.library)


def checked(net: Network, given: Given, values: Mapping[str, Array]) -> None:
    """Refuse, in one line, arrays that do not fit the network's `values` in name, shape, dtype and finiteness."""
    for name in net.inputs:
        if name not in given.relevance:
            raise LRPError(f"relevance: expected that of the input {name!r}, got {', '.join(given.relevance) or 'none'}")
    if given.dtype not in UNIT_ROUNDOFF:
        raise LRPError(f"relevance: expected one of {', '.join(UNIT_ROUNDOFF)}, got {given.dtype}; convert it with astype")
    for what, arrays in (("relevance", given.relevance), ("value", given.values)):
        for name, a in arrays.items():
            if name not in values:
                meant = nearest(name, values) or f"known are {', '.join(list(values)[:12])}"
                raise LRPError(f"{what} of {name!r}: no node or input of that name; {meant}")
            _fits(f"{what} of {name!r}", a, values[name].shape, given.dtype)
    for (name, k), a in given.messages.items():
        _fits(f"relevance from {name!r} to its input {k}", a, values[(net[name].inputs or ())[k]].shape, given.dtype)


def _fits(what: str, a: Any, shape: tuple[int, ...], dtype: str) -> None:
    if not isinstance(a, np.ndarray):
        raise LRPError(f"{what}: expected a NumPy array, got {type(a).__name__}")
    if a.shape != tuple(shape):
        raise LRPError(f"{what}: expected shape {tuple(shape)}, got {a.shape}")
    if str(a.dtype) != dtype:
        raise LRPError(f"{what}: expected {dtype}, as the relevance of the input, got {a.dtype}")
    if not np.isfinite(a).all():
        at = [int(i) for i in np.argwhere(~np.isfinite(a))[0]]
        raise LRPError(f"{what}: {at} is {a[tuple(at)]}; expected finite numbers")
