"""Cases and answers as JSON: hexadecimal floats, so that no reader can round them.

Needs NumPy alone: the harness for Python adapters imports it in environments where `lrp_ref` is not installed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

INLINE = 4096  # elements; larger tensors go through a file if both sides know how
MAX_FILE = 2**30  # bytes of such a file
FLOATS = ("float16", "float32", "float64")
NUMERIC_FIELDS = (
    "nodes",
    "rules",
    "composite",
    "x",
    "relevance",
    "y",
    "pattern",
)  # elsewhere a string is a string: a handle may be "0x1f"
OTHER = re.compile("bool|(u?int|float|complex)[0-9]+")  # dtypes that a wrong answer may have, and is told so


class MessageError(ValueError):
    """A message that is not of the protocol: one line with what is wrong."""


def dumps(message: Mapping[str, Any], exchange: Path | None = None) -> bytes:
    """One line: floats as hexadecimal strings, arrays as tensors, large ones in a file of the folder `exchange`."""
    return (json.dumps(encode(message, exchange), separators=(",", ":"), allow_nan=False) + "\n").encode()


def loads(line: bytes, exchange: Path | None = None) -> dict[str, Any]:
    """The message of one line, decoded; MessageError if it is none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"expected one line of JSON, got {_quoted(line)} ({error})") from None
    if not isinstance(message, dict):
        raise MessageError(f"expected a JSON object, got {_quoted(line)}")
    try:
        return {name: decode(value, exchange) if name in NUMERIC_FIELDS else value for name, value in message.items()}
    except RecursionError:
        raise MessageError("expected a message, got JSON that is nested too deeply") from None


def encode(value: Any, exchange: Path | None = None) -> Any:
    """Plain data for JSON. What is no data is named by its type, so that the judge can say what came."""
    if isinstance(value, np.ndarray):
        return _tensor(value, exchange)
    if isinstance(value, Mapping):
        return {str(name): encode(part, exchange) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [encode(part, exchange) for part in value]
    if isinstance(value, float):
        return value.hex() if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str | bool | int):
        return value
    return {"python": type(value).__name__}


def decode(value: Any, exchange: Path | None = None) -> Any:
    """The inverse of `encode`."""
    if isinstance(value, dict):
        if "dtype" in value and "shape" in value:
            return _array(value, exchange)
        if value.keys() == {"python"}:
            return stand_in(value["python"])
        return {name: decode(part, exchange) for name, part in value.items()}
    if isinstance(value, list):
        return [decode(part, exchange) for part in value]
    if isinstance(value, str) and value.lstrip("-")[:2].lower() == "0x":
        return _number(value)
    return value


def stand_in(name: Any) -> Any:
    """An object of a type with this name, in the place of one that no message can hold."""
    return type(_quoted(name)[1:-1] or "?", (), {})()


def _tensor(array: np.ndarray, exchange: Path | None) -> dict[str, Any]:
    name, shape = str(array.dtype), list(array.shape)
    if name not in (*FLOATS, "int64"):
        known = OTHER.fullmatch(name)
        return {"dtype": name, "shape": shape, "data": None} if known else {"python": f"array of {name}"}
    if exchange is not None and array.size > INLINE:
        from safetensors.numpy import save_file

        path = exchange / f"{uuid4().hex}.safetensors"
        save_file({"tensor": np.ascontiguousarray(array)}, path)
        return {"dtype": name, "shape": shape, "file": str(path), "name": "tensor"}
    flat = array.reshape(-1).astype(np.float64 if name != "int64" else np.int64).tolist()
    return {
        "dtype": name,
        "shape": shape,
        "data": [v.hex() if math.isfinite(v) else str(v) for v in flat] if name != "int64" else [str(v) for v in flat],
    }


def _array(tensor: dict[str, Any], exchange: Path | None) -> np.ndarray:
    name, shape, data = tensor["dtype"], tensor["shape"], tensor.get("data")
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < 2**40 for n in shape) or len(shape) > 32:
        raise MessageError(f"expected a shape, a list of sizes, got {_quoted(shape)}")
    if "file" in tensor:
        return _from_file(tensor, exchange)
    if name not in (*FLOATS, "int64"):
        return _empty(name, shape)
    if not isinstance(data, list) or len(data) != math.prod(shape):
        raise MessageError(f"expected {math.prod(shape)} elements for shape {shape}, got {_quoted(data)}")
    if name == "int64":
        return np.array([_integer(text) for text in data], dtype=np.int64).reshape(shape)
    with np.errstate(over="ignore"):  # what does not fit into float16 is infinite, and is told so
        return np.array([_number(text) for text in data], dtype=np.float64).reshape(shape).astype(name)


def _empty(name: Any, shape: list[int]) -> np.ndarray:
    """An array of a dtype that no answer should have; its elements do not matter."""
    dtype = _dtype(name)
    if str(dtype) != name:  # an alias, such as "double", may be a mistake about what was computed in
        raise MessageError(f"expected a dtype such as float64, got {_quoted(name)}")
    zero = np.zeros((), dtype)
    try:
        return np.broadcast_to(zero, shape)
    except ValueError as error:
        raise MessageError(f"expected a shape, got {shape}: {error}") from None


def _dtype(name: Any) -> np.dtype[Any] | None:
    if not isinstance(name, str) or not OTHER.fullmatch(name):
        return None
    try:
        return np.dtype(name)
    except TypeError:
        return None


def _from_file(tensor: dict[str, Any], exchange: Path | None) -> np.ndarray:
    path = Path(str(tensor["file"]))
    if exchange is None or not _inside(path, exchange):
        raise MessageError(f"expected a file in the exchange folder, got {_quoted(tensor['file'])}")
    if path.stat().st_size > MAX_FILE:
        raise MessageError(f"{path.name}: larger than {MAX_FILE} bytes")
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            array = np.asarray(file.get_tensor(str(tensor.get("name"))))
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise MessageError(f"{path.name}: not a safetensors file: {error}") from None
    finally:
        path.unlink(missing_ok=True)  # each file is read once
    if list(array.shape) != tensor["shape"] or str(array.dtype) != tensor["dtype"]:
        raise MessageError(
            f"{path.name}: expected {tensor['dtype']} {tensor['shape']}, the file holds {array.dtype} {list(array.shape)}"
        )
    return array


def _inside(path: Path, folder: Path) -> bool:
    try:
        return path.parent.resolve() == folder.resolve() and not path.is_symlink() and path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, links in a circle
        return False


def _number(text: Any) -> float:
    if not isinstance(text, str) or len(text) > 400:
        raise MessageError(f"expected a number as a string, got {_quoted(text)}")
    try:
        return float.fromhex(text) if "x" in text.lower() else float(text)
    except OverflowError:
        return math.copysign(math.inf, -1 if text.startswith("-") else 1)
    except ValueError:
        raise MessageError(f"expected a number, got {_quoted(text)}") from None


def _integer(text: Any) -> int:
    try:
        value = int(str(text)[:40])
    except ValueError:
        raise MessageError(f"expected an integer, got {_quoted(text)}") from None
    if abs(value) >= 2**63:
        raise MessageError(f"expected an integer of 64 bits, got {_quoted(text)}")
    return value


def _quoted(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return repr(text[:60] + ("…" if len(text) > 60 else ""))
