"""Turns the nodes of a case into a tf.keras model, with its parameters copied into it.

The model takes and gives arrays channels first, as cases have them. On a CPU Keras computes with channels last only,
so that every layer with spatial axes stands between two Permutes.

Padding is a layer of its own, because Keras' padding="same" cannot say how much goes to which end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from lrp_conform.builders import Unsupported

keras = tf.keras
layers = tf.keras.layers

Node = Mapping[str, Any]
Tensor = Any  # a symbolic tensor of Keras
Array = Any


def build(nodes: Sequence[Node], x: Sequence[Array]) -> Any:
    """Return the model of the nodes, for inputs of the shapes and dtypes of x; floats are Keras' floatx."""
    inputs, values = graph(nodes, x)
    return keras.Model(inputs, values[nodes[-1]["name"]])


def graph(nodes: Sequence[Node], x: Sequence[Array]) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Return the input tensors, and the tensor of every input and node, channels first; layers with weights bear its name."""
    inner = {node["name"] for node in nodes}
    outer = {source for node in nodes for source in node["inputs"]} - inner
    inputs = [keras.Input(array.shape[1:], dtype=str(array.dtype)) for array in x]
    values = dict(zip(sorted(outer, key=lambda name: (len(name), name)), inputs, strict=True))
    for node in nodes:
        if node["op"] not in _MAKERS:
            raise Unsupported(f"there is no Keras layer for {node['op']}")
        taken = [values[source] for source in node["inputs"]]
        values[node["name"]] = _MAKERS[node["op"]](node, node.get("attrs") or {}, *taken)
    return inputs, values


def channels_last(array: Array) -> Array:
    """Return an array (N, C, *spatial) as (N, *spatial, C)."""
    return np.moveaxis(np.asarray(array), 1, -1)


def kernel(weight: Array) -> Array:
    """Return a weight (out, in, *kernel) in Keras' order, (*kernel, in, out)."""
    return np.moveaxis(np.asarray(weight), (0, 1), (-1, -2))


def _apply(layer: Any, x: Tensor, *params: Array) -> Tensor:
    y = layer(x)
    if params:
        layer.set_weights([np.asarray(array) for array in params if array is not None])
    return y


