"""A user's Keras model: exported with what a library says of it, and compared.

iNNvestigate needs an old TensorFlow, whose environment need not hold the reference: `export_keras` writes a folder there,
with TensorFlow, tf2onnx and NumPy alone, and `lrp-conform compare-model` judges it anywhere.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Array = Any
Attribute = Callable[[Any, Any], Any]
MODEL, X, RELEVANCE, NODES, VALUES = "model.onnx", "x.npy", "relevance.npy", "nodes.npz", "values.npz"

# Composite -> the analyzer of iNNvestigate and the names of its parameters, in the composite's order.
ANALYZERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "z": ("lrp.z", ()),
    "epsilon": ("lrp.epsilon", ("epsilon", "bias")),
    "w_square": ("lrp.w_square", ()),
    "flat": ("lrp.flat", ()),
    "alpha_beta": ("lrp.alpha_beta", ("alpha", "beta", "bias")),
    "alpha2_beta1": ("lrp.alpha_2_beta_1", ()),
    "alpha2_beta1_ignore_bias": ("lrp.alpha_2_beta_1_IB", ()),
    "alpha1_beta0": ("lrp.alpha_1_beta_0", ()),
    "alpha1_beta0_ignore_bias": ("lrp.alpha_1_beta_0_IB", ()),
    "z_plus": ("lrp.z_plus", ()),
    "z_plus_fast": ("lrp.z_plus_fast", ()),
    "sequential_preset_a": ("lrp.sequential_preset_a", ("epsilon",)),
    "sequential_preset_b": ("lrp.sequential_preset_b", ("epsilon",)),
    "sequential_preset_a_flat": ("lrp.sequential_preset_a_flat", ("epsilon",)),
    "sequential_preset_b_flat": ("lrp.sequential_preset_b_flat", ("epsilon",)),
    "deep_taylor": ("deep_taylor", ()),
}


def compare_keras(
    model: Any, x: Array, composite: str = "innvestigate.epsilon", attribute: Attribute | None = None, **options: Any
) -> Any:
    """Compare a tf.keras model's relevance at x with the reference's on the model's ONNX export, in this process.

    composite: an iNNvestigate composite by name, whose analyzer explains the model, or any other with `attribute`, your own
    function of model and x that returns the relevance of x, and, if you like, layer name -> relevance at its output besides.
    options: of `compare_files`. Returns a `Comparison`. Raises ValueError in one line (`LRPError` is one).
    """
    from lrp_conform.compare.from_files import compare_files
    from lrp_ref.composites.presets import parsed

    analyzer, settings = "", dict[str, Any]()
    if attribute is None:
        preset, arguments, given = parsed(composite)
        if preset.library != "innvestigate" or preset.short not in ANALYZERS:
            raise ValueError(f"composite: iNNvestigate is asked for {', '.join(ANALYZERS)}; else give attribute, a function")
        analyzer, names = ANALYZERS[preset.short]
        settings = {**dict(zip(names, arguments, strict=False)), **given}
    with tempfile.TemporaryDirectory() as name:
        folder = export_keras(model, x, name, attribute or analyzer, **settings)
        return compare_files(
            folder / MODEL, folder / X, folder / RELEVANCE, composite,
            nodes=folder / NODES, values=folder / VALUES, library=analyzer or "the library", **options,
        )  # fmt: skip


def export_keras(model: Any, x: Array, folder: str | Path, attribute: str | Attribute, **settings: Any) -> Path:
    """Write the model as ONNX, x, and what a library says of them into a folder, for `lrp-conform compare-model`.

    attribute: an analyzer of iNNvestigate, as "lrp.epsilon", with its settings, or your own function (see `compare_keras`).
    The analyzer starts from the logit of the largest output, and its relevance at every layer is written as well.

    Needs TensorFlow and tf2onnx; not the reference. Raises ValueError in one line where the model cannot be exported.
    """
    if not hasattr(model, "layers") or not hasattr(model, "inputs"):
        raise ValueError(f"model: expected a tf.keras model, got {type(model).__name__}")
    x, folder = np.asarray(x), Path(folder)
    if x.shape[1:] != tuple(model.inputs[0].shape[1:]):
        raise ValueError(f"x: expected shape (N, {', '.join(map(str, model.inputs[0].shape[1:]))}), got {x.shape}")
    values = outputs(model, x)  # before the library: this gives a fresh model its variables
    found = attribute(model, x) if callable(attribute) else analyzed(model, x, attribute, settings)
    relevance, layers = found if isinstance(found, tuple) else (found, {})
    folder.mkdir(parents=True, exist_ok=True)
    convert(model, folder / MODEL)
    np.save(folder / X, x)
    np.save(folder / RELEVANCE, relevance)
    np.savez(folder / NODES, **layers)
    np.savez(folder / VALUES, **values)
    return folder


def convert(model: Any, path: Path) -> None:
    """Write the model as ONNX, batch norms apart: in a process of its own, since iNNvestigate switches eager execution off."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model.h5"
        model.save(saved, include_optimizer=False)
        program = Path(__file__).with_name("keras_to_onnx.py").read_text(encoding="utf-8")  # by its text: run as a file, it
        argv = [sys.executable, "-W", "ignore", "-c", program, str(saved), str(path)]  # would find this folder's modules first
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it ended without a word"]
        raise ValueError(f"tf2onnx cannot export the model: {lines[-1][:240]}")


def outputs(model: Any, x: Array) -> dict[str, Array]:
    """Layer name -> its output; of a shared layer, nothing."""
    keras = _keras()
    named = {layer.name: layer.output for layer in model.layers if len(layer.inbound_nodes) == 1}
    named = {name: y for name, y in named.items() if not isinstance(y, list) and name not in model.input_names}
    found = keras.Model(model.inputs, list(named.values())).predict_on_batch(x)
    return dict(zip(named, found if isinstance(found, list) else [found], strict=True))


def analyzed(model: Any, x: Array, name: str, settings: Mapping[str, Any]) -> tuple[Array, dict[str, Array]]:
    """The relevance of x by an analyzer of iNNvestigate, and layer name -> that at its output."""
    try:
        from innvestigate.analyzer import analyzers
        from innvestigate.backend.graph import trace_model_execution
    except ModuleNotFoundError as error:
        raise ValueError(f"innvestigate: {error.name} is not installed; pip install innvestigate==2.1.2") from None
    if name not in analyzers:
        raise ValueError(f"attribute: iNNvestigate has {', '.join(sorted(analyzers))}; got {name!r}")
    seen: list[Any] = []

    def reverse(self: Any, model: Any, **options: Any) -> Any:
        seen.append(model)
        return super(kind, self)._reverse_model(model, **options)

    kind: Any = type("Kept", (analyzers[name],), {"_reverse_model": reverse})
    analyzer = kind(model, reverse_keep_tensors=True, **settings)
    relevance = analyzer.analyze(x)
    steps = [step for step in trace_model_execution(seen[0])[1] if type(step[0]).__name__ != "InputLayer"]
    layers: dict[str, Array] = {}
    for (nid, k), array in analyzer._reversed_tensors:
        if nid >= 0:  # the k-th tensor that a step reads
            given = steps[nid][1]
            tensor = given[k] if isinstance(given, list) else given
            layers[tensor._keras_history.layer.name] = array
    known = {layer.name for layer in model.layers} - set(model.input_names)
    return relevance, {name: a for name, a in layers.items() if name in known}


def _keras() -> Any:
    try:
        import tensorflow as tf
    except ModuleNotFoundError:
        raise ValueError("TensorFlow is not installed; run this in the environment of your model") from None
    return tf.keras
