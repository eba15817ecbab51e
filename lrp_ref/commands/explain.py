"""`lrp-ref explain`: relevance of an ONNX model's input, with its ledger and its pictures."""

import argparse
from pathlib import Path
from typing import Any

from lrp_ref.arrays import LRPError
from lrp_ref.commands.folders import folders, prepared
from lrp_ref.commands.say import say
from lrp_ref.progress import Bar, progress

ABOUT = """\
Explain what an ONNX model makes of images: which input received how much relevance, and where the rest went.

Images are fitted to the model's input: the shorter side is scaled, the longer one cut; grey or RGB as the model has
channels; x = (pixel / 255 - mean) / std with mean 0 and std 1 unless given. Arrays in .npy files are taken as they are.
A softmax at the output is stripped, dropout and identities are removed, and batch norms are merged where the library of
the composite merges them (zennit, RelevancePropagation.jl; not iNNvestigate).

With --out: relevance.npy (in its own dtype; exact numbers as "p/q"), heatmap.png, waterfall.png, ledger.txt and
ledger.csv, in a folder of its own for each of several images. Exit status: 0, or 2 for what cannot be done."""


def add_to(commands: Any) -> None:
    """The parser of `lrp-ref explain`."""
    parser = commands.add_parser(
        "explain", help="explain an ONNX model's output for images", description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_model(parser)
    add = parser.add_argument
    add("--output", metavar="NAME", help="the output to explain, where there are several")
    add("--out", metavar="DIR", type=Path, help="where files go; without it, none are written")
    add("--dtype", choices=("float32", "float64", "exact"), help="the arithmetic (default: the model's)")
    add("--bounds", choices=("float16", "float32", "float64"), help="bound the rounding of honest results at this dtype")
    add("--top", metavar="N", type=count, default=5, help="how many classes are listed (default: 5)")
    add("--labels", metavar="FILE", type=Path, help="the names of the classes, one per line")
    add("--limit", metavar="X", type=_limit, help="where the heatmap's colours end: a number, or a share of the pixels, as "
        "99.5%% (default: the largest magnitude)")  # fmt: skip
    add_images(parser)
    parser.set_defaults(run=run)


def add_model(parser: Any, images: str = "an image file, or an array in a .npy file") -> None:
    """The model, its images, and what is asked about them."""
    add = parser.add_argument
    add("model", metavar="MODEL.onnx", type=Path)
    add("images", metavar="IMAGE", type=Path, nargs="+", help=images)
    add("--composite", metavar="NAME", default="zennit.epsilon_plus", help="a preset (default: %(default)s), with arguments if "
        "need be: 'zennit.epsilon_gamma_box(gamma=0.5)'; lrp-ref composites lists them")  # fmt: skip
    add("--assign", metavar="KIND=RULE", action="append", help="a rule before those of the preset, as LRN=Pass; repeatable")
    add("--target", metavar="CLASS", default="argmax", help="a class number, a label, or argmax (the default)")
    add("--seed", choices=("logit", "one", "probability"), default="logit", help="what relevance starts from (default: logit)")
    add(
        "--merge", action=argparse.BooleanOptionalAction, help="merge batch norms, or not (default: as the composite's library)"
    )


def add_images(parser: Any) -> None:
    """How images become the model's input."""
    add = parser.add_argument_group("images").add_argument
    add("--size", metavar=("HEIGHT", "WIDTH"), type=count, nargs=2, help="where the model leaves its size open")
    add("--mean", metavar="X", type=float, nargs="+", default=[0.0], help="one number, or one per channel (default: 0)")
    add("--std", metavar="X", type=float, nargs="+", default=[1.0], help="one number, or one per channel (default: 1)")
    add("--scale", metavar="X", type=float, default=255.0, help="what pixels are divided by (default: 255)")
    add("--layout", choices=("nchw", "nhwc"), help="channels first or last (default: by the model's input)")
    add("--bgr", action="store_true", help="blue comes first")


def run(asked: argparse.Namespace) -> int:
    """Explain the images one after the other. Returns the exit status."""
    from lrp_ref.commands.asked import labels, ready, target

    missing = [str(path) for path in (asked.model, *asked.images) if not path.is_file()]
    if missing:
        raise LRPError(f"no such file: {', '.join(missing)}")
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
    return 0


def _explain(path: Path, folder: Path | None, asked: Any, model: Any, wanted: tuple[Any, list[str]], bar: Bar) -> None:
    """Explain one image, print what came out, and write its files."""
    from lrp_ref.commands import explained
    from lrp_ref.images import read

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
        raise LRPError(f"--output: the model has several, name one of {', '.join(net.outputs)}")
    if name is not None and name not in net.outputs:
        raise LRPError(f"--output: no output {name!r}; the model has {', '.join(net.outputs)}")
    return str(name or net.outputs[0])


def _title(path: Path, output: Any, target: Any, names: list[str], composite: str) -> str:
    """Which image, class and composite this is."""
    if target == "argmax" and output.size == output.shape[1]:
        target = int(output.argmax())
    label = f" ({names[target]})" if isinstance(target, int) and 0 <= target < len(names) else ""
    return f"{path.name}: class {target}{label}, {composite}"


def count(text: str) -> int:
    """A whole number > 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number > 0, got {text!r}")
    return int(text)


def _limit(text: str) -> float | str:
    share = text.endswith("%")
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 < value <= (100 if share else float("1e300")):
        raise argparse.ArgumentTypeError(f"expected a number > 0, or a share such as 99.5%, got {text!r}")
    return text if share else value
