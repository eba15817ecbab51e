"""Independent blocks of work on as many threads as the BLAS library may use, each thread with a BLAS of its own.

A BLAS library that splits every small product over its threads waits for all of them at every product, and what lies between
two products runs on one thread. With one BLAS thread for each of ours nothing waits, and copies run side by side too.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache
from math import prod
from threading import Lock
from typing import Any

CHUNK = 2**15  # elements: what a few elementwise operations in a row keep in a core's cache
WORTHWHILE = 2**19  # operations below which starting threads costs more than it saves
_lock = Lock()
_inside = 0  # how many calls have the BLAS library limited; the first sets the limit, the last one lifts it
_limit: Any = None
_threads = 1


def across(work: Callable[[Iterable[Any]], None], jobs: Sequence[Any], operations: float) -> None:
    """`work` on every job; each thread calls it once, with an iterator over the jobs that no other thread has taken."""
    if operations < WORTHWHILE or len(jobs) < 2:
        return work(jobs)
    with alone() as threads:
        if threads == 1:
            return work(jobs)
        waiting = deque(jobs)
        with ThreadPoolExecutor(threads) as pool:
            running = [pool.submit(copy_context().run, work, _taken(waiting)) for _ in range(threads)]
        for one in running:
            one.result()
    return None


def chunks(shape: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Pieces of an array of this shape: some whole samples, or some channels of one."""
    sample = prod(shape[1:])
    if sample <= CHUNK or len(shape) < 2:
        step = max(1, CHUNK // max(sample, 1))
        yield from ((slice(n, n + step),) for n in range(0, shape[0], step))
        return
    step = max(1, CHUNK // prod(shape[2:]))
    for n in range(shape[0]):
        yield from ((slice(n, n + 1), slice(c, c + step)) for c in range(0, shape[1], step))


def _taken(waiting: deque[Any]) -> Iterator[Any]:
    while True:
        try:
            job = waiting.popleft()
        except IndexError:
            return
        yield job


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
