"""Pattern statistics of layers with weights, for PatternNet and PatternAttribution.

Kindermans et al. 2018, Learning how to explain neural networks, arXiv:1705.05598. With masks m_nj (1; y_nj > 0; or
y_nj <= 0, y = W x without bias and activation), running over batches:

    E[x]_ij  = sum_n x_ni m_nj / c_j,   E[xy]_ij = sum_n x_ni y_nj m_nj / c_j,   c_j = sum_n m_nj
    E[y]_j   = sum_n y_nj / N                                                    (over all samples)
    cov_ij   = E[xy]_ij - E[x]_ij E[y]_j
    a_ij     = cov_ij / v_j,  v_j = sum_i w_ji cov_ij,  so that sum_i w_ji a_ij = 1

An empty mask, and v_j = 0, divide by 1. A convolution is dense on its patches: every output position of every sample is a
row x_n, with zeros where a tap lies on padding; every group has patches of its own.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from lrp_ref.arrays import Array, LRPError, checked, full, namespace, same_arithmetic, where
from lrp_ref.layers import Activation, Conv, Dense
from lrp_ref.network.graph import Graph, Node, inputs_of, run
from lrp_ref.text.printing import summary
from lrp_ref.text.progress import watched

MASKS = ("all", "positive", "negative")


@dataclass(frozen=True, eq=False)
class PatternStatistics:
    """Masked means over everything seen so far; a value, combined with `+`.

    counts (out,), mean_x and mean_xy (in, out), mean_y (out,), samples the number of rows.
    """

    mask: str
    counts: Array
    mean_x: Array
    mean_xy: Array
    mean_y: Array
    samples: int

    def __repr__(self) -> str:
        return summary(self)

    def __add__(self, other: "PatternStatistics") -> "PatternStatistics":
        """The statistics of both batches together, by their counts."""
        if self.mask != other.mask:
            raise LRPError(f"PatternStatistics: cannot combine mask {self.mask!r} with {other.mask!r}")
        counts, samples = self.counts + other.counts, self.samples + other.samples
        pairs = ((self.mean_x, other.mean_x), (self.mean_xy, other.mean_xy))
        mean_x, mean_xy = (safe(a * self.counts + b * other.counts, counts) for a, b in pairs)
        mean_y = (self.mean_y * self.samples + other.mean_y * other.samples) / max(samples, 1)
        return PatternStatistics(self.mask, counts, mean_x, mean_xy, mean_y, samples)

    def patterns(self, weight: Array) -> Array:
        """The patterns a (in, out) of the layer's weight (out, in)."""
        covariance = self.mean_xy - self.mean_x * self.mean_y
        return safe(covariance, namespace(weight).sum(weight.T * covariance, axis=0))


def pattern_statistics(weight: Array, x: Array, mask: str = "all") -> PatternStatistics:
    """The statistics of one batch: weight (out, in), x (N, in). `mask`: "all", "positive" or "negative" outputs.

    Raises `LRPError` for an unknown mask, for shapes or dtypes that do not fit, and for integers, NaN or infinities.
    """
    if mask not in MASKS:
        raise LRPError(f"pattern mask is one of {', '.join(MASKS)}; got {mask!r}")
    checked("weight", weight)
    checked("x", x)
    same_arithmetic("x", x, "weight", weight)
    if weight.ndim != 2:
        raise LRPError(f"weight: expected (out, in), got shape {tuple(weight.shape)}")
    if x.ndim != 2 or x.shape[0] < 1 or x.shape[1] != weight.shape[1]:
        raise LRPError(f"x: expected (N >= 1, {weight.shape[1]}), got shape {tuple(x.shape)}")
    xp, y = namespace(x), x @ weight.T
    one = full(y.shape, 1, x)
    m = {"all": one, "positive": where(y > 0, one, 0), "negative": where(y > 0, 0 * one, one)}[mask]
    counts = xp.sum(m, axis=0)
    return PatternStatistics(
        mask, counts, safe(x.T @ m, counts), safe(x.T @ (y * m), counts), xp.sum(y, axis=0) / x.shape[0], x.shape[0]
    )


