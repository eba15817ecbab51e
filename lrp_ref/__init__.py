"""An exact reference of Layer-wise Relevance Propagation.

>>> import lrp_ref as lrp
>>> layer = lrp.Dense(lrp.exact([[1, -1]]), lrp.exact([-1]))
>>> lrp.propagate(layer, lrp.exact([1, 1]), lrp.exact([-1]), lrp.AlphaBeta(2, 1)).relevance
array([Fraction(-2, 1), Fraction(1, 2)], dtype=object)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrp_ref import composites as composites
    from lrp_ref import layers as layers
    from lrp_ref import pictures as pictures
    from lrp_ref import transforms as transforms
    from lrp_ref.arrays import LRPError, exact
    from lrp_ref.composites import Assign, Composite
    from lrp_ref.dialects import DIALECTS, Dialect
    from lrp_ref.engine import Result, messages, propagate
    from lrp_ref.explanation import Explanation
    from lrp_ref.gauges import Gauges, bounds
    from lrp_ref.layers import (
        LRN,
        Activation,
        Add,
        Affine,
        AvgPool,
        BatchNorm,
        Concat,
        Conv,
        ConvTranspose,
        Crop,
        Dense,
        Dropout,
        Embedding,
        Flatten,
        GlobalAvgPool,
        Identity,
        Layer,
        MaxPool,
        Pad,
        Permute,
        Reshape,
        Scale,
        Slice,
        Softmax,
        SumPool,
        Upsample,
    )
    from lrp_ref.ledger import Ledger, NetworkLedger
    from lrp_ref.matrices import Matrix, matrix
    from lrp_ref.network import Network, Node
    from lrp_ref.network_bounds import NetworkBounds
    from lrp_ref.onnx import load_onnx
    from lrp_ref.patterns import PatternStatistics, fit_patterns, pattern_statistics
    from lrp_ref.rules import (
        RULES,
        AbsZ,
        AlphaBeta,
        AlphaBetaX,
        Epsilon,
        Flat,
        Gamma,
        GeneralizedGamma,
        Gradient,
        Norm,
        Part,
        Pass,
        Rule,
        Shares,
        WSquare,
        ZBox,
        Zero,
        ZPlus,
        ZPlusFast,
    )
    from lrp_ref.stabilizers import Stabilizer
    from lrp_ref.streaming import Explanations, explain_many

__version__ = "2026.11.0"

__all__ = [
    "DIALECTS", "LRN", "RULES", "AbsZ", "Activation", "Add", "Affine", "AlphaBeta", "AlphaBetaX", "Assign", "AvgPool",
    "BatchNorm", "Composite", "Concat", "Conv", "ConvTranspose", "Crop", "Dense", "Dialect", "Dropout", "Embedding",
    "Epsilon", "Explanation", "Explanations", "Flat", "Flatten", "Gamma", "Gauges", "GeneralizedGamma", "GlobalAvgPool",
    "Gradient", "Identity", "LRPError", "Layer", "Ledger", "Matrix", "MaxPool", "Network", "NetworkBounds", "NetworkLedger",
    "Node", "Norm", "Pad", "Part", "Pass", "PatternStatistics", "Permute", "Reshape", "Result", "Rule", "Scale", "Shares",
    "Slice", "Softmax", "Stabilizer", "SumPool", "Upsample", "WSquare", "ZBox", "ZPlus", "ZPlusFast", "Zero", "bounds",
    "exact", "explain_many", "fit_patterns", "load_onnx", "matrix", "messages", "pattern_statistics", "propagate",
]  # fmt: skip

_MODULES = ("composites", "layers", "pictures", "transforms")
_HOMES = {
    "arrays": "LRPError exact",
    "composites": "Assign Composite",
    "gauges": "Gauges bounds",
    "dialects": "DIALECTS Dialect",
    "explanation": "Explanation",
    "layers": "LRN Activation Add Affine AvgPool BatchNorm Concat Conv ConvTranspose Crop Dense Dropout Embedding Flatten "
    "GlobalAvgPool Identity Layer MaxPool Pad Permute Reshape Scale Slice Softmax SumPool Upsample",
    "ledger": "Ledger NetworkLedger",
    "matrices": "Matrix matrix",
    "network": "Network Node",
    "network_bounds": "NetworkBounds",
    "onnx": "load_onnx",
    "patterns": "PatternStatistics fit_patterns pattern_statistics",
    "engine": "Result messages propagate",
    "rules": "RULES AbsZ AlphaBeta AlphaBetaX Epsilon Flat Gamma GeneralizedGamma Gradient Norm Part Pass Rule Shares WSquare "
    "ZBox Zero ZPlus ZPlusFast",
    "stabilizers": "Stabilizer",
    "streaming": "Explanations explain_many",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """The public name, from the module that defines it: nothing is loaded before it is asked for."""
    if name in _MODULES:
        return import_module(f"lrp_ref.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'lrp_ref' has no attribute {name!r}")
    value = getattr(import_module(f"lrp_ref.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES, *(name for name in globals() if name.startswith("__"))})
