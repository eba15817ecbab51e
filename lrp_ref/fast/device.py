"""A convolution in another namespace, such as CuPy's: every tap's reading side by side, and one product for all taps.

Written in the array API alone, so that the text that runs on a GPU is the text that is tested without one. Whole samples are
taken at a time, as many as fit into `PATCHES`; nothing is read back from the device.
"""

from math import prod
from typing import Any

from lrp_ref.arrays import Array, added, full, namespace
from lrp_ref.fast.blocks import steps

PATCHES = 2**28  # numbers of patches at a time: a gigabyte of float32


def apply(conv: Any, u: Array) -> Array:
    """W u, (N, out, *positions)."""
    xp, groups, taps, out = namespace(u), conv.groups, prod(conv.window.kernel), conv.out
    weight = xp.reshape(conv.weight, (groups, conv.weight.shape[0] // groups, -1))
    padded, found = conv.window.pad(u), []
    for begin, end in _batches(conv, u.shape[0], conv.size[0] * taps):
        block = padded[begin:end, ...]
        patches = xp.stack([block[(..., *at)] for at in conv.window.slices(out)], axis=2)
        columns = xp.reshape(patches, (end - begin, groups, weight.shape[2], prod(out)))
        found.append(xp.reshape(xp.matmul(weight, columns), (end - begin, conv.weight.shape[0], *out)))
    return _joined(found, u, (0, conv.weight.shape[0], *out))


def adjoint(conv: Any, s: Array) -> Array:
    """W^T s, (N, in, *spatial)."""
    xp, groups, taps, out = namespace(s), conv.groups, prod(conv.window.kernel), conv.out
    weight = xp.matrix_transpose(xp.reshape(conv.weight, (groups, conv.weight.shape[0] // groups, -1)))
    found = []
    for begin, end in _batches(conv, s.shape[0], conv.size[0] * taps):
        columns = xp.reshape(s[begin:end, ...], (end - begin, groups, weight.shape[2], prod(out)))
        products = xp.reshape(xp.matmul(weight, columns), (end - begin, conv.size[0], taps, *out))
        total = conv.window.pad(full((end - begin, *conv.size), 0, s))
        for t, at in enumerate(conv.window.slices(out)):
            total = added(total, (..., *at), products[:, :, t, ...])
        found.append(conv.window.crop(total, conv.size[1:]))
    return _joined(found, s, (0, *conv.size))


def _batches(conv: Any, samples: int, each: int) -> Any:
    """(begin, end) of as many samples as fit, where a position takes `each` numbers."""
    return steps(samples, max(1, PATCHES // max(1, each * prod(conv.out))))


def _joined(found: list[Array], like: Array, empty: tuple[int, ...]) -> Array:
    if len(found) == 1:
        return found[0]
    return namespace(like).concat(found, axis=0) if found else full(empty, 0, like)
