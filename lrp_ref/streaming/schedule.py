"""Who does the batches: this process one after another, or the workers of a Dask cluster.

A worker reads its images and writes its results itself, in a folder that all share, so that neither the scheduler nor the
caller is in the way: what passes between them is the number of a batch and that it is done. The network goes through the
same folder once; a worker that joins later, or in the place of one that died, finds it there.
"""

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from lrp_ref.arrays import LRPError
from lrp_ref.files.arrays import opened_for_writing
from lrp_ref.streaming.batch import Job, Plan, perform, tried
from lrp_ref.streaming.sources import ArrayFile, Files

PER_THREAD = 2  # batches in flight for every thread of a cluster: one at work, one waiting
_loading = Lock()


def here(plan: Plan, jobs: Iterable[Job]) -> Iterator[int]:
    """Every batch in turn; in memory is one at a time."""
    return (perform(plan, job) for job in jobs)


def on_cluster(client: Any, plan: Plan, jobs: Iterable[Job]) -> Iterator[int]:
    """The batches as workers finish them, in any order; a batch whose worker died is done by another.

    In flight are `PER_THREAD` batches for every thread the cluster has at the time.
    """
    from distributed import KilledWorker, as_completed

    if isinstance(plan.source, ArrayFile | Files):
        jobs = iter(jobs)
    else:  # only the caller can read it
        jobs, plan = _carrying(plan.source, jobs), replace(plan, source=None)
    path = str(Path(plan.out) / f"plan-{uuid4().hex}.pickle")
    sealed = _sealed(path, plan)
    flying: dict[Any, Job] = {}

    def submit(count: int) -> list[Any]:
        new = {}
        for job in islice(jobs, count):
            images = None if job.carried is None else _sealed(_beside(path, job), job.carried)
            light = replace(job, carried=None)
            new[client.submit(_remotely, path, sealed, light, images, pure=False)] = light
        flying.update(new)
        return list(new)

    def free() -> int:
        wanted = PER_THREAD * sum(map(int, client.nthreads().values()))  # 0 while all workers are gone
        return max(wanted - len(flying), 0 if flying else 1)

    try:
        finished = as_completed(submit(free()))
        for future in finished:
            job = flying.pop(future)
            try:
                images: int = future.result()
            except KilledWorker as error:
                raise LRPError(
                    f"images {job.numbers.start} to {job.numbers.stop - 1}: every worker that had them died, the last one "
                    f"{error.last_worker.address}; if memory ran out, give a smaller batch"
                ) from None
            Path(_beside(path, job)).unlink(missing_ok=True)
            yield images
            finished.update(submit(free()))
    finally:
        client.cancel(list(flying))
        for left in (path, *(_beside(path, job) for job in flying.values())):
            Path(left).unlink(missing_ok=True)


def _carrying(source: Any, jobs: Iterable[Job]) -> Iterator[Job]:
    """The jobs with their images."""
    for job in jobs:
        images = job.carried if job.carried is not None else tuple(tried(source, i) for i in job.numbers)
        yield replace(job, carried=images)


def _beside(path: str, job: Job) -> str:
    """Where the images of a job lie that only the caller can read."""
    return f"{path}.{job.numbers.start}"


def _sealed(path: str, value: Any) -> str:
    """Writes a value where workers find it. Returns its SHA-256, without which they do not unpickle it."""
    import cloudpickle  # which distributed brings along; it writes functions that pickle cannot

    packed = cloudpickle.dumps(value, protocol=5)
    with opened_for_writing(Path(path), durable=True) as file:
        file.write(packed)
    return sha256(packed).hexdigest()


def _unsealed(path: str, sha: str) -> Any:
    try:
        packed = Path(path).read_bytes()
    except FileNotFoundError:
        raise LRPError(f"out: a worker does not see {Path(path).parent}; give a folder that all workers share") from None
    if sha256(packed).hexdigest() != sha:
        raise LRPError(f"out: {path} is not what the caller wrote there; give a folder that nobody else writes to")
    return pickle.loads(packed)


def _remotely(path: str, sealed: str, job: Job, images: str | None) -> int:
    """On a worker: a batch by the plan in the shared folder."""
    with _loading:  # the threads of a worker share one network
        plan = _plan(path, sealed)
    if images is not None:
        job = replace(job, carried=_unsealed(_beside(path, job), images))
    return perform(plan, job)


@lru_cache(1)
def _plan(path: str, sealed: str) -> Plan:
    found: Plan = _unsealed(path, sealed)
    return found
