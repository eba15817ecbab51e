"""The fast path: the same sums on NumPy float32 and float64, arranged for the cache.

Everything here gives what the plain text of `engine.py`, `contributions.py` and `maps.py` gives, within the bounds of
`gauges.py`, and may be left out: `LRP_REF_FAST=0` in the environment, or `switched(False)`, leaves the plain text alone.

- `convolution.py`: a convolution, or its adjoint, without a patch matrix; `gather.py` and `scatter.py` are its two ways.
- `patches.py`: what the taps of a convolution, or of its adjoint, read.
- `dense.py`: a dense layer without copies of its weights.
- `blocks.py`: how they are cut into blocks that stay in the cache; `scratch.py`: the memory these are worked on in.
- `device.py`: a convolution in any other namespace, such as CuPy's, in few large products.
- `sums.py`: the rows and the distribution of all parts of a rule at once, so that they share what they read.
- `selection.py`: a max pooling without weights.
- `threads.py`: independent blocks on several threads; `passes.py`: single passes over a large array.
- `relevance.py`: the relevance alone; the ledger is computed when it is read.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

_enabled: ContextVar[bool] = ContextVar("lrp_ref.fast", default=os.environ.get("LRP_REF_FAST", "1") != "0")


def on(*arrays: Any) -> bool:
    """Whether the fast path serves these arrays."""
    return _enabled.get() and all(isinstance(a, np.ndarray) and a.dtype in (np.float32, np.float64) for a in arrays)


def elsewhere(a: Any) -> bool:
    """Whether the fast path serves an array of another namespace than NumPy's."""
    return _enabled.get() and not isinstance(a, np.ndarray)


@contextmanager
def switched(enabled: bool) -> Iterator[None]:
    """The fast path on or off, for the length of a `with`."""
    token = _enabled.set(enabled)
    try:
        yield
    finally:
        _enabled.reset(token)
