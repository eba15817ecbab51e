"""A user's torch model: exported, explained by a library, and compared."""

import tempfile
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lrp_conform.compare.comparison import Comparison, compare
from lrp_conform.compare.libraries import EXPLAINERS, Request
from lrp_conform.compare.matching import matched, path_of
from lrp_conform.compare.recording import Call, recorded
from lrp_ref import LRPError, load_onnx
from lrp_ref.composites import Composite
from lrp_ref.composites.presets import PresetCall, parsed
from lrp_ref.layers import BatchNorm
from lrp_ref.network.network import Network
from lrp_ref.network.start import start_relevance
from lrp_ref.propagation.gauges import in_float64
from lrp_ref.text.extras import needed
from lrp_ref.transforms import merge_batch_norm as merged

Attribute = Callable[[Any, Any], Any]
ROUNDED = {  # layer or activation -> its number that ONNX keeps in float32, and what the module calls it
    "BatchNorm": ("epsilon", "eps"),
    "leaky-relu": ("slope", "negative_slope"),
    "elu": ("slope", "alpha"),
}


def compare_torch(
    model: Any,
    x: Any,
    composite: str | Composite = "zennit.epsilon_plus",
    attribute: str | Attribute | None = None,
    *,
    target: Any = None,
    seed: Any = "logit",
    canonizers: Any = None,
    merge_batch_norm: bool = True,
    export: Mapping[str, Any] | None = None,
    close: float = 0.0,
) -> Comparison:
    """Compare a torch model's relevance at x (N, ...), by a library, with the reference's on the model's ONNX export.

    composite: the reference's, or its name. attribute: the library's composite, as "zennit.epsilon_plus" or "captum.epsilon",
    by default that of the same name; or your own function of a copy of the model and of x as a tensor, which returns the
    relevance of x, and, if you like, name -> relevance at the output of a module ("layer1.0.conv1") besides: without it, the
    modules' values are compared, but not what each hands on. target: a class, classes per sample, "argmax" (the default).
    seed: what relevance starts from, as of `Network.explain`; your own function must start from the same. canonizers:
    zennit's; by default it merges batch norms, and torchvision's ResNets get theirs. merge_batch_norm: in the reference too.
    export: options of `torch.onnx.export`, in place of those that keep batch norms apart. close: as of `compare`.

    The model is not changed: it is exported and explained as a copy, in inference mode. Raises `LRPError` in one line where
    it cannot be exported or explained, and for a relevance that does not fit.
    """
    model, x = _model(model), _tensor(x, model)
    calls, y = _run(model, x)
    net = exported(model, x, export or {})
    had_norms = any(isinstance(node.layer, BatchNorm) for node in net.nodes) or export is not None
    net = merged(net) if merge_batch_norm else net
    if attribute is None and isinstance(composite, str):
        attribute = parsed(composite).preset.library
    arrays = _array(x)
    target, seed = _array(target), _array(seed)
    if isinstance(seed, str) and (target is None or (isinstance(target, str) and target == "argmax")):
        target = y.argmax(axis=1)
    shapes = {name: a.shape for name, a in net.forward(in_float64(arrays), at="all").items()}
    if isinstance(attribute, str):
        asked = _own(attribute, composite)
        question = Request(deepcopy(model), x, asked, start_relevance(y, target, seed), target, seed, canonizers)
        library = asked.preset.library
        calls, relevance = EXPLAINERS[library](question, calls)
        given = matched(net, calls, shapes, relevance, library)
    elif callable(attribute):
        relevance, modules = _asked(attribute, model, x)
        given = matched(net, calls, shapes, relevance, getattr(attribute, "__name__", "the library"))
        given = replace(given, relevance={**given.relevance, **_by_node(net, modules)})
    else:
        raise LRPError("attribute: give a library's name, or a function of model and x that returns the relevance of x")
    return compare(net, arrays, given, composite, target=target, seed=seed, merged=had_norms, close=close)


