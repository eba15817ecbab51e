"""Image files as a network reads them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lrp_ref as lrp
from lrp_ref.files.images import Preprocessing, read

Image: Any = pytest.importorskip("PIL.Image", reason="Pillow is not installed: no image is read")


def stored(folder: Path, a: Any, name: str = "image.png", mode: str | None = None) -> Path:
    image = Image.fromarray(a)
    (image if mode is None else image.convert(mode)).save(folder / name)
    return folder / name


def pixels(*shape: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_an_image_of_the_right_size_keeps_its_pixels(tmp_path: Path) -> None:
    a = pixels(5, 7, 3)
    found = read(stored(tmp_path, a), Preprocessing((3, 5, 7)))
    assert found.x.dtype == np.float32
    assert np.array_equal(found.x, (a / 255).transpose(2, 0, 1)[None].astype(np.float32))
    assert np.array_equal(found.picture, a / 255)


def test_channels_last_and_doubles(tmp_path: Path) -> None:
    a = pixels(5, 7, 3)
    found = read(stored(tmp_path, a), Preprocessing((5, 7, 3), "nhwc", dtype="float64"))
    assert np.array_equal(found.x, (a / 255)[None])


def test_grey_becomes_colour_and_colour_grey(tmp_path: Path) -> None:
    grey = pixels(4, 4)
    found = read(stored(tmp_path, grey), Preprocessing((3, 4, 4)))
    assert np.array_equal(found.x[0], np.repeat((grey / 255)[None].astype(np.float32), 3, axis=0))
    same = np.repeat(grey[..., None], 3, axis=-1)
    assert np.array_equal(read(stored(tmp_path, same), Preprocessing((1, 4, 4))).x[0, 0], (grey / 255).astype(np.float32))


def test_the_longer_side_is_cut_at_both_ends(tmp_path: Path) -> None:
    a = np.zeros((4, 8), np.uint8)
    a[:, 2:6] = 255  # the middle
    assert (read(stored(tmp_path, a), Preprocessing((1, 4, 4))).x == 1).all()
    assert (read(stored(tmp_path, a), Preprocessing((1, 2, 2))).x > 0.8).all()  # a filter reaches a little over the cut


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    a = np.zeros((4, 4, 4), np.uint8)
    a[:2, :, 3] = 255  # black above, nothing below
    found = read(stored(tmp_path, a), Preprocessing((1, 4, 4))).x[0, 0]
    assert (found[:2] == 0).all()
    assert (found[2:] == 1).all()


def test_sixteen_bits_keep_their_range(tmp_path: Path) -> None:
    a = np.array([[0, 65535], [32768, 257]], np.uint16)
    found = read(stored(tmp_path, a), Preprocessing((1, 2, 2), dtype="float64")).x[0, 0]
    assert np.allclose(found, a / 65535, atol=1e-6)


def test_a_photograph_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    a = np.zeros((4, 8), np.uint8)
    a[:, :4] = 255
    image = Image.fromarray(a)
    exif = image.getexif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "image.png", exif=exif)
    found = read(tmp_path / "image.png", Preprocessing((1, 8, 4))).x[0, 0]
    assert (found[:4] == 1).all()
    assert (found[4:] == 0).all()


def test_the_range_is_that_of_black_and_white(tmp_path: Path) -> None:
    how = Preprocessing((3, 2, 2), mean=(0.5, 0.25, 0), std=(0.5, 1, 2))
    low, high = how.range
    black, white = (read(stored(tmp_path, np.full((2, 2, 3), v, np.uint8), f"{v}.png"), how).x[0, :, 0, 0] for v in (0, 255))
    assert np.array_equal(low, black)
    assert np.array_equal(high, white)


def test_an_array_is_taken_as_it_is(tmp_path: Path) -> None:
    a = np.random.default_rng(0).normal(size=(3, 4, 4))
    np.save(tmp_path / "a.npy", a)
    found = read(tmp_path / "a.npy", Preprocessing((3, 4, 4), mean=(9,)))
    assert np.array_equal(found.x, a[None])
    assert np.array_equal(found.picture, a.transpose(1, 2, 0))
    np.save(tmp_path / "row.npy", a.reshape(1, -1))
    row = read(tmp_path / "row.npy", Preprocessing((48,)))
    assert (row.x.shape, row.picture) == ((1, 48), None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Preprocessing((3, 4, 4), "chw"), "layout: expected one of nchw, nhwc, got 'chw'"),
        (
            lambda: Preprocessing((3, 4, 4), mean=(1, 2)),
            "mean: expected 1 finite number, or one for each of 3 channels; got 1 2",
        ),
        (lambda: Preprocessing((3, 4, 4), std=(1, 2, 0)), "std: expected numbers > 0, got 1 2 0"),
        (lambda: Preprocessing((3, 4, 4), std=(float("nan"),)), "std: expected 1 finite number"),
        (lambda: Preprocessing((3, 4, 4), scale=0), "scale: expected a number > 0"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, message: str) -> None:
    with pytest.raises(lrp.LRPError, match=message):
        make()


def test_floating_pixels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "image.tiff")
    with pytest.raises(lrp.LRPError, match=r"its pixels are floats of an unknown range; save them as a \.npy file"):
        read(tmp_path / "image.tiff", Preprocessing((1, 4, 4)))


def test_four_channels_are_no_image(tmp_path: Path) -> None:
    with pytest.raises(lrp.LRPError, match=r"no grey or colour images; give a \.npy file"):
        read(stored(tmp_path, pixels(4, 4)), Preprocessing((4, 4, 4)))
