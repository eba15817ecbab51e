"""Pattern statistics of a dense layer, for PatternNet and PatternAttribution.

Kindermans et al. 2018, Learning how to explain neural networks, arXiv:1705.05598. With masks m_nj (1; y_nj > 0; or
y_nj <= 0, y = W x without bias and activation), running over batches:

    E[x]_ij  = sum_n x_ni m_nj / c_j,   E[xy]_ij = sum_n x_ni y_nj m_nj / c_j,   c_j = sum_n m_nj
    E[y]_j   = sum_n y_nj / N                                                    (over all samples)
    cov_ij   = E[xy]_ij - E[x]_ij E[y]_j
    a_ij     = cov_ij / v_j,  v_j = sum_i w_ji cov_ij,  so that sum_i w_ji a_ij = 1

An empty mask, and v_j = 0, divide by 1.
"""

from dataclasses import dataclass

from lrp_ref.arrays import Array, LRPError, checked, full, namespace, same_arithmetic, where

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


def safe(a: Array, count: Array) -> Array:
    """a / (count + [count = 0]): an empty mask gives 0, not a huge number."""
    return a / where(count == 0, full(count.shape, 1, count), count)
