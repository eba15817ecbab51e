"""Pattern statistics against the definition, in rationals."""

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

import lrp_ref as lrp

MASKS = ("all", "positive", "negative")
rationals = st.integers(-6, 6).map(lambda k: Fraction(k, 2))


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, list[np.ndarray]]:
    """A weight (out, in) and two to three batches (N, in)."""
    out, width = draw(st.integers(1, 3)), draw(st.integers(1, 3))

    def matrix(rows: int) -> np.ndarray:
        return lrp.exact(draw(st.lists(st.lists(rationals, min_size=width, max_size=width), min_size=rows, max_size=rows)))

    return matrix(out), [matrix(draw(st.integers(1, 3))) for _ in range(draw(st.integers(2, 3)))]


def by_definition(weight: np.ndarray, x: np.ndarray, mask: str) -> list[list[Fraction]]:
    """a_ij by scalar sums: cov_ij = E[xy] - E[x] E[y], E[y] over all samples, E[x] and E[xy] over the masked ones."""
    columns = []
    for row in weight.tolist():
        y = [sum(w * v for w, v in zip(row, sample, strict=True)) for sample in x.tolist()]
        kept = [n for n, v in enumerate(y) if mask == "all" or (v > 0) == (mask == "positive")]
        count, mean_y = len(kept) or 1, sum(y) / Fraction(len(y))
        cov = [
            sum((x[n, i] * y[n] for n in kept), Fraction(0)) / count
            - sum((x[n, i] for n in kept), Fraction(0)) / count * mean_y
            for i in range(len(row))
        ]
        v = sum(w * c for w, c in zip(row, cov, strict=True))
        columns.append([c / (v or 1) for c in cov])
    return [list(pattern) for pattern in zip(*columns, strict=True)]


@pytest.mark.parametrize("mask", MASKS)
@given(data=batches())
@examples(20, 40)
def test_patterns_are_those_of_the_definition(mask: str, data: tuple[np.ndarray, list[np.ndarray]]) -> None:
    weight, (x, *_) = data
    assert lrp.pattern_statistics(weight, x, mask).patterns(weight).tolist() == by_definition(weight, x, mask)


@pytest.mark.parametrize("mask", MASKS)
@given(data=batches())
@examples(20, 40)
def test_the_weight_projects_every_pattern_to_one(mask: str, data: tuple[np.ndarray, list[np.ndarray]]) -> None:
    """sum_i w_ji a_ij = 1 unless v_j = 0, where it is 0."""
    weight, (x, *_) = data
    statistics = lrp.pattern_statistics(weight, x, mask)
    v = (weight.T * (statistics.mean_xy - statistics.mean_x * statistics.mean_y)).sum(axis=0)
    sums = (weight.T * statistics.patterns(weight)).sum(axis=0)
    assert sums.tolist() == [int(value != 0) for value in v]


@pytest.mark.parametrize("mask", MASKS)
@given(data=batches())
@examples(20, 40)
def test_running_batches_equal_one_batch_in_any_order(mask: str, data: tuple[np.ndarray, list[np.ndarray]]) -> None:
    weight, parts = data
    whole = lrp.pattern_statistics(weight, np.concatenate(parts), mask)
    for order in permutations(parts):
        first, *rest = (lrp.pattern_statistics(weight, x, mask) for x in order)
        for other in rest:
            first = first + other
        for name in ("counts", "mean_x", "mean_xy", "mean_y"):
            assert (getattr(first, name) == getattr(whole, name)).all()
        assert first.samples == whole.samples


def test_masks_split_the_samples() -> None:
    weight, x = lrp.exact([[1, -1]]), lrp.exact([[2, 1], [1, 1], [0, 3]])  # y = 1, 0, -3
    counts = {mask: lrp.pattern_statistics(weight, x, mask).counts.tolist() for mask in MASKS}
    assert counts == {"all": [3], "positive": [1], "negative": [2]}
    assert lrp.pattern_statistics(weight, x, "positive").mean_x.tolist() == [[2], [1]]
    assert lrp.pattern_statistics(weight, x, "negative").mean_x.tolist() == [[Fraction(1, 2)], [2]]


def test_the_mean_of_y_is_over_all_samples() -> None:
    """Positive mask, by hand: x = 2 and -1, w = 1: E[x] = 2, E[xy] = 4, E[y] = 1/2, cov = 3, a = 1."""
    statistics = lrp.pattern_statistics(lrp.exact([[1]]), lrp.exact([[2], [-1]]), "positive")
    assert statistics.mean_y.tolist() == [Fraction(1, 2)]
    assert (statistics.mean_xy - statistics.mean_x * statistics.mean_y).tolist() == [[3]]
    assert statistics.patterns(lrp.exact([[1]])).tolist() == [[1]]


def test_an_empty_mask_gives_zero_and_counts_nothing() -> None:
    weight = lrp.exact([[1, 1]])
    empty = lrp.pattern_statistics(weight, lrp.exact([[-1, -2]]), "positive")
    assert empty.counts.tolist() == [0]
    assert empty.patterns(weight).tolist() == [[0], [0]]
    full = lrp.pattern_statistics(weight, lrp.exact([[3, 1], [1, 1]]), "positive")
    assert ((empty + full).mean_x == full.mean_x).all()
    assert (empty + empty).patterns(weight).tolist() == [[0], [0]]


def test_floats_follow_the_rationals() -> None:
    rng = np.random.default_rng(5)
    weight, x = rng.normal(size=(3, 4)), rng.normal(size=(7, 4))
    found = lrp.pattern_statistics(weight, x, "positive").patterns(weight)
    exact = by_definition(lrp.exact(weight), lrp.exact(x), "positive")
    assert found.dtype == np.float64
    assert np.allclose(found, np.array(exact, dtype=float), rtol=1e-10)
