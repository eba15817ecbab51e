"""Sums of convolutions of one geometry, or of their adjoints, without a patch matrix."""

from collections.abc import Sequence

import numpy as np

from lrp_ref.arrays import Array
from lrp_ref.fast.blocks import Sum
from lrp_ref.fast.gather import gather
from lrp_ref.fast.patches import covered
from lrp_ref.fast.scatter import pays, scatter


def convolve(sums: Sequence[Sum], sources: Sequence[Array], adjoint: bool, shift: Array | None = None) -> list[Array]:
    """The outputs of sums of convolutions (of their adjoints), from sources of one batch size.

    shift: what a convolution adds besides, (1, out, 1, ...).
    """
    conv, batch = sums[0][0][1][0][1], len(sources[0])
    shape = (batch, *(conv.size if adjoint else conv.outputs))
    whole = not adjoint or covered(conv.window, conv.size[1:], conv.out)
    outs = [(np.empty if whole else np.zeros)(shape, sources[0].dtype) for _ in sums]
    if adjoint and pays(conv, batch):
        scatter(sums, sources, outs)
    else:
        gather(sums, sources, outs, adjoint, shift)
    return outs
