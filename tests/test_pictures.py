"""Pictures, checked by what is in them: zero is white, scales are symmetric and end where they say, bars add up."""

from typing import Any

import networks
import numpy as np
import pytest

import lrp_ref as lrp
from lrp_ref.propagation.ledger import NetworkLedger, NodeAccount

pytest.importorskip("matplotlib", reason="matplotlib is not installed: no picture is drawn")

from lrp_ref.pictures import comparison, grid, heatmap, waterfall
from lrp_ref.pictures.style import COLUMNS, DIVERGING
from lrp_ref.pictures.waterfall import grouped, node_rows

RELEVANCE = np.array([[[1.0, -2.0], [0.0, 0.5]], [[2.0, -2.0], [0.0, 0.0]]])  # (C, H, W); sums 3, -4, 0, 0.5


def map_of(axis: Any) -> Any:
    """The image that an axis shows."""
    return next(image for image in axis.get_images())


def colours(axis: Any) -> Any:
    shown = map_of(axis)
    return shown.cmap(shown.norm(shown.get_array()))[..., :3]


def text_of(figure: Any) -> str:
    """Everything that is written in a figure."""
    from matplotlib.text import Text

    return "\n".join(t.get_text() for t in figure.findobj(Text))


def test_zero_is_white_and_the_ends_are_dark() -> None:
    assert DIVERGING(0.5)[:3] == (1, 1, 1)
    ends = np.array([DIVERGING(0.0)[:3], DIVERGING(1.0)[:3]])
    assert (ends.max(axis=1) < 0.5).all()
    assert ends[0].argmax() == 2  # blue is negative
    assert ends[1].argmax() == 0  # red is positive


def test_magnitudes_of_either_sign_are_equally_light() -> None:
    def light(rgb: Any) -> float:
        return float(np.dot(rgb[:3], [0.2126, 0.7152, 0.0722]))

    for share in np.linspace(0.05, 1, 20):
        assert abs(light(DIVERGING(0.5 + share / 2)) - light(DIVERGING(0.5 - share / 2))) < 0.15


def test_a_heatmap_sums_channels_on_a_symmetric_scale() -> None:
    figure = heatmap(RELEVANCE, np.zeros((2, 2)))
    image, shown = figure.axes[0], figure.axes[1]
    assert np.array_equal(map_of(shown).get_array(), [[3, -4], [0, 0.5]])
    assert map_of(shown).get_clim() == (-4, 4)
    pixels = colours(shown)
    assert np.array_equal(pixels[1, 0], [1, 1, 1])
    assert np.array_equal(pixels[0, 1], DIVERGING(0.0)[:3])  # the largest magnitude saturates
    assert image.get_title() == "input"
    assert "relevance, sum over 2 channels" in text_of(figure)
    assert "white: 0    scale: ±4, the largest magnitude    sum: −0.5" in text_of(figure)


@pytest.mark.parametrize(
    ("limit", "end", "said"),
    [
        (8.0, 8.0, "±8; the largest magnitude is 4"),
        ("50%", 1.75, "±1.75, which 50 % of pixels keep to; the largest magnitude is 4"),
        ("100%", 4.0, "±4, which 100 % of pixels keep to"),
    ],
)
def test_another_limit_is_stated(limit: Any, end: float, said: str) -> None:
    figure = heatmap(RELEVANCE, limit=limit)
    assert map_of(figure.axes[0]).get_clim() == (-end, end)
    assert said in text_of(figure)


def test_relevance_that_is_zero_everywhere_is_white() -> None:
    assert (colours(heatmap(np.zeros((3, 4, 4))).axes[0]) == 1).all()


def test_exact_relevance_and_vectors_are_drawn() -> None:
    assert map_of(heatmap(lrp.exact([["1/3", -1]])).axes[0]).get_clim() == (-1, 1)
    assert map_of(heatmap(np.array([1.0, -2.0, 3.0])).axes[0]).get_array().shape == (1, 3)


