"""The BLAS library on one thread, in every thread of the process."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

_lock = Lock()
_inside = 0  # how many calls have the BLAS library limited; the first sets the limit, the last one lifts it
_limit: Any = None
_threads = 1


@contextmanager
def alone() -> Iterator[int]:
    """The number of threads the BLAS library had; meanwhile it uses one, in every thread."""
    global _inside, _limit, _threads  # noqa: PLW0603
    with _lock:
        if _inside == 0:
            libraries = _libraries()
            _threads = max([1, *(library.num_threads for library in libraries.lib_controllers)])
            _limit = libraries.limit(limits=1)
        _inside += 1
    try:
        yield _threads
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limit.restore_original_limits()


@cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController  # imported with the first large layer

    return ThreadpoolController().select(user_api="blas")
