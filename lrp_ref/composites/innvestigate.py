"""The analyzers of iNNvestigate 2.1, by its names: `analyzer/relevance_based/relevance_analyzer.py` and `deeptaylor.py`.

Layers with a kernel get the analyzer's rule, and so do batch norms, on a fused map whose known error the dialect
"innvestigate-2.1" carries (`bn_layer_rule`, lines 180-252). Sums and averages get the Z-rule whatever is asked (255-316),
activations pass, everything else gets the gradient (492-514): a factor and shift, and local response normalisation, which
in Keras is a Lambda that its analyzers take only where they are told to. `input_layer_rule` is a rule for the layers that
read only inputs, possibly reshaped; a tuple (low, high) stands for the bounded rule. It seeds the logit.
"""

from typing import Any

from lrp_ref.arrays import Number
from lrp_ref.dialects import DIALECTS
from lrp_ref.layers import LRN, Activation, Add, BatchNorm, Dense, Embedding, MaxPool, Scale
from lrp_ref.layers.kinds import AVERAGE, CONVOLUTION, MOVING, WEIGHTED
from lrp_ref.network.composite import Assign, Composite
from lrp_ref.network.graph import Graph, Node
from lrp_ref.rules import AlphaBeta, AlphaBetaX, Epsilon, Flat, Gradient, Pass, WSquare, ZBox, Zero, ZPlusFast
from lrp_ref.stabilizers import NONE

GRADIENT = (MaxPool, Embedding, Scale, *MOVING)
TANGENT = Assign(Gradient(), LRN, sees={"linearization": "gradient"})
INN = DIALECTS["innvestigate-2.1"]
X2M100 = AlphaBetaX(2, 0, 1, 0)


def z(input_layer_rule: Any = None) -> Composite:
    """LRPZ: LRP-0, exact zeros of a denominator replaced by 1e-7."""
    return _uniform("z", Zero(), None, input_layer_rule)


def epsilon(epsilon: Number = 1e-7, bias: bool = True, input_layer_rule: Any = None) -> Composite:
    """LRPEpsilon."""
    return _uniform("epsilon", Epsilon(epsilon), None if bias else "ignore", input_layer_rule)


def w_square(input_layer_rule: Any = None) -> Composite:
    """LRPWSquare."""
    return _uniform("w_square", WSquare(), None, input_layer_rule)


def flat(input_layer_rule: Any = None) -> Composite:
    """LRPFlat."""
    return _uniform("flat", Flat(), None, input_layer_rule)


def alpha_beta(alpha: Number, beta: Number, bias: bool = True, input_layer_rule: Any = None) -> Composite:
    """LRPAlphaBeta; with `bias`, the full bias enters both halves (its issue 273)."""
    name = f"alpha_beta({alpha}, {beta})"
    return _uniform(name, AlphaBeta(alpha, beta), None if bias else "ignore", input_layer_rule)


def alpha2_beta1(input_layer_rule: Any = None) -> Composite:
    """LRPAlpha2Beta1."""
    return alpha_beta(2, 1, True, input_layer_rule)


def alpha2_beta1_ignore_bias(input_layer_rule: Any = None) -> Composite:
    """LRPAlpha2Beta1IgnoreBias."""
    return alpha_beta(2, 1, False, input_layer_rule)


def alpha1_beta0(input_layer_rule: Any = None) -> Composite:
    """LRPAlpha1Beta0."""
    return alpha_beta(1, 0, True, input_layer_rule)


def alpha1_beta0_ignore_bias(input_layer_rule: Any = None) -> Composite:
    """LRPAlpha1Beta0IgnoreBias."""
    return alpha_beta(1, 0, False, input_layer_rule)


def z_plus(input_layer_rule: Any = None) -> Composite:
    """LRPZPlus: it is Alpha1Beta0IgnoreBias."""
    return _uniform("z_plus", AlphaBeta(1, 0), "ignore", input_layer_rule)


def z_plus_fast(input_layer_rule: Any = None) -> Composite:
    """LRPZPlusFast: W+ on the inputs as they are."""
    return _uniform("z_plus_fast", ZPlusFast(), None, input_layer_rule)


def sequential_preset_a(epsilon: Number = 0.1, input_layer_rule: Any = None) -> Composite:
    """LRPSequentialPresetA: dense epsilon, convolutions alpha1-beta0 with bias, batch norms AlphaBetaX2m100 (736-770)."""
    return _sequential("sequential_preset_a", AlphaBeta(1, 0), epsilon, input_layer_rule)


