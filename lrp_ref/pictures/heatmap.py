"""Relevance where it lies in the image."""

from collections.abc import Sequence
from typing import Any

from lrp_ref.arrays import Array, LRPError
from lrp_ref.pictures.style import bar, draw, draw_image, ends, figure, flat_map, floats, short

SIDE = 2.4  # inches


def heatmap(relevance: Array, image: Array | None = None, *, title: str = "", limit: float | str | None = None) -> Any:
    """A figure of relevance (C, H, W), (H, W) or (F,), summed over channels, with the image beside it.

    image: (H, W), (H, W, 3) or (C, H, W), from 0 to 1 or of any range. limit: where the colours end, on both sides: a
    number, a share of the pixels as "99.5%", or by default the largest magnitude of the sum. The figure states it.
    Raises `LRPError` for other shapes, NaN and infinities.
    """
    shown = flat_map(relevance)
    channels = floats(relevance).shape[-3] if floats(relevance).ndim >= 3 else 1
    end, told = ends(limit, [shown])
    tall = shown.shape[0] / shown.shape[1] if shown.shape[0] > 1 else 0.3
    panels = 1 if image is None else 2
    with figure(SIDE * panels + 1.0, SIDE * min(max(tall, 0.25), 3) + 0.65) as fig:
        axes = fig.subplots(1, panels, squeeze=False)[0]
        if image is not None:
            draw_image(axes[0], image)
            axes[0].set_title("input")
        drawn = draw(axes[-1], shown, end)
        axes[-1].set_title("relevance" if channels == 1 else f"relevance, sum over {channels} channels")
        bar(fig, drawn, axes[-1], end, "relevance per pixel" if shown.shape[0] > 1 else "relevance")
        if title:
            fig.suptitle(title, fontsize=8)
        total = short(float(shown.sum()))
        fig.supxlabel(f"white: 0    scale: {told}    sum: {total}", fontsize=7)
    return fig


def grid(
    relevances: Sequence[Sequence[Array]],
    images: Sequence[Array] = (),
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    label: str = "relevance per pixel",
    limit: float | str | None = None,
    side: float = 1.1,
) -> Any:
    """A figure of many maps on one scale: relevances[row][column], an image before every row, and names for both.

    limit: where the colours end, as of `heatmap`, for all maps, each summed over its channels; the figure states it.
    side: the width of a map in inches. Raises `LRPError` for rows of different lengths, and as `heatmap`.
    """
    maps = [[flat_map(a) for a in row] for row in relevances]
    if not maps or any(len(row) != len(maps[0]) or not row for row in maps):
        raise LRPError(f"relevances: expected rows of one length, got lengths {[len(row) for row in maps]}")
    for name, given in (("images", images), ("rows", rows)):
        if len(given) not in (0, len(maps)):
            raise LRPError(f"{name}: expected {len(maps)}, one for each row, got {len(given)}")
    every, first = [a for row in maps for a in row], 1 if len(images) else 0
    end, told = ends(limit, every)
    across, tall = len(maps[0]) + first, maps[0][0].shape[0] / maps[0][0].shape[1]
    with figure(side * across + 0.9, side * tall * len(maps) + 0.55) as fig:
        axes = fig.subplots(len(maps), across, squeeze=False)
        for k, row in enumerate(maps):
            if first:
                draw_image(axes[k, 0], images[k])
            drawn = [draw(axis, a, end) for axis, a in zip(axes[k, first:], row, strict=True)]
            if len(rows):
                axes[k, 0].set_ylabel(rows[k])
        for axis, name in zip(axes[0], [*(["input"] * first), *columns], strict=False):
            axis.set_title(name)
        bar(fig, drawn[0], axes if len(maps) > 1 else axes[0, -1], end, label)
        fig.supxlabel(f"white: 0    scale of all maps: {told}", fontsize=7)
    return fig
