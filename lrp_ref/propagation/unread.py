"""The output that a rule says it does not read."""

from typing import Any, NoReturn

import numpy as np

from lrp_ref.arrays import LRPError


class Unread:
    """Stands for y where `reads_output` is False: whatever is done with it is refused."""

    def __init__(self, rule: Any) -> None:
        object.__setattr__(self, "_rule", type(rule).__name__)

    def __repr__(self) -> str:
        return f"<the output, which {object.__getattribute__(self, '_rule')} says it does not read>"


def _refuse(self: Any, *_: Any, **__: Any) -> NoReturn:
    rule = object.__getattribute__(self, "_rule")
    raise LRPError(f"{rule}: its parts read the output y, but reads_output is False; say reads_output = True")


_COMPARED = {f"__{name}__" for name in ("eq", "ne", "lt", "le", "gt", "ge", "hash")}
_METHODS = {name for name in {*dir(np.ndarray)} - {*dir(object)} if callable(getattr(np.ndarray, name))}
for _name in {*_METHODS, *_COMPARED, "__getattr__", "__setattr__"}:  # all that an array can do
    setattr(Unread, _name, _refuse)
