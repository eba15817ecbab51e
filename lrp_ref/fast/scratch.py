"""Working memory that is used again: fresh memory costs as much as filling it, for the system clears every page of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numpy as np

from lrp_ref.arrays import Array

KEPT = 2**25  # bytes that stay with us between two calls
_lock = Lock()
_free: list[Array] = []


@contextmanager
def scratch(count: int, dtype: Any) -> Iterator[Array]:
    """`count` numbers of working memory, with anything in them."""
    size = count * np.dtype(dtype).itemsize
    with _lock:
        found = next((k for k, block in enumerate(_free) if block.size >= size), None)
        block = np.empty(size, np.uint8) if found is None else _free.pop(found)
    try:
        yield block[:size].view(dtype)
    finally:
        with _lock:
            _free.append(block)
            _free.sort(key=lambda b: b.size)
            while sum(b.size for b in _free) > KEPT:
                _free.pop()
