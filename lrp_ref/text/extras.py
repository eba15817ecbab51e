"""Which extra of lrp-ref installs a package that is missing: as its metadata says."""

import re
from importlib.metadata import PackageNotFoundError, requires

ELSEWHERE = {"flint": "python-flint", "PIL": "pillow"}  # modules that their distribution calls otherwise
_REQUIRED = re.compile(r"""([\w.-]+)\s*(?:\[([^]]*)])?.*extra == ['"]([\w-]+)['"]""")


def install(module: str, likely: str) -> str | None:
    """How to install what brings a module: the extra `likely` if it does, else any that does; None if it is not another's.

    >>> install("rich.table", "conformance")
    'rich, which is not installed: pip install "lrp-ref[conformance]"'
    """
    top = module.partition(".")[0]
    if top in ("", "lrp_ref", "lrp_conform"):
        return None
    name = ELSEWHERE.get(top, top.replace("_", "-"))
    found = [extra for extra, names in _extras().items() if name.lower() in names]
    what = f'"lrp-ref[{likely if likely in found else found[0]}]"' if found else name
    return f"{name}, which is not installed: pip install {what}"


def needed(error: ImportError, likely: str) -> str:
    """How to install what could not be imported. Raises the error itself where that is a module of ours."""
    found = install(error.name or "", likely)
    if found is None:
        raise error
    return found


def _extras() -> dict[str, set[str]]:
    """Extra -> the distributions that it installs, those of the extras it names among them."""
    try:
        rows = [match.groups() for line in requires("lrp-ref") or () if (match := _REQUIRED.match(line))]
    except PackageNotFoundError:  # a source tree that is not installed
        return {}
    found: dict[str, set[str]] = {}
    for name, _, extra in rows:
        found.setdefault(extra, set()).add(name.lower())
    named = {(extra, other.strip()) for name, others, extra in rows if name == "lrp-ref" for other in (others or "").split(",")}
    for _ in found:  # an extra may name one that names another
        for extra, other in named:
            found[extra] |= found.get(other, set())
    return dict(sorted(found.items(), key=lambda row: len(row[1])))  # the smallest first