def _own(attribute: str, composite: str | Composite) -> PresetCall:
    """The library's own composite: named by `attribute`, or of the same name as the reference's."""
    asked = parsed(attribute) if "." in attribute else parsed(composite) if isinstance(composite, str) else None
    library = None if asked is None else asked.preset.library
    if asked is None or library not in EXPLAINERS or attribute.split(".")[0] != library:
        raise LRPError(
            f"attribute: expected a function of model and x, or a library's composite such as 'zennit.epsilon_plus' "
            f"(libraries: {', '.join(EXPLAINERS)}); got {attribute!r}"
        )
    return asked


def exported(model: Any, x: Any, options: Mapping[str, Any]) -> Network:
    """The model as a network in float64, batch norms apart, as torch's ONNX exporter writes it.

    options: of `torch.onnx.export`, in place of the default ones. What ONNX keeps in float32 is taken from the modules.
    """
    import torch

    try:
        import onnx  # noqa: F401  # which the exporter asks for in words of its own
    except ImportError as error:
        raise LRPError(f"torch cannot export the model without {needed(error, 'onnx')}") from None

    apart = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    settings = {"dynamo": False, "input_names": ["input"], "dynamic_axes": {"input": {0: "batch"}}, **(options or apart)}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its own successor
        path = Path(folder) / "model.onnx"
        try:
            torch.onnx.export(model, (x[:1],), str(path), **settings)
        except Exception as error:  # the exporter raises what it likes
            raise LRPError(f"torch cannot export the model: {_line(error)}; see docs/compare.md for comparing files") from None
        net = load_onnx(path, convert=in_float64)
    modules = dict(model.named_modules())
    nodes = [replace(node, layer=_exact(node.layer, modules.get(path_of(node.name)))) for node in net.nodes]
    return Network(nodes, net.inputs, net.outputs)


def _exact(layer: Any, module: Any) -> Any:
    """The layer with the module's own numbers."""
    kind = getattr(layer, "function", type(layer).__name__)
    field, attribute = ROUNDED.get(kind, ("", ""))
    return replace(layer, **{field: getattr(module, attribute)}) if hasattr(module, attribute) else layer


def _model(model: Any) -> Any:
    """A copy in inference mode."""
    if not hasattr(model, "named_modules"):
        raise LRPError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    return deepcopy(model).eval()


def _tensor(x: Any, model: Any) -> Any:
    """x as a tensor of the model's dtype, batch axis first."""
    import torch

    first = next(model.parameters(), None)
    like = {} if first is None else {"dtype": first.dtype, "device": first.device}
    if not isinstance(x, torch.Tensor | np.ndarray):
        raise LRPError(f"x: expected a tensor or a NumPy array, got {type(x).__name__}")
    return torch.as_tensor(x, **like).detach()


def _run(model: Any, x: Any) -> tuple[list[Call], Any]:
    """What every module computes, and the output."""
    import torch

    try:
        with torch.no_grad(), recorded(model, gradients=False) as calls:
            y = model(x)
    except RuntimeError as error:
        raise LRPError(f"the model does not take x of shape {tuple(x.shape)}: {_line(error)}") from None
    if not isinstance(y, torch.Tensor):
        raise LRPError(f"model: expected one tensor as its output, got {type(y).__name__}")
    return calls, _array(y)


def _asked(attribute: Attribute, model: Any, x: Any) -> tuple[Any, dict[str, Any]]:
    """What the user's function returns, as arrays."""
    found = attribute(deepcopy(model), x.clone())
    relevance, modules = found if isinstance(found, tuple) else (found, {})
    return _array(relevance), {name: _array(a) for name, a in modules.items()}


def _by_node(net: Network, modules: Mapping[str, Any]) -> dict[str, Any]:
    """By the names of nodes what is given by the paths of modules, or by nodes."""
    last = {path_of(node.name): node.name for node in net.nodes}
    return {last.get(name, name): a for name, a in modules.items()}


def _array(a: Any) -> Any:
    return a.detach().cpu().numpy() if hasattr(a, "detach") else a


def _line(error: Exception) -> str:
    """An error on one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:240]
