"""Images, a network and a run that tests of many images share."""

from pathlib import Path
from typing import Any

import networks
import numpy as np

import lrp_ref as lrp

NET = networks.residual(networks.float32)
EPSILON = lrp.composites.innvestigate.epsilon()
OTHER = networks.residual(networks.float32, seed=5)
X = np.random.default_rng(3).standard_normal((11, 1, 5, 5)).astype(np.float32)
PLUS = lrp.composites.zennit.epsilon_plus()


def explained(out: Path, images: Any = X, **options: Any) -> lrp.Explanations:
    return lrp.explain_many(NET, images, PLUS, **({"out": out, "batch": 4} | options))


def on_disk(out: Path) -> dict[str, bytes]:
    """Every file of a run, byte for byte."""
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*")) if file.is_file()}


def files(folder: Path) -> list[Path]:
    folder.mkdir()
    found = [folder / f"{i:02}.npy" for i in range(len(X))]
    for file, x in zip(found, X, strict=True):
        np.save(file, x)
    return found


def broken(where: int = 6) -> list[Any]:
    found = [x.copy() for x in X]
    found[where][0, 2, 3] = np.nan
    return found
