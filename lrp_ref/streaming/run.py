"""The call: `explain_many`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lrp_ref.arrays import Array, LRPError
from lrp_ref.composites import Composite
from lrp_ref.network.composite import resolved
from lrp_ref.network.network import Network
from lrp_ref.streaming.batch import Job, Plan, floating, tried
from lrp_ref.streaming.folder import Explanations, opened
from lrp_ref.streaming.identity import arithmetic, digest, on_host, short_or_digest
from lrp_ref.streaming.schedule import here, on_cluster
from lrp_ref.streaming.sources import Source, Stream, batches, source
from lrp_ref.text.progress import Bar
from lrp_ref.text.progress import progress as shown

Progress = Callable[[int, int | None], None]  # images done, and of how many, where that is known
DTYPES = ("float32", "float64")
ON_ERROR = ("stop", "record")


def explain_many(
    net: Network,
    images: Any,
    composite: Composite | str,
    *,
    out: str | PathLike[str],
    target: Any = None,
    seed: Any = "logit",
    batch: int = 16,
    read: Callable[[str], Array] | None = None,
    dtype: str | None = None,
    keep: Callable[[Array], Array] | None = None,
    ledger: bool = False,
    client: Any = None,
    on_error: str = "stop",
    progress: Progress | None = None,
    strict: bool = True,
) -> Explanations:
    """The relevance of many images, batch by batch, in the folder `out`; repeated, it goes on where it stopped.

    images: a `.npy` file (N, *shape), read row by row; a folder or a list of files, one image each; a sequence of arrays; or
    an iterator of arrays, N unknown. net: of one input. composite, target, seed: as of `explain`; arrays (or lists) have a
    row per image. batch: images explained together. read: path -> array, for files that are no `.npy`.
    dtype: "float32" or "float64", what images are converted to as they are read.
    keep: what is kept of a batch's relevance (batch, *shape), a function to an array with as many rows, such as
    `lambda r: r.sum(axis=1)`. ledger: whether the table says what bias, stabiliser and droppings took of every image; it
    costs more than the relevance itself. client: a Dask client, whose workers do the work; they need this package, `out` on
    a file system that all share, and files of images at the same paths.
    on_error: "stop" at an image that cannot be explained, or "record" it in the table, NaN for its relevance, and go on.
    progress: called with the images done and N (None: unknown); by default a bar on a terminal and nothing in a pipe.
    strict: whether every worker, and every call that continues the run, must have the same versions and processor arithmetic.

    With `strict` the files are the same, bit for bit, whoever does which batch in whichever order, interrupted or not. One
    batch is in memory at a time, and on a cluster one per thread.

    Raises `LRPError` where `out` holds another run, with what differs; for images that cannot be read, explained, or hold NaN,
    by name; and for whatever `explain` refuses. What is done stays done.
    """
    if len(net.inputs) != 1:
        raise LRPError(
            f"explain_many: expected a network of one input, got {', '.join(net.inputs)}; explain its batches one by one"
        )
    _one_of("on_error", on_error, ON_ERROR)
    _one_of("dtype", dtype, (None, *DTYPES))
    if not isinstance(batch, int) or batch < 1:
        raise LRPError(f"batch: expected at least 1 image, got {batch!r}")
    composite = resolved(composite)
    composite.assign(net)
    found = source(images, read)
    jobs = _jobs(found, batch)
    first = next(jobs, None)
    if first is None:
        raise LRPError("images: expected at least one, got none")
    example = _example(found, first, dtype)
    target, seed = (_rows(what, value, found.count) for what, value in (("target", target), ("seed", seed)))
    plan = Plan(
        net=net, composite=composite, source=found, target=target, seed=seed, shape=tuple(example.shape),
        dtype=str(example.dtype), converts=dtype is not None, keep=keep, ledger=ledger, on_error=on_error, size=batch,
        out=str(Path(out).resolve()), arithmetic=_arithmetic(client) if strict else None,
    )  # fmt: skip
    results = opened(Path(plan.out), _identity(plan, found, first))
    with shown(found.count, "images") if progress is None else nullcontext(Bar()) as bar:
        _perform(plan, found, results, chain([first], jobs), client, progress or bar.reached)
    return results


def _perform(plan: Plan, found: Source, results: Explanations, jobs: Iterator[Job], client: Any, progress: Progress) -> None:
    """Every batch that is not done yet."""
    lengths = {k: len(results.relevance(k)) for k in results.done()}
    done, seen = sum(lengths.values()), 0

    def missing() -> Iterator[Job]:
        nonlocal seen
        for job in jobs:
            k, seen = job.numbers.start // plan.size, seen + len(job.numbers)
            if k not in lengths:
                yield job
            elif lengths[k] != len(job.numbers):  # a stream that ended within a batch, and has grown since
                raise LRPError(f"out: batch {k} holds {lengths[k]} images, not {len(job.numbers)} as now; give another folder")

    progress(done, found.count)
    for new in on_cluster(client, plan, missing()) if client is not None else here(plan, missing()):
        done += new
        progress(done, found.count)
    if seen < done:
        raise LRPError(f"out: holds {done} images, and the stream now has {seen}; give another folder")
    progress(done, done)
    results.finish(done)


def _jobs(found: Source, size: int) -> Iterator[Job]:
    """Every batch; a stream's images come with it."""
    for numbers in batches(found, size):
        carried = tuple(tried(found, i) for i in numbers) if isinstance(found, Stream) else None
        yield Job(numbers, tuple(found.name(i) for i in numbers), carried)


