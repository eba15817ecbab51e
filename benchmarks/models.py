"""The layers and networks that are timed: their shapes, and random parameters and inputs, the same for every candidate."""

from typing import Any

import numpy as np

LAYERS = {
    "dense": "4096 to 4096, batch 64",
    "conv": "64 to 64 channels, 3x3, 56x56, batch 8",
    "conv-relu": "the same behind a ReLU: x is not negative",
}
NETWORKS = {
    "vgg": "VGG-16 shape, 224x224",
    "resnet": "ResNet-50 shape, 224x224, batch norms merged into the convolutions",
}
RULES = ("epsilon", "z-plus", "alpha2-beta1")
VGG = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]
HEAD = [(25088, 4096), (4096, 4096), (4096, 1000)]
STAGES = [(3, 64, 256, 1), (4, 128, 512, 2), (6, 256, 1024, 2), (3, 512, 2048, 2)]  # blocks, inner, outer, stride
Parameters = tuple[Any, Any]


def described(task: str) -> str:
    if task in LAYERS:
        return LAYERS[task]
    return f"{NETWORKS[kind_of(task)]}, batch {batch_of(task)}"


def kind_of(task: str) -> str:
    return task.rsplit("-b", 1)[0]


def batch_of(task: str) -> int:
    return int(task.rsplit("-b", 1)[1])


def layer_data(kind: str, dtype: str) -> tuple[Any, Any, Any, Any]:
    """W, b, x and R, of both signs but for the x of "conv-relu"."""
    rng = np.random.default_rng(0)
    image = (8, 64, 56, 56)
    w, x, y = ((4096, 4096), (64, 4096), (64, 4096)) if kind == "dense" else ((64, 64, 3, 3), image, image)
    w, b, x, r = (rng.standard_normal(s, dtype=np.float32).astype(dtype) for s in (w, w[:1], x, y))
    return w, b, np.maximum(x, 0) if kind == "conv-relu" else x, r


def images(batch: int, dtype: str) -> Any:
    return np.random.default_rng(1).standard_normal((batch, 3, 224, 224), dtype=np.float32).astype(dtype)


def convolutions(kind: str) -> list[tuple[int, int, int, int, int]]:
    """Every convolution of a network as (in, out, kernel, stride, size of its input), in order."""
    found, size, channels = [], 224, 3
    if kind == "vgg":
        for width in VGG:
            if width == "M":
                size //= 2
            else:
                found.append((channels, int(width), 3, 1, size))
                channels = int(width)
        return found
    found, size, channels = [(3, 64, 7, 2, 224)], 56, 64
    for count, inner, outer, stride in STAGES:
        for k in range(count):
            step = stride if k == 0 else 1
            found += [(channels, inner, 1, 1, size), (inner, inner, 3, step, size), (inner, outer, 1, 1, size // step)]
            if k == 0:
                found.append((channels, outer, 1, step, size))
            size, channels = size // step, outer
    return found


def dense_layers(kind: str) -> list[tuple[int, int]]:
    """Every dense layer as (in, out), in order."""
    return HEAD if kind == "vgg" else [(2048, 1000)]


def parameters(kind: str, dtype: str) -> list[Parameters]:
    """Weights and biases, convolutions first, scaled so that activations neither grow nor vanish."""
    rng = np.random.default_rng(0)
    shapes: list[tuple[int, ...]] = [(out, into, k, k) for into, out, k, _, _ in convolutions(kind)]
    shapes += [(out, into) for into, out in dense_layers(kind)]
    scaled = [(s, (2 / np.prod(s[1:])) ** 0.5) for s in shapes]
    return [
        (
            (rng.standard_normal(s, dtype=np.float32) * np.float32(f)).astype(dtype),
            (rng.standard_normal(s[0]) * 0.1).astype(dtype),
        )
        for s, f in scaled
    ]
