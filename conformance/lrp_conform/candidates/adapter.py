"""What an adapter and the suite agree on: one dict and one function, found by name, path or module."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from lrp_conform.cases import model
from lrp_ref.algebra.rounding import UNIT_ROUNDOFF
from lrp_ref.arrays import LRPError
from lrp_ref.text.nearest import nearest

GROUP = "lrp_conform.candidates"
DEFAULT = "seeds"


class AdapterError(LRPError):
    """A candidate that cannot be loaded: one line with the reason and the way out."""


@dataclass(frozen=True)
class Candidate:
    """One system under judgement: what it declares, how it runs, and what is known of it."""

    name: str
    version: str
    features: frozenset[str]
    dtypes: tuple[str, ...]
    devices: tuple[str, ...]
    one_hot: bool
    run: Callable[[dict[str, Any]], Any]  # a mapping, if it keeps to the protocol
    waivers: tuple[Waiver, ...] = field(default=())
    environment: Mapping[str, str] = field(default_factory=dict, compare=False)  # the interpreter and packages it runs with
    close: Callable[[], None] = field(default=lambda: None, compare=False)  # ends the process of one that has its own


@dataclass(frozen=True)
class Waiver:
    """A known deviation: case id glob, dtype glob, reason, link. It never improves a score."""

    case: str
    reason: str
    link: str | None = None
    dtype: str = "*"


def names() -> list[str]:
    """The candidates that are installed under a name."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def load(name: str = DEFAULT) -> list[Candidate]:
    """The candidate called `name` (entry point), at a path ending in .py, or in an importable module.

    A module holds INFO and run, or SYSTEMS = {key: (INFO, run)} for several systems, and optionally WAIVERS.
    """
    module = _module(name)
    systems = getattr(module, "SYSTEMS", None)
    if systems is None:
        if not hasattr(module, "INFO") or not hasattr(module, "run"):
            raise AdapterError(f"{name}: expected a module with INFO and run (or SYSTEMS), see docs/adapter.md")
        systems = {None: (module.INFO, module.run)}
    waivers = list(getattr(module, "WAIVERS", ()))
    return [
        candidate(name, info, run, [w for w in waivers if not isinstance(w, Mapping) or w.get("system") in (None, key)])
        for key, (info, run) in systems.items()
    ]


def _module(name: str) -> ModuleType:
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    try:
        if name in found:
            return importlib.import_module(found[name].value)
        if name.endswith(".py"):
            path = Path(name)
            if not path.is_file():
                raise AdapterError(f"{name}: no such file")
            spec = importlib.util.spec_from_file_location(path.stem, path)
            if spec is None or spec.loader is None:
                raise AdapterError(f"{name}: not a Python file")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
        return importlib.import_module(name)
    except ImportError as error:
        raise not_imported(name, error) from None
    except AdapterError:
        raise
    except Exception as error:
        raise AdapterError(f"{name}: importing it raised {type(error).__name__}: {' '.join(str(error).split())}") from None


def not_imported(name: str, error: ImportError) -> AdapterError:
    """Why an adapter cannot be imported: there is none of that name, or something that it imports is missing."""
    quoted = re.search(r"No module named '([^']+)'", str(error))
    missing = error.name or (quoted[1] if quoted else "")
    if name not in names() and not name.endswith(".py") and f"{name}.".startswith(f"{missing}."):
        known, near = ", ".join(names()), nearest(name, names())
        hint = f"{near}; " if near else ""
        return AdapterError(f"{name}: no candidate of that name ({known}), and {error}; {hint}give a path or a module")
    told = " ".join(str(error).split())
    return AdapterError(
        f"{name}: cannot be imported: {told}; install it in this environment, or name the interpreter of another by --python"
    )


def candidate(source: str, info: Any, run: Any, waivers: Iterable[Any], close: Callable[[], None] = lambda: None) -> Candidate:
    """A candidate from what an adapter says of itself, every field checked."""
    missing = [k for k in ("name", "version", "features", "dtypes") if not isinstance(info, Mapping) or k not in info]
    if missing:
        raise AdapterError(f"{source}: INFO lacks {', '.join(missing)}")
    if not callable(run):
        raise AdapterError(f"{source}: run is not a function")
    for key_, known in (("features", model.is_feature), ("dtypes", UNIT_ROUNDOFF.__contains__)):
        if isinstance(info[key_], str) or not all(isinstance(v, str) for v in info[key_]):
            raise AdapterError(f"{source}: INFO[{key_!r}] must be a list of strings, got {info[key_]!r}"[:200])
        unknown = [v for v in info[key_] if not known(v)]
        if unknown or not info[key_]:
            raise AdapterError(
                f"{source}: INFO[{key_!r}] holds {', '.join(unknown) or 'nothing'}; see golden/README.md, section 1"
            )
    return Candidate(
        name=str(info["name"]),
        version=str(info["version"]),
        features=frozenset(info["features"]),
        dtypes=tuple(info["dtypes"]),
        devices=tuple(info.get("devices", ("cpu",))),
        one_hot=info.get("relevance_init", "arbitrary") == "one-hot",
        run=run,
        waivers=tuple(Waiver(w["case"], w["reason"], w.get("link"), w.get("dtype", "*")) for w in waivers if _given(source, w)),
        environment={str(k): str(v) for k, v in said.items()} if isinstance(said := info.get("environment"), Mapping) else {},
        close=close,
    )


def _given(source: str, waiver: Any) -> bool:
    if not isinstance(waiver, Mapping):
        raise AdapterError(f"{source}: a waiver is a dict with case and reason, got {waiver!r}"[:200])
    if not waiver.get("case") or not waiver.get("reason"):
        raise AdapterError(f"{source}: a waiver needs a case and a reason, got {dict(waiver)}")
    return True
