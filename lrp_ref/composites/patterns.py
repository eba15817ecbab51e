"""PatternNet and PatternAttribution, from fitted patterns a. Kindermans et al. 2018, arXiv:1705.05598.

Both are the gradient pass on other weights, with the ReLUs' masks of the forward pass:

    PatternNet: a in place of w, the signal;    PatternAttribution: w a in place of w, the signal's contribution

Fit the patterns with `lrp_ref.fit_patterns`; start from the output, `seed="logit"`.
"""

from collections.abc import Mapping
from glob import escape

from lrp_ref.arrays import Array, LRPError
from lrp_ref.layers import LRN, Activation, Add, BatchNorm, MaxPool, Scale, SumPool
from lrp_ref.layers.kinds import AVERAGE, MOVING
from lrp_ref.network.composite import Assign, Composite
from lrp_ref.network.graph import Graph
from lrp_ref.rules import Gradient

GRADIENT = (Add, BatchNorm, MaxPool, Scale, SumPool, *AVERAGE, *MOVING)


def pattern_net(net: Graph, patterns: Mapping[str, Array]) -> Composite:
    """R_i = sum_j a_ij R_j for the layers of `patterns` (node name -> array of the weight's shape)."""
    return _pattern("pattern_net", net, dict(patterns))


def pattern_attribution(net: Graph, patterns: Mapping[str, Array]) -> Composite:
    """R_i = sum_j w_ji a_ij R_j for the layers of `patterns` (node name -> array of the weight's shape)."""
    weights = {name: _weight(net, name) * a for name, a in patterns.items()}
    return _pattern("pattern_attribution", net, weights)


def _weight(net: Graph, name: str) -> Array:
    return getattr(net[name].layer, "weight", None)


def _pattern(title: str, net: Graph, weights: dict[str, Array]) -> Composite:
    for name, weight in weights.items():
        own = tuple(getattr(_weight(net, name), "shape", ()))
        if own != tuple(weight.shape):
            raise LRPError(f"patterns: expected {name!r} of its weight's shape {own}, got {tuple(weight.shape)}")
    entries = [Assign(Gradient(), name=escape(node), sees={"weight": weight}) for node, weight in weights.items()]
    rest = [Assign(Gradient(), (Activation, LRN), sees={"linearization": "gradient"}), Assign(Gradient(), GRADIENT)]
    return Composite([*entries, *rest], f"patterns.{title}")