def _images(found: Source, job: Job) -> tuple[Array | LRPError, ...]:
    return job.carried if job.carried is not None else tuple(tried(found, i) for i in job.numbers)


def _example(found: Source, first: Job, dtype: str | None) -> Array:
    """The first image that can be read, which all others resemble."""
    told_first: LRPError | None = None
    for name, a in zip(first.names, _images(found, first), strict=True):
        try:
            return floating(a, dtype)
        except LRPError as error:
            told_first = told_first or LRPError(f"{name}: {error}")
    raise told_first or LRPError("images: expected at least one, got none")


def _rows(what: str, value: Any, count: int | None) -> Any:
    """A target or a seed, whose lists and arrays must have a row for every image."""
    if isinstance(value, Mapping):
        return {name: _rows(f"{what} of {name!r}", one, count) for name, one in value.items()}
    rows = np.asarray(value) if isinstance(value, list | tuple) else value
    if not getattr(rows, "shape", ()):
        return rows
    if count != len(rows):
        expected = "no array, as the number of images is unknown" if count is None else f"a row for each of {count} images"
        raise LRPError(f"{what}: expected {expected}; got shape {tuple(rows.shape)}")
    return rows


def _identity(plan: Plan, found: Source, first: Job) -> dict[str, Any]:
    """What must be the same for a run to be continued; of the images, how many they are, the first and the last batch."""
    pixels = [*_images(found, first)]
    if found.count is not None:
        pixels += [tried(found, i) for i in range(max(found.count - plan.size, 0), found.count)]
    return {
        "format": 1,
        "network": digest(plan.net),
        "composite": plan.composite.name,
        "rules": digest(plan.composite),
        "target": short_or_digest(plan.target),
        "seed": short_or_digest(plan.seed),
        "images": found.count,
        "shape": plan.shape,
        "dtype": plan.dtype,
        "pixels": digest([str(a) if isinstance(a, LRPError) else on_host(a) for a in pixels]),
        "batch": plan.size,
        "keep": "relevance" if plan.keep is None else digest(plan.keep),
        "ledger": plan.ledger,
        "arithmetic": plan.arithmetic,
    }


def _arithmetic(client: Any) -> str:
    """What the batches are computed with: here, or on the first worker that answers."""
    if client is None:
        return arithmetic()
    if not hasattr(client, "submit") or not hasattr(client, "nthreads"):
        raise LRPError(f"client: expected a distributed.Client, got {type(client).__name__}")
    return str(client.submit(arithmetic, pure=False).result())


def _one_of(what: str, given: Any, known: tuple[Any, ...]) -> None:
    if given not in known:
        raise LRPError(f"{what}: expected one of {', '.join(map(str, known))}; got {given!r}")
