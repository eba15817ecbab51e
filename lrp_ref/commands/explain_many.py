"""`lrp-ref explain-many`: the relevance of many images, batch by batch, resumable, here or on a Dask cluster."""

import argparse
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrp_ref.arrays import Array, LRPError
from lrp_ref.commands.explain import add_images, add_model, count
from lrp_ref.commands.say import say
from lrp_ref.images import Preprocessing, read

ABOUT = """\
Explain what an ONNX model makes of many images: files, folders of them, or one .npy file of all, (N, ...).

Relevance and a line per image go into the folder --out, batch by batch; interrupted, the same command goes on where it
stopped. Models and images are prepared as by lrp-ref explain. Exit status: 0, or 2 for what cannot be done."""


def add_to(commands: Any) -> None:
    """The parser of `lrp-ref explain-many`."""
    parser = commands.add_parser(
        "explain-many", help="explain an ONNX model's output for many images", description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_model(parser, images="an image file, a folder of them, or an array in a .npy file; alone, one of all images")
    add = parser.add_argument
    add("--out", metavar="DIR", type=Path, required=True, help="where results go, and are continued")
    add("--batch", metavar="N", type=count, default=16, help="images explained together (default: 16)")
    add("--dtype", choices=("float32", "float64"), help="the arithmetic (default: the model's)")
    add("--pixels", action="store_true", help="keep the sum over channels only")
    add("--ledger", action="store_true", help="say for every image what bias, stabiliser and droppings took")
    add("--record", action="store_true", help="record images that cannot be explained, and go on without them")
    add("--dask", metavar="ADDRESS", help="the scheduler of a Dask cluster that does the work")
    add_images(parser)
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class Fitted:
    """Reads an image file as the model's input; a value, so that it travels to workers."""

    how: Preprocessing

    def __call__(self, path: str) -> Array:
        return read(Path(path), self.how).x[0]


@dataclass(frozen=True)
class Pixels:
    """Sums relevance over the channels."""

    axis: int

    def __call__(self, relevance: Array) -> Array:
        return relevance.sum(axis=self.axis)


def run(asked: argparse.Namespace) -> int:
    """Explain the images. Returns the exit status."""
    from lrp_ref.commands import asked as asking
    from lrp_ref.streaming import explain_many

    asked.images = files(asked.images)
    whole = len(asked.images) == 1 and asked.images[0].suffix == ".npy"
    target = asking.target(asked.target, [])
    ready = asking.ready(asked)
    if whole:
        _check_rows(asked.images[0], ready.images.shape)
    say(f"{asked.model.name}: {len(ready.net.nodes)} nodes; {'; '.join((ready.composite.name, *ready.notes))}")
    axis = 1 if ready.images.layout == "nchw" else -1
    with cluster(asked.dask) as client:
        found = explain_many(
            ready.net, asked.images[0] if whole else asked.images, ready.composite, out=asked.out, target=target,
            seed=asked.seed, batch=asked.batch, read=None if whole else Fitted(ready.images),
            dtype=asked.dtype or ready.images.dtype, keep=Pixels(axis) if asked.pixels else None, ledger=asked.ledger,
            on_error="record" if asked.record else "stop", client=client,
        )  # fmt: skip
    failed = sum("error" in row for row in found.rows())
    say(f"{len(found)} images in {asked.out}" + (f", {failed} of them failed: their lines say why" if failed else ""))
    return 0


def files(given: list[Path]) -> list[Path]:
    """The files given, and those in the folders given."""
    found: list[Path] = []
    for path in given:
        if not path.exists():
            raise LRPError(f"no such file: {path}")
        inside = (
            sorted(one for one in path.iterdir() if one.is_file() and not one.name.startswith(".")) if path.is_dir() else [path]
        )
        found += inside
    if not found:
        raise LRPError(f"no images in {', '.join(map(str, given))}")
    return found


def _check_rows(path: Path, shape: tuple[int, ...]) -> None:
    """Refuse a file of all images whose rows are none, before anything is written."""
    from lrp_ref.streaming.sources import ArrayFile

    found = ArrayFile(str(path))
    if found.count and tuple(found.image(0).shape) != shape:
        rows = (found.count, *found.image(0).shape)
        raise LRPError(f"{path}: expected all images, (N, {', '.join(map(str, shape))}), got shape {rows}; one is (1, ...)")


def cluster(address: str | None) -> AbstractContextManager[Any]:
    """A client of the Dask cluster at `address`; None without one."""
    if address is None:
        return nullcontext()
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise LRPError("--dask needs distributed, which is not installed; pip install 'lrp-ref[dask]'") from None
    try:
        client: AbstractContextManager[Any] = Client(address, timeout="10s")
    except (OSError, ValueError, TimeoutError) as error:
        raise LRPError(f"--dask {address}: no cluster answers there: {error}") from None
    return client
