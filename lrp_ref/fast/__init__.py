"""The fast path: the same sums on NumPy float32 and float64, arranged for the cache.

Everything here gives what the plain text of `propagation`, `algebra` and `layers` gives, within the bounds of
`gauges`, and may be left out, or switched off: nothing imports it but `kernels.py`, to fill its table.

- `table.py`: the names under which the plain text asks for a kernel, and what each of them serves.
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

from typing import Any

import numpy as np

from lrp_ref.kernels import enabled, switched

__all__ = ["elsewhere", "on", "switched"]


def on(*arrays: Any) -> bool:
    """Whether the fast path serves these arrays."""
    return enabled() and all(isinstance(a, np.ndarray) and a.dtype in (np.float32, np.float64) for a in arrays)


def elsewhere(a: Any) -> bool:
    """Whether the fast path serves an array of another namespace than NumPy's."""
    return enabled() and not isinstance(a, np.ndarray)
