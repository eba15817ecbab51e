"""Where `lrp-ref explain` leaves the files of every image."""

from collections.abc import Sequence
from pathlib import Path

from lrp_ref.arrays import LRPError


def folders(out: Path | None, images: Sequence[Path]) -> Sequence[Path | None]:
    """`out` itself for one image, else a folder of its own for each, called as the image; None where nothing is written."""
    if out is None or len(images) == 1:
        return [out] * len(images)
    made: list[Path] = []
    for path in images:
        name, count = path.stem, 1
        while out / name in made:
            count += 1
            name = f"{path.stem}-{count}"
        made.append(out / name)
    return made


def prepared(folder: Path) -> None:
    """Makes the folder where there is none. Raises `LRPError` where that is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LRPError(f"--out {folder}: cannot be made: {error.strerror or error}") from None
