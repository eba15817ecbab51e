"""`lrp-ref explain`: relevance of an ONNX model's input, with its ledger and its pictures."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from lrp_ref.commands.commandline import OneOf, Several, argument, command, fail, option
from lrp_ref.commands.folders import folders, prepared
from lrp_ref.commands.terminal import say
from lrp_ref.text.progress import Bar, progress

FILE = click.Path(path_type=Path)


def count(text: str | int) -> int:
    """A whole number > 0."""
    if not str(text).isdecimal() or int(text) < 1:
        raise click.BadParameter(f"expected a whole number > 0, got {text!r}")
    return int(text)


def limit(text: str) -> float | str:
    """A number > 0, or a share as "99.5%"."""
    share = text.endswith("%")
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 < value <= (100 if share else float("1e300")):
        raise click.BadParameter(f"expected a number > 0, or a share such as 99.5%, got {text!r}")
    return text if share else value


def of_names(*names: str) -> OneOf:
    """One of these."""
    return OneOf(lambda: names)


def about_model(images: str) -> Callable[[Any], Any]:
    """The model, its images, and what is asked about them."""
    return _all(
        argument("model", metavar="MODEL.onnx", type=FILE, about="A model."),
        argument("images", metavar="IMAGE...", type=FILE, nargs=-1, required=True, about=images),
        option("--composite", metavar="NAME", default="zennit.epsilon_plus", help="A preset, with arguments if need be: "
            "'zennit.epsilon_gamma_box(gamma=0.5)'; lrp-ref composites lists them."),
        option("--assign", metavar="KIND=RULE", multiple=True, help="A rule before those of the preset, as LRN=Pass; "
            "repeatable."),
        option("--target", metavar="CLASS", default="argmax", help="A class number, a label, or argmax."),
        option("--seed", type=of_names("logit", "one", "probability"), default="logit", help="What relevance starts from."),
        option("--merge/--no-merge", default=None, help="Merge batch norms; if nothing is said, as the composite's library."),
    )  # fmt: skip


def about_images() -> Callable[[Any], Any]:
    """How images become the model's input."""
    how: Any = {"section": "Images"}
    return _all(
        option("--size", metavar="HEIGHT WIDTH", type=count, nargs=2, help="Where the model leaves its size open.", **how),
        option("--mean", cls=Several, metavar="X...", type=float, default=[0.0], help="One number, or one per channel.", **how),
        option("--std", cls=Several, metavar="X...", type=float, default=[1.0], help="One number, or one per channel.", **how),
        option("--scale", metavar="X", type=float, default=255.0, help="What pixels are divided by.", **how),
        option("--layout", type=of_names("nchw", "nhwc"), help="Channels first or last; if not said, by the input.", **how),
        option("--bgr", is_flag=True, help="Blue comes first.", **how),
    )  # fmt: skip


def _all(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Decorators as one, the first on top."""

    def decorated(function: Any) -> Any:
        for one in reversed(decorators):
            function = one(function)
        return function

    return decorated


@command()
@about_model("An image file, or an array in a .npy file.")
@option("--output", metavar="NAME", help="The output to explain, where there are several.")
@option("--out", metavar="DIR", type=FILE, help="Where files go; without it, none are written.")
@option("--dtype", type=of_names("float32", "float64", "exact"), help="The arithmetic; the model's, if not said.")
@option("--bounds", type=of_names("float16", "float32", "float64"), help="Bound the rounding of honest results at this dtype.")
@option("--top", metavar="N", type=count, default=5, help="How many classes are listed.")
@option("--labels", metavar="FILE", type=FILE, help="The names of the classes, one per line.")
@option("--limit", metavar="X", type=limit, help="Where the heatmap's colours end: a number, or a share of the pixels, as "
        "99.5%; if not said, the largest magnitude.")  # fmt: skip
@about_images()
def explain(**given: Any) -> None:
    """Explain what an ONNX model makes of images: which input received how much relevance, and where the rest went.

    Images are fitted to the model's input: the shorter side is scaled, the longer one cut; grey or RGB as the model has
    channels; x = (pixel / 255 - mean) / std with mean 0 and std 1 unless given. Arrays in .npy files are taken as they are.
    A softmax at the output is stripped, dropout and identities are removed, and batch norms are merged where the library of
    the composite merges them (zennit, RelevancePropagation.jl; not iNNvestigate).

    With --out: relevance.npy (in its own dtype; exact numbers as "p/q"), heatmap.png, waterfall.png, ledger.txt and
    ledger.csv, in a folder of its own for each of several images. Exit status: 0, or 2 for what cannot be done.
    """
    asked = SimpleNamespace(**given)
    missing = [str(path) for path in (asked.model, *asked.images) if not path.is_file()]
    if missing:
        fail(f"no such file: {', '.join(missing)}")
    from lrp_ref.commands.request import labels, ready, target

    if asked.out is not None:
        import lrp_ref.pictures  # noqa: F401 - what is missing is told before anything is computed
    names = labels(asked.labels)
    what = target(asked.target, names)
    model = ready(asked)
    say(f"{asked.model.name}: {len(model.net.nodes)} nodes; {'; '.join((model.composite.name, *model.notes))}")
    if model.images.pictured:
        say(f"images: {model.images}")
    with progress(2 * len(model.net.nodes) * len(asked.images), "nodes") as bar:
        for path, folder in zip(asked.images, folders(asked.out, asked.images), strict=True):
            bar.about(path.name)
            with prepared(folder):
                _explain(path, folder, asked, model, (what, names), bar)


def _explain(path: Path, folder: Path | None, asked: Any, model: Any, wanted: tuple[Any, list[str]], bar: Bar) -> None:
    """Explain one image, print what came out, and write its files."""
    from lrp_ref.arrays import LRPError
    from lrp_ref.commands import output as explained
    from lrp_ref.files.images import read

    sample, (target, names), output = read(path, model.images), wanted, _output(model.net, asked.output)
    try:
        found = model.net.explain(
            model.numbers(sample.x), model.composite, target={output: target}, seed={output: asked.seed},
            bounds=asked.bounds or False, account=True, progress=lambda node: bar(),
        )  # fmt: skip
    except LRPError as error:
        raise LRPError(f"{path}: {error}") from None
    y = found.output[output] if isinstance(found.output, dict) else found.output
    title = _title(path, y, target, names, model.composite.name)
    lines = [title, *explained.classes(y, names, asked.top), "", *explained.account(found), *explained.bounds(found)]
    if folder is not None:
        written = explained.write(folder, model, sample, found, title, asked.limit)
        lines.append(f"written: {', '.join(map(str, written))}")
    say("\n".join(["", *lines]))


def _output(net: Any, name: str | None) -> str:
    """The output to explain."""
    if name is None and len(net.outputs) > 1:
        fail(f"--output: the model has several, name one of {', '.join(net.outputs)}")
    if name is not None and name not in net.outputs:
        fail(f"--output: no output {name!r}; the model has {', '.join(net.outputs)}")
    return str(name or net.outputs[0])


def _title(path: Path, output: Any, target: Any, names: list[str], composite: str) -> str:
    """Which image, class and composite this is."""
    if target == "argmax" and output.size == output.shape[1]:
        target = int(output.argmax())
    label = f" ({names[target]})" if isinstance(target, int) and 0 <= target < len(names) else ""
    return f"{path.name}: class {target}{label}, {composite}"
