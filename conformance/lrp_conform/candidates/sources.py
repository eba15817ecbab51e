"""Where a candidate comes from, so that any process can start it."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from lrp_conform.builders import Unsupported
from lrp_conform.candidates import adapter
from lrp_conform.candidates.adapter import DEFAULT, GROUP, AdapterError, Candidate
from lrp_conform.wire import serve
from lrp_conform.wire.harness import Fault, Launch, Limits
from lrp_conform.wire.remote import Remote, RemoteError

USUAL = Limits()


@dataclass(frozen=True)
class CandidateSource:
    """A name, a path or a module; or a command that speaks the wire protocol.

    A Python adapter runs in a process of its own, by the interpreter `python` (this one, if none is given), unless it
    is asked for in this process: what a library does to its process cannot touch the judge.
    """

    name: str = DEFAULT
    python: str | None = None
    command: tuple[str, ...] = ()
    in_process: bool = False
    limits: Limits = USUAL

    @property
    def launch(self) -> Launch:
        """The program to start; AdapterError if there is no such adapter."""
        if self.command:
            return Launch(self.command, self.limits)
        found = {entry.name: entry.value for entry in entry_points(group=GROUP)}
        name = found.get(self.name, self.name)
        if name.endswith(".py"):
            if not Path(name).is_file():
                raise AdapterError(f"{name}: no such file")
            name = str(Path(name).resolve())
        return Launch((self.python or sys.executable, serve.__file__, name), self.limits)


def chosen(
    names: Sequence[str] | None = None,
    command: str | None = None,
    python: str | None = None,
    in_process: bool = False,
    limits: Limits = USUAL,
) -> list[CandidateSource]:
    """What is to be asked: names, the built-in candidates if there are none, or one command."""
    if command is not None:
        if names or python or in_process:
            raise AdapterError("--command stands alone: it takes no candidate, no --python and no --in-process")
        try:
            argv = tuple(shlex.split(command))
        except ValueError as error:
            raise AdapterError(f"--command {command}: {error}") from None
        if not argv:
            raise AdapterError("--command is empty: give a program and its arguments")
        return [CandidateSource(command, command=argv, limits=limits)]
    if python and in_process:
        raise AdapterError("--python runs another process, --in-process none: give one of them")
    if python is not None and shutil.which(python) is None:
        raise AdapterError(f"--python {python}: no such program")
    return [CandidateSource(name, python, in_process=in_process, limits=limits) for name in names or [DEFAULT]]


def load(source: CandidateSource) -> list[Candidate]:
    """The systems of a source, each ready to be asked. Whoever asks them closes them."""
    if source.in_process:
        return adapter.load(source.name)
    remote = Remote(source.launch)
    with ExitStack() as unless_kept:
        unless_kept.callback(remote.close)
        try:
            info = remote.info()
            systems = info.get("systems") or []
            if not systems:
                found = [_candidate(source.name, info, remote)]
                unless_kept.pop_all()
                return found
            remotes = {str(key): Remote(source.launch, str(key)) for key in systems}
            return [_candidate(source.name, remote.info(key), one) for key, one in remotes.items()]
        except ImportError as error:
            raise adapter.not_imported(source.name, error) from None
        except RemoteError as error:
            told = error.message if error.kind == "NoAdapter" else f"importing it raised {error}"
            raise AdapterError(f"{source.name}: {' '.join(told.split())}") from None
        except (Fault, Unsupported) as error:
            raise AdapterError(f"{source.name} does not answer hello: {error}") from None


def _candidate(name: str, info: Mapping[str, object], remote: Remote) -> Candidate:
    waivers = info.get("waivers", [])
    if not isinstance(waivers, list):
        raise AdapterError(f"{name}: waivers must be a list")
    return adapter.candidate(name, info, remote.run, waivers, remote.close)
