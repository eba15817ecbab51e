"""A second, independent computation of the golden vectors.

Scalar loops over exact fractions, standard library only, written from the
equations in golden/README.md and from nothing else.  Slow and plain on purpose.
"""

from .case import explain

__all__ = ["explain"]
