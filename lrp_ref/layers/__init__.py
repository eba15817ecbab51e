"""The layers, each an affine map at x."""

from lrp_ref.layers.activation import Activation
from lrp_ref.layers.affine import Affine, Layer
from lrp_ref.layers.linear import Conv, ConvTranspose, Dense
from lrp_ref.layers.normalization import BatchNorm
from lrp_ref.layers.pooling import AvgPool, GlobalAvgPool, MaxPool, SumPool
from lrp_ref.layers.routing import Add, Concat, Crop, Embedding, Flatten, Pad, Permute, Reshape, Upsample

__all__ = [
    "Activation", "Add", "Affine", "AvgPool", "BatchNorm", "Concat", "Conv", "ConvTranspose", "Crop", "Dense",
    "Embedding", "Flatten", "GlobalAvgPool", "Layer", "MaxPool", "Pad", "Permute", "Reshape", "SumPool", "Upsample",
]  # fmt: skip
