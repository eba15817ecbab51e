"""The unit of work: one batch of images read, explained and written.

Which images share a batch decides the last bits (products of other shapes add in another order), and so does the number of
threads the BLAS library takes for one product. So a batch has the same images wherever it is done, and a product one thread.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from lrp_ref.arrays import Array, LRPError, checked, is_exact, namespace
from lrp_ref.blas import alone
from lrp_ref.composites import Composite
from lrp_ref.network.explain import backward, single, start_relevances
from lrp_ref.network.graph import run
from lrp_ref.network.network import Network
from lrp_ref.propagation.ledger import NodeAccount
from lrp_ref.streaming.folder import Explanations, Row
from lrp_ref.streaming.identity import arithmetic, on_host
from lrp_ref.streaming.sources import Source


@dataclass(frozen=True, eq=False)
class Plan:
    """What all batches have in common.

    source: None where images come with their batch. target, seed: as of `explain`, arrays with a row per image. shape, dtype:
    of one image; converts: whether images of other dtypes become of this one. arithmetic: what every worker must compute
    with, None for anything.
    """

    net: Network
    composite: Composite
    source: Source | None
    target: Any
    seed: Any
    shape: tuple[int, ...]
    dtype: str
    converts: bool
    keep: Callable[[Array], Array] | None
    ledger: bool
    on_error: str
    size: int
    out: str
    arithmetic: str | None


@dataclass(frozen=True, eq=False)
class Job:
    """A batch to be done: its images by number and name and, where only the caller can read them, what came of that."""

    numbers: range
    names: tuple[str, ...]
    carried: tuple[Array | LRPError, ...] | None = None


def perform(plan: Plan, job: Job) -> int:
    """Read, explain and write one batch. Returns how many images it has."""
    found = arithmetic()
    if plan.arithmetic not in (None, found):
        raise LRPError(f"a worker computes with {found}, the run with {plan.arithmetic}; make them alike, or give strict=False")
    results, k = Explanations(plan.out), job.numbers.start // plan.size
    if not results.is_done(k):  # as it is where the worker that did it died before it could say so
        with alone():
            results.write(k, *explained(plan, job))
    return len(job.numbers)


def explained(plan: Plan, job: Job) -> tuple[Any, list[Row]]:
    """The relevance of a batch as it is kept, NaN for images that failed, and a line for every image."""
    images, errors = gathered(plan, job)
    try:
        whole, lines = relevance(plan, images)
    except LRPError as error:
        wrong = culprits(plan, images)
        if not wrong or len(wrong) == len(images) > 1:  # then it is not the images
            raise LRPError(f"images {job.numbers.start} to {job.numbers.stop - 1}: {error}") from None
        errors |= wrong
        refuse(plan, job, errors)
        whole, lines = relevance(plan, {i: a for i, a in images.items() if i not in wrong})
    kept = np.full((len(job.numbers), *plan.shape), np.nan, whole.dtype)
    kept[[i - job.numbers.start for i in lines]] = whole
    kept = kept if plan.keep is None else np.asarray(plan.keep(kept))
    if kept.ndim < 1 or len(kept) != len(job.numbers):
        raise LRPError(f"keep: expected an array with a row for each of {len(job.numbers)} images, got shape {kept.shape}")
    failed = {i: {"error": str(error)} for i, error in errors.items()}
    found = {**lines, **failed}
    return kept, [{"image": i, "name": name, **found[i]} for i, name in zip(job.numbers, job.names, strict=True)]


def gathered(plan: Plan, job: Job) -> tuple[dict[int, Array], dict[int, LRPError]]:
    """The images that can be explained, and what is wrong with the others."""
    images, errors = {}, {}
    for k, i in enumerate(job.numbers):
        try:
            images[i] = fitting(plan, job.carried[k] if job.carried is not None else tried(plan.source, i))
        except LRPError as error:
            errors[i] = error
    refuse(plan, job, errors)
    return images, errors


def tried(source: Any, i: int) -> Array | LRPError:
    """Image i, or why it cannot be read."""
    try:
        return source.image(i)
    except LRPError as error:
        return error


def floating(a: Any, dtype: str | None) -> Array:
    """An image in the dtype asked for; `LRPError` for what is no image."""
    if isinstance(a, LRPError):
        raise a
    if not hasattr(a, "shape"):
        raise LRPError(f"expected an array, got {type(a).__name__}; use numpy.asarray(...)")
    if is_exact(a):
        raise LRPError("many images are explained in floats; give float arrays, or use explain for exact arithmetic")
    xp = namespace(a)
    if dtype is None and not xp.isdtype(a.dtype, "real floating"):
        raise LRPError(f"expected a float dtype, got {a.dtype}; give dtype='float32' to convert images as they are read")
    return a if dtype is None else xp.astype(a, getattr(xp, dtype))


def fitting(plan: Plan, a: Any) -> Array:
    """An image as the network takes it: finite, and shaped as the first one."""
    a = checked("pixel", floating(a, plan.dtype if plan.converts else None))
    if (tuple(a.shape), str(a.dtype)) != (plan.shape, plan.dtype):
        raise LRPError(f"expected {plan.dtype} {plan.shape} as the first image, got {a.dtype} {tuple(a.shape)}")
    return a


def refuse(plan: Plan, job: Job, errors: Mapping[int, LRPError]) -> None:
    """Stops the run at the first image that failed, unless failures are to be recorded."""
    for i, error in sorted(errors.items()):
        if plan.on_error == "stop":
            raise LRPError(f"{job.names[job.numbers.index(i)]}: {error}; on_error='record' goes on without it")


def culprits(plan: Plan, images: Mapping[int, Array]) -> dict[int, LRPError]:
    """The images that fail on their own too."""
    found = {}
    for i, a in images.items():
        try:
            relevance(plan, {i: a})
        except LRPError as error:
            found[i] = error
    return found


def relevance(plan: Plan, images: Mapping[int, Array]) -> tuple[Any, dict[int, Row]]:
    """The relevance of these images, (images, *shape) in NumPy, and a line for each.

    The backward pass of `explain`, whose accounts are taken on the way: an explanation's own ledger would repeat it.
    """
    if not images:
        return np.empty((0, *plan.shape), plan.dtype), {}
    net, numbers = plan.net, list(images)
    rules = plan.composite.assign(net)
    x = namespace(images[numbers[0]]).stack(list(images.values()))
    values = run(net, net.named_inputs(x), net.names_at("all"))
    outputs = {name: values[name] for name in net.outputs}
    arriving = start_relevances(outputs, of(plan.target, numbers), of(plan.seed, numbers))
    seeds, accounts = dict(arriving), dict[str, NodeAccount]()
    for step in backward(net, rules, values, arriving):
        if plan.ledger:
            accounts[step.node.name] = step.account()
    columns = {**tops(single(outputs)), **sums(seeds, arriving, accounts)}
    lines = {i: {name: column[k] for name, column in columns.items()} for k, i in enumerate(numbers)}
    return on_host(arriving[net.inputs[0]]), lines


def of(value: Any, numbers: Sequence[int]) -> Any:
    """The rows of a target or a seed that belong to these images; what holds for all images as it is."""
    if isinstance(value, Mapping):
        return {name: of(one, numbers) for name, one in value.items()}
    return value[list(numbers)] if hasattr(value, "shape") and len(value.shape) else value


def tops(output: Any) -> dict[str, list[Any]]:
    """The highest of an output (N, classes): which class, and its value. Nothing for outputs of other shapes."""
    if isinstance(output, Mapping) or output.ndim != 2:
        return {}
    y = on_host(output)
    top = y.argmax(axis=1)
    return {"class": top.tolist(), "score": y[range(len(y)), top].tolist()}


def sums(
    seeds: Mapping[str, Array], received: Mapping[str, Array], accounts: Mapping[str, NodeAccount]
) -> dict[str, list[float]]:
    """Per image: the relevance that started and what the input received; with accounts, where the rest went."""
    columns: dict[str, Any] = {
        "seed": reduce(add, (per_image(a) for a in seeds.values())),
        "received": reduce(add, (per_image(a) for a in received.values())),
    }
    if accounts:
        for name in ("bias", "stabilizer", "dropped"):
            columns[name] = reduce(add, (on_host(getattr(row, name)).astype(np.float64) for row in accounts.values()))
        columns["imbalance"] = columns["seed"] - reduce(add, (columns[name] for name in list(columns)[1:]))
    return {name: column.tolist() for name, column in columns.items()}


def per_image(a: Array) -> Any:
    """Sums over all but the first axis, in float64."""
    return on_host(a).reshape(len(a), -1).sum(axis=1, dtype=np.float64)
