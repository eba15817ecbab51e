"""What tells one run from another, and one machine's arithmetic from another's."""

import hashlib
import pickle
import platform
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from functools import cache, partial
from types import CodeType, FunctionType
from typing import Any

import numpy as np

import lrp_ref
from lrp_ref import kernels
from lrp_ref.arrays import Array, LRPError, is_exact
from lrp_ref.blas import alone


def digest(value: Any) -> str:
    """A SHA-256 of a value: of the types, fields and elements it is made of, the same in every process.

    A function counts by its name, its code and what it closes over, not by the functions it calls.
    """
    sha = hashlib.sha256()
    _feed(sha, value)
    return sha.hexdigest()


def short_or_digest(value: Any) -> Any:
    """A target or a seed as `run.json` has it: itself where it is short, else its digest."""
    if isinstance(value, Mapping):
        return {str(name): short_or_digest(one) for name, one in value.items()}
    return value if value is None or isinstance(value, str | int | float) else digest(value)


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs, in words: digests by name only."""

    def shown(value: Any) -> str:
        return "other" if isinstance(value, str) and len(value) == 64 else str(value)

    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    pairs = [(name, shown(was.get(name)), shown(now.get(name))) for name in names]
    return [name if before == after else f"{name} (was {before}, is {after})" for name, before, after in pairs]


def arithmetic() -> str:
    """What the last bits depend on besides the batch: versions, the processor, and a trial calculation on it."""
    return f"lrp_ref {lrp_ref.__version__}, {_machine()}, fast path {'on' if kernels.on() else 'off'}"


@cache
def _machine() -> str:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"numpy {np.__version__}, {blas['name']} {blas['version']}, {platform.machine()}, trial {_trial()}"


def _trial() -> str:
    """A digest of products, sums and functions whose last bits differ between processors and libraries."""
    sha = hashlib.sha256()
    waves: Any = np.sin(np.arange(3 * 501 * 301, dtype=np.float64))
    for dtype in (np.float32, np.float64):
        a: Any = waves.astype(dtype).reshape(3, 501, 301)
        with alone():
            for found in (a[0] @ a[1].T, a[0, :1] @ a[2].T, a[0, :5, :7] @ a[1, :7, :9], a.sum(), a.sum(axis=-1), np.exp(a[0])):
                sha.update(np.ascontiguousarray(found).tobytes())
    return sha.hexdigest()[:12]


def _feed(sha: Any, value: Any) -> None:
    """Every branch starts with a tag and a length, so that no two values feed the same bytes."""

    def tagged(kind: str, *parts: Any) -> None:
        sha.update(f"{kind}:{len(parts)};".encode())
        for part in parts:
            _feed(sha, part)

    if value is None or isinstance(value, bool | int | float | str | bytes):
        text = repr(value)
        sha.update(f"{type(value).__name__}:{len(text)}:{text};".encode())
    elif hasattr(value, "dtype") and hasattr(value, "shape"):
        a = on_host(value)
        sha.update(f"array:{a.dtype.str}:{a.shape};".encode())
        if is_exact(a):
            tagged("elements", *map(str, a.flat))
        else:
            sha.update(np.ascontiguousarray(a).data if a.size else b"")
    elif is_dataclass(value) and not isinstance(value, type):
        tagged(type(value).__qualname__, *(part for f in fields(value) for part in (f.name, getattr(value, f.name))))
    elif isinstance(value, Mapping):
        tagged("mapping", *(part for item in value.items() for part in item))
    elif isinstance(value, Set):
        tagged("set", *sorted(digest(one) for one in value))
    elif isinstance(value, tuple | list | range):
        tagged("sequence", *value)
    elif isinstance(value, type):
        tagged("type", value.__module__, value.__qualname__)
    elif isinstance(value, partial):
        tagged("partial", value.func, value.args, value.keywords)
    elif isinstance(value, FunctionType):
        held = [cell.cell_contents for cell in value.__closure__ or ()]
        closed = [one.__qualname__ if isinstance(one, FunctionType) else one for one in held]  # which may be the function
        tagged("function", value.__qualname__, value.__code__, closed, value.__defaults__, value.__kwdefaults__)
    elif isinstance(value, CodeType):
        tagged("code", value.co_code, value.co_consts, value.co_names)
    else:
        tagged("object", type(value).__qualname__, _pickled(value))


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value, protocol=5)
    except Exception:  # what cannot be pickled says so in many ways
        raise LRPError(
            f"{type(value).__name__}: a run cannot be told from another by a value of this type; "
            "use a function, a dataclass or what pickle can write"
        ) from None


def on_host(a: Array) -> Any:
    """The array as NumPy has it; a copy where it lies on a GPU."""
    return a.get() if hasattr(a, "get") else np.asarray(a)
