"""Windows that slide over spatial axes: their attributes, and small ones that fit."""

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


@cache
def fitting(kind: str, longest: int) -> list[dict[str, int]]:
    """Every geometry of one axis that `kind` ("conv", "transposed", "pool") admits, up to a size of `longest`."""
    found = []
    extras = (0, 1) if kind == "transposed" else (0,)
    for axis in product((1, 2, 3), (1, 2), (1, 2), (0, 1, 2), (0, 1), range(1, longest + 1), extras):
        g = dict(zip(AXIS, axis, strict=True))
        window = Window((g["kernel"],), (g["stride"],), ((g["begin"], g["end"]),), (g["dilation"],))
        if kind == "transposed":
            long = (g["size"] - 1) * g["stride"] - g["begin"] - g["end"] + g["dilation"] * (g["kernel"] - 1) + 1 + g["extra"]
            fits = 1 <= long <= 5 and window.output((long,)) == (g["size"],)
        else:
            (out,) = window.output((g["size"],))
            fits = 1 <= out <= 3 and (kind == "conv" or window.reads_inside((g["size"],)))
        found += [g] if fits else []
    return found


def drawn_windows(chooser: Chooser, kind: str) -> tuple[Json, Shape, Shape]:
    """Attributes of a window over one to three axes without its kernel, the kernel, and the size of those axes."""
    axes = chooser.choice((1, 1, 2, 2, 3))
    drawn = [chooser.choice(fitting(kind, (4, 3, 2)[axes - 1])) for _ in range(axes)]
    if axes == 3:
        drawn[1] = drawn[1] | {"kernel": 1, "dilation": 1, "stride": 1, "begin": 0, "end": 0, "extra": 0}
    attrs: Json = {name: [g[name] for g in drawn] for name in ("stride", "dilation")}
    attrs["padding"] = [[g["begin"], g["end"]] for g in drawn]
    if kind == "transposed":
        attrs["output_padding"] = [g["extra"] for g in drawn]
    return attrs, tuple(g["kernel"] for g in drawn), tuple(g["size"] for g in drawn)
