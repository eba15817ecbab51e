"""A comparison in a folder: comparison.json, comparison.txt, and a picture where matplotlib is installed."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from lrp_conform.compare.comparison import Comparison
from lrp_ref.arrays import Array, LRPError
from lrp_ref.files.arrays import write_file

MOST_SAMPLES = 4


def save(found: Comparison, folder: str | Path) -> list[Path]:
    """Write the files, each whole or not at all. Returns their paths. Raises `LRPError` where the folder cannot be written."""
    folder = Path(folder)
    picture = _picture(found)
    files: dict[Path, str | bytes] = {
        folder / "comparison.json": found.json(),
        folder / "comparison.txt": f"{found}\n",
        **({} if picture is None else {folder / "comparison.png": picture}),
    }
    try:
        for path, content in files.items():
            write_file(path, content)
    except LRPError as error:
        raise LRPError(f"{folder}: cannot write the report: {error}") from None
    return list(files)


def _picture(found: Comparison) -> bytes | None:
    """Per sample, the library's relevance, the reference's and the difference, each with its own symmetric scale."""
    name, reference = next(iter(found.reference.items()))
    maps = [_map(a) for a in (found.given.relevance[name].astype(np.float64), reference)]
    if maps[0] is None or maps[1] is None:
        return None
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return None
    columns = [(found.library, maps[0]), ("reference", maps[1]), ("difference", maps[0] - maps[1])]
    rows = min(MOST_SAMPLES, len(reference))
    figure = Figure(figsize=(3.3 * len(columns), 3 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for i in range(rows):
        for j, (title, a) in enumerate(columns):
            axes: Any = figure.add_subplot(rows, len(columns), i * len(columns) + j + 1)
            limit = float(np.abs(a[i]).max()) or 1.0
            axes.imshow(a[i], cmap="RdBu_r", vmin=-limit, vmax=limit)
            axes.set_title(f"{title}\n±{limit:.2g}", fontsize=9)
            axes.set_axis_off()
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def _map(a: Array) -> Array | None:
    """(N, height, width) of images, summed over the channels, the axis with the fewest elements; None for anything else."""
    if a.ndim != 4:
        return None
    return a.sum(axis=1 if a.shape[1] <= a.shape[-1] else -1)
