"""A user's own model: what a library says of it, beside the reference on the same model's ONNX export.

`compare` takes arrays; `compare_torch` and `compare_keras` export the model and ask the library; the command is
`lrp-conform compare-model`. `given` is what the library gave, `walk` judges it, `comparison` is the outcome.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrp_conform.compare.comparison import Comparison, compare
    from lrp_conform.compare.from_files import compare_files
    from lrp_conform.compare.from_keras import compare_keras, export_keras
    from lrp_conform.compare.from_torch import compare_torch
    from lrp_conform.compare.given import Given

__all__ = ["Comparison", "Given", "compare", "compare_files", "compare_keras", "compare_torch", "export_keras"]

_HOMES = {
    "comparison": "Comparison compare",
    "from_files": "compare_files",
    "given": "Given",
    "from_keras": "compare_keras export_keras",
    "from_torch": "compare_torch",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """The public name, from the module that defines it: `export_keras` runs where the reference is not installed."""
    if name not in _HOME:
        raise AttributeError(f"module 'lrp_conform.compare' has no attribute {name!r}")
    return getattr(import_module(f"lrp_conform.compare.{_HOME[name]}"), name)
