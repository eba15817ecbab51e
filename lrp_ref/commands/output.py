"""What an explanation leaves: lines on the screen, and files in a folder."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lrp_ref.arrays import Array
from lrp_ref.commands.request import ReadyNetwork
from lrp_ref.files.arrays import save_array, save_figure, write_file
from lrp_ref.files.images import Sample, channels_last
from lrp_ref.layers.activation import softmax
from lrp_ref.network.explain import Explanation
from lrp_ref.text.printable import printable


def classes(output: Any, names: Sequence[str], top: int) -> list[str]:
    """The classes with the largest logits, a line each; one line where the output has none."""
    y = np.asarray(output, dtype=np.float64)
    if y.size != y.shape[1]:
        return [f"the output has the shape {tuple(y.shape)}: no list of classes"]
    y = y.reshape(1, -1)
    p = softmax(y, 1)[0]
    order = np.argsort(-y[0], kind="stable")[:top]
    rows = [f"{k:6}  {y[0, k]:12.6g}  {p[k]:9.4f}  {names[k] if k < len(names) else ''}".rstrip() for k in order]
    return [f"{'class':>6}  {'logit':>12}  {'softmax':>9}", *rows]


def account(found: Explanation) -> list[str]:
    """The ledger as a table, and its balance."""
    off = float(np.max(np.abs(found.ledger.imbalance().astype(np.float64))))
    return [str(found.ledger), f"seed - received - bias - stabilizer - dropped = {off:.3g}"]


def bounds(found: Explanation) -> list[str]:
    """How far rounding may have gone, and where nothing is known."""
    if found.bounds is None:
        return []
    B, R = (float(np.max(np.abs(a.astype(np.float64)), initial=0)) for a in (found.bounds.relevance, found.relevance))
    first = f"bound of honest {found.bounds.dtype} results: max B = {B:.3g}, max |R| = {R:.3g}"
    return [first, *([found.bounds.warning] if found.bounds.warning else [])]


def write(folder: Path, asked: ReadyNetwork, sample: Sample, found: Explanation, title: str, limit: Any) -> list[Path]:
    """Relevance, bounds, ledger and pictures of one image; the paths."""
    from lrp_ref.pictures import heatmap, waterfall

    relevance = found.relevance
    layout = asked.images.layout if asked.images.pictured else "nchw"
    shown = np.moveaxis(channels_last(relevance[0], layout), -1, 0) if asked.images.pictured else _row(relevance)
    figures = {
        "heatmap.png": heatmap(shown, sample.picture, title=title, limit=limit),
        "waterfall.png": waterfall(found.ledger, title=title),
    }
    arrays = {"relevance.npy": relevance} | ({"bounds.npy": found.bounds.relevance} if found.bounds else {})
    texts = {"ledger.txt": "\n".join([title, *account(found), *bounds(found)]), "ledger.csv": table(found)}
    for name, a in arrays.items():
        save_array(folder / name, a)
    for name, text in texts.items():
        write_file(folder / name, printable(text) + "\n")
    for name, figure in figures.items():
        save_figure(folder / name, figure)
    return [folder / name for name in (*arrays, *texts, *figures)]


def table(found: Explanation) -> str:
    """The ledger as comma-separated values with all their digits; exact numbers as p/q."""
    rows = {**found.ledger.rows(), "total": found.ledger.totals()}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["node", *rows["total"]])
    writer.writerows([node, *map(str, row.values())] for node, row in rows.items())
    return text.getvalue().rstrip("\n")


def _row(relevance: Array) -> Array:
    return relevance[0].reshape(-1) if relevance.ndim != 3 else relevance[0]