def fit_patterns(
    net: Graph,
    batches: Iterable[Any],
    mask: str | Mapping[str, str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Array]:
    """Node name -> patterns of its weight's shape, for every dense layer and convolution, fitted over batches of inputs.

    batches: inputs of the network, each as `Network.forward` takes them. mask: of all nodes, or name -> mask; by default
    "positive" for nodes that a ReLU reads and "all" for the others. progress: called with the number of batches done; without
    it, a terminal shows a bar.
    Raises `LRPError` for no batches, unknown masks or names, and what a layer refuses.
    """
    nodes = [node for node in net.nodes if isinstance(node.layer, Dense | Conv)]
    masks = {node.name: _mask(net, node, mask) for node in nodes}
    found: dict[str, list[PatternStatistics]] = {}
    for done, x in enumerate(watched(batches, "batches") if progress is None else batches, start=1):
        values = run(net, net.named_inputs(x), net.names_at("all"))
        for node in nodes:
            rows = _rows(node.layer, values[inputs_of(node)[0]])
            new = [pattern_statistics(w, x, masks[node.name]) for w, x in zip(_groups(node.layer), rows, strict=True)]
            old = found.get(node.name)
            found[node.name] = new if old is None else [a + b for a, b in zip(old, new, strict=True)]
        if progress is not None:
            progress(done)
    if nodes and not found:
        raise LRPError("fit_patterns: expected at least one batch, got none")
    return {node.name: _patterns(node.layer, found[node.name]) for node in nodes}


def _mask(net: Graph, node: Node, mask: str | Mapping[str, str] | None) -> str:
    if isinstance(mask, Mapping):
        for name in mask:
            if not isinstance(net[name].layer, Dense | Conv):
                raise LRPError(f"mask: {name!r} is no dense layer or convolution")
        mask = mask.get(node.name)
    read = (reader.layer for reader in net.readers(node.name))
    rectified = any(isinstance(layer, Activation) and layer.function == "relu" for layer in read)
    return mask or ("positive" if rectified else "all")


def _groups(layer: Any) -> list[Array]:
    """The weight of every group as a matrix (out / groups, in of a patch)."""
    weight, groups = layer.weight, getattr(layer, "groups", 1)
    out = weight.shape[0] // groups
    flat = namespace(weight).reshape(weight, (weight.shape[0], prod(weight.shape[1:])))
    return [flat[g * out : (g + 1) * out, ...] for g in range(groups)]


def _rows(layer: Any, x: Array) -> list[Array]:
    """What every group of the layer reads, (rows, in of a patch)."""
    xp = namespace(x)
    if isinstance(layer, Dense):
        return [xp.reshape(x, (prod(x.shape[:-1]), x.shape[-1]))]
    conv = layer.map(x)
    padded = conv.window.pad(x)
    taps = xp.stack([padded[(..., *at)] for at in conv.window.slices(conv.out)], axis=2)  # (N, in, taps, *out)
    rows = xp.permute_dims(taps, (0, *range(3, taps.ndim), 1, 2))
    width = x.shape[1] // layer.groups
    flat = xp.reshape(rows, (x.shape[0] * prod(conv.out), layer.groups, width * taps.shape[2]))
    return [flat[:, g, :] for g in range(layer.groups)]


def _patterns(layer: Any, statistics: list[PatternStatistics]) -> Array:
    """The patterns of every group, in the shape of the layer's weight."""
    weight = layer.weight
    xp = namespace(weight)
    parts = [found.patterns(w).T for found, w in zip(statistics, _groups(layer), strict=True)]
    return xp.reshape(xp.concat(parts, axis=0), tuple(weight.shape))


def safe(a: Array, count: Array) -> Array:
    """a / (count + [count = 0]): an empty mask gives 0, not a huge number."""
    return a / where(count == 0, full(count.shape, 1, count), count)
