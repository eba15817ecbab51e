"""Where a faster text of a plain formula is found: by name, in a table that `lrp_ref.fast` fills where it is installed.

The plain text imports no kernel, and is right without any. A function of it that may have one is `delegated("its name")`;
a row of `lrp_ref.fast.table.SLOTS` says whether a kernel serves the arguments at hand, and returns it, or None.

`LRP_REF_FAST=0` in the environment, or `switched(False)`, leaves the plain text alone.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
Slot = Callable[..., Callable[..., Any] | None]  # of a call's arguments: the kernel that serves them

_enabled: ContextVar[bool] = ContextVar("lrp_ref.fast", default=os.environ.get("LRP_REF_FAST", "1") != "0")


def of(name: str, *arguments: Any) -> Callable[..., Any] | None:
    """The kernel of that name for these arguments; None where the plain text serves them."""
    slot = _slots().get(name) if _enabled.get() else None
    return None if slot is None else slot(*arguments)


def delegated(name: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A plain function in whose place the kernel of that name is called wherever there is one."""

    def delegating(plain: Callable[P, T]) -> Callable[P, T]:
        @wraps(plain)
        def either(*arguments: P.args, **named: P.kwargs) -> T:
            kernel = of(name, *arguments)
            return plain(*arguments, **named) if kernel is None else kernel(*arguments, **named)

        return either

    return delegating


def enabled() -> bool:
    """Whether kernels are switched on, where there are any."""
    return _enabled.get()


def on() -> bool:
    """Whether kernels are there and switched on."""
    return _enabled.get() and bool(_slots())


@contextmanager
def switched(enabled: bool) -> Iterator[None]:
    """Kernels on or off, for the length of a `with`."""
    token = _enabled.set(enabled)
    try:
        yield
    finally:
        _enabled.reset(token)


@cache
def _slots() -> Mapping[str, Slot]:
    """The table; empty where there is no `lrp_ref.fast`, while one that cannot be imported is an error."""
    spec = find_spec("lrp_ref.fast")
    if spec is None or spec.origin is None:
        return {}
    slots: Mapping[str, Slot] = import_module("lrp_ref.fast.table").SLOTS
    return slots
