"""`lrp-ref explain-many`: the relevance of many images, batch by batch, resumable, here or on a Dask cluster."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lrp_ref.commands.commandline import command, fail, option
from lrp_ref.commands.explain import FILE, about_images, about_model, count, of_names
from lrp_ref.commands.terminal import say


@command("explain-many")
@about_model("An image file, a folder of them, or an array in a .npy file; alone, one of all images.")
@option("--out", metavar="DIR", type=FILE, required=True, help="Where results go, and are continued.")
@option("--batch", metavar="N", type=count, default=16, help="Images explained together.")
@option("--dtype", type=of_names("float32", "float64"), help="The arithmetic; the model's, if not said.")
@option("--pixels", is_flag=True, help="Keep the sum over channels only.")
@option("--ledger", is_flag=True, help="Say for every image what bias, stabiliser and droppings took.")
@option("--record", is_flag=True, help="Record images that cannot be explained, and go on without them.")
@option("--dask", metavar="ADDRESS", help="The scheduler of a Dask cluster that does the work.")
@about_images()
def explain_many(**given: Any) -> None:
    """Explain what an ONNX model makes of many images: files, folders of them, or one .npy file of all, (N, ...).

    Relevance and a line per image go into the folder --out, batch by batch; interrupted, the same command goes on where it
    stopped. Models and images are prepared as by lrp-ref explain. Exit status: 0, or 2 for what cannot be done.
    """
    asked = SimpleNamespace(**given)
    asked.images = files(list(asked.images))
    from lrp_ref.commands import request
    from lrp_ref.commands.taken import Fitted, Pixels
    from lrp_ref.streaming import explain_many

    whole = len(asked.images) == 1 and asked.images[0].suffix == ".npy"
    target = request.target(asked.target, [])
    ready = request.ready(asked)
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


def files(given: list[Path]) -> list[Path]:
    """The files given, and those in the folders given."""
    found: list[Path] = []
    for path in given:
        if not path.exists():
            fail(f"no such file: {path}")
        inside = (
            sorted(one for one in path.iterdir() if one.is_file() and not one.name.startswith(".")) if path.is_dir() else [path]
        )
        found += inside
    if not found:
        fail(f"no images in {', '.join(map(str, given))}")
    return found


def _check_rows(path: Path, shape: tuple[int, ...]) -> None:
    """Refuse a file of all images whose rows are none, before anything is written."""
    from lrp_ref.streaming.sources import ArrayFile

    found = ArrayFile(str(path))
    if found.count and tuple(found.image(0).shape) != shape:
        rows = (found.count, *found.image(0).shape)
        fail(f"{path}: expected all images, (N, {', '.join(map(str, shape))}), got shape {rows}; one is (1, ...)")


def cluster(address: str | None) -> AbstractContextManager[Any]:
    """A client of the Dask cluster at `address`; None without one."""
    if address is None:
        return nullcontext()
    from distributed import Client

    try:
        client: AbstractContextManager[Any] = Client(address, timeout="10s")
    except (OSError, ValueError, TimeoutError) as error:
        fail(f"--dask {address}: no cluster answers there: {error}")
    return client
