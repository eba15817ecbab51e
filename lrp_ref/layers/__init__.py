"""The layers, each an affine map at x."""

from lrp_ref.layers.activation import Activation, Softmax
from lrp_ref.layers.affine import Affine, Layer
from lrp_ref.layers.drift import Drift, fixed
from lrp_ref.layers.linear import Conv, ConvTranspose, Dense
from lrp_ref.layers.lrn import LRN
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
    "LRN", "Activation", "Add", "Affine", "AvgPool", "BatchNorm", "Concat", "Conv", "ConvTranspose", "Crop", "Dense", "Drift",
    "Dropout", "Embedding", "Flatten", "GlobalAvgPool", "Identity", "Layer", "MaxPool", "Pad", "Permute", "Reshape", "Scale",
    "Slice", "Softmax", "SumPool", "Upsample", "fixed",
]  # fmt: skip
