"""Layers that sum over a window or a row: which inputs reach which output, and with what weight."""

from fractions import Fraction
from typing import Any, NamedTuple

from .tensors import ONE, ZERO, Json, Layer, Output, Shape, Tap, Tensor, affine, flat, per_axis, positions, tap, tensor
from .values import VALUE_OPS, value_layer


class Windows(NamedTuple):
    """For each output place, for each tap of the kernel in row-major order: the input place, or None on padding."""

    out: Shape
    places: list[list[tuple[int, ...] | None]]


def windows(attrs: Json, kernel: Shape, size: Shape, default_stride: Any = 1) -> Windows:
    axes = len(size)
    stride, dilation = per_axis(attrs, "stride", default_stride, axes), per_axis(attrs, "dilation", 1, axes)
    padding = attrs.get("padding") or [[0, 0]] * axes
    out = []
    for a in range(axes):
        room = size[a] + padding[a][0] + padding[a][1] - dilation[a] * (kernel[a] - 1) - 1
        out.append(room // stride[a] + 1)
    places = []
    for p in positions(out):
        row: list[tuple[int, ...] | None] = []
        for k in positions(kernel):
            at = tuple(p[a] * stride[a] + k[a] * dilation[a] - padding[a][0] for a in range(axes))
            row.append(at if all(0 <= at[a] < size[a] for a in range(axes)) else None)
        places.append(row)
    return Windows(out, places)


def dense(name: str, x: Tensor, weight: Tensor, bias: list[Fraction]) -> tuple[Shape, list[list[Output]]]:
    outs, ins = weight.shape
    samples = []
    for n in range(len(x.data) // ins):
        samples.append(
            [affine([tap(name, x, n * ins + i, weight.data[j * ins + i]) for i in range(ins)], bias[j]) for j in range(outs)]
        )
    return [*x.shape[:-1], outs], samples


def conv(name: str, x: Tensor, weight: Tensor, bias: list[Fraction], attrs: Json) -> tuple[Shape, list[list[Output]]]:
    batch, _, *size = x.shape
    outs, depth, *kernel = weight.shape
    groups = attrs.get("groups", 1)
    win = windows(attrs, kernel, size)
    samples = []
    for n in range(batch):
        outputs = []
        for o in range(outs):
            first = o // (outs // groups) * depth  # first input channel of the group
            for row in win.places:
                inside, outside = [], []
                for c in range(depth):
                    for k, at in enumerate(row):
                        w = weight.data[(o * depth + c) * len(row) + k]
                        if at is None:
                            outside.append(Tap(w, ZERO, None, 0, first + c))
                        else:
                            inside.append(tap(name, x, flat((n, first + c, *at), x.shape), w))
                outputs.append(affine(inside, bias[o], outside))
        samples.append(outputs)
    return [batch, outs, *win.out], samples


def conv_transpose(name: str, x: Tensor, weight: Tensor, bias: list[Fraction], attrs: Json) -> tuple[Shape, list[list[Output]]]:
    batch, channels, *size = x.shape
    _, width, *kernel = weight.shape  # width: output channels per group
    axes, groups = len(size), attrs.get("groups", 1)
    stride, dilation = per_axis(attrs, "stride", 1, axes), per_axis(attrs, "dilation", 1, axes)
    extra, padding = per_axis(attrs, "output_padding", 0, axes), attrs.get("padding") or [[0, 0]] * axes
    out = []
    for a in range(axes):
        full = (size[a] - 1) * stride[a] + dilation[a] * (kernel[a] - 1) + 1
        out.append(full - padding[a][0] - padding[a][1] + extra[a])
    depth = channels // groups
    samples = []
    for n in range(batch):
        outputs = []
        for o in range(width * groups):
            for q in positions(out):
                taps = []
                for c in range(o // width * depth, (o // width + 1) * depth):
                    for k in positions(kernel):
                        steps = [q[a] + padding[a][0] - k[a] * dilation[a] for a in range(axes)]
                        if all(s % t == 0 and 0 <= s // t < m for s, t, m in zip(steps, stride, size, strict=True)):
                            at = [s // t for s, t in zip(steps, stride, strict=True)]
                            w = weight.data[flat((c, o % width, *k), weight.shape)]
                            taps.append(tap(name, x, flat([n, c, *at], x.shape), w))
                outputs.append(affine(taps, bias[o]))
        samples.append(outputs)
    return [batch, width * groups, *out], samples


def pool(op: str, name: str, x: Tensor, attrs: Json) -> tuple[Shape, list[list[Output]]]:
    batch, channels, *size = x.shape
    if op == "global-avg-pool":
        op, attrs = "avg-pool", {"kernel": size, "stride": 1}
    kernel = per_axis(attrs, "kernel", None, len(size))
    win = windows(attrs, kernel, size, default_stride=kernel)
    samples = []
    for n in range(batch):
        outputs = []
        for c in range(channels):
            for row in win.places:
                inside = [flat((n, c, *at), x.shape) for at in row if at is not None]
                if op == "max-pool":
                    outputs.append(maximum(name, x, inside, attrs))
                    continue
                w = ONE
                if op == "avg-pool":
                    count = len(row) if attrs.get("count_include_pad", True) else len(inside)
                    w = Fraction(1, max(count, 1))
                outputs.append(affine([tap(name, x, i, w) for i in inside]))
        samples.append(outputs)
    return [batch, channels, *win.out], samples


def maximum(name: str, x: Tensor, inside: list[int], attrs: Json) -> Output:
    if not inside:
        raise ValueError("a maximum over padding alone")
    top = max(x.data[i] for i in inside)
    if attrs.get("linearization", "winner") == "average":
        return Output([tap(name, x, i, Fraction(1, len(inside))) for i in inside], y=top)
    tied = [i for i in inside if x.data[i] == top]
    chosen = {"first": tied[:1], "last": tied[-1:], "split": tied}[attrs.get("ties", "first")]
    return Output([tap(name, x, i, Fraction(1, len(chosen))) for i in chosen], y=top)


def build(node: Json, inputs: Json) -> Layer:
    """Write out the layer `node` at these inputs."""
    op, attrs, names = node["op"], node.get("attrs") or {}, node["inputs"]
    params = {key: tensor(entry) for key, entry in (node.get("params") or {}).items() if entry is not None}
    xs = {name: tensor(inputs[name]) for name in names}
    name, x = names[0], xs[names[0]]
    shapes = {key: value.shape for key, value in xs.items()}
    if op in VALUE_OPS:
        y_shape, samples = value_layer(op, names, xs, params, attrs)
        if op == "embedding" and attrs.get("reduce", "sum") == "keep":
            shapes[name] = y_shape
    elif op in ("avg-pool", "sum-pool", "global-avg-pool", "max-pool"):
        y_shape, samples = pool(op, name, x, attrs)
    elif op in ("dense", "conv", "conv-transpose"):
        weight = params["weight"]
        outs = weight.shape[1] * attrs.get("groups", 1) if op == "conv-transpose" else weight.shape[0]
        bias = params["bias"].data if "bias" in params else [ZERO] * outs
        if op == "dense":
            y_shape, samples = dense(name, x, weight, bias)
        else:
            y_shape, samples = (conv if op == "conv" else conv_transpose)(name, x, weight, bias, attrs)
    else:
        raise ValueError(f"unknown op {op}")
    return Layer(op, names, y_shape, samples, shapes)
