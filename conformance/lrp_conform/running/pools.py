"""Executors: the processes of this machine, or a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.util import Finalize
from typing import Any
from uuid import uuid4

from lrp_conform.candidates.adapter import AdapterError
from lrp_conform.running import runner
from lrp_conform.wire import harness
from lrp_conform.wire.harness import GLANCE


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def local(jobs: int) -> Iterator[Callable[[], Executor]]:
    """A maker of pools of `jobs` processes. However it is left, no process stays behind."""
    context = multiprocessing.get_context("spawn")  # a forked child would inherit threads that are not there
    interrupted = context.RawValue("b", 0)  # without a lock, which a dead worker might hold
    made: list[Executor] = []
    run = uuid4().hex

    def another() -> Executor:
        made.append(ProcessPoolExecutor(jobs, context, _start_worker, (interrupted, run)))
        return made[-1]

    try:
        yield another
    finally:
        interrupted.value = 1  # what still asks gives up; after a complete run nobody does
        for pool in made:
            pool.shutdown(wait=True, cancel_futures=True)
        harness.end_marked(harness.RUN, run)  # what workers that were killed left behind


def _start_worker(interrupted: Any, run: str) -> None:
    os.environ[harness.RUN] = run
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    Finalize(None, runner.close_all, exitpriority=10)

    parent = os.getppid()

    def watch() -> None:
        while not interrupted.value and os.getppid() == parent:
            time.sleep(GLANCE)
        harness.stop.set()
        if os.getppid() != parent:  # it was killed: nobody takes results any more
            harness.end_marked(harness.RUN, run)
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def dask(address: str) -> Iterator[Callable[[], Executor]]:
    """A maker of executors on the Dask cluster at `address`: tcp://..., or the path of a scheduler file.

    The workers need this suite at the same version, and the candidate.
    """
    try:
        from distributed import Client
    except ImportError:
        raise AdapterError("--dask needs the packages dask and distributed: pip install distributed") from None
    given = {"scheduler_file": address} if os.path.exists(address) else {"address": address}
    try:
        client = Client(**given, timeout="10s")
    except (OSError, ValueError, TimeoutError) as error:
        raise AdapterError(f"--dask {address}: no cluster answers there: {error}") from None
    executor = client.get_executor(pure=False)
    try:
        yield lambda: executor
    finally:
        executor.shutdown(wait=False)
        client.run(runner.close_all)
        client.close()
