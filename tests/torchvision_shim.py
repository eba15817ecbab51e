"""Lets torchvision import beside a CPU build of torch.

The wheel of torchvision on PyPI is built for CUDA. Without CUDA its library of operators does not load, and
its import then stops at the first operator it looks up. Defining the schemas it looks for lets it go on.
Where the library loads, nothing is done.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_keep: list[object] = []


def install() -> None:
    """Define the operators if torch and torchvision are there and torchvision's library does not load."""
    vision = importlib.util.find_spec("torchvision")
    if _keep or vision is None or vision.origin is None or importlib.util.find_spec("torch") is None:
        return
    import torch

    try:
        torch.ops.load_library(str(Path(vision.origin).with_name("_C.so")))
    except OSError:
        library = torch.library.Library("torchvision", "DEF")
        _keep.append(library)
        for schema in SCHEMAS:
            library.define(schema)
