"""Small shapes with any number of axes."""

from lrp_conform.cases.operators.row import Chooser, Shape


def any_shape(chooser: Chooser) -> Shape:
    """A batch, channels, and up to two axes more."""
    batch, axes = chooser.integer(1, 2), chooser.integer(0, 2)
    return (batch, *(chooser.integer(1, 3) for _ in range(axes + 1)))
