"""The layers, each an affine map at x; and the maps that layers of your own are made of (`docs/extending.md`)."""

from lrp_ref.layers import activation, linear, lrn, normalization, pooling, routing
from lrp_ref.layers.activation import *
from lrp_ref.layers.affine import Affine, Layer, moved
from lrp_ref.layers.drift import Drift, fixed
from lrp_ref.layers.linear import *
from lrp_ref.layers.lrn import *
from lrp_ref.layers.maps import ConvMap, DenseMap, Routed, Transposed, Window, WindowMap
from lrp_ref.layers.normalization import *
from lrp_ref.layers.pooling import *
from lrp_ref.layers.routing import *

__all__ = [
    "Affine", "ConvMap", "DenseMap", "Drift", "Layer", "Routed", "Transposed", "Window", "WindowMap", "fixed", "moved",
]  # fmt: skip
__all__ += activation.__all__
__all__ += linear.__all__
__all__ += lrn.__all__
__all__ += normalization.__all__
__all__ += pooling.__all__
__all__ += routing.__all__


def registered() -> tuple[type, ...]:
    """The layers themselves: what of this module has an affine map, in the order of names."""
    public = (globals()[name] for name in sorted(__all__))
    return tuple(one for one in public if isinstance(one, type) and hasattr(one, "affine") and one is not Layer)
