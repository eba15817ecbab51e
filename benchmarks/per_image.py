"""What one image costs when many are explained: seconds and memory, from reading it to its relevance on the disk.

    python benchmarks/per_image.py [--model vgg16 resnet50] [--batch 1 4 16] [--batches 4] [--threads 1] [--ledger]

Random weights of the models' shapes (batch norms merged), images 3 x 224 x 224 in float32, composite zennit's EpsilonPlus,
`lrp_ref.explain_many` on a `.npy` file. Every row is a process of its own. Shown per image: the median time of the batches
after the first, the time of the processors (which hardly depends on what else the machine does), and the forward pass alone;
per process: the weights, and the peak of memory above what it held before the first batch. `--threads 2` gives every batch
two threads.
"""

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SIZE = 224
STAGES = [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]  # ResNet-50: width, blocks, stride of the first
VGG = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]


class Shapes:
    """A network of random weights, built node by node."""

    def __init__(self) -> None:
        self.rng, self.nodes, self.weights = np.random.default_rng(0), list[Any](), 0

    def _parameters(self, *shape: int) -> tuple[Any, Any]:
        scale = np.float32((2 / np.prod(shape[1:])) ** 0.5)
        self.weights += 4 * int(np.prod(shape))
        weight = self.rng.standard_normal(shape, np.float32)
        weight *= scale
        return weight, self.rng.standard_normal(shape[0], np.float32) / 10

    def add(self, layer: Any, *inputs: str) -> str:
        import lrp_ref as lrp

        self.nodes.append(lrp.Node(f"{type(layer).__name__.lower()}{len(self.nodes)}", layer, inputs or None))
        return str(self.nodes[-1].name)

    def conv(self, into: int, out: int, kernel: int, stride: int = 1, *inputs: str) -> str:
        import lrp_ref as lrp

        w, b = self._parameters(out, into, kernel, kernel)
        return self.add(lrp.Conv(w, b, stride=stride, padding=kernel // 2), *inputs)

    def dense(self, into: int, out: int) -> str:
        import lrp_ref as lrp

        return self.add(lrp.Dense(*self._parameters(out, into)))


def vgg16() -> Shapes:
    import lrp_ref as lrp

    built, channels = Shapes(), 3
    for width in VGG:
        if isinstance(width, str):
            built.add(lrp.MaxPool((2, 2)))
            continue
        built.conv(channels, width, 3)
        built.add(lrp.Activation())
        channels = width
    built.add(lrp.Flatten())
    for into, out in ((25088, 4096), (4096, 4096)):
        built.dense(into, out)
        built.add(lrp.Activation())
    built.dense(4096, 1000)
    return built


def resnet50() -> Shapes:
    import lrp_ref as lrp

    built, channels = Shapes(), 64
    built.conv(3, 64, 7, 2)
    built.add(lrp.Activation())
    before = built.add(lrp.MaxPool((3, 3), (2, 2), ((1, 1), (1, 1))))
    for width, blocks, first in STAGES:
        for k in range(blocks):
            stride = first if k == 0 else 1
            built.conv(channels, width, 1, 1, before)
            built.add(lrp.Activation())
            built.conv(width, width, 3, stride)
            built.add(lrp.Activation())
            branch = built.conv(width, 4 * width, 1)
            shortcut = built.conv(channels, 4 * width, 1, stride, before) if k == 0 else before
            built.add(lrp.Add(), branch, shortcut)
            before, channels = built.add(lrp.Activation()), 4 * width
    built.add(lrp.GlobalAvgPool())
    built.add(lrp.Flatten())
    built.dense(2048, 1000)
    return built


MODELS = {"vgg16": vgg16, "resnet50": resnet50}


def measured(model: str, batch: int, batches: int, ledger: bool) -> dict[str, float]:
    """One row of the table, in this process."""
    import lrp_ref as lrp

    built = MODELS[model]()
    net = lrp.Network(built.nodes)
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.npy")
        np.save(path, rng.standard_normal((batch * (batches + 1), 3, SIZE, SIZE), np.float32))
        x = np.load(path)[:batch]
        net.forward(x)
        begun = time.process_time()
        net.forward(x)
        forward = time.process_time() - begun
        held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        stamps: list[tuple[float, float]] = []
        lrp.explain_many(
            net, path, lrp.composites.zennit.epsilon_plus(), out=Path(folder, "out"), batch=batch, ledger=ledger,
            progress=lambda done, total: stamps.append((time.perf_counter(), time.process_time())),
        )  # fmt: skip
    laps = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(stamps[1:-1])]
    wall, processors = (statistics.median(column) / batch for column in zip(*laps, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - held
    return {"wall": wall, "cpu": processors, "forward": forward / batch, "weights": built.weights, "peak": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--batches", type=int, default=4, help="batches that count; one before them does not")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ledger", action="store_true")
    parser.add_argument("--row", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.row:
        print(json.dumps(measured(given.model[0], given.batch[0], given.batches, given.ledger)))
        return
    print("| model | batch | s | CPU s | forward CPU s | weights MB | peak above MB | per image MB |")
    print("|---|---|---|---|---|---|---|---|")
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(given.threads))
    for model in given.model:
        for batch in given.batch:
            options = ["--model", model, "--batch", str(batch), "--batches", str(given.batches), "--row"]
            command = [sys.executable, __file__, *options, *(["--ledger"] if given.ledger else [])]
            told = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
            row = json.loads(told)
            mega = [row["weights"] / 1e6, row["peak"] / 1e6, row["peak"] / 1e6 / batch]
            times = " | ".join(f"{row[name]:.2f}" for name in ("wall", "cpu", "forward"))
            print(f"| {model} | {batch} | {times} | " + " | ".join(f"{m:.0f}" for m in mega) + " |", flush=True)


if __name__ == "__main__":
    main()
