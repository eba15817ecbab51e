"""Image files as a network reads them: fitted to its size, its channels, its layout, and normalised.

    x = (pixel / scale - mean) / std    per channel

The shorter side is fitted, the longer one cut at both ends; colours are turned into grey, or grey into colours, as the
network has channels; what is transparent becomes white. Pillow reads the files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrp_ref.arrays import Array, LRPError
from lrp_ref.files.arrays import load_array

LAYOUTS = ("nchw", "nhwc")
MODES = {1: "L", 3: "RGB"}
WIDE = ("I", "I;16", "I;16L", "I;16B", "I;16N")  # sixteen bits per pixel


@dataclass(frozen=True)
class Preprocessing:
    """How images become samples of `shape`, (C, H, W) for the layout "nchw", (H, W, C) for "nhwc".

    mean, std: one number, or one for every channel. bgr: blue first. dtype: what the values are rounded to.
    """

    shape: tuple[int, ...]
    layout: str = "nchw"
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)
    scale: float = 255.0
    bgr: bool = False
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise LRPError(f"layout: expected one of {', '.join(LAYOUTS)}, got {self.layout!r}")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) not in (1, self.channels if self.pictured else 1) or not np.all(np.isfinite(values)):
                raise LRPError(
                    f"{name}: expected 1 finite number, or one for each of {self.channels} channels; got {_list(values)}"
                )
        if min(self.std) <= 0:
            raise LRPError(f"std: expected numbers > 0, got {_list(self.std)}")
        if not 0 < self.scale < float("inf"):
            raise LRPError(f"scale: expected a number > 0, got {self.scale:g}; pixels are 0 to 255")

    @property
    def pictured(self) -> bool:
        """Whether a sample is an image."""
        return len(self.shape) == 3

    @property
    def channels(self) -> int:
        return self.shape[0 if self.layout == "nchw" else -1]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.shape[1:] if self.layout == "nchw" else self.shape[:2]  # type: ignore[return-value]

    @property
    def range(self) -> tuple[Array, Array]:
        """What a black and a white pixel become, per channel."""
        ends = (np.asarray([v / self.scale] * self.channels) for v in (0.0, 255.0))
        low, high = (((end - np.asarray(self.mean)) / np.asarray(self.std)).astype(self.dtype) for end in ends)
        return low, high

    def __str__(self) -> str:
        order = {1: "grey", 3: "BGR" if self.bgr else "RGB"}.get(self.channels, f"{self.channels} channels")
        height, width = self.size
        return f"{order}, {height} x {width}, pixels / {self.scale:g}, mean {_list(self.mean)}, std {_list(self.std)}"


@dataclass(frozen=True, eq=False)
class Sample:
    """x: what the network reads, (1, *shape). picture: what a person sees, (H, W) or (H, W, 3); None where it is none."""

    x: Array
    picture: Array | None


def read(path: Path, how: Preprocessing) -> Sample:
    """The image in a file, or the array in a `.npy` file, which is taken as it is.

    Raises `LRPError` for a file that is missing, no image, or of another shape than the network's input.
    """
    if path.suffix == ".npy":
        x = _array(path, how)
        return Sample(x, channels_last(x[0], how.layout) if how.pictured else None)
    if not how.pictured or how.channels not in MODES:
        raise LRPError(f"{path}: the model reads arrays of shape {how.shape}, no grey or colour images; give a .npy file")
    pixels = _pixels(path, how)
    x = (pixels / how.scale - np.asarray(how.mean)) / np.asarray(how.std)
    x = x[..., ::-1] if how.bgr else x
    x = np.moveaxis(x, -1, 0) if how.layout == "nchw" else x
    return Sample(np.ascontiguousarray(x[None], how.dtype), pixels[..., 0] / 255 if how.channels == 1 else pixels / 255)


def channels_last(a: Array, layout: str) -> Array:
    """(C, H, W) or (H, W, C) as (H, W, C)."""
    return np.moveaxis(a, 0, -1) if layout == "nchw" else a


def _array(path: Path, how: Preprocessing) -> Array:
    a = load_array(path)
    if a.dtype.kind not in "fiub":
        raise LRPError(f"{path}: expected numbers, got {a.dtype}; save floats or integers")
    if a.shape not in (how.shape, (1, *how.shape)):
        raise LRPError(f"{path}: expected the shape {how.shape} or {(1, *how.shape)}, got {a.shape}; one sample in every file")
    return a.reshape(1, *how.shape)


def _pixels(path: Path, how: Preprocessing) -> Array:
    """Pixels (H, W, C) from 0 to 255, floats."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ModuleNotFoundError as error:
        from lrp_ref.text.extras import needed

        raise LRPError(f"images need {needed(error, 'explain')}") from None
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            return _fitted(image, how, Image, ImageOps)
    except UnidentifiedImageError:
        raise LRPError(f"{path}: no image that Pillow knows; give PNG, JPEG, ... or an array in a .npy file") from None
    except Image.DecompressionBombError:
        raise LRPError(f"{path}: an image of more pixels than Pillow trusts; make it smaller") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise LRPError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _fitted(image: Any, how: Preprocessing, Image: Any, ImageOps: Any) -> Array:
    height, width = how.size
    if image.mode == "F":
        raise ValueError("its pixels are floats of an unknown range; save them as a .npy file")
    if image.mode in WIDE:
        wide = Image.fromarray(np.asarray(image, np.float32) * np.float32(255 / 65535))
        grey = np.asarray(ImageOps.fit(wide, (width, height), Image.Resampling.BILINEAR), np.float64)
        return np.repeat(np.clip(grey, 0, 255)[..., None], how.channels, axis=-1)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    fitted = ImageOps.fit(image.convert(MODES[how.channels]), (width, height), Image.Resampling.BILINEAR)
    return np.asarray(fitted, np.float64).reshape(height, width, how.channels)


def _list(values: Sequence[float]) -> str:
    return " ".join(f"{v:g}" for v in values)
