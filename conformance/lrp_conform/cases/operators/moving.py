"""Layers that join, move or keep values."""

from math import prod

import lrp_ref as lrp
from lrp_conform.cases.operators.row import FINITE, NATURAL, PAIRS, POSITIVE, SIZES, Attr, Chooser, Drawn, Operator
from lrp_conform.cases.operators.shapes import any_shape, batch

AXIS = Attr("axis", POSITIVE, "The axis; 1 is the channels.")


def _same(chooser: Chooser) -> Drawn:
    return Drawn([any_shape(chooser)])


def _add(chooser: Chooser) -> Drawn:
    return Drawn([any_shape(chooser)] * chooser.choice("summands", (2, 3), (4,)))


def _concat(chooser: Chooser) -> Drawn:
    shape = any_shape(chooser)
    axis = chooser.choice("axis", range(1, len(shape)))
    widths = [chooser.choice(f"width[{k}]", (1, 2), (3,)) for k in range(chooser.choice("parts", (2, 3), (4,)))]
    return Drawn([(*shape[:axis], n, *shape[axis + 1 :]) for n in widths], {"axis": axis})


def _reshape(chooser: Chooser) -> Drawn:
    shape = any_shape(chooser)
    total = prod(shape[1:])
    return Drawn([shape], {"shape": chooser.choice("shape", ([total], [1, total], [total, 1], [*reversed(shape[1:])]))})


def _permute(chooser: Chooser) -> Drawn:
    shape = any_shape(chooser)
    axes: list[int] = []
    left = list(range(1, len(shape)))
    while left:
        axes.append(left.pop(left.index(chooser.choice(f"axis {len(axes) + 1} from", left))))
    return Drawn([shape], {"axes": axes})


def _spatial(chooser: Chooser) -> int:
    return chooser.choice("spatial", (1, 2), (3,))


def _sizes(chooser: Chooser, axes: int) -> list[int]:
    return [chooser.choice(f"size[{k}]", (1, 2), (3,)) for k in range(axes)]


def _ends(chooser: Chooser, axes: int) -> list[list[int]]:
    return [[chooser.choice(f"begin[{k}]", (0, 1), (2,)), chooser.choice(f"end[{k}]", (0, 1, 2))] for k in range(axes)]


def _pad(chooser: Chooser) -> Drawn:
    axes = _spatial(chooser)
    attrs = {"padding": _ends(chooser, axes), "value": chooser.choice("value", ("0", "2", "-1/2"))}
    return Drawn([(batch(chooser), *_sizes(chooser, axes + 1))], attrs)


def _crop(chooser: Chooser) -> Drawn:
    ends = _ends(chooser, _spatial(chooser))
    channels, *left = _sizes(chooser, len(ends) + 1)
    return Drawn([(batch(chooser), channels, *(b + e + n for (b, e), n in zip(ends, left, strict=True)))], {"crop": ends})


def _slice(chooser: Chooser) -> Drawn:
    shape = any_shape(chooser)
    axis = chooser.choice("axis", range(1, len(shape)))
    begin = chooser.choice("begin", range(shape[axis]))
    end, step = chooser.choice("end", range(begin + 1, shape[axis] + 1)), chooser.choice("step", (1, 2), (3,))
    return Drawn([shape], {"axis": axis, "begin": begin, "end": end, "step": step})


def _upsample(chooser: Chooser) -> Drawn:
    axes = _spatial(chooser)
    scale = [chooser.choice(f"scale[{k}]", (1, 2, 3)) for k in range(axes)]
    return Drawn([(batch(chooser), *_sizes(chooser, axes + 1))], {"scale": scale})


def _dropout(chooser: Chooser) -> Drawn:
    return Drawn([any_shape(chooser)], {"rate": "1/2"})


ROWS = (
    Operator("add", "Sum of the inputs.", "`y = x0 + x1 + ...`", lrp.Add, _add, several=True, elementwise=True, mixes=True),
    Operator(
        "concat",
        "Inputs joined along an axis.",
        "inputs joined along `axis` (1 = channels)",
        lrp.Concat,
        _concat,
        (AXIS,),
        several=True,
    ),
    Operator("flatten", "(N, -1), row-major.", "`(N, -1)`, row-major", lrp.Flatten, _same),
    Operator(
        "reshape",
        "Another shape, the same order.",
        "the same values in the same order, row-major",
        lrp.Reshape,
        _reshape,
        (Attr("shape", SIZES, "The new shape without the batch axis.", "without the batch axis"),),
    ),
    Operator(
        "permute",
        "Axes reordered.",
        "output axis a is input axis `axes[a-1]`",
        lrp.Permute,
        _permute,
        (
            Attr(
                "axes",
                SIZES,
                "A permutation of 1 .. ndim - 1.",
                "a permutation of 1 .. ndim-1; the batch axis stays first",
                argument="axes_order",
            ),
        ),
    ),
    Operator(
        "pad",
        "A constant border.",
        "constant; where value is not zero it is a bias of the padded outputs",
        lrp.Pad,
        _pad,
        (
            Attr("padding", PAIRS, "[begin, end] per spatial axis."),
            Attr("value", FINITE, "What the border holds; a bias where it is not zero."),
        ),
        spatial=True,
    ),
    Operator(
        "crop",
        "Ends removed.",
        "removes that many from each end",
        lrp.Crop,
        _crop,
        (Attr("crop", PAIRS, "[begin, end] per spatial axis, removed."),),
        spatial=True,
    ),
    Operator(
        "upsample",
        "Nearest neighbour.",
        "nearest neighbour: output p reads input `p // scale`",
        lrp.Upsample,
        _upsample,
        (Attr("scale", SIZES, "Factor per spatial axis.", "integers"),),
        spatial=True,
    ),
    Operator(
        "slice",
        "Elements begin, begin + step, ... before end along one axis.",
        "elements begin, begin + step, ... before end along one axis (1 = channels)",
        lrp.Slice,
        _slice,
        (
            AXIS,
            Attr("begin", NATURAL, "The first element."),
            Attr("end", POSITIVE, "The element before which to stop."),
            Attr("step", POSITIVE, "From one element to the next."),
        ),
    ),
    Operator("identity", "The input itself.", "y = x", lrp.Identity, _same, elementwise=True),
    Operator(
        "dropout",
        "The input itself: dropout at inference.",
        "y = x: dropout once training is over",
        lrp.Dropout,
        _dropout,
        (Attr("rate", FINITE, "What training dropped, from 0 to below 1."),),
        elementwise=True,
    ),
)