def test_images_of_any_range_and_layout_are_shown() -> None:
    wide = np.arange(48.0).reshape(3, 4, 4) - 20
    shown = map_of(heatmap(np.ones((4, 4)), wide).axes[0]).get_array()
    assert shown.shape == (4, 4, 3)
    assert (shown.min(), shown.max()) == (0, 1)
    held = np.full((4, 4), 0.25)
    assert np.array_equal(map_of(heatmap(np.ones((4, 4)), held).axes[0]).get_array(), held)


def test_a_grid_has_one_scale_and_one_bar() -> None:
    figure = grid([[RELEVANCE, RELEVANCE / 2], [-RELEVANCE, 0 * RELEVANCE]], [np.ones((2, 2))] * 2, rows="ab", columns="cd")
    maps = [axis for axis in figure.axes if axis.get_images() and map_of(axis).cmap.name == "relevance"]
    assert len(maps) == 4
    assert {map_of(axis).get_clim() for axis in maps} == {(-4, 4)}
    assert "scale of all maps: ±4, the largest magnitude" in text_of(figure)
    assert len(figure.axes) == 2 * 3 + 1


def test_a_comparison_shows_both_and_what_differs() -> None:
    figure = comparison(RELEVANCE, RELEVANCE + 0.25, names=("ours", "theirs"))
    maps = [axis for axis in figure.axes if axis.get_images()]
    assert [map_of(axis).get_clim() for axis in maps[:2]] == [(-4, 4)] * 2
    assert map_of(maps[2]).get_clim() == (-0.5, 0.5)
    assert "ours − theirs" in text_of(figure)
    assert "all pixels are equal" in text_of(comparison(RELEVANCE, RELEVANCE))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: heatmap(np.zeros((1, 2, 3, 4, 5))), r"expected finite numbers \(C, H, W\) or \(H, W\), got shape"),
        (lambda: heatmap(np.full((2, 2), np.nan)), "expected finite numbers"),
        (lambda: heatmap(RELEVANCE, np.zeros((2, 3, 4, 4))), r"image: expected shape \(H, W\), .*got \(2, 3, 4, 4\)"),
        (lambda: heatmap(RELEVANCE, np.zeros((2, 4, 4))), r"image: expected shape \(H, W\), .*got \(2, 4, 4\)"),
        (lambda: heatmap(RELEVANCE, limit=0), "limit: expected a finite number > 0"),
        (lambda: heatmap(RELEVANCE, limit="x%"), "limit: expected a finite number > 0, or a share"),
        (lambda: grid([[RELEVANCE], []]), r"expected rows of one length, got lengths \[1, 0\]"),
        (lambda: grid([[RELEVANCE]], rows="ab"), "rows: expected 1, one for each row, got 2"),
        (lambda: comparison(RELEVANCE, RELEVANCE[:, :1]), "maps: expected one shape"),
        (lambda: waterfall(ledger({"a": (1, 0, 0)}), most=2), "most: expected at least 3 lines, got 2"),
    ],
)
def test_what_cannot_be_drawn_is_told(draw: Any, message: str) -> None:
    with pytest.raises(lrp.LRPError, match=message):
        draw()


# The waterfall --------------------------------------------------------------------------------------------------------


def ledger(lost: dict[str, tuple[float, float, float]], seed: float = 10.0) -> NetworkLedger:
    """The ledger of a chain of nodes that lose bias, stabilizer and dropped."""
    accounts, level = {}, seed
    for name, columns in lost.items():
        left = level - sum(columns)
        accounts[name] = NodeAccount(*(np.array([v]) for v in (level, left, *columns)))
        level = left
    return NetworkLedger({"y": np.array([seed])}, {"x": np.array([level])}, lambda: accounts, lambda: np.zeros(1))


def bars(figure: Any) -> dict[str, float]:
    """Column -> what its bars take in all."""
    found = dict.fromkeys(COLUMNS, 0.0)
    for patch in figure.axes[0].patches:
        if patch.get_gid() in found:
            found[patch.get_gid()] -= patch.get_width()
    return found


