"""The kernels by the names under which the plain text asks for them, and the arguments that each of them serves."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lrp_ref.arrays import Array
from lrp_ref.fast import device, elsewhere, on, passes, relevance, selection, sums
from lrp_ref.fast.convolution import convolve
from lrp_ref.fast.dense import multiply
from lrp_ref.kernels import Slot


def _floats(kernel: Callable[..., Any]) -> Slot:
    """A kernel that serves NumPy floats, whatever is asked besides."""
    return lambda *arrays: kernel if on(*arrays) else None


def _all_finite(*arrays: Array) -> bool:
    """A large square may overflow, which says nothing yet."""
    return all((a.flags.c_contiguous and passes.finite(a)) or bool(np.isfinite(a).all()) for a in arrays)


def _signed(d: Array, at_zero: int, size: Any = 1) -> Array:
    signs = d + 0  # -0.0 + 0 is 0.0
    return np.copysign(d.dtype.type(size), signs, out=signs)


def _modified(maps: Sequence[Any], f: Callable[..., Array]) -> dict[str, Any]:
    """Weights of one base, formed where and as far as they are asked for."""
    base = maps[0].base
    if len(maps) == 1 and maps[0].modify is None:
        return {"base": base, "modify": f}
    return {"base": base, "modify": lambda w: f(*(w if m.modify is None else m.modify(w) for m in maps))}


def _dense(adjoint: bool) -> Slot:
    def kernel(m: Any, u: Array) -> Array:
        return multiply([[(None, [(0, m)])]], [u], adjoint)[0]

    return lambda m, u: kernel if on(u, m.base) else None


def _conv(adjoint: bool) -> Slot:
    def kernel(m: Any, u: Array) -> Array:
        return convolve([[(None, [(0, m)])]], [u], adjoint)[0]

    other = device.adjoint if adjoint else device.apply
    return lambda m, u: kernel if on(u, m.base) else other if elsewhere(u) else None


def _shifted(m: Any, u: Array, shift: Array) -> Array:
    return convolve([[(None, [(0, m)])]], [u], adjoint=False, shift=shift)[0]


SLOTS: dict[str, Slot] = {
    "all finite": _floats(_all_finite),
    "positive part": _floats(passes.positive),
    "halves": _floats(sums.halves),
    "signed": lambda d, at_zero, size=1: _signed if at_zero == 1 and on(d) else None,
    "modified": lambda maps, f: (
        _modified if on(*(m.base for m in maps)) and all(m.base is maps[0].base for m in maps) else None
    ),
    "dense": _dense(adjoint=False),
    "dense adjoint": _dense(adjoint=True),
    "convolution": _conv(adjoint=False),
    "convolution adjoint": _conv(adjoint=True),
    "convolution shifted": lambda m, u, shift: _shifted if on(u, m.base) else None,
    "maximum": lambda taps: selection.maximum if on(*taps) else None,
    "selection": lambda winners, best, taps, *_: selection.Selection if on(*taps) else None,
    "received": lambda problem: relevance.received if relevance.serves(problem) else None,
}