def _in_layout(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return f(x) for a function of a tensor with channels last; both ends are channels first."""
    axes = len(x.shape) - 1
    if axes < 2:
        return f(x)
    y = f(layers.Permute((*range(2, axes + 1), 1))(x))
    return layers.Permute((axes, *range(1, axes)))(y)


def _dense(node: Node, attrs: Mapping[str, Any], x: Tensor) -> Tensor:
    weight, bias = node["params"]["weight"], node["params"].get("bias")
    return _apply(layers.Dense(len(weight), use_bias=bias is not None, name=node["name"]), x, kernel(weight), bias)


def _conv(node: Node, attrs: Mapping[str, Any], x: Tensor) -> Tensor:
    weight, bias = node["params"]["weight"], node["params"].get("bias")
    axes = weight.ndim - 2
    stride, dilation = _per_axis(attrs, "stride", axes, 1), _per_axis(attrs, "dilation", axes, 1)
    if max(stride) > 1 and max(dilation) > 1:
        raise Unsupported("Keras has no convolution that is both strided and dilated")
    layer = _of_dimension("Conv", axes)(
        len(weight),
        weight.shape[2:],
        strides=stride,
        dilation_rate=dilation,
        groups=int(attrs.get("groups", 1)),
        use_bias=bias is not None,
        name=node["name"],
    )
    return _in_layout(lambda t: _apply(layer, _padded(attrs, t), kernel(weight), bias), x)


def _conv_transpose(node: Node, attrs: Mapping[str, Any], x: Tensor) -> Tensor:
    weight, bias = node["params"]["weight"], node["params"].get("bias")
    axes = weight.ndim - 2
    stride, dilation, extra = (
        _per_axis(attrs, name, axes, default) for name, default in (("stride", 1), ("dilation", 1), ("output_padding", 0))
    )
    if int(attrs.get("groups", 1)) != 1:
        raise Unsupported("Keras has no grouped transposed convolution")
    if set(dilation) != {1} and axes != 2:
        raise Unsupported("on a CPU TensorFlow dilates a transposed convolution along two axes only")
    if any(o >= s for o, s in zip(extra, stride, strict=True)):
        raise Unsupported("Keras wants an output padding below the stride")
    options = {"dilation_rate": dilation, "name": node["name"]} if axes == 2 else {"name": node["name"]}
    layer = _of_dimension("Conv", axes, "Transpose")(
        weight.shape[1], weight.shape[2:], strides=stride, output_padding=extra, use_bias=bias is not None, **options
    )
    cut = attrs.get("padding", [])
    return _in_layout(lambda t: _cropped(cut, _apply(layer, t, kernel(weight), bias)), x)


def _pool(node: Node, attrs: Mapping[str, Any], x: Tensor) -> Tensor:
    axes, largest = len(x.shape) - 2, node["op"] == "max-pool"
    if any(d != 1 for d in _per_axis(attrs, "dilation", axes, 1)):
        raise Unsupported("Keras has no dilated pooling")
    if axes == 3 and x.dtype == tf.float64:
        raise Unsupported("on a CPU TensorFlow has no float64 pooling along three axes")
    window = _per_axis(attrs, "kernel", axes, 1)
    if largest and (attrs.get("linearization", "winner") != "winner" or attrs.get("ties", "first") != "first"):
        raise Unsupported("Keras' max pooling hands a gradient to the first of the largest elements only")
    if any(map(any, attrs.get("padding", []))) and (largest or not attrs.get("count_include_pad", True)):
        raise Unsupported("a padding layer would let zeros take part in the maximum, or count in the mean")
    layer = _of_dimension("MaxPooling" if largest else "AveragePooling", axes)(
        window, strides=tuple(attrs["stride"]) if "stride" in attrs else window
    )
    return _in_layout(lambda t: layer(_padded(attrs, t)), x)


def _global_average(node: Node, attrs: Mapping[str, Any], x: Tensor) -> Tensor:
    return _in_layout(_of_dimension("GlobalAveragePooling", len(x.shape) - 2)(keepdims=True), x)


def _batch_norm(node: Node, attrs: Mapping[str, Any], x: Tensor) -> Tensor:
    params = [node["params"][name] for name in ("gamma", "beta", "mean", "variance")]
    return _in_layout(
        lambda t: _apply(layers.BatchNormalization(epsilon=float(attrs["epsilon"]), name=node["name"]), t, *params), x
    )


def _pad(node: Node, attrs: Mapping[str, Any], x: Tensor) -> Tensor:
    if float(attrs.get("value", 0)) != 0:
        raise Unsupported("Keras pads with zeros")
    return _in_layout(lambda t: _padded(attrs, t), x)


def _upsample(node: Node, attrs: Mapping[str, Any], x: Tensor) -> Tensor:
    scale = tuple(attrs["scale"])
    return _in_layout(_of_dimension("UpSampling", len(scale))(scale if len(scale) > 1 else scale[0]), x)


def _activation(node: Node, attrs: Mapping[str, Any], x: Tensor) -> Tensor:
    if isinstance(attrs.get("slope"), list):
        slopes = np.reshape(attrs["slope"], (*(1,) * (len(x.shape) - 2), -1))
        shared = [*range(1, len(x.shape) - 1)]
        return _in_layout(lambda t: _apply(layers.PReLU(shared_axes=shared), t, slopes), x)
    if attrs["function"] == "leaky-relu":
        return layers.LeakyReLU(float(attrs["slope"]))(x)
    if attrs["function"] == "clip" and attrs.get("low") == 0:
        return layers.ReLU(attrs.get("high"))(x)
    if attrs["function"] not in {"relu", "elu", "softplus", "sigmoid", "tanh", "silu"}:
        raise Unsupported(f"there is no Keras activation {attrs['function']}")
    return layers.Activation("swish" if attrs["function"] == "silu" else attrs["function"])(x)


def _embedding(node: Node, attrs: Mapping[str, Any], x: Tensor) -> Tensor:
    weight = node["params"]["weight"]
    return _apply(layers.Embedding(*weight.shape), x, weight)


_MAKERS: dict[str, Callable[..., Tensor]] = {
    "dense": _dense,
    "conv": _conv,
    "conv-transpose": _conv_transpose,
    "avg-pool": _pool,
    "max-pool": _pool,
    "global-avg-pool": _global_average,
    "batch-norm": _batch_norm,
    "add": lambda node, attrs, *x: layers.Add()(list(x)),
    "concat": lambda node, attrs, *x: layers.Concatenate(axis=attrs["axis"])(list(x)),
    "flatten": lambda node, attrs, x: layers.Flatten()(x),
    "reshape": lambda node, attrs, x: layers.Reshape(tuple(attrs["shape"]))(x),
    "permute": lambda node, attrs, x: layers.Permute(tuple(attrs["axes"]))(x),
    "pad": _pad,
    "crop": lambda node, attrs, x: _in_layout(lambda t: _cropped(attrs["crop"], t), x),
    "upsample": _upsample,
    "activation": _activation,
    "embedding": _embedding,
    "identity": lambda node, attrs, x: layers.Activation("linear")(x),
    "dropout": lambda node, attrs, x: layers.Dropout(attrs["rate"])(x),
    "softmax": lambda node, attrs, x: layers.Softmax(attrs["axis"])(x),
}


def _padded(attrs: Mapping[str, Any], x: Tensor) -> Tensor:
    return _at_the_ends("ZeroPadding", attrs.get("padding", []), x)


def _cropped(pairs: Any, x: Tensor) -> Tensor:
    return _at_the_ends("Cropping", pairs, x)


def _at_the_ends(name: str, pairs: Any, x: Tensor) -> Tensor:
    ends = tuple((int(begin), int(end)) for begin, end in pairs)
    if not any(map(any, ends)):
        return x
    return _of_dimension(name, len(ends))(ends if len(ends) > 1 else ends[0])(x)


def _of_dimension(name: str, axes: int, suffix: str = "") -> Callable[..., Any]:
    if axes not in (1, 2, 3):
        raise Unsupported(f"Keras has no {name} for {axes} spatial axes")
    found: Callable[..., Any] = getattr(layers, f"{name}{axes}D{suffix}")
    return found


def _per_axis(attrs: Mapping[str, Any], name: str, axes: int, default: int) -> tuple[int, ...]:
    return tuple(int(value) for value in attrs.get(name, [default] * axes))
