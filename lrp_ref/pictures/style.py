"""What the pictures share: colours, fonts, a colour map whose middle is white, and the colour bar beside it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from lrp_ref.arrays import Array, LRPError, is_exact
from lrp_ref.text.printable import printable

# The diverging scheme RdBu and the palette of Okabe and Ito: both are told apart with any colour vision.
STOPS = ("#053061", "#2166ac", "#4393c3", "#92c5de", "#ffffff", "#f4a582", "#d6604d", "#b2182b", "#67001f")
DIVERGING = LinearSegmentedColormap.from_list("relevance", STOPS, N=511)  # an odd number: the middle one is zero
COLUMNS = {"bias": "#e69f00", "stabilizer": "#009e73", "dropped": "#cc79a7"}
INK, PALE = "#333333", "#d9d9d9"
FONT: Any = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7, "axes.linewidth": 0.5,
    "xtick.major.width": 0.5, "ytick.major.width": 0.5, "text.parse_math": False, "axes.unicode_minus": True,
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "text.usetex": False,
}  # fmt: skip
DOTS = 200  # per inch


@contextmanager
def figure(width: float, height: float) -> Iterator[Any]:
    """An empty figure of this size in inches, and the style while it is filled."""
    with mpl.rc_context(FONT):
        yield Figure(figsize=(width, height), dpi=DOTS, layout="constrained")


def floats(a: Array) -> Array:
    """Any real array as float64 on the host; strings "p/q" and exact numbers are rounded."""
    if hasattr(a, "get"):  # CuPy
        a = a.get()
    return a.astype(np.float64) if is_exact(a) else np.asarray(a, dtype=np.float64)


def flat_map(relevance: Array) -> Array:
    """Relevance (H, W), (C, H, W), (1, C, H, W) or (F,) as a map (H, W), summed over channels."""
    a = floats(relevance)
    a = a[0] if a.ndim == 4 and len(a) == 1 else a
    if a.ndim not in (1, 2, 3) or not a.size or not np.isfinite(a).all():
        raise LRPError(f"relevance: expected finite numbers (C, H, W) or (H, W), got shape {tuple(a.shape)}")
    return a[None] if a.ndim == 1 else a.sum(axis=0) if a.ndim == 3 else a


def largest(maps: Sequence[Array]) -> float:
    """The largest magnitude in maps, the limit of their common scale; 1 where all is 0."""
    return max((float(np.abs(a).max()) for a in maps), default=0.0) or 1.0


def ends(limit: float | str | None, maps: Sequence[Array]) -> tuple[float, str]:
    """Where a common scale ends, and how that is told: a number, a share of all pixels as "99.5%", or the largest magnitude."""
    top = largest(maps)
    if limit is None:
        return top, f"±{short(top)}, the largest magnitude"
    if isinstance(limit, str):
        share = _share(limit)
        end = float(np.quantile(np.concatenate([np.abs(a).ravel() for a in maps]), share / 100)) or top
        return end, f"±{short(end)}, which {share:g} % of pixels keep to; the largest magnitude is {short(top)}"
    if not 0 < limit < float("inf"):
        raise LRPError(f"limit: expected a finite number > 0, or a share of pixels such as '99.5%', got {limit}")
    return float(limit), f"±{short(limit)}; the largest magnitude is {short(top)}"


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) if text.endswith("%") else -1.0
    except ValueError:
        share = -1.0
    if not 0 < share <= 100:
        raise LRPError(f"limit: expected a finite number > 0, or a share of pixels such as '99.5%', got {text!r}")
    return share


def draw(axis: Any, a: Array, limit: float) -> Any:
    """A map on the scale from -limit to limit, pixels as they are."""
    axis.set(xticks=[], yticks=[])
    aspect = "equal" if a.shape[0] > 1 else "auto"
    return axis.imshow(a, cmap=DIVERGING, vmin=-limit, vmax=limit, interpolation="nearest", aspect=aspect)


def draw_image(axis: Any, image: Array) -> None:
    """An image (H, W), (H, W, 3) or (C, H, W): values from 0 to 1 as they are, others from their smallest to their largest."""
    a = floats(image)
    a = a[0] if a.ndim == 4 and a.shape[0] == 1 else a
    if a.ndim not in (2, 3) or (a.ndim == 3 and not {1, 3} & {a.shape[0], a.shape[-1]}):
        raise LRPError(f"image: expected shape (H, W), (H, W, 3) or (C, H, W) with C 1 or 3, got {tuple(a.shape)}; choose one")
    if a.ndim == 3 and a.shape[-1] not in (1, 3):
        a = np.moveaxis(a, 0, -1)
    a = a[..., 0] if a.ndim == 3 and a.shape[-1] != 3 else a
    low, high = float(a.min()), float(a.max())
    shown = a if low >= 0 and high <= 1 else (a - low) / ((high - low) or 1)
    axis.set(xticks=[], yticks=[])
    axis.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def bar(fig: Any, drawn: Any, axes: Any, limit: float, label: str) -> None:
    """A colour bar with zero and both ends: as high as the image where `axes` is one, along all of them where it is several."""
    if hasattr(axes, "inset_axes"):
        made = fig.colorbar(drawn, cax=axes.inset_axes((1.04, 0, 0.05, 1)))
    else:
        made = fig.colorbar(drawn, ax=axes, fraction=0.05, pad=0.02, aspect=30)
    made.set_ticks([-limit, -limit / 2, 0, limit / 2, limit], labels=[short(f * limit) for f in (-1, -0.5, 0, 0.5, 1)])
    made.set_label(label)
    made.outline.set_linewidth(0.5)


def short(value: float) -> str:
    """Three digits, with a typographic minus and no idle signs and zeros in the exponent."""
    digits, _, exponent = f"{value:.3g}".partition("e")
    return (f"{digits}e{int(exponent)}" if exponent else digits).replace("-", "−")


def name_of(text: str, most: int) -> str:
    """A node's name, cut in the middle where it is long, on one line."""
    text = " ".join(printable(text).split())
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-(most // 2) :]}"
