"""The operators of the golden format, one row each: schema, README, features, builders and random instances follow from it."""

from lrp_conform.cases.operators import functions, moving, normalizing, pooling, weighted
from lrp_conform.cases.operators.row import Attr, Chooser, Drawn, Operator, Param

OPERATORS: dict[str, Operator] = {
    row.name: row
    for row in (
        *weighted.ROWS,
        *pooling.ROWS,
        *normalizing.ROWS,
        *moving.ROWS,
        *functions.ROWS,
    )
}

__all__ = ["OPERATORS", "Attr", "Chooser", "Drawn", "Operator", "Param"]
