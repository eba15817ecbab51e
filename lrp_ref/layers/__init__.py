"""The layers, each an affine map at x; and the maps that layers of your own are made of (`docs/extending.md`)."""

from lrp_ref.layers.activation import Activation, Softmax
from lrp_ref.layers.affine import Affine, Layer, moved
from lrp_ref.layers.drift import Drift, fixed
from lrp_ref.layers.linear import Conv, ConvTranspose, Dense
from lrp_ref.layers.lrn import LRN
from lrp_ref.layers.maps import ConvMap, DenseMap, Routed, Transposed, Window, WindowMap
from lrp_ref.layers.normalization import BatchNorm, Scale
from lrp_ref.layers.pooling import AvgPool, GlobalAvgPool, MaxPool, SumPool
from lrp_ref.layers.routing import (
    Add,
    Concat,
    Crop,
    Dropout,
    Embedding,
    Flatten,
    Identity,
    Pad,
    Permute,
    Reshape,
    Slice,
    Upsample,
)

__all__ = [
    "LRN", "Activation", "Add", "Affine", "AvgPool", "BatchNorm", "Concat", "Conv", "ConvMap", "ConvTranspose", "Crop", "Dense",
    "DenseMap", "Drift", "Dropout", "Embedding", "Flatten", "GlobalAvgPool", "Identity", "Layer", "MaxPool", "Pad", "Permute",
    "Reshape", "Routed", "Scale", "Slice", "Softmax", "SumPool", "Transposed", "Upsample", "Window", "WindowMap", "fixed",
    "moved",
]  # fmt: skip


def registered() -> tuple[type, ...]:
    """The layers themselves: what of this module has an affine map, in the order of names."""
    public = (globals()[name] for name in __all__)
    return tuple(one for one in public if isinstance(one, type) and hasattr(one, "affine") and one is not Layer)
