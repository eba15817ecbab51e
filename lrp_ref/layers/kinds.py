"""Layers by what composites tell apart."""

from lrp_ref.layers import (
    AvgPool,
    Concat,
    Conv,
    ConvTranspose,
    Crop,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Identity,
    Pad,
    Permute,
    Reshape,
    Slice,
    Upsample,
)

CONVOLUTION = (Conv, ConvTranspose)
WEIGHTED = (Dense, *CONVOLUTION)
AVERAGE = (AvgPool, GlobalAvgPool)
RESHAPING = (Flatten, Permute, Reshape, Identity, Dropout)
MOVING = (*RESHAPING, Concat, Crop, Pad, Slice, Upsample)
