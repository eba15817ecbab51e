"""How fast relevance is: this package, the libraries it judges, and the bare matrix products, side by side in one run.

    python benchmarks/speed.py [--only dense conv conv-relu vgg] [--dtype float32 float64] [--rounds 7] [--threads 2]
                               [--python innvestigate=/path/to/python]

Every candidate runs in a process of its own, and the processes take turns round by round, so that a disturbance of the
machine meets all of them. Shown are the median, the smallest and the largest of the rounds, the time of the processors
(which with `--threads 1` hardly depends on what else the machine does), our time over the candidate's, and the peak memory of
the process. A library that is not installed is left out with a line; one that lives in another environment is reached with
`--python`. "products" is NumPy multiplying matrices of the sizes that the formula needs, patches at hand. "conv-relu" is the
layer "conv" behind a ReLU: its x is not negative.
"""

import argparse
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

LAYERS = {
    "dense": "4096 to 4096, batch 64",
    "conv": "64 to 64, 3x3, 56x56, batch 8",
    "conv-relu": "64 to 64, 3x3, 56x56, batch 8, x >= 0",
}
VGG = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]
HEAD = [(25088, 4096), (4096, 4096), (4096, 1000)]
RULES = ("epsilon", "z-plus", "alpha2-beta1")
HERE = os.path.dirname(os.path.abspath(__file__))


def layer_data(kind: str, dtype: str) -> tuple[Any, Any, Any, Any]:
    """W, b, x and R, of both signs but for the x of "conv-relu"."""
    rng = np.random.default_rng(0)
    image = (8, 64, 56, 56)
    w, x, y = ((4096, 4096), (64, 4096), (64, 4096)) if kind == "dense" else ((64, 64, 3, 3), image, image)
    w, b, x, r = (rng.standard_normal(s, dtype=np.float32).astype(dtype) for s in (w, w[:1], x, y))
    return w, b, np.maximum(x, 0) if kind == "conv-relu" else x, r


def vgg_data(dtype: str) -> list[tuple[Any, Any]]:
    """Weights and biases of the VGG-16 shape, scaled so that activations neither grow nor vanish."""
    rng, channels, shapes = np.random.default_rng(0), 3, []
    for width in VGG:
        if width != "M":
            shapes.append((width, channels, 3, 3))
            channels = width
    shapes += [(out, into) for into, out in HEAD]
    scaled = [(s, (2 / np.prod(s[1:])) ** 0.5) for s in shapes]
    return [
        ((rng.standard_normal(s, dtype=np.float32) * f).astype(dtype), (rng.standard_normal(s[0]) * 0.1).astype(dtype))
        for s, f in scaled
    ]


def image(batch: int, dtype: str) -> Any:
    return np.random.default_rng(1).standard_normal((batch, 3, 224, 224), dtype=np.float32).astype(dtype)


def ours(task: str, rule: str, dtype: str) -> Callable[[], Any]:
    import lrp_ref as lrp

    rules = {"epsilon": lrp.Epsilon(1e-6), "z-plus": lrp.ZPlus(), "alpha2-beta1": lrp.AlphaBeta(2, 1)}
    stabilizer = lrp.Stabilizer("signed_add", 1e-6)
    if task in LAYERS:
        w, b, x, r = layer_data(task, dtype)
        layer = lrp.Dense(w, b) if task == "dense" else lrp.Conv(w, b, padding=1)
        bias = {"z-plus": "absorb"}.get(rule)
        return lambda: lrp.propagate(layer, x, r, rules[rule], stabilizer=stabilizer, bias=bias).relevance
    parameters, nodes = iter(vgg_data(dtype)), []
    for k, width in enumerate(VGG):
        if width == "M":
            nodes.append(lrp.Node(f"pool{k}", lrp.MaxPool((2, 2))))
        else:
            w, b = next(parameters)
            nodes += [lrp.Node(f"conv{k}", lrp.Conv(w, b, padding=1)), lrp.Node(f"relu{k}", lrp.Activation())]
    nodes.append(lrp.Node("flat", lrp.Flatten()))
    for k, (w, b) in enumerate(parameters):
        nodes += [lrp.Node(f"dense{k}", lrp.Dense(w, b)), lrp.Node(f"relu-d{k}", lrp.Activation())]
    net, presets = lrp.Network(nodes[:-1]), lrp.composites.zennit
    made = {"epsilon": epsilon_composite, "z-plus": presets.epsilon_plus, "alpha2-beta1": presets.epsilon_alpha2_beta1}
    x, composite = image(batch_of(task), dtype), made[rule]()
    return lambda: net.explain(x, composite).relevance