def sequential_preset_b(epsilon: Number = 0.1, input_layer_rule: Any = None) -> Composite:
    """LRPSequentialPresetB: as A with alpha2-beta1 (773-807)."""
    return _sequential("sequential_preset_b", AlphaBeta(2, 1), epsilon, input_layer_rule)


def sequential_preset_a_flat(epsilon: Number = 0.1) -> Composite:
    """LRPSequentialPresetAFlat: A, and Flat where the input is read (811-822)."""
    return _sequential("sequential_preset_a_flat", AlphaBeta(1, 0), epsilon, Flat())


def sequential_preset_b_flat(epsilon: Number = 0.1) -> Composite:
    """LRPSequentialPresetBFlat: B, and Flat where the input is read (826-837)."""
    return _sequential("sequential_preset_b_flat", AlphaBeta(2, 1), epsilon, Flat())


def sequential_preset_b_flat_until_idx(idx: int, epsilon: Number = 0.1) -> Composite:
    """LRPSequentialPresetBFlatUntilIdx: BFlat, and Flat in layers with weights 0 to `idx`, both included (840-854).

    Counted as its documentation says; its code counts every Keras layer, `model.layers[idx]`.
    """
    until = Assign(Flat(), WEIGHTED, position=range(idx + 1), dialect=INN)
    preset = _sequential("sequential_preset_b_flat_until_idx", AlphaBeta(2, 1), epsilon, Flat())
    return Composite((until, *preset.entries), preset.name)


def deep_taylor() -> Composite:
    """DeepTaylor: kernels alpha1-beta0 without bias, everything else the gradient; no activation but ReLU.

    Its w-square rules for kernels without activation and for batch norms are never reached: every Keras kernel layer has
    an `activation`, and whatever has none counts as a ReLU first. A ReLU is a layer of its own here, and masks; fused into
    a Keras layer it passes. The library rectifies the output: `lrp_ref.transforms.rectify_output`.
    """
    return Composite(_deep_taylor(), "innvestigate.deep_taylor")


def bounded_deep_taylor(low: Any, high: Any) -> Composite:
    """BoundedDeepTaylor: as `deep_taylor`, and the bounded rule where the input is read."""
    return Composite([_input_layer((low, high)), *_deep_taylor()], "innvestigate.bounded_deep_taylor")


def is_relu(_: Graph, node: Node) -> bool:
    """Whether the node is a ReLU."""
    return isinstance(node.layer, Activation) and node.layer.function == "relu"


def _deep_taylor() -> list[Assign]:
    return [
        Assign(AlphaBeta(1, 0), WEIGHTED, bias="ignore", dialect=INN),
        Assign(Gradient(), Activation, when=is_relu, sees={"linearization": "gradient"}),
        Assign(Gradient(), (*GRADIENT, BatchNorm, Add, *AVERAGE)),
        TANGENT,
    ]


def _uniform(name: str, rule: Any, bias: str | None, input_layer_rule: Any) -> Composite:
    """One rule for kernels and batch norms."""
    entries = [Assign(rule, (*WEIGHTED, BatchNorm), bias=bias, dialect=INN), *_REST]
    return _with_input(name, entries, input_layer_rule)


def _sequential(name: str, convolution: Any, epsilon: Number, input_layer_rule: Any) -> Composite:
    entries = [
        Assign(Epsilon(epsilon), Dense, dialect=INN),
        Assign(convolution, CONVOLUTION, dialect=INN),
        Assign(X2M100, BatchNorm, dialect=INN),
        *_REST,
    ]
    return _with_input(name, entries, input_layer_rule)


def _with_input(name: str, entries: list[Assign], input_layer_rule: Any) -> Composite:
    first = [] if input_layer_rule is None else [_input_layer(input_layer_rule)]
    return Composite([*first, *entries], f"innvestigate.{name}")


def _input_layer(rule: Any) -> Assign:
    return Assign(ZBox(*rule) if isinstance(rule, tuple) else rule, WEIGHTED, position="input", dialect=INN)


_REST = (
    Assign(Zero(), (Add, *AVERAGE), dialect=INN),
    Assign(Pass(), Activation, stabilizer=NONE),
    Assign(Gradient(), GRADIENT),
    TANGENT,
)
