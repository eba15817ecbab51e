"""Single passes over a large array, in pieces, on all threads."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from lrp_ref.fast.threads import across, chunks


def finite(a: Any) -> bool:
    """Whether every element of a contiguous float array is finite; it may say no where a square or a sum overflows."""
    found: list[bool] = []

    def work(pieces: Iterable[tuple[slice, ...]]) -> None:
        with np.errstate(all="ignore"):  # a thread's own
            for at in pieces:
                flat = a[at].reshape(-1)
                found.append(bool(np.isfinite(np.dot(flat, flat))))  # one pass that writes nothing

    across(work, list(chunks(a, long=True)), a.size)
    return all(found)


def positive(a: Any) -> Any:
    """max(a, 0)."""
    zero, out = a.dtype.type(0), np.empty(a.shape, a.dtype)

    def work(pieces: Iterable[tuple[slice, ...]]) -> None:
        for at in pieces:
            np.maximum(a[at], zero, out=out[at])

    across(work, list(chunks(a, long=True)), a.size)
    return out