def epsilon_composite() -> Any:
    import lrp_ref as lrp

    zennit = lrp.composites.zennit.epsilon_plus().entries
    return lrp.Composite((lrp.Assign(lrp.Epsilon(1e-6), lrp.Conv), *zennit), "epsilon")


def products(task: str, rule: str, dtype: str) -> Callable[[], Any]:
    """The matrix products of the formula: of the forward pass (where the rule or the network reads it), of the rows that it
    does not give, and of the distribution; an input of both signs has two halves."""
    rng = np.random.default_rng(0)

    def pair(m: int, k: int, n: int, times: int, count: int) -> Callable[[], None]:
        a, b = (rng.standard_normal(s, dtype=np.float32).astype(dtype) for s in ((m, k), (k, n)))
        out = np.empty((m, n), dtype)
        return lambda: [np.matmul(a, b, out=out) for _ in range(times * count)] and None

    halves = 1 if task == "conv-relu" else 2
    single = {"epsilon": 2, "z-plus": 2 * halves, "alpha2-beta1": 4 * halves}[rule]
    if task == "dense":
        work = [pair(64, 4096, 4096, single, 1)]
    elif task in LAYERS:
        work = [pair(64, 576, 3136, single, 8)]
    else:
        batch, size, channels, work = batch_of(task), 224, 3, []
        for width in VGG:
            if width == "M":
                size //= 2
                continue
            halves = 2 if channels == 3 else 1  # hidden activations are >= 0
            times = {"epsilon": 2, "z-plus": 1 + 2 * halves, "alpha2-beta1": 1 + 4 * halves}[rule]
            work.append(pair(width, channels * 9, size * size, times, batch))
            channels = width
        work += [pair(batch, into, out, 2, 1) for into, out in HEAD]
    return lambda: [run() for run in work]


def torch_model(task: str, dtype: str) -> tuple[Any, Any, Any]:
    import torch
    from torch import nn

    def filled(module: Any, w: Any, b: Any) -> Any:
        module.weight.data, module.bias.data = torch.from_numpy(w), torch.from_numpy(b)
        return module

    class Flat(nn.Module):
        """Flattens by a function: captum refuses nn.Flatten."""

        def __init__(self, body: Any, head: Any) -> None:
            super().__init__()
            self.body, self.head = body, head

        def forward(self, x: Any) -> Any:
            return self.head(torch.flatten(self.body(x), 1))

    if task in LAYERS:
        w, b, x, r = layer_data(task, dtype)
        empty = nn.Linear(1, 1) if task == "dense" else nn.Conv2d(64, 64, 3, padding=1)
        return filled(empty, w, b), torch.from_numpy(x), torch.from_numpy(r)
    parameters, body, head, channels = iter(vgg_data(dtype)), [], [], 3
    for width in VGG:
        if width == "M":
            body.append(nn.MaxPool2d(2))
        else:
            body += [filled(nn.Conv2d(channels, width, 3, padding=1), *next(parameters)), nn.ReLU()]
            channels = width
    for w, b in parameters:
        head += [filled(nn.Linear(1, 1), w, b), nn.ReLU()]
    model = Flat(nn.Sequential(*body), nn.Sequential(*head[:-1])).eval()
    return model, torch.from_numpy(image(batch_of(task), dtype)), None


