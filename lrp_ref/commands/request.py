"""What `lrp-ref explain` was asked for, made ready: the network, its composite, and how images become its input."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from lrp_ref import transforms
from lrp_ref.arrays import Array, LRPError, exact
from lrp_ref.composites import Assign, Composite, presets
from lrp_ref.files.arrays import load_array
from lrp_ref.files.images import Preprocessing
from lrp_ref.layers import BatchNorm, Softmax
from lrp_ref.network.network import Network
from lrp_ref.onnx import load_onnx
from lrp_ref.text.nearest import nearest

Numbers = Callable[[Array], Array]


@dataclass(frozen=True)
class ReadyNetwork:
    """A network that is ready to be explained. numbers: into the arithmetic it is explained in. notes: what was done to it."""

    net: Network
    composite: Composite
    images: Preprocessing
    numbers: Numbers
    notes: tuple[str, ...]


def ready(asked: SimpleNamespace) -> ReadyNetwork:
    """Load and transform the network, and assign its rules. Raises `LRPError` for whatever does not fit."""
    preset, args, kwargs = presets.parsed(asked.composite)
    entries = [_entry(text) for text in asked.assign]
    images, name = _images(asked)
    numbers = _arithmetic(asked.dtype or images.dtype)
    net = load_onnx(asked.model, shapes={name: images.shape}, convert=numbers)
    if len(net.inputs) > 1:
        raise LRPError(f"{asked.model}: reads {', '.join(net.inputs)}: explain networks of several inputs from Python")
    net, notes = _transformed(net, preset.merged if asked.merge is None else asked.merge)
    missing = [p for p in preset.required[len(args) :] if p not in kwargs]
    if missing == ["low", "high"] and images.pictured and not any(path.suffix == ".npy" for path in asked.images):
        low, high = map(numbers, images.range)
        kwargs |= {"low": low, "high": high}
        notes.append("low and high: what black and white pixels become")
    composite = preset(*args, **kwargs)
    composite = Composite((*entries, *composite.entries), composite.name)
    try:
        composite.assign(net)
    except LRPError as error:
        raise LRPError(f"{error}; as an option: --assign KIND=RULE, such as LRN=Pass or Softmax=Gradient") from None
    return ReadyNetwork(net, composite, images, numbers, tuple(notes))


def _images(asked: SimpleNamespace) -> tuple[Preprocessing, str]:
    """How images become the model's input, and what that is called."""
    from lrp_ref.onnx.signature import inputs  # needs onnx

    given = inputs(asked.model)
    if not given:
        raise LRPError(f"{asked.model}: a model without an input; export it again")
    first = next(iter(given.values()))
    layout = asked.layout or _layout(first.shape)
    shape = _filled(asked, first.name, first.shape, layout)
    options = {"mean": asked.mean, "std": asked.std, "scale": asked.scale, "bgr": asked.bgr}
    return Preprocessing(shape, layout, dtype=first.dtype, **options), first.name


def _layout(shape: Sequence[int | None]) -> str:
    """Channels last where only the last axis has the size of channels."""
    return "nhwc" if len(shape) == 3 and shape[-1] in (1, 3) and shape[0] not in (1, 3) else "nchw"


def _filled(asked: SimpleNamespace, name: str, shape: Sequence[int | None], layout: str) -> tuple[int, ...]:
    """The shape of one sample: the file's, with what it leaves open from --size or the first array."""
    sizes = list(shape)
    if asked.size and len(sizes) in (0, 3):
        height = 1 if layout == "nchw" else 0
        sizes = sizes or [3, 3, 3]
        for axis, size in zip((height, height + 1), asked.size, strict=True):
            if sizes[axis] not in (None, size) and shape:
                raise LRPError(f"--size: the model's input {name!r} has the shape {_told(shape)}, got {size} for {sizes[axis]}")
            sizes[axis] = size
    arrays = [path for path in asked.images if path.suffix == ".npy"]
    if (None in sizes or not sizes) and arrays:
        found = load_array(arrays[0]).shape
        return tuple(found[1:] if len(found) == len(sizes) + 1 and sizes else found)
    if None in sizes or not sizes:
        raise LRPError(f"{asked.model}: the input {name!r} leaves its shape open, {_told(shape)}; give --size HEIGHT WIDTH")
    return tuple(int(n) for n in sizes if n is not None)


def _told(shape: Sequence[int | None]) -> str:
    return f"({', '.join('?' if n is None else str(n) for n in shape)})"


def _arithmetic(dtype: str) -> Numbers:
    return exact if dtype == "exact" else lambda a: np.asarray(a).astype(dtype)


def _transformed(net: Network, merge: bool) -> tuple[Network, list[str]]:
    """Without softmax at the outputs, identities, and, where asked, batch norms; and what was done."""
    stripped = transforms.strip_softmax(net)
    notes = []
    if any(isinstance(net[name].layer, Softmax) for name in net.outputs):
        notes.append("softmax stripped: the outputs are logits")
    net = transforms.remove_identity(stripped)
    norms = _norms(net)
    if merge and norms:
        net = transforms.merge_batch_norm(net)
        notes.append(f"{norms - _norms(net)} of {norms} batch norms merged")
    elif norms:
        notes.append(f"{norms} batch norms kept")
    return net, notes


def _norms(net: Network) -> int:
    return sum(isinstance(node.layer, BatchNorm) for node in net.nodes)


def _entry(text: str) -> Assign:
    """KIND=RULE, as "LRN=Pass" or "Conv=AlphaBeta(2, 1)"."""
    from lrp_ref import layers  # by name

    kind, equals, rule = (part.strip() for part in text.partition("="))
    kinds = [kind.__name__ for kind in layers.registered()]
    if not equals or kind not in kinds:
        hint = nearest(kind, kinds)
        known = f"of the kinds {', '.join(kinds)}; got {text!r}{hint and f'; {hint}'}"
        raise LRPError(f"--assign: expected KIND=RULE, such as LRN=Pass, {known}")
    return Assign(presets.rule(rule), getattr(layers, kind))


def labels(path: Path | None) -> list[str]:
    """The names of the classes, one on every line of a file."""
    if path is None:
        return []
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LRPError(f"--labels {path}: cannot be read: {getattr(error, 'strerror', None) or 'no UTF-8 text'}") from None


def target(text: str, names: Sequence[str]) -> Any:
    """ "argmax", a class number, or the name of a class."""
    if text == "argmax":
        return text
    if text in names:
        return list(names).index(text)
    try:
        return int(text)
    except ValueError:
        known = "a class number" + (", a label" if names else "")
        raise LRPError(f"--target: expected argmax{',' if names else ' or'} {known}, got {text!r}") from None
