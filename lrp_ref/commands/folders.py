"""Where `lrp-ref explain` leaves the files of every image."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lrp_ref.commands.commandline import fail


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


@contextmanager
def prepared(folder: Path | None) -> Iterator[None]:
    """Makes the folder, where there is none, for what is to be written; it goes again if that fails and it is empty.

    Where it cannot be made, the command ends with one line.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()] if folder is not None else []
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"--out {folder}: cannot be made: {error.strerror or error}")
    try:
        yield
    except BaseException:
        with suppress(OSError):  # not empty
            for path in made:
                path.rmdir()
        raise