def labels(figure: Any) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_the_bars_of_a_network_add_up_to_its_ledger() -> None:
    net, x = networks.residual(networks.float64), networks.float64(networks.image())
    found = net.explain(x, lrp.composites.zennit.epsilon_alpha2_beta1()).ledger
    figure, totals = waterfall(found), found.totals()
    assert {k: round(v, 9) for k, v in bars(figure).items()} == {k: round(float(totals[k]), 9) for k in COLUMNS}  # type: ignore[arg-type]
    ends = [p for p in figure.axes[0].patches if p.get_gid() not in COLUMNS]
    assert [p.get_width() for p in ends] == [totals["arrived"], totals["received"]]
    last = [p for p in figure.axes[0].patches if p.get_gid() in COLUMNS][-1]
    assert np.isclose(last.get_x() + last.get_width(), totals["received"]) or np.isclose(last.get_x(), totals["received"])


def test_every_bar_begins_where_the_one_before_ended() -> None:
    figure = waterfall(ledger({"a": (1, 2, 0), "b": (-3, 0, 4)}))
    level = 10.0
    for patch in [p for p in figure.axes[0].patches if p.get_gid() in COLUMNS]:
        starts = {round(patch.get_x(), 9), round(patch.get_x() + patch.get_width(), 9)}
        assert round(level, 9) in starts
        level += patch.get_width()
    assert level == 6


def test_nodes_that_took_nothing_are_left_out_and_counted() -> None:
    figure = waterfall(ledger({"dense": (1, 0, 0), "relu": (0, 0, 0), "conv": (0, 0, 2)}))
    assert labels(figure) == ["seed at the output", "dense", "conv", "received by the input"]
    assert "not shown: 1 node that took nothing" in text_of(figure)
    assert "grouped" not in text_of(figure)


def test_sixty_nodes_are_grouped_into_as_many_lines_as_asked_for() -> None:
    rng = np.random.default_rng(0)
    found = ledger({f"block.{k}.conv": tuple(rng.normal(size=3) ** 3) for k in range(60)})  # type: ignore[misc]
    figure = waterfall(found, most=20)
    assert 3 <= len(labels(figure)) <= 22
    assert any(" nodes until block." in label for label in labels(figure))
    assert "grouped: neighbouring nodes that took at most" in text_of(figure)
    assert {k: round(v, 9) for k, v in bars(figure).items()} == {k: round(float(found.totals()[k]), 9) for k in COLUMNS}  # type: ignore[arg-type]


def test_groups_hold_neighbours_and_the_largest_stand_alone() -> None:
    rows = node_rows(ledger({f"n{k}": (5.0 if k % 10 == 5 else 0.1, 0, 0) for k in range(30)}))
    found, threshold = grouped(rows, 7)
    assert [len(row.nodes) for row in found] == [5, 1, 9, 1, 9, 1, 4]
    assert threshold == 0.1
    assert [row.taken["bias"] for row in found if len(row.nodes) == 1] == [5, 5, 5]


def test_names_are_shown_as_they_are() -> None:
    figure = waterfall(ledger({"a$b$": (1, 0, 0), "features/" + "x" * 80: (0, 1, 0), "bad\x1b": (0, 0, 1)}), title="$x$")
    assert labels(figure)[1] == "a$b$"
    assert len(labels(figure)[2]) == 30
    assert labels(figure)[3] == "bad\\x1b"
    figure.draw_without_rendering()  # mathematics in names would be parsed here


def test_a_ledger_without_losses_is_drawn() -> None:
    figure = waterfall(ledger({"a": (0, 0, 0)}))
    assert labels(figure) == ["seed at the output", "received by the input"]


def test_nothing_that_is_written_overlaps() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    rng = np.random.default_rng(1)
    figure = waterfall(ledger({f"block.{k}.conv": tuple(rng.normal(size=3)) for k in range(12)}), title="title")  # type: ignore[misc]
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    texts = [t for axis in figure.axes for t in axis.texts if t.get_text()] + figure.axes[0].get_yticklabels()
    boxes = [t.get_window_extent(renderer) for t in texts]
    assert len(boxes) > 60
    frame = figure.bbox
    for k, box in enumerate(boxes):
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1 + 1
        for other in boxes[:k]:
            assert not (box.x0 + 1 < other.x1 and other.x0 + 1 < box.x1 and box.y0 + 2 < other.y1 and other.y0 + 2 < box.y1)
