"""Independent blocks of work on as many threads as the BLAS library may use, each thread with a BLAS of its own.

A BLAS library that splits every small product over its threads waits for all of them at every product, and what lies between
two products runs on one thread. With one BLAS thread for each of ours nothing waits, and copies run side by side too. And no
thread of the library is ever woken: one that has been goes on looking for work for a while, on a core that we could use.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import cache
from math import prod
from typing import Any

from lrp_ref.blas import alone

CHUNK = 2**18  # bytes: what many elementwise operations in a row keep in a core's cache
LONG = 2**20  # and where they are few: threads that work on short pieces wait for the interpreter again and again
LARGE = 2**13  # operations from which on a BLAS library may use threads
WORTHWHILE = 2**17  # operations below which waking threads costs more than it saves


def across(work: Callable[[Iterable[Any]], None], jobs: Sequence[Any], operations: float) -> None:
    """`work` on every job; each thread calls it once, with an iterator over the jobs that no other thread has taken."""
    if operations < LARGE:
        return work(jobs)
    with alone() as threads:
        helpers = min(threads, len(jobs)) - 1
        if operations < WORTHWHILE or helpers < 1:
            return work(jobs)
        waiting = deque(jobs)
        running = [_pool().submit(copy_context().run, work, _taken(waiting)) for _ in range(helpers)]
        try:
            work(_taken(waiting))
        finally:
            waiting.clear()  # empty, unless our own part failed
            begun = [one for one in running if not one.cancel()]
            wait(begun)
        for one in begun:
            one.result()
    return None


def chunks(a: Any, long: bool = False) -> Iterator[tuple[slice, ...]]:
    """Where pieces of about `CHUNK` or `LONG` bytes of an array lie: some whole samples, or some channels of one."""
    shape, size = a.shape, (LONG if long else CHUNK) // a.itemsize
    sample = prod(shape[1:])
    if not shape:
        yield ()
        return
    if sample <= size or len(shape) < 2:
        step = max(1, size // max(sample, 1))
        yield from ((slice(n, n + step),) for n in range(0, shape[0], step))
        return
    step = max(1, size // prod(shape[2:]))
    for n in range(shape[0]):
        yield from ((slice(n, n + 1), slice(c, c + step)) for c in range(0, shape[1], step))


def _taken(waiting: deque[Any]) -> Iterator[Any]:
    while True:
        try:
            job = waiting.popleft()
        except IndexError:
            return
        yield job


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads are kept, for starting one takes longer than many a layer; they are started as they are needed."""
    return ThreadPoolExecutor(os.cpu_count(), "lrp_ref")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of its parent's threads
