"""Layers with a weight from every input channel to every output channel."""

import lrp_ref as lrp
from lrp_conform.cases.operators.row import COUNTS, POSITIVE, Attr, Chooser, Drawn, Operator, Param
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
    return {"bias": (out,)} if chooser.integer(0, 3) else {}


def _dense(chooser: Chooser) -> Drawn:
    batch, out, width = chooser.integer(1, 2), chooser.integer(1, 3), chooser.integer(1, 4)
    return Drawn([(batch, width)], params={"weight": (out, width), **_biased(chooser, out)})


def _conv(chooser: Chooser) -> Drawn:
    batch = chooser.integer(1, 2)
    attrs, kernel, size = drawn_windows(chooser, "conv")
    groups = chooser.choice((1, 1, 2))
    out, width = groups * chooser.integer(1, 2), chooser.integer(1, 2 if groups == 1 and len(size) < 3 else 1)
    params = {"weight": (out, width, *kernel), **_biased(chooser, out)}
    return Drawn([(batch, width * groups, *size)], attrs | {"groups": groups}, params)


def _conv_transpose(chooser: Chooser) -> Drawn:
    batch = chooser.integer(1, 2)
    attrs, kernel, size = drawn_windows(chooser, "transposed")
    groups = chooser.choice((1, 1, 2))
    width, out = groups * chooser.integer(1, 2 if len(size) < 3 else 1), chooser.integer(1, 2 if groups == 1 else 1)
    params = {"weight": (width, out, *kernel), **_biased(chooser, out * groups)}
    return Drawn([(batch, width, *size)], attrs | {"groups": groups}, params)


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
