"""Shapes with any number of axes."""

from lrp_conform.cases.operators.row import Chooser, Shape


def any_shape(chooser: Chooser, most: int = 2) -> Shape:
    """A batch, channels, and up to `most` axes more."""
    axes = chooser.choice("axes", range(most + 1), (3,) if most == 2 else ())
    return (batch(chooser), *(size(chooser, f"size[{k}]") for k in range(axes + 1)))


def batch(chooser: Chooser) -> int:
    """Samples: one, two, more."""
    return chooser.choice("batch", (1, 2), (3, 7))


def size(chooser: Chooser, axis: str) -> int:
    """The size of an axis, channels too."""
    return chooser.choice(axis, (1, 2, 3), (4, 5))
