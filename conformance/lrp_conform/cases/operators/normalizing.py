"""Layers that normalise: batch statistics, neighbouring channels, a factor and a shift."""

import lrp_ref as lrp
from lrp_conform.cases.operators.row import FINITE, POSITIVE, Attr, Chooser, Drawn, Operator, Param, word
from lrp_conform.cases.operators.shapes import any_shape, batch, size
from lrp_ref.layers.lrn import LINEARIZATIONS as LRN_MAPS
from lrp_ref.layers.normalization import LINEARIZATIONS as NORM_MAPS

NORM_MAP = word("linearization", NORM_MAPS, "The affine map that relevance sees.")
LRN_MAP = word("linearization", LRN_MAPS, "The linear map that relevance sees.")


def _batch_norm(chooser: Chooser) -> Drawn:
    """Every root is rational: of variance + epsilon, variance, and variance^2 + epsilon."""
    linearization = chooser.choice("linearization", NORM_MAPS)
    rooted = (("0", ("4", "1/4", "1")), ("5/4", ("1",)), ("5/4", ("1", "11/4")))
    epsilon, variances = chooser.choice("epsilon and variances", rooted)
    if linearization in ("without_epsilon", "variance_squared") and epsilon != "0":
        variances = ("1",)
    channels = size(chooser, "channels")
    params = dict.fromkeys(("gamma", "beta", "mean", "variance"), (channels,))
    shape = (batch(chooser), channels, *chooser.choice("positions", ((), (2,), (2, 1)), ((3, 2), (2, 1, 3))))
    return Drawn([shape], {"epsilon": epsilon, "linearization": linearization}, params, {"variance": variances})


def _lrn(chooser: Chooser) -> Drawn:
    shape = any_shape(chooser)
    attrs = {"size": chooser.choice("size", (1, 2, 3, 4)), "alpha": chooser.choice("alpha", ("1", "3", "1/2"))}
    attrs |= {name: chooser.choice(name, ("1", "2")) for name in ("beta", "bias")}
    return Drawn([shape], attrs | {"linearization": chooser.choice("linearization", LRN_MAPS)})


def _scale(chooser: Chooser) -> Drawn:
    shape = any_shape(chooser)
    names = chooser.choice("parameters", (("weight",), ("bias",), ("weight", "bias")))
    shared = {name: [chooser.choice(f"{name} shares axis {k}", (False, True)) for k in range(1, len(shape))] for name in names}
    return Drawn([shape], params={name: tuple(map(_own, axes, shape[1:])) for name, axes in shared.items()})


def _own(shared: bool, size: int) -> int:
    return 1 if shared else size


def _channels(name: str, about: str) -> Param:
    return Param(name, ("C",), f"{about}, (C).")


BATCH_NORM = Operator(
    "batch-norm",
    "Batch normalisation at inference.",
    "with `g = gamma / sqrt(variance + epsilon)`: `y = g x + (beta - g mean)`. The relevance maps: below",
    lrp.BatchNorm,
    _batch_norm,
    (Attr("epsilon", FINITE, "Added to the variance."), NORM_MAP),
    (
        _channels("gamma", "Scale"),
        _channels("beta", "Shift"),
        _channels("mean", "Running mean"),
        _channels("variance", "Running variance"),
    ),
    "the affine map that relevance sees (y is always the true one): `affine` as above. `centered`: contribution `g (x - mean)` "
    "and bias `beta`. `without_epsilon`: g with epsilon 0. `variance_squared`: `g = gamma / sqrt(variance^2 + epsilon)`, bias "
    "`beta - mean / sqrt(variance^2 + epsilon)` (a known error). `at_mean_zero`: as `affine`, but an element with `x = mean` "
    "receives 0 and all of its relevance counts as dropped.",
    spatial=True,
)
LRN = Operator(
    "lrn",
    "Local response normalisation.",
    "`y = x s^-beta`, `s_c = bias + alpha/size * sum of x_k^2` over the channels k from `c - (size-1)//2` to `c + size//2`, as "
    "far as there are any. The relevance maps: below",
    lrp.LRN,
    _lrn,
    (
        Attr("size", POSITIVE, "Channels in a window."),
        Attr("alpha", FINITE, "Of the mean square."),
        Attr("beta", FINITE, "The exponent."),
        Attr("bias", FINITE, "Added to alpha times the mean square."),
        LRN_MAP,
    ),
    note="with `q_c = 2 beta alpha/size x_c s_c^(-beta-1)` (y is always the true one): `ratio`: `w_cc = s_c^-beta`, no other "
    "connection. `gradient`: `w_cc = s_c^-beta - q_c x_c` and `w_ck = -q_c x_k` for the others of the window, with the bias "
    "`y - W x`. `taylor`: `w_cc = (bias + alpha/size x_c^2)^-beta`, `w_ck = -q_c x_k`, and no bias (arXiv:1604.00825). Every "
    "channel of a window is a connection under the last two.",
    mixes=True,
)
SCALE = Operator(
    "scale",
    "A factor and a shift per element.",
    "`y = weight x + bias`, elementwise; each of one sample's shape, with 1 where an axis shares it, or absent",
    lrp.Scale,
    _scale,
    (),
    (
        Param("weight", (), "Factor: one sample's shape, 1 where an axis shares it.", required=False),
        Param("bias", (), "Shift: one sample's shape, 1 where an axis shares it.", required=False),
    ),
)
ROWS = (BATCH_NORM, LRN, SCALE)
