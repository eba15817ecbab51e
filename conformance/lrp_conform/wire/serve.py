"""The harness for Python adapters: `python serve.py ADAPTER` answers the wire protocol with an adapter's `run`.

It runs in the adapter's own environment, which needs NumPy and the adapter's library and nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import sys
import traceback
from contextlib import suppress
from copy import deepcopy
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve()


def main(adapter: str) -> None:
    """Serve until `bye` or the end of standard input."""
    requests, replies = _channel()
    _expose_this_package()
    exchange = Path(os.environ["LRP_CONFORM_EXCHANGE"]) if "LRP_CONFORM_EXCHANGE" in os.environ else None
    server = Server(adapter)
    owner = os.getpid()
    for line in requests:
        reply = _reply(server, line, exchange)
        if os.getpid() != owner:  # the adapter forked and both of them came back
            os._exit(1)
        replies.write(reply)
        replies.flush()
        if server.ended:
            return


def _reply(server: Server, line: bytes, exchange: Path | None) -> bytes:
    """The line that answers a line: what the adapter says, or what was wrong with either."""
    from lrp_conform.wire.messages import dumps, loads

    seq = None
    try:
        message = loads(line, exchange)
        seq = message.get("seq")
        return dumps({**server.answer(message), "seq": seq}, exchange)
    except (SystemExit, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        unsupported = type(error).__name__ == "Unsupported"
        return dumps({"seq": seq, **({"unsupported": _text(error)} if unsupported else _failure(error))})


class NoAdapter(Exception):
    """A module that is no adapter."""


class Server:
    """The requests of the protocol, answered by one adapter."""

    def __init__(self, adapter: str) -> None:
        self.adapter = adapter
        self.module: ModuleType | None = None
        self.system: str | None = None
        self.config: dict[str, Any] = {}
        self.prepared: dict[Any, dict[str, Any]] = {}
        self.handles = 0
        self.ended = False

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        op = message.get("op")
        handler = getattr(self, f"_{op}", None) if isinstance(op, str) else None
        if handler is None or op not in ("hello", "configure", "prepare", "run", "release", "bye"):
            raise ValueError(f"expected hello, configure, prepare, run, release or bye, got {op!r}")
        return dict(handler(message))

    def _hello(self, message: dict[str, Any]) -> dict[str, Any]:
        self.module = self.module or _load(self.adapter)
        self.system = message.get("system")
        info, _ = self._chosen()
        systems = getattr(self.module, "SYSTEMS", None)
        waivers: list[Any] = [w for w in getattr(self.module, "WAIVERS", ()) if _concerns(w, self.system)]
        said = {**info, **_files(), "waivers": waivers, "environment": _environment()}
        if systems:
            said["systems"] = list(systems)
        return {"info": said}

    def _configure(self, message: dict[str, Any]) -> dict[str, Any]:
        self.config = {"dtype": message["dtype"], "device": message.get("device", "cpu")}
        return {"ok": True, "effective": {"threads": int(os.environ.get("OMP_NUM_THREADS", "0"))}}

    def _prepare(self, message: dict[str, Any]) -> dict[str, Any]:
        self.handles += 1
        handle = self.handles
        self.prepared[handle] = {name: message[name] for name in ("nodes", "rules", "composite") if name in message}
        return {"handle": handle}

    def _run(self, message: dict[str, Any]) -> dict[str, Any]:
        if message.get("handle") not in self.prepared:
            raise KeyError(f"no handle {message.get('handle')!r}")
        given: dict[str, Any] = {name: message[name] for name in ("x", "relevance", "target") if name in message}
        asked: dict[str, Any] = deepcopy(self.prepared[message["handle"]])  # which the adapter may write to
        asked.update(given, **self.config)
        answer = self._chosen()[1](asked)
        return answer if isinstance(answer, dict) else {"python": type(answer).__name__}

    def _release(self, message: dict[str, Any]) -> dict[str, Any]:
        self.prepared.pop(message.get("handle"), None)
        return {"ok": True}

    def _bye(self, message: dict[str, Any]) -> dict[str, Any]:
        self.ended = True
        return {"ok": True}

    def _chosen(self) -> tuple[dict[str, Any], Any]:
        systems = getattr(self.module, "SYSTEMS", None)
        if systems:
            return systems[self.system if self.system is not None else next(iter(systems))]  # type: ignore[no-any-return]
        if not hasattr(self.module, "INFO") or not hasattr(self.module, "run"):
            raise NoAdapter("expected a module with INFO and run (or SYSTEMS), see docs/adapter.md")
        if not callable(self.module.run):  # type: ignore[union-attr]
            raise NoAdapter("run is not a function")
        return self.module.INFO, self.module.run  # type: ignore[union-attr]


def _concerns(waiver: Any, system: str | None) -> bool:
    return not isinstance(waiver, dict) or waiver.get("system") in (None, system)


def _channel() -> tuple[Any, Any]:
    """Standard input and output for the protocol alone: what anything prints goes to standard error."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return requests, replies


def _expose_this_package() -> None:
    """`lrp_conform` as a bare package: its builders and adapters, without what else is installed beside them."""
    if "lrp_conform" not in sys.modules:
        package = ModuleType("lrp_conform")
        package.__path__ = [str(HERE.parents[1])]
        sys.modules["lrp_conform"] = package


def _files() -> dict[str, str]:
    return {"tensors": "safetensors"} if importlib.util.find_spec("safetensors") else {}


def _environment() -> dict[str, str]:
    """The interpreter and what its answers depend on."""
    found = {"python": platform.python_version()}
    for name in ("numpy", "torch", "tensorflow-cpu", "tensorflow", "jax"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _load(name: str) -> ModuleType:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"{name}: no such file")
    spec = importlib.util.spec_from_file_location(f"adapter_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{name}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _failure(error: BaseException) -> dict[str, Any]:
    text = "".join(traceback.format_exception(error))[-4000:]
    return {"error": {"type": type(error).__name__, "message": _text(error), "traceback": text}}


def _text(error: BaseException) -> str:
    try:
        return str(error)[:2000]
    except Exception:  # of an exception of the adapter's own
        return "an exception whose text cannot be had"


if __name__ == "__main__":
    sys.path[0] = os.getcwd()
    main(sys.argv[1])
