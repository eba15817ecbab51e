"""Windows that slide over spatial axes: their attributes, and small ones that fit."""

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from lrp_conform.cases.operators.row import PAIRS, SIZES, Attr, Chooser, Json, Shape
from lrp_ref.layers.maps import Window

AXIS = ("kernel", "stride", "dilation", "begin", "end", "size", "extra")
KERNEL = Attr("kernel", SIZES, "Size of the window, one entry per spatial axis.")


def stride(kind: str) -> Attr:
    """The step; a feature of convolutions, which every pooling has."""
    features = {"conv.stride": _several} if kind == "conv" else {}
    return Attr("stride", SIZES, "Step of the window, one entry per spatial axis.", features=features)


def dilation(kind: str) -> Attr:
    about = "Distance between taps, one entry per spatial axis."
    return Attr("dilation", SIZES, about, features={f"{kind}.dilation": _several})


def padding(kind: str) -> Attr:
    about = "[begin, end] per spatial axis; padding is not a connection."
    even, uneven = f"{kind}.padding", f"{kind}.asymmetric-padding"
    return Attr("padding", PAIRS, about, features={even: lambda p: any(map(any, p)) and not _uneven(p), uneven: _uneven})


def _several(sizes: Any) -> bool:
    return set(sizes) != {1}


def _uneven(pairs: Any) -> bool:
    return any(begin != end for begin, end in pairs)


@dataclass(frozen=True)
class Extent:
    """How far the geometries of an axis go: values of kernel, stride, dilation, begin and end, and the longest sizes."""

    kernel: tuple[int, ...] = (1, 2, 3)
    stride: tuple[int, ...] = (1, 2)
    dilation: tuple[int, ...] = (1, 2)
    begin: tuple[int, ...] = (0, 1, 2)
    end: tuple[int, ...] = (0, 1)
    longest: int = 4
    output: int = 3


SMALL = (Extent(), Extent(longest=3), Extent(longest=2))  # by the number of axes
WIDE = (
    Extent((1, 2, 3, 4, 5), (1, 2, 3, 4), (1, 2, 3), (0, 1, 2, 3, 5), (0, 1, 2, 3), 9, 6),
    Extent((1, 2, 3, 4), (1, 2, 3), (1, 2), (0, 1, 2, 3), (0, 1, 2, 3), 6, 4),
    Extent((1, 2, 3), (1, 2), (1, 2), (0, 1, 2), (0, 1), 4, 2),
)


@cache
def fitting(kind: str, extent: Extent, refused: frozenset[str] = frozenset()) -> list[dict[str, int]]:
    """Every geometry of one axis that `kind` ("conv", "transposed", "pool") admits, as far as `extent` goes.

    `refused`: features that none of them needs.
    """
    if refused:
        return [g for g in fitting(kind, extent) if not refused & _needs(kind, g)]
    found = []
    extras = (0, 1) if kind == "transposed" else (0,)
    sizes = range(1, extent.longest + 1)
    for axis in product(extent.kernel, extent.stride, extent.dilation, extent.begin, extent.end, sizes, extras):
        g = dict(zip(AXIS, axis, strict=True))
        window = Window((g["kernel"],), (g["stride"],), ((g["begin"], g["end"]),), (g["dilation"],))
        if kind == "transposed":
            long = (g["size"] - 1) * g["stride"] - g["begin"] - g["end"] + g["dilation"] * (g["kernel"] - 1) + 1 + g["extra"]
            fits = 1 <= long <= extent.output + 2 and window.output((long,)) == (g["size"],)
        else:
            (out,) = window.output((g["size"],))
            fits = 1 <= out <= extent.output and (kind == "conv" or window.reads_inside((g["size"],)))
        found += [g] if fits else []
    return found


def _needs(kind: str, g: dict[str, int]) -> set[str]:
    """The features that a geometry needs."""
    of = "pool" if kind == "pool" else "conv"
    given = ((stride(of), g["stride"]), (dilation(of), g["dilation"]), (padding(of), [g["begin"], g["end"]]))
    return {name for attr, value in given for name, needs in attr.features.items() if needs([value])}


def drawn_windows(chooser: Chooser, kind: str) -> tuple[Json, Shape, Shape]:
    """Attributes of a window over one to three axes without its kernel, the kernel, and the size of those axes."""
    axes = chooser.choice("spatial", (1, 2, 3))
    drawn = [_axis(chooser, kind, axes, k) for k in range(axes)]
    if axes == 3 and not chooser.wide:
        drawn[1] = drawn[1] | {"kernel": 1, "dilation": 1, "stride": 1, "begin": 0, "end": 0, "extra": 0}
    attrs: Json = {name: [g[name] for g in drawn] for name in ("stride", "dilation")}
    attrs["padding"] = [[g["begin"], g["end"]] for g in drawn]
    if kind == "transposed":
        attrs["output_padding"] = [g["extra"] for g in drawn]
    return attrs, tuple(g["kernel"] for g in drawn), tuple(g["size"] for g in drawn)


def _axis(chooser: Chooser, kind: str, axes: int, k: int) -> dict[str, int]:
    """The geometry of axis k of so many: one size after the other, of those that still fit."""
    left = fitting(kind, SMALL[axes - 1], chooser.refused)
    more = fitting(kind, WIDE[axes - 1], chooser.refused) if chooser.wide else []
    for name in AXIS:
        values = [sorted({g[name] for g in part}) for part in (left, more)]
        chosen = chooser.choice(f"{name}[{k}]", values[0], values[1])
        left, more = ([g for g in part if g[name] == chosen] for part in (left, more))
    return (left or more)[0]
