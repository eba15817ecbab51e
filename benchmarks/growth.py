"""How the time of an explanation grows with its multiply-adds: over width, depth, image and batch.

The exponent is fitted to the logarithms by least squares: 1 means that twice the work takes twice the time.
"""

import json
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np

SWEEPS = {
    "width of a dense layer": [512, 1024, 2048, 4096],
    "channels of a convolution": [32, 64, 128, 256],
    "depth": [2, 4, 8, 16],
    "image": [28, 56, 112, 224],
    "batch": [1, 2, 4, 8, 16],
}
ROUNDS = 7


def network(sweep: str, size: int) -> tuple[Any, Any, float]:
    """A network, its input, and the multiply-adds of one application of its layers."""
    import lrp_ref as lrp

    rng = np.random.default_rng(0)
    if sweep == "width of a dense layer":
        nodes = [lrp.Node("dense", lrp.Dense(rng.standard_normal((size, size), np.float32)))]
        return lrp.Network(nodes), rng.standard_normal((64, size), np.float32), 64.0 * size**2
    channels = size if sweep == "channels of a convolution" else 64
    depth, side = (size if sweep == "depth" else 2), (size if sweep == "image" else 56)
    batch, nodes = (size if sweep == "batch" else 4), []
    for k in range(depth):
        w = rng.standard_normal((channels, channels, 3, 3), np.float32) / np.float32(channels**0.5 * 3)
        nodes += [lrp.Node(f"conv{k}", lrp.Conv(w, padding=1)), lrp.Node(f"relu{k}", lrp.Activation())]
    work = float(depth * batch * channels**2 * 9 * side**2)
    return lrp.Network(nodes), rng.standard_normal((batch, channels, side, side), np.float32), work


def serve(sweep: str) -> None:
    """In a process of its own: work and seconds at every size."""
    import lrp_ref as lrp

    rules = (lrp.Assign(lrp.Pass(), lrp.Activation), lrp.Assign(lrp.AlphaBeta(2, 1), (lrp.Dense, lrp.Conv)))
    composite, points = lrp.Composite(rules), []
    for size in SWEEPS[sweep]:
        net, x, work = network(sweep, size)
        target = np.ones((len(x), *net.forward(x).shape[1:]), np.float32)
        times = []
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            net.explain(x, composite, target=target)
            times.append(time.perf_counter() - begin)
        points.append({"size": size, "work": work, "seconds": sorted(times)[ROUNDS // 2], "least": min(times)})
    print(json.dumps(points))


def growth(sweep: str, threads: int) -> dict[str, Any]:
    """The points of a sweep, and the exponent that fits their medians and their minima."""
    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))}
    command = [sys.executable, "-W", "ignore", os.path.abspath(__file__), sweep]
    points = json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout)
    work = np.log([p["work"] for p in points])
    fits = {name: float(np.polyfit(work, np.log([p[name] for p in points]), 1)[0]) for name in ("seconds", "least")}
    return {"points": points, "exponent": fits["seconds"], "exponent_of_minima": fits["least"]}


if __name__ == "__main__":
    serve(sys.argv[1])
