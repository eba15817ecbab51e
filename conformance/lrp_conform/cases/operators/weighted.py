"""Layers with a weight from every input channel to every output channel."""

import lrp_ref as lrp
from lrp_conform.cases.operators.row import COUNTS, POSITIVE, Attr, Chooser, Drawn, Operator, Param, Shape
from lrp_conform.cases.operators.shapes import batch
from lrp_conform.cases.operators.windows import dilation, drawn_windows, padding, stride

WINDOWS = (stride("conv"), padding("conv"), dilation("conv"))
GROUPS = Attr("groups", POSITIVE, "Groups of channels.", features={"conv.groups": lambda groups: groups != 1})
OUTPUT_PADDING = Attr(
    "output_padding", COUNTS, "Added to the end of the output, one entry per spatial axis.",
    features={"conv.output-padding": any},
)  # fmt: skip
BIAS = Param("bias", ("out",), "Bias, (out); missing means zero.", required=False)


def _weight(*axes: str) -> Param:
    return Param("weight", axes, f"Weights, ({', '.join(axes)}).")


def _biased(chooser: Chooser, out: int) -> dict[str, tuple[int, ...]]:
    return {"bias": (out,)} if chooser.choice("layer's bias", ("given", "absent")) == "given" else {}


def _dense(chooser: Chooser) -> Drawn:
    out, width = chooser.choice("outputs", (1, 2, 3), (9, 33)), chooser.choice("inputs", (1, 2, 3, 4), (17, 256))
    return Drawn([(batch(chooser), width)], params={"weight": (out, width), **_biased(chooser, out)})


def _conv(chooser: Chooser) -> Drawn:
    attrs, kernel, size = drawn_windows(chooser, "conv")
    groups, width, each = _channels(chooser, size)
    params = {"weight": (groups * each, width, *kernel), **_biased(chooser, groups * each)}
    return Drawn([(batch(chooser), width * groups, *size)], attrs | {"groups": groups}, params)


def _conv_transpose(chooser: Chooser) -> Drawn:
    attrs, kernel, size = drawn_windows(chooser, "transposed")
    groups, width, each = _channels(chooser, size)
    params = {"weight": (groups * width, each, *kernel), **_biased(chooser, each * groups)}
    return Drawn([(batch(chooser), groups * width, *size)], attrs | {"groups": groups}, params)


def _channels(chooser: Chooser, size: Shape) -> tuple[int, int, int]:
    """Groups, and the input and output channels of each: one of each is depthwise, several outputs a multiplier."""
    groups = chooser.choice("groups", (1, 2), (3,))
    narrow = groups > 1 or len(size) == 3
    width = chooser.choice("inputs a group", (1,) if narrow else (1, 2), (2, 3))
    return groups, width, chooser.choice("outputs a group", (1,) if narrow else (1, 2), (2, 3))


ROWS = (
    Operator("dense", "y = W x + b.", "x is `(N, in)`", lrp.Dense, _dense, (), (_weight("out", "in"), BIAS), mixes=True),
    Operator(
        "conv",
        "Cross-correlation.",
        "cross-correlation: `y[o, p] = sum_k w[o, c, k] x[c, p*stride + k*dilation - begin]`; output channel o belongs to "
        "group `o // (out/groups)`",
        lrp.Conv,
        _conv,
        (*WINDOWS, GROUPS),
        (_weight("out", "in/groups", "*kernel"), BIAS),
        spatial=True,
        mixes=True,
    ),
    Operator(
        "conv-transpose",
        "Transposed convolution.",
        "input position p and tap k meet output `p*stride + k*dilation - begin`; output size "
        "`(n-1)*stride - begin - end + dilation*(k-1) + 1 + output_padding`",
        lrp.ConvTranspose,
        _conv_transpose,
        (*WINDOWS, GROUPS, OUTPUT_PADDING),
        (_weight("in", "out/groups", "*kernel"), BIAS),
        spatial=True,
        mixes=True,
    ),
)
