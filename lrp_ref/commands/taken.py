"""What `lrp-ref explain-many` does to every image and its relevance: values, so that they travel to workers."""

from dataclasses import dataclass
from pathlib import Path

from lrp_ref.arrays import Array
from lrp_ref.files.images import Preprocessing, read


@dataclass(frozen=True)
class Fitted:
    """Reads an image file as the model's input."""

    how: Preprocessing

    def __call__(self, path: str) -> Array:
        return read(Path(path), self.how).x[0]


@dataclass(frozen=True)
class Pixels:
    """Sums relevance over the channels."""

    axis: int

    def __call__(self, relevance: Array) -> Array:
        return relevance.sum(axis=self.axis)
