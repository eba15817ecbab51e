"""`lrp-ref compare`: how far two arrays lie apart."""

from pathlib import Path
from typing import Any

import click

from lrp_ref.commands.commandline import argument, command, option
from lrp_ref.commands.terminal import say


def tolerance(text: str) -> float:
    """A number >= 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise click.BadParameter(f"expected a number >= 0, got {text!r}")
    return value


@command()
@argument("a", metavar="A.npy", type=click.Path(path_type=Path), about="One array.")
@argument("b", metavar="B.npy", type=click.Path(path_type=Path), about="The other.")
@option("--tolerance", metavar="T", type=tolerance, help="What max |A - B| / max |B| may be.")
@option("--out", metavar="FILE", type=click.Path(path_type=Path), help="A picture of both and of what differs, as apart.png.")
def compare(a: Path, b: Path, tolerance: float | None, out: Path | None) -> int:
    """Compare two .npy files: relevance of two libraries, two machines or two dtypes.

    Exit status: 0 if they are equal bit for bit, dtypes included; 1 if they differ; 2 if they cannot be compared. With
    --tolerance T, 0 where max |A - B| <= T max |B|. Effective bits: -log2 of max |A - B| / max |B|.
    """
    from lrp_ref.commands.difference import difference
    from lrp_ref.files.arrays import load_array

    one, other = load_array(a), load_array(b)
    if one.shape != other.shape:
        say(f"shapes differ: {one.shape} and {other.shape}")
        return 1
    found = difference(one, other)
    say("\n".join(_lines(found)))
    if out is not None:
        names = (a.stem, b.stem) if a.stem != b.stem else (str(a), str(b))
        _draw(one, other, (names[0][-30:], names[1][-30:]), out)
    return 0 if found.identical or (tolerance is not None and found.within(tolerance)) else 1


def _lines(found: Any) -> list[str]:
    rows = {
        "shape": str(found.shape),
        "dtypes": " and ".join(dict.fromkeys(found.dtypes)),
        "equal bit for bit": f"{found.equal} of {found.count}",
        "largest |A - B|": f"{found.absolute:.6g} at {list(found.absolute_at)}, of max |B| = {found.scale:.6g}",
        "largest relative": f"{found.relative:.6g} at {list(found.relative_at)}, of the larger of |A| and |B| there",
        "ulps apart": "-" if found.ulps is None else f"{found.ulps[0]} at most, median {found.ulps[1]:g}",
        "effective bits": f"{found.bits:.1f}",
        "correlation": f"{found.correlation:.12g}",
        "cosine": f"{found.cosine:.12g}",
        "signs that differ": str(found.signs),
        "sums": f"{found.sums[0]:.9g} and {found.sums[1]:.9g}",
    }
    if found.loose:
        rows["not finite"] = f"{found.loose} elements of one that the other does not share"
    return [f"{name:18} {value}" for name, value in rows.items()]


def _draw(a: Any, b: Any, names: tuple[str, str], out: Path) -> None:
    from lrp_ref.arrays import exact
    from lrp_ref.files.arrays import save_figure
    from lrp_ref.pictures import comparison

    shown = [exact(m) if m.dtype.kind == "U" else m for m in (a, b)]
    save_figure(out, comparison(*shown, names=names))
    say(f"written: {out}")
