"""captum's rules where the user sets none: `captum/attr/_core/lrp.py`, `SUPPORTED_LAYERS_WITH_RULES`. It seeds the logit."""

from lrp_ref.arrays import Number
from lrp_ref.dialects import DIALECTS, signed
from lrp_ref.layers import Activation, Add, BatchNorm, MaxPool
from lrp_ref.layers.kinds import AVERAGE, MOVING, WEIGHTED
from lrp_ref.network.composite import Assign, Composite
from lrp_ref.rules import Epsilon, Gradient, Pass
from lrp_ref.stabilizers import NONE


def epsilon(epsilon: Number = 1e-9) -> Composite:
    """EpsilonRule for layers with weights, batch norms, poolings and additions that are modules; activations pass."""
    entries = [
        Assign(Epsilon(epsilon), (Add, MaxPool, *AVERAGE), stabilizer=signed(epsilon)),
        Assign(Epsilon(epsilon), (*WEIGHTED, BatchNorm), dialect=DIALECTS["captum-0.9"]),
        Assign(Pass(), Activation, stabilizer=NONE),
        Assign(Gradient(), MOVING),
    ]
    return Composite(entries, "captum.epsilon")
