"""The geometry of sliding windows and of resizing, as ONNX spells it."""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np

from lrp_ref.layers import AvgPool, Layer, MaxPool, Pad, Upsample
from lrp_ref.layers.affine import Pairs
from lrp_ref.onnx.fold import NoLayer
from lrp_ref.onnx.node import Operation

MOST_POSITIONS = 2**16  # of a resized axis, each of which is checked


class Geometry(NamedTuple):
    """One entry per spatial axis; `overhang` is how far the last window of `ceil_mode` reaches past the padded input."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    overhang: Pairs

    @property
    def reach(self) -> Pairs:
        """The padding with the overhang."""
        return tuple((b, e + o) for (b, e), (_, o) in zip(self.padding, self.overhang, strict=True))


def geometry(op: Operation, kernel: Sequence[int]) -> Geometry:
    """The windows that slide over operand 0: x (N, C, *spatial)."""
    size, kernel = op.x.shape[2:], tuple(map(int, kernel))
    axes = len(size)
    stride, dilation = (tuple(op.attributes.get(name, [1] * axes)) for name in ("strides", "dilations"))
    if not len(kernel) == len(stride) == len(dilation) == axes or not axes:
        raise NoLayer(f"windows {kernel} with strides {stride} and dilations {dilation} on x of shape {op.x.shape}")
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    totals = [(ceil(n / s) - 1) * s + w - n for n, s, w in zip(size, stride, extents, strict=True)]
    padding = pads(op, totals)
    past = [
        (m - 1) * s + w - (n + b + e) for m, n, s, w, (b, e) in zip(op.shape[2:], size, stride, extents, padding, strict=True)
    ]
    rounded_up = bool(op.attributes.get("ceil_mode", 0))
    beyond = any((m - 1) * s >= n + b for m, n, s, (b, _) in zip(op.shape[2:], size, stride, padding, strict=True))
    if beyond and op.kind != "Conv":  # which returns its bias there
        raise NoLayer("its last window lies on padding alone, and frameworks differ on what it returns; reduce the padding")
    return Geometry(kernel, stride, padding, dilation, tuple((0, max(n, 0) if rounded_up else 0) for n in past))


def pads(op: Operation, totals: Sequence[int]) -> Pairs:
    """The padding of every spatial axis; `totals` is what "SAME" shares out between its two ends."""
    kind, axes = op.attributes.get("auto_pad", "NOTSET"), len(totals)
    if kind.startswith("SAME"):
        if min(totals) < -1:
            raise NoLayer(f"auto_pad={kind!r} with strides past the kernel, where frameworks differ; export explicit pads")
        halves = [(total // 2, total - total // 2) for total in (max(n, 0) for n in totals)]
        return tuple(halves if kind == "SAME_UPPER" else [(e, b) for b, e in halves])
    flat = [0] * 2 * axes if kind == "VALID" else op.attributes.get("pads", [0] * 2 * axes)
    if len(flat) != 2 * axes or min(flat) < 0:
        raise NoLayer(f"pads {list(flat)}; expected {2 * axes} integers >= 0")
    return tuple(zip(flat[:axes], flat[axes:], strict=True))


def max_pool(op: Operation) -> list[Layer]:
    """The maximum over windows; padding never wins."""
    at = geometry(op, op.attributes["kernel_shape"])
    return [MaxPool(at.kernel, at.stride, at.reach, at.dilation)]


def average_pool(op: Operation) -> list[Layer]:
    """The mean over windows. Padding counts if it is asked to, what `ceil_mode` adds beyond it never does."""
    at = geometry(op, op.attributes["kernel_shape"])
    counted = bool(op.attributes.get("count_include_pad", 0))
    if counted and any(map(any, at.overhang)):
        return [Pad(at.padding), AvgPool(at.kernel, at.stride, at.overhang, at.dilation, count_include_pad=False)]
    return [AvgPool(at.kernel, at.stride, at.reach, at.dilation, count_include_pad=counted)]


def transposed(op: Operation, kernel: Sequence[int]) -> dict[str, Any]:
    """The fields of a transposed convolution: stride, padding, dilation, output_padding."""
    size = op.x.shape[2:]
    axes = len(size)
    names = {"strides": 1, "dilations": 1, "output_padding": 0}
    stride, dilation, extra = (tuple(op.attributes.get(name, [default] * axes)) for name, default in names.items())
    given = extra
    full = [s * (n - 1) + o + d * (k - 1) + 1 for n, s, o, k, d in zip(size, stride, extra, kernel, dilation, strict=True)]
    wanted = op.attributes.get("output_shape")
    if wanted is None:
        wanted = [n * s for n, s in zip(size, stride, strict=True)]
        padding = pads(op, [f - w for f, w in zip(full, wanted, strict=True)])
    else:  # pads are computed, whatever auto_pad says; "SAME_UPPER" puts the larger half at the end
        totals = [f - w for f, w in zip(full, list(wanted)[-axes:], strict=True)]
        extra = tuple(o + max(-t, 0) for o, t in zip(extra, totals, strict=True))
        upper = op.attributes.get("auto_pad", "NOTSET") == "SAME_UPPER"
        halves = [(max(t, 0) // 2, max(t, 0) - max(t, 0) // 2) for t in totals]
        padding = tuple(halves if upper else [(e, b) for b, e in halves])
    made = [f + o - g - b - e for f, o, g, (b, e) in zip(full, extra, given, padding, strict=True)]
    if made != list(op.shape[2:]):
        raise NoLayer(f"its padding leads to {tuple(made)}, but its output has the shape {op.shape}; export explicit pads")
    return {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": extra}


def resize(op: Operation) -> list[Layer]:
    """Nearest neighbour by whole factors. Others, and those whose rounding reads another neighbour than p // scale, are not."""
    op.expect("mode", "nearest")
    scales = [Fraction(m, n) for m, n in zip(op.shape, op.x.shape, strict=True)]
    if any(scale != 1 for scale in scales[:2]) or any(scale.denominator != 1 for scale in scales):
        raise NoLayer(f"from {op.x.shape[1:]} to {op.sample}; expected whole factors along the spatial axes")
    given = _given_scales(op) or scales
    if max(op.shape[2:]) > MOST_POSITIONS or given[:2] != [1, 1]:
        raise NoLayer(f"to {op.sample}; expected at most {MOST_POSITIONS} positions along an axis, and all channels")
    for n, m, scale in zip(op.x.shape[2:], op.shape[2:], given[2:], strict=True):
        if any(_nearest(op, p, n, m, scale) != p // (m // n) for p in range(m)):
            raise NoLayer(f"rounding reads another neighbour than p // {m // n}; expected asymmetric and floor")
    return [Upsample(tuple(int(scale) for scale in scales[2:]))]


def _given_scales(op: Operation) -> list[Fraction] | None:
    """The scales, where the node spells them out."""
    k = 2 if op.kind == "Resize" and op.opset > 10 else 1
    given = op.setting("scales", k, [])
    return [Fraction(float(scale)) for scale in np.ravel(given)] if len(given) else None


def _nearest(op: Operation, p: int, n: int, m: int, scale: Fraction) -> int:
    """Which of n positions output position p of m reads."""
    modern = op.kind == "Resize" and op.opset > 10
    mode = op.attributes.get("coordinate_transformation_mode", "half_pixel" if modern else "asymmetric")
    half = Fraction(1, 2)
    at = {
        "asymmetric": p / scale,
        "half_pixel": (p + half) / scale - half,
        "half_pixel_symmetric": (p + half) / scale - half,  # the same for whole factors
        "pytorch_half_pixel": (p + half) / scale - half if m > 1 else Fraction(0),
        "tf_half_pixel_for_nn": (p + half) / scale,
        "align_corners": Fraction(p * (n - 1), m - 1) if m > 1 else Fraction(0),
    }.get(mode)
    if at is None:
        raise NoLayer(f"coordinate_transformation_mode={mode!r}; expected asymmetric or half_pixel")
    round_to = op.attributes.get("nearest_mode", "round_prefer_floor" if modern else "floor")
    found = {
        "floor": floor(at),
        "ceil": ceil(at),
        "round_prefer_floor": ceil(at - half),
        "round_prefer_ceil": floor(at + half),
    }.get(round_to)
    if found is None:
        raise NoLayer(f"nearest_mode={round_to!r}; expected floor, ceil or round_prefer_floor")
    return min(max(found, 0), n - 1)
