"""`lrp-ref compare`: how far two arrays lie apart."""

import argparse
from pathlib import Path
from typing import Any

from lrp_ref.commands.say import say

ABOUT = """\
Compare two .npy files: relevance of two libraries, two machines or two dtypes.

Exit status: 0 if they are equal bit for bit, dtypes included; 1 if they differ; 2 if they cannot be compared. With
--tolerance T, 0 where max |A - B| <= T max |B|. Effective bits: -log2 of max |A - B| / max |B|."""


def add_to(commands: Any) -> None:
    """The parser of `lrp-ref compare`."""
    parser = commands.add_parser(
        "compare", help="compare two .npy files", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("a", metavar="A.npy", type=Path)
    parser.add_argument("b", metavar="B.npy", type=Path)
    parser.add_argument("--tolerance", metavar="T", type=_tolerance, help="what max |A - B| / max |B| may be")
    parser.add_argument("--out", metavar="FILE", type=Path, help="a picture of both and of what differs, such as apart.png")
    parser.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Print the table. Returns the exit status."""
    from lrp_ref.difference import difference
    from lrp_ref.files import load_array

    a, b = load_array(asked.a), load_array(asked.b)
    if a.shape != b.shape:
        say(f"shapes differ: {a.shape} and {b.shape}")
        return 1
    found = difference(a, b)
    say("\n".join(_lines(found)))
    if asked.out is not None:
        _draw(a, b, asked)
    return 0 if found.identical or (asked.tolerance is not None and found.within(asked.tolerance)) else 1


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


def _draw(a: Any, b: Any, asked: argparse.Namespace) -> None:
    from lrp_ref.arrays import exact
    from lrp_ref.files import save_figure
    from lrp_ref.pictures import comparison

    shown = [exact(m) if m.dtype.kind == "U" else m for m in (a, b)]
    names = (asked.a.stem, asked.b.stem) if asked.a.stem != asked.b.stem else (str(asked.a), str(asked.b))
    save_figure(asked.out, comparison(*shown, names=(names[0][-30:], names[1][-30:])))
    say(f"written: {asked.out}")


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number >= 0, got {text!r}")
    return value
