"""The composites of zennit 1.0, by its names: `zennit/composites.py`, lines 255 to 604.

They share `layer_map_base` (lines 255-275): Activation and BatchNorm pass, Sum and AvgPool are Norm. Modules without a rule
(max pooling, flatten, a factor and shift, local response normalisation, ...) get autograd's gradient. "First" means the first
matching module in order, wherever it reads from. Batch norms pass on the assumption that a canonizer merged them:
`lrp_ref.transforms.merge_batch_norm`.
"""

from typing import Any

from lrp_ref.arrays import LRPError, Number
from lrp_ref.dialects import DIALECTS, signed
from lrp_ref.layers import LRN, Activation, Add, BatchNorm, Dense, MaxPool, Scale, SumPool
from lrp_ref.layers.kinds import AVERAGE, CONVOLUTION, MOVING, WEIGHTED
from lrp_ref.network.composite import Assign, Composite
from lrp_ref.rules import AlphaBeta, Epsilon, Flat, Gamma, Gradient, Norm, Pass, ZBox, ZPlus
from lrp_ref.stabilizers import NONE

ZENNIT = DIALECTS["zennit-1.0"]
GRADIENT_REST = (
    Assign(Gradient(), (MaxPool, Scale, *MOVING)),
    Assign(Gradient(), LRN, sees={"linearization": "gradient"}),
)


def epsilon_gamma_box(
    low: Any, high: Any, epsilon: Number = 1e-6, gamma: Number = 0.25, stabilizer: Number = 1e-6, zero_params: Any = None
) -> Composite:
    """The first convolution ZBox(low, high), the others generalised gamma, dense layers epsilon (lines 278-336)."""
    first = _linear(ZBox(low, high), CONVOLUTION, stabilizer, zero_params, position="first")
    return _mapped("epsilon_gamma_box", [first], Gamma(gamma), epsilon, stabilizer, zero_params)


def epsilon_plus(epsilon: Number = 1e-6, stabilizer: Number = 1e-6, zero_params: Any = None) -> Composite:
    """Convolutions ZPlus, dense layers epsilon (lines 339-372)."""
    return _mapped("epsilon_plus", [], ZPlus(), epsilon, stabilizer, zero_params)


def epsilon_alpha2_beta1(epsilon: Number = 1e-6, stabilizer: Number = 1e-6, zero_params: Any = None) -> Composite:
    """Convolutions AlphaBeta(2, 1), dense layers epsilon (lines 375-408)."""
    return _mapped("epsilon_alpha2_beta1", [], AlphaBeta(2, 1), epsilon, stabilizer, zero_params)


def epsilon_plus_flat(epsilon: Number = 1e-6, stabilizer: Number = 1e-6, zero_params: Any = None) -> Composite:
    """As `epsilon_plus`, and the first linear layer of any kind Flat (lines 411-454)."""
    first = _linear(Flat(), WEIGHTED, stabilizer, None, position="first")
    return _mapped("epsilon_plus_flat", [first], ZPlus(), epsilon, stabilizer, zero_params)


def epsilon_alpha2_beta1_flat(epsilon: Number = 1e-6, stabilizer: Number = 1e-6, zero_params: Any = None) -> Composite:
    """As `epsilon_alpha2_beta1`, and the first linear layer of any kind Flat (lines 457-500)."""
    first = _linear(Flat(), WEIGHTED, stabilizer, None, position="first")
    return _mapped("epsilon_alpha2_beta1_flat", [first], AlphaBeta(2, 1), epsilon, stabilizer, zero_params)


def excitation_backprop(stabilizer: Number = 1e-6, zero_params: Any = None) -> Composite:
    """Every linear layer ZPlus, sums and averages Norm; activations and batch norms get the gradient (lines 549-580)."""
    entries = [
        Assign(Norm(), (Add, SumPool, *AVERAGE), stabilizer=signed(stabilizer)),
        _linear(ZPlus(), WEIGHTED, stabilizer, zero_params),
        Assign(Gradient(), Activation, sees={"linearization": "gradient"}),
        Assign(Gradient(), BatchNorm),
        *GRADIENT_REST,
    ]
    return Composite(entries, "zennit.excitation_backprop")


def _mapped(
    name: str, first: list[Assign], convolution: Any, epsilon: Number, stabilizer: Number, zero_params: Any
) -> Composite:
    """`first`, the base, then a rule for convolutions and epsilon for dense layers."""
    entries = [
        *first,
        Assign(Pass(), (Activation, BatchNorm), stabilizer=NONE),
        Assign(Norm(), (Add, SumPool, *AVERAGE), stabilizer=signed(stabilizer)),
        _linear(convolution, CONVOLUTION, stabilizer, zero_params),
        Assign(Epsilon(epsilon), Dense, bias=_bias(zero_params), dialect=ZENNIT),
        *GRADIENT_REST,
    ]
    return Composite(entries, f"zennit.{name}")


def _linear(rule: Any, kind: Any, stabilizer: Number, zero_params: Any, position: str | None = None) -> Assign:
    return Assign(rule, kind, position=position, stabilizer=signed(stabilizer), bias=_bias(zero_params), dialect=ZENNIT)


def _bias(zero_params: Any) -> str | None:
    """`zero_params="bias"` leaves the bias out of every denominator."""
    if zero_params not in (None, "bias", ["bias"], ("bias",)):
        raise LRPError(f"zero_params: expected None or 'bias', got {zero_params!r}")
    return "ignore" if zero_params else None
