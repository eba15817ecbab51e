"""Pooling: means, sums and maxima over windows."""

from collections.abc import Callable

import lrp_ref as lrp
from lrp_conform.cases.operators.row import FLAG, Attr, Chooser, Drawn, Json, Operator, word
from lrp_conform.cases.operators.shapes import batch, size
from lrp_conform.cases.operators.windows import KERNEL, dilation, drawn_windows, padding, stride

WINDOWS = (KERNEL, stride("pool"), padding("pool"), dilation("pool"))
COUNT_INCLUDE_PAD = Attr(
    "count_include_pad",
    FLAG,
    "Whether taps on padding count in the divisor.",
    features={"pool.exclude-padding": lambda counted: not counted},
)
TIES = word("ties", ("first", "last", "split"), "Which of several equal taps wins.")
LINEARIZATION = word("linearization", ("winner", "average"), "The linear map that relevance sees.")


def _pool(more: Callable[[Chooser], Json]) -> Callable[[Chooser], Drawn]:
    def draw(chooser: Chooser) -> Drawn:
        attrs, kernel, size = drawn_windows(chooser, "pool")
        channels = chooser.choice("channels", (1, 2), (3,))
        return Drawn([(batch(chooser), channels, *size)], {"kernel": list(kernel)} | attrs | more(chooser))

    return draw


def _global(chooser: Chooser) -> Drawn:
    axes = chooser.choice("spatial", (1, 2, 3))
    return Drawn([(batch(chooser), *(size(chooser, f"size[{k}]") for k in range(axes + 1)))])


def _maximum(chooser: Chooser) -> Json:
    linearization = chooser.choice("linearization", LINEARIZATION.values)
    return {"ties": chooser.choice("ties", TIES.values), "linearization": linearization}


ROWS = (
    Operator(
        "avg-pool",
        "Mean over windows.",
        "mean over the window; divides by the window's size, or with `count_include_pad: false` by the taps inside",
        lrp.AvgPool,
        _pool(lambda chooser: {"count_include_pad": chooser.choice("count_include_pad", (True, False))}),
        (*WINDOWS, COUNT_INCLUDE_PAD),
        spatial=True,
        mixes=True,
    ),
    Operator(
        "sum-pool",
        "Sum over windows.",
        "sum over the window",
        lrp.SumPool,
        _pool(lambda chooser: {}),
        WINDOWS,
        spatial=True,
        mixes=True,
    ),
    Operator(
        "global-avg-pool",
        "Mean over all spatial axes.",
        "mean over all spatial axes, kept with size 1",
        lrp.GlobalAvgPool,
        _global,
        spatial=True,
        mixes=True,
    ),
    Operator(
        "max-pool",
        "Maximum over windows.",
        "`linearization: winner`: y selects the largest tap inside (padding never wins), `ties: first` or `last` in row-major "
        "order of the taps, or `split` (each of t tied taps has weight 1/t). `linearization: average`: for relevance only, the "
        "mean over the taps inside stands for the maximum",
        lrp.MaxPool,
        _pool(_maximum),
        (*WINDOWS, TIES, LINEARIZATION),
        spatial=True,
    ),
)
