"""Pictures of relevance, for papers: matplotlib figures, which the caller saves.

Blue is negative, red is positive, white is exactly zero; both ends of a scale lie equally far from zero.
"""

from lrp_ref.arrays import LRPError

try:
    import matplotlib as matplotlib
except ModuleNotFoundError as error:
    from lrp_ref.text.extras import needed

    raise LRPError(f"pictures need {needed(error, 'plot')}") from None

from lrp_ref.pictures.comparison import comparison
from lrp_ref.pictures.heatmap import grid, heatmap
from lrp_ref.pictures.waterfall import waterfall

__all__ = ["comparison", "grid", "heatmap", "waterfall"]
