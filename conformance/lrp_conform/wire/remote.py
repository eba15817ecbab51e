"""A candidate in a process of its own: asked over the wire, started again when it breaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lrp_conform.builders import Unsupported
from lrp_conform.wire.harness import Broken, Crashed, Fault, Harness, Launch, TimedOut
from lrp_conform.wire.messages import encode, stand_in

PROTOCOL = 1
STARTS = 3  # how often a program may fail to start
IN_A_ROW = 20  # crashes after which the rest is not run


class RemoteError(Exception):
    """What the candidate raised: its type, and type and message as text."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind, self.message = kind, message


class Exhausted(Exception):
    """The candidate crashed too often in a row."""


class Remote:
    """Runs one system of a program. A process is started when the first case asks for it."""

    def __init__(self, launch: Launch, system: str | None = None) -> None:
        self.launch = launch
        self.system = system
        self._harness: Harness | None = None
        self._answered = False  # whether the process has answered a case
        self._config: dict[str, Any] | None = None
        self._prepared: tuple[str, Any] | None = None
        self._in_a_row = 0

    def info(self, system: str | None = None) -> dict[str, Any]:
        """What the program says of itself, or of one of its systems."""
        harness = self._started()
        reply = harness.ask("hello", protocol=PROTOCOL, **({} if system is None else {"system": system}))
        return _info(reply)

    def run(self, asked: Mapping[str, Any]) -> Any:
        """The answer to one case.

        A fault of a process that had answered before is no verdict: the case is put once more, to a fresh process.
        """
        if self._in_a_row >= IN_A_ROW:
            raise Exhausted(f"not asked after {IN_A_ROW} crashes in a row")
        while True:
            fresh = not self._answered
            try:
                answer = self._exchange(asked)
                self._in_a_row, self._answered = 0, True
                return answer
            except Fault as fault:
                self._forget()
                if fresh or isinstance(fault, TimedOut):
                    self._in_a_row += 1
                    raise
            except (RemoteError, ImportError, Unsupported):
                self._in_a_row, self._answered = 0, True
                raise

    def close(self) -> None:
        """End the process, if there is one."""
        if self._harness is not None:
            self._harness.bye()
        self._forget()

    def _forget(self) -> None:
        if self._harness is not None:
            self._harness.close()
        self._harness, self._answered, self._config, self._prepared = None, False, None, None

    def _started(self) -> Harness:
        if self._harness is not None:
            return self._harness
        fault: Fault | None = None
        for _ in range(STARTS):
            try:
                self._harness = harness = Harness(self.launch)
                said = {} if self.system is None else {"system": self.system}
                info = _info(harness.ask("hello", protocol=PROTOCOL, **said))
            except (Crashed, TimedOut) as failed:
                fault = failed
                self._forget()
                continue
            except BaseException:  # it lives, and cannot be used
                self._forget()
                raise
            if info.get("tensors") == "safetensors":
                harness.use_files()
            return harness
        assert fault is not None
        raise fault

    def _exchange(self, asked: Mapping[str, Any]) -> Any:
        harness = self._started()
        config = {"dtype": asked["dtype"], "device": asked["device"], "threads": self.launch.limits.threads, "tf32": False}
        if config != self._config:
            _good(harness.ask("configure", **config))
            self._config = config
        question = {name: asked[name] for name in ("nodes", "rules", "composite") if name in asked}
        handle = self._handle(harness, question)
        given = {name: asked[name] for name in ("x", "relevance", "target") if name in asked}
        reply = _good(harness.ask("run", handle=handle, **given))
        return stand_in(reply["python"]) if "python" in reply else reply

    def _handle(self, harness: Harness, question: dict[str, Any]) -> Any:
        text = str(encode(question))
        if self._prepared is None or self._prepared[0] != text:
            if self._prepared is not None:
                harness.ask("release", handle=self._prepared[1])
                self._prepared = None
            reply = _good(harness.ask("prepare", **question))
            if "handle" not in reply:
                raise Broken("expected a handle as the reply to prepare")
            self._prepared = (text, reply["handle"])
        return self._prepared[1]


def _info(reply: dict[str, Any]) -> dict[str, Any]:
    info = _good(reply).get("info")
    if not isinstance(info, dict):
        raise Broken("expected info as the reply to hello")
    return info


def _good(reply: dict[str, Any]) -> dict[str, Any]:
    """The reply, or what it says went wrong."""
    if "unsupported" in reply:
        raise Unsupported(str(reply["unsupported"]))
    error = reply.get("error")
    if error is not None:
        if not isinstance(error, dict):
            raise Broken("expected an error with type and message")
        name, message = str(error.get("type")), str(error.get("message"))
        if name in ("ImportError", "ModuleNotFoundError"):
            raise ImportError(message)
        raise RemoteError(name, message)
    return reply