def gradient(task: str, rule: str, dtype: str) -> Callable[[], Any]:
    """torch's input x gradient: one forward and one backward pass."""
    import torch

    model, x, r = torch_model(task, dtype)
    for parameter in model.parameters():
        parameter.requires_grad_(False)

    def run() -> Any:
        leaf = x.clone().requires_grad_()
        y = model(leaf)
        seed = torch.nn.functional.one_hot(y.argmax(1), y.shape[1]).to(y) * y.detach() if r is None else r
        return leaf.detach() * torch.autograd.grad(y, leaf, seed)[0]

    return run


def zennit(task: str, rule: str, dtype: str) -> Callable[[], Any]:
    import torch
    from zennit import composites, rules
    from zennit.attribution import Gradient

    model, x, r = torch_model(task, dtype)
    made = {"epsilon": rules.Epsilon, "z-plus": rules.ZPlus, "alpha2-beta1": lambda: rules.AlphaBeta(2, 1)}[rule]
    if task in LAYERS:
        made().register(model)

        def layer() -> Any:
            leaf = x.clone().requires_grad_()
            return torch.autograd.grad(model(leaf), leaf, r)[0]

        return layer
    epsilon = composites.LayerMapComposite([
        (torch.nn.ReLU, rules.Pass()), (torch.nn.Conv2d, rules.Epsilon()), (torch.nn.Linear, rules.Epsilon())
    ])  # fmt: skip
    presets = {"z-plus": composites.EpsilonPlus, "alpha2-beta1": composites.EpsilonAlpha2Beta1}
    chosen = presets.get(rule, lambda: epsilon)()

    def network() -> Any:
        with Gradient(model, chosen) as attributor:
            return attributor(x, lambda y: torch.nn.functional.one_hot(y.argmax(1), y.shape[1]).to(y) * y.detach())[1]

    return network


def captum(task: str, rule: str, dtype: str) -> Callable[[], Any]:
    import torch
    from captum.attr import LRP
    from captum.attr._utils.lrp_rules import EpsilonRule

    if rule != "epsilon":
        raise LookupError("captum's other rules are other formulas")
    model, x, r = torch_model(task, dtype)
    if r is not None:
        whole = torch.nn.Sequential(model)
        whole.forward = lambda v: torch.flatten(torch.nn.Sequential.forward(whole, v), 1)  # type: ignore[method-assign]
        model = whole

    def run() -> Any:
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                module.rule = EpsilonRule(1e-6)
        return LRP(model).attribute(x, target=0)

    return run


def innvestigate(task: str, rule: str, dtype: str) -> Callable[[], Any]:
    import innvestigate as library
    import tensorflow as tf

    tf.compat.v1.disable_eager_execution()
    tf.keras.backend.set_floatx(dtype)
    layers = tf.keras.layers
    name = {"epsilon": "lrp.epsilon", "z-plus": "lrp.alpha_1_beta_0", "alpha2-beta1": "lrp.alpha_2_beta_1"}[rule]
    if task in LAYERS:
        w, b, x, _ = layer_data(task, dtype)
        one = layers.Dense(4096) if task == "dense" else layers.Conv2D(64, 3, padding="same")
        x = x if task == "dense" else np.ascontiguousarray(np.moveaxis(x, 1, -1))
        model = tf.keras.Sequential([tf.keras.Input(x.shape[1:]), one, layers.Flatten()])
        weights = [(w, b)]
    else:
        x = np.ascontiguousarray(np.moveaxis(image(batch_of(task), dtype), 1, -1))
        stack: list[Any] = [tf.keras.Input(x.shape[1:])]
        stack += [layers.MaxPool2D() if n == "M" else layers.Conv2D(n, 3, padding="same", activation="relu") for n in VGG]
        stack += [layers.Flatten(), *(layers.Dense(out, activation="relu" if out == 4096 else None) for _, out in HEAD)]
        model, weights = tf.keras.Sequential(stack), vgg_data(dtype)
    model.set_weights([a for w, b in weights for a in (np.transpose(w, (2, 3, 1, 0)) if w.ndim == 4 else w.T, b)])
    analyzer = library.create_analyzer(name, model, neuron_selection_mode="max_activation")
    return lambda: analyzer.analyze(x)


