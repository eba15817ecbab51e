"""What a torch model computes, and what gradient arrives at every leaf module: hooks around those of a library."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lrp_ref.arrays import Array


@dataclass(eq=False)
class Call:
    """One call of a leaf module: `path` in the model, the how-manieth call of it, and its tensors as arrays.

    reads: the positions of the calls whose outputs it was given, None for any other tensor. arrived: the gradient at the
    output; handed: that which the module itself handed to every argument.
    """

    path: str
    nth: int
    kind: str
    reads: tuple[int | None, ...]
    arguments: tuple[Array, ...]
    output: Array
    arrived: Array | None = None
    handed: dict[int, Array] = field(default_factory=dict)


@contextmanager
def recorded(model: Any, *, gradients: bool = True) -> Iterator[list[Call]]:
    """The calls of leaf modules while the context lasts; enter it after a library has put its own hooks in place.

    The library's hooks stay inside: a module's gradient is seen where its output leaves it, and where a copy of its argument
    enters it, so that what several modules hand to one tensor is kept apart.
    """
    calls: list[Call] = []
    counts: Counter[str] = Counter()
    makers: dict[int, int] = {}  # id of an output -> position of its call
    alive: list[Any] = []  # or ids would be reused
    entered: dict[str, list[tuple[tuple[int | None, ...], tuple[Any, ...], dict[int, Array]]]] = {}

    def before(path: str, given: tuple[Any, ...]) -> tuple[Any, ...]:
        handed: dict[int, Array] = {}
        copies = []
        for k, a in enumerate(given):
            copy = a.clone() if _is_tensor(a) else a
            if gradients and _is_tensor(copy) and copy.requires_grad:
                copy.register_hook(lambda g, k=k: handed.__setitem__(k, _array(g)))
            copies.append(copy)
        arrays = tuple(_array(a) for a in given if _is_tensor(a))
        entered.setdefault(path, []).append((tuple(makers.get(id(a)) for a in given), arrays, handed))
        return tuple(copies)

    def after(path: str, kind: str, y: Any) -> None:
        reads, arrays, handed = entered[path].pop()
        if not _is_tensor(y):
            return
        call = Call(path, counts[path], kind, reads, arrays, _array(y), handed=handed)
        counts[path] += 1
        makers[id(y)] = len(calls)
        alive.append(y)
        calls.append(call)
        if gradients and y.requires_grad:
            y.register_hook(lambda g: setattr(call, "arrived", _array(g)))

    handles = []
    for path, module in model.named_modules():
        if next(module.children(), None) is None:
            kind = type(module).__name__
            handles.append(module.register_forward_pre_hook(lambda m, a, path=path: before(path, a), prepend=True))
            handles.append(module.register_forward_hook(lambda m, a, y, path=path, kind=kind: after(path, kind, y)))
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _is_tensor(a: Any) -> bool:
    return hasattr(a, "requires_grad")


def _array(a: Any) -> Array:
    return a.detach().cpu().numpy().copy()
