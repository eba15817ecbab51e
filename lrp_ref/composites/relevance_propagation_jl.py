"""The composites of RelevancePropagation.jl 3, by its names: `src/composite_presets.jl`.

They differ from zennit's namesakes: gamma is the ordinary rule (weights and bias), the rule of a first layer holds only
where the very first layer is a convolution (`FirstLayerTypeMap`), and what no entry names gets ZeroRule
(`src/composite.jl`, `match_rule`): poolings, the sums of skip connections, and what Flux has no layer for, such as local
response normalisation: x_i sum_j dy_j/dx_i R_j / y_j. A factor and shift (`Scale`) get the dense layers' rule. Batch norms
pass, as its `canonize` fuses them without an epsilon: `lrp_ref.transforms.merge_batch_norm` is exact instead. It seeds 1:
`explain(..., seed="one")`.
"""

from typing import Any

from lrp_ref.arrays import Number
from lrp_ref.dialects import DIALECTS
from lrp_ref.layers import LRN, Activation, Add, BatchNorm, Dense, MaxPool, Scale
from lrp_ref.layers.kinds import AVERAGE, CONVOLUTION, MOVING
from lrp_ref.network.composite import Assign, Composite
from lrp_ref.network.graph import Graph, Node
from lrp_ref.rules import AlphaBeta, Epsilon, Flat, Gamma, Pass, ZBox, Zero, ZPlus
from lrp_ref.stabilizers import NONE

JULIA = DIALECTS["relevancepropagation.jl"]


def epsilon_gamma_box(low: Any, high: Any, epsilon: Number = 1e-6, gamma: Number = 0.25) -> Composite:
    """Convolutions ordinary gamma, a first one ZBox(low, high); dense layers epsilon."""
    return _mapped("epsilon_gamma_box", Gamma(gamma), epsilon, ZBox(low, high))


def epsilon_plus(epsilon: Number = 1e-6) -> Composite:
    """Convolutions ZPlus, dense layers epsilon."""
    return _mapped("epsilon_plus", ZPlus(), epsilon)


def epsilon_alpha2_beta1(epsilon: Number = 1e-6) -> Composite:
    """Convolutions AlphaBeta(2, 1), dense layers epsilon."""
    return _mapped("epsilon_alpha2_beta1", AlphaBeta(2, 1), epsilon)


def epsilon_plus_flat(epsilon: Number = 1e-6) -> Composite:
    """As `epsilon_plus`, and a first layer that is a convolution Flat."""
    return _mapped("epsilon_plus_flat", ZPlus(), epsilon, Flat())


def epsilon_alpha2_beta1_flat(epsilon: Number = 1e-6) -> Composite:
    """As `epsilon_alpha2_beta1`, and a first layer that is a convolution Flat."""
    return _mapped("epsilon_alpha2_beta1_flat", AlphaBeta(2, 1), epsilon, Flat())


def comes_first(net: Graph, node: Node) -> bool:
    """Whether the node is the network's first."""
    return node.name == net.nodes[0].name


def _mapped(name: str, convolution: Any, epsilon: Number, first: Any = None) -> Composite:
    entries = [
        Assign(convolution, CONVOLUTION, dialect=JULIA),
        Assign(Epsilon(epsilon), (Dense, Scale), dialect=JULIA),
        Assign(Pass(), (Activation, BatchNorm, *MOVING), stabilizer=NONE),
        Assign(Zero(), (Add, MaxPool, *AVERAGE), dialect=JULIA),
        Assign(Zero(), LRN, dialect=JULIA, sees={"linearization": "gradient"}),
    ]
    if first is not None:
        entries.insert(0, Assign(first, CONVOLUTION, when=comes_first, dialect=JULIA))
    return Composite(entries, f"relevance_propagation_jl.{name}")