CANDIDATES = {
    "lrp_ref": ours, "products": products, "torch": gradient, "zennit": zennit, "captum": captum, "innvestigate": innvestigate,
}  # fmt: skip


def batch_of(task: str) -> int:
    return int(task.rsplit("-b", 1)[1])


def serve(name: str, task: str, rule: str, dtype: str) -> None:
    """In the candidate's process: one measurement for every line read."""
    threads = int(os.environ["OMP_NUM_THREADS"])
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(threads)
    try:
        run = CANDIDATES[name](task, rule, dtype)
    except (ImportError, LookupError) as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return
    run()
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        begin, cpu = time.perf_counter(), time.process_time()
        run()
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak}), flush=True)


class Worker:
    """A candidate in its own process."""

    def __init__(self, name: str, python: str, task: str, rule: str, dtype: str, threads: int) -> None:
        many = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
        environment = {**os.environ, **dict.fromkeys(many, str(threads)), "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [python, "-W", "ignore", os.path.abspath(__file__), "--serve", name, task, rule, dtype]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.seconds: list[float] = []
        self.cpu: list[float] = []
        self.peak = 0.0
        self.first = self._line()

    def measure(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        found = self._line()
        if "seconds" in found:
            self.seconds.append(found["seconds"])
            self.cpu.append(found["cpu"])
            self.peak = found["peak"]

    def close(self) -> None:
        self.process.communicate()

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        assert self.process.stderr is not None
        return {"missing": (self.process.stderr.read().strip().splitlines() or ["it ended without a word"])[-1]}


def compare(task: str, rule: str, dtype: str, names: list[str], pythons: dict[str, str], rounds: int, threads: int) -> None:
    print(f"\n{task} {LAYERS.get(task, 'VGG-16 shape, 224x224')}, {rule}, {dtype}")
    workers = {}
    for name in names:
        worker = Worker(name, pythons.get(name, sys.executable), task, rule, dtype, threads)
        if "missing" in worker.first:
            print(f"  {name:14} left out: {worker.first['missing']}")
            worker.close()
        else:
            workers[name] = worker
    for _ in range(rounds):
        for worker in workers.values():
            worker.measure()
    for worker in workers.values():
        worker.close()
    base = workers.get("lrp_ref")
    print("  milliseconds     median      min      max      cpu   lrp_ref over it: median    min    cpu  peak MB")
    for name, worker in workers.items():
        columns = (statistics.median(worker.seconds), min(worker.seconds), max(worker.seconds), statistics.median(worker.cpu))
        ours = columns if base is None else (statistics.median(base.seconds), min(base.seconds), 0, statistics.median(base.cpu))
        ratios = "".join(f"{ours[k] / columns[k]:7.2f}" for k in (0, 1, 3))
        print(f"  {name:14}{''.join(f'{1e3 * c:9.1f}' for c in columns)}{ratios:>44}{worker.peak:9.0f}", flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        return serve(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=(*LAYERS, "vgg"), default=[*LAYERS, "vgg"])
    parser.add_argument("--dtype", nargs="+", choices=("float32", "float64"), default=["float32", "float64"])
    parser.add_argument("--rule", nargs="+", choices=RULES, default=list(RULES))
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 4], help="of vgg")
    parser.add_argument("--candidate", nargs="+", choices=list(CANDIDATES), default=list(CANDIDATES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--python", nargs="+", default=[], metavar="NAME=PATH")
    options = parser.parse_args()
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {os.cpu_count()} cores, {options.threads} threads, load {os.getloadavg()[0]:.1f}")
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.platform()}")
    pythons = dict(pair.split("=", 1) for pair in options.python)
    for only in options.only:
        for task in [f"vgg-b{n}" for n in options.batch] if only == "vgg" else [only]:
            for dtype in options.dtype:
                for rule in options.rule:
                    compare(task, rule, dtype, options.candidate, pythons, options.rounds, options.threads)
    return None


if __name__ == "__main__":
    main()
