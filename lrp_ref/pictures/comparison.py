"""Two relevance maps beside each other, and what differs."""

from typing import Any

import numpy as np

from lrp_ref.arrays import Array, LRPError
from lrp_ref.pictures.style import bar, draw, figure, flat_map, largest, short


def comparison(a: Array, b: Array, *, names: tuple[str, str] = ("A", "B")) -> Any:
    """A figure of two maps (C, H, W), (H, W) or (F,) on one scale, and of a - b on a scale of its own."""
    maps = [flat_map(a), flat_map(b)]
    if maps[0].shape != maps[1].shape:
        raise LRPError(f"maps: expected one shape, got {maps[0].shape} and {maps[1].shape}")
    difference = maps[0] - maps[1]
    limit, off = largest(maps), largest([difference])
    tall = maps[0].shape[0] / maps[0].shape[1] if maps[0].shape[0] > 1 else 0.3
    with figure(7.2, 1.75 * min(max(tall, 0.3), 3) + 0.6) as fig:
        axes = fig.subplots(1, 3)
        for axis, shown, name in zip(axes, maps, names, strict=False):
            drawn = draw(axis, shown, limit)
            axis.set_title(name)
        bar(fig, drawn, axes[1], limit, "relevance per pixel")
        axes[2].set_title(f"{names[0]} − {names[1]}")
        bar(fig, draw(axes[2], difference, off), axes[2], off, "difference")
        equal = "all pixels are equal" if not np.any(difference) else f"±{short(off)}, the largest difference"
        fig.supxlabel(f"white: 0    scale: ±{short(limit)}, the largest magnitude of both    differences: {equal}", fontsize=7)
    return fig
