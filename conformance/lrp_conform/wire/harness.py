"""A program that speaks the protocol: started, asked within its limits, and ended with everything it started."""

from __future__ import annotations

import os
import queue
import subprocess
import tempfile
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import psutil

from lrp_conform.wire.messages import MessageError, dumps, loads

MARK = "LRP_CONFORM_HARNESS"  # environment variables by which everything is found again that one harness started,
RUN = "LRP_CONFORM_RUN"  # or any harness of one run
GLANCE = 0.05  # seconds between two looks at the memory
GONE = 2.0  # seconds for a program to end by itself, or to be gone once it was ended
LOG = 16  # chunks of standard error that are kept for the message


class Fault(Exception):
    """A harness that cannot go on; the message says why."""


class Crashed(Fault):
    """The program ended, or was ended for its memory."""


class Broken(Fault):
    """The program does not keep to the protocol."""


class TimedOut(Fault):
    """No reply in time."""


class Stopped(Exception):
    """The run was interrupted while a reply was awaited."""


@dataclass(frozen=True)
class Limits:
    """Seconds for one reply, bytes of memory of the program and its children, threads, bytes of one line."""

    timeout: float = 60.0
    memory: int = 4 * 2**30
    threads: int = 1
    line: int = 64 * 2**20


@dataclass(frozen=True)
class Launch:
    """How a program is started."""

    argv: tuple[str, ...]
    limits: Limits = field(default=Limits())


stop = threading.Event()  # set when the run is interrupted; every harness of this process then gives up


class Harness:
    """One running program. Every method raises a `Fault` after which it is dead."""

    def __init__(self, launch: Launch) -> None:
        self.limits = launch.limits
        self.mark = uuid4().hex
        self.seq = 0
        self._log: deque[bytes] = deque(maxlen=LOG)
        self._replies: queue.Queue[bytes | Fault | None] = queue.Queue(maxsize=8)
        self._requests: queue.Queue[bytes | None] = queue.Queue()
        self._exchange = tempfile.TemporaryDirectory(prefix="lrp-conform-", ignore_cleanup_errors=True)
        self.exchange: Path | None = None
        self._closed = False
        self._strays: list[psutil.Process] = []
        threads = {name: str(self.limits.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        own = {MARK: self.mark, "LRP_CONFORM_EXCHANGE": self._exchange.name}
        try:
            self.process = subprocess.Popen(
                launch.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **threads, **own},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._exchange.cleanup()
            raise Crashed(f"{launch.argv[0]} cannot be started: {error}") from None
        self._draining = threading.Thread(target=self._drain, daemon=True)
        for thread in (*(threading.Thread(target=work, daemon=True) for work in (self._write, self._read)), self._draining):
            thread.start()

    def use_files(self) -> None:
        """Let large tensors go through the exchange folder, as the program says it can."""
        self.exchange = Path(self._exchange.name)

    def ask(self, op: str, **given: Any) -> dict[str, Any]:
        """The reply to one request, without its seq."""
        self.seq += 1
        try:
            reply = loads(self.send(dumps({"op": op, "seq": self.seq, **given}, self.exchange)), self.exchange)
        except MessageError as error:
            raise self._end(Broken(str(error))) from None
        if reply.pop("seq", None) != self.seq:
            raise self._end(Broken(f"expected a reply with seq {self.seq}, got another"))
        return reply

    def send(self, line: bytes) -> bytes:
        """The line that answers a line, whatever either is."""
        self._requests.put(line)
        return self._reply()

    def ended(self, seconds: float, hang_up: bool = False) -> int | None:
        """The exit status, if the program ends by itself in time; with `hang_up` its standard input ends first."""
        if hang_up:
            self._requests.put(None)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.poll()

    def _reply(self) -> bytes:
        started = time.monotonic()
        while True:
            try:
                got = self._replies.get(timeout=GLANCE)
            except queue.Empty:
                if stop.is_set():
                    self.close()
                    raise Stopped from None
                if self._memory() > self.limits.memory:
                    raise self._end(Crashed(f"used more than {self.limits.memory / 2**30:g} GiB of memory")) from None
                if time.monotonic() - started > self.limits.timeout:
                    raise self._end(TimedOut(f"no reply within {self.limits.timeout:g} s")) from None
                continue
            if isinstance(got, bytes):
                return got
            raise self._end(got if got is not None else self._ended())

    def _ended(self) -> Crashed:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GONE)
            self._draining.join(GONE)  # let the last words on standard error arrive
        status = self.process.returncode
        if status is None:
            return Crashed(f"the program closed its standard output{self.last_words()}")
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        return Crashed(f"the program {how}{self.last_words()}")

    def last_words(self) -> str:
        """The last line of standard error, if there is one."""
        lines = [line.strip() for line in b"".join(self._log).decode(errors="replace").splitlines() if line.strip()]
        return f"; its last words: {lines[-1][:200]}" if lines else ""

    def _memory(self) -> int:
        total = 0
        with suppress(psutil.Error):
            parent = psutil.Process(self.process.pid)
            for process in (parent, *self._children()):
                with suppress(psutil.Error):
                    total += process.memory_info().rss
        return total

    def _children(self) -> list[psutil.Process]:
        found: list[psutil.Process] = []
        with suppress(psutil.Error):
            found += psutil.Process(self.process.pid).children(recursive=True)
        return found

    def bye(self) -> int | None:
        """End politely; the exit status, or None if the program did not end by itself."""
        self._strays += self._children()  # as long as they are known to be its own
        with suppress(Fault, Stopped):
            self.ask("bye")
        status = self.ended(min(GONE, self.limits.timeout), hang_up=True)
        self.close()
        return status

    def _end(self, fault: Fault) -> Fault:
        self.close()
        return fault

    def close(self) -> None:
        """End the program and everything it started, also what left its process group."""
        if self._closed:
            return
        self._closed = True
        self._strays += self._children()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, 9)
        self._requests.put(None)
        self.process.wait()
        end_marked(MARK, self.mark)
        for process in self._strays:  # which may have left the group and dropped the mark
            with suppress(psutil.Error):
                process.kill()
        self._exchange.cleanup()

    # Three threads, so that a program that does not read, does not write or floods its log cannot block us ----------

    def _write(self) -> None:
        pipe = _pipe(self.process.stdin)
        with suppress(OSError, ValueError):
            while (message := self._requests.get()) is not None:
                pipe.write(message)
                pipe.flush()
        with suppress(OSError, ValueError):
            pipe.close()

    def _read(self) -> None:
        pipe, most = _pipe(self.process.stdout), self.limits.line
        with suppress(OSError, ValueError):
            while line := pipe.readline(most + 1):
                if len(line) > most:
                    self._put(Broken(f"a line of more than {most / 2**20:g} MiB"))
                    break
                self._put(line if line.endswith(b"\n") else Broken(f"the output ended in the middle of a line: {line[:40]!r}"))
        self._put(None)
        pipe.close()

    def _put(self, got: bytes | Fault | None) -> None:
        with suppress(queue.Full):  # nobody asked for that much
            self._replies.put_nowait(got)

    def _drain(self) -> None:
        pipe = _pipe(self.process.stderr)
        with suppress(OSError, ValueError):
            while chunk := os.read(pipe.fileno(), 2**12):
                self._log.append(chunk)
        pipe.close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def end_marked(name: str, mark: str) -> None:
    """End every process that has the mark in its environment, under the name `MARK` or `RUN`."""
    ended = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(name) == mark:
                process.kill()
                ended.append(process)
    psutil.wait_procs(ended, timeout=GONE)
