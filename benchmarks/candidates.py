"""What is timed: this package, the libraries it judges, torch's gradient, and the bare matrix products.

Every candidate is a function of a task (`models.py`), a rule and a dtype that returns what is to be timed.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import models
import numpy as np

Run = Callable[[], Any]


def ours(task: str, rule: str, dtype: str, module: Any = np) -> Run:
    """This package; `module` is NumPy or CuPy."""
    import lrp_ref as lrp

    rules = {"epsilon": lrp.Epsilon(1e-6), "z-plus": lrp.ZPlus(), "alpha2-beta1": lrp.AlphaBeta(2, 1)}
    if task in models.LAYERS:
        w, b, x, r = map(module.asarray, models.layer_data(task, dtype))
        layer, bias = lrp.Dense(w, b) if task == "dense" else lrp.Conv(w, b, padding=1), {"z-plus": "absorb"}.get(rule)
        stabilizer = lrp.Stabilizer("signed_add", 1e-6)
        return lambda: lrp.propagate(layer, x, r, rules[rule], stabilizer=stabilizer, bias=bias).relevance
    presets = lrp.composites.zennit
    made = {"epsilon": _epsilon_composite, "z-plus": presets.epsilon_plus, "alpha2-beta1": presets.epsilon_alpha2_beta1}
    net, composite = network(task, dtype, module), made[rule]()
    x = module.asarray(models.images(models.batch_of(task), dtype))
    return lambda: net.explain(x, composite).relevance


def _epsilon_composite() -> Any:
    import lrp_ref as lrp

    zennit = lrp.composites.zennit.epsilon_plus().entries
    return lrp.Composite((lrp.Assign(lrp.Epsilon(1e-6), lrp.Conv), *zennit), "epsilon")


def network(task: str, dtype: str, module: Any) -> Any:
    """The network as this package has it."""
    import lrp_ref as lrp

    kind, nodes = models.kind_of(task), list[Any]()
    given = iter([(module.asarray(w), module.asarray(b)) for w, b in models.parameters(kind, dtype)])

    def put(layer: Any, *reads: str) -> str:
        nodes.append(lrp.Node(f"n{len(nodes)}", layer, reads or None))
        return str(nodes[-1].name)

    def conv(stride: int, kernel: int, *reads: str) -> str:
        return put(lrp.Conv(*next(given), stride=stride, padding=kernel // 2), *reads)

    if kind == "vgg":
        for width in models.VGG:
            if width == "M":
                put(lrp.MaxPool((2, 2)))
            else:
                conv(1, 3)
                put(lrp.Activation())
        put(lrp.Flatten())
        for w, b in list(given):
            put(lrp.Dense(w, b))
            put(lrp.Activation())
        return lrp.Network(nodes[:-1])
    conv(2, 7)
    put(lrp.Activation())
    last = put(lrp.MaxPool((3, 3), 2, 1))
    for count, _, _, stride in models.STAGES:
        for k in range(count):
            step, before = stride if k == 0 else 1, last
            conv(1, 1, before)
            put(lrp.Activation())
            conv(step, 3)
            put(lrp.Activation())
            inner = conv(1, 1)
            before = conv(step, 1, before) if k == 0 else before
            put(lrp.Add(), inner, before)
            last = put(lrp.Activation())
    put(lrp.GlobalAvgPool())
    put(lrp.Flatten())
    put(lrp.Dense(*next(given)))
    return lrp.Network(nodes)


def products(task: str, rule: str, dtype: str) -> Run:
    """The matrix products of the formula: of the forward pass (where the rule or the network reads it), of the rows that it
    does not give, and of the distribution; an input of both signs has two halves."""
    rng = np.random.default_rng(0)

    def pair(m: int, k: int, n: int, times: int, count: int) -> Run:
        a, b = (rng.standard_normal(s, dtype=np.float32).astype(dtype) for s in ((m, k), (k, n)))
        out = np.empty((m, n), dtype)
        return lambda: [np.matmul(a, b, out=out) for _ in range(times * count)] and None

    if task in models.LAYERS:
        halves = 1 if task == "conv-relu" else 2
        times = {"epsilon": 2, "z-plus": 2 * halves, "alpha2-beta1": 4 * halves}[rule]
        work = [pair(64, 4096, 4096, times, 1) if task == "dense" else pair(64, 576, 3136, times, 8)]
        return lambda: [run() for run in work]
    kind, batch, work = models.kind_of(task), models.batch_of(task), []
    for channels, width, kernel, stride, size in models.convolutions(kind):
        halves = 2 if channels == 3 else 1  # hidden activations are >= 0
        times = {"epsilon": 2, "z-plus": 1 + 2 * halves, "alpha2-beta1": 1 + 4 * halves}[rule]
        work.append(pair(width, channels * kernel**2, (size // stride) ** 2, times, batch))
    work += [pair(batch, into, out, 2, 1) for into, out in models.dense_layers(kind)]
    return lambda: [run() for run in work]


def torch_model(task: str, dtype: str) -> tuple[Any, Any, Any]:
    """The model, its input and (for a layer) the relevance of its output."""
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

    class Bottleneck(nn.Module):
        def __init__(self, inner: Any, shortcut: Any, add: Any) -> None:
            super().__init__()
            self.inner, self.shortcut, self.add, self.relu = inner, shortcut, add, nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.relu(self.add(torch.stack([self.inner(x), self.shortcut(x)], dim=-1)))

    if task in models.LAYERS:
        w, b, x, r = models.layer_data(task, dtype)
        empty = nn.Linear(1, 1) if task == "dense" else nn.Conv2d(64, 64, 3, padding=1)
        return filled(empty, w, b), torch.from_numpy(x), torch.from_numpy(r)
    kind, body = models.kind_of(task), list[Any]()
    given, shapes = iter(models.parameters(kind, dtype)), iter(models.convolutions(kind))

    def conv() -> Any:
        into, out, kernel, stride, _ = next(shapes)
        return filled(nn.Conv2d(into, out, kernel, stride, kernel // 2), *next(given))

    if kind == "vgg":
        for width in models.VGG:
            body += [nn.MaxPool2d(2)] if width == "M" else [conv(), nn.ReLU()]
    else:
        from zennit.layer import Sum

        body += [conv(), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        for count, *_ in models.STAGES:
            for k in range(count):
                inner = nn.Sequential(conv(), nn.ReLU(), conv(), nn.ReLU(), conv())
                body.append(Bottleneck(inner, conv() if k == 0 else nn.Identity(), Sum()))
        body.append(nn.AdaptiveAvgPool2d(1))
    head = [layer for w, b in given for layer in (filled(nn.Linear(1, 1), w, b), nn.ReLU())]
    model = Flat(nn.Sequential(*body), nn.Sequential(*head[:-1])).eval()
    return model, torch.from_numpy(models.images(models.batch_of(task), dtype)), None


def gradient(task: str, rule: str, dtype: str, device: str = "cpu") -> Run:
    """torch's input x gradient: one forward and one backward pass."""
    import torch

    model, x, r = on_device(torch_model(task, dtype), device)
    for parameter in model.parameters():
        parameter.requires_grad_(False)

    def run() -> Any:
        leaf = x.clone().requires_grad_()
        y = model(leaf)
        seed = torch.nn.functional.one_hot(y.argmax(1), y.shape[1]).to(y) * y.detach() if r is None else r
        return leaf.detach() * torch.autograd.grad(y, leaf, seed)[0]

    return run


def zennit(task: str, rule: str, dtype: str, device: str = "cpu") -> Run:
    import torch
    from zennit import composites, rules
    from zennit.attribution import Gradient

    model, x, r = on_device(torch_model(task, dtype), device)
    made = {"epsilon": rules.Epsilon, "z-plus": rules.ZPlus, "alpha2-beta1": lambda: rules.AlphaBeta(2, 1)}[rule]
    if task in models.LAYERS:
        made().register(model)

        def layer() -> Any:
            leaf = x.clone().requires_grad_()
            return torch.autograd.grad(model(leaf), leaf, r)[0]

        return layer
    convolution = (torch.nn.Conv2d, rules.Epsilon())  # the first entry that matches counts
    epsilon = composites.LayerMapComposite([convolution, *composites.EpsilonPlus().layer_map])
    presets = {"z-plus": composites.EpsilonPlus, "alpha2-beta1": composites.EpsilonAlpha2Beta1}
    chosen = presets.get(rule, lambda: epsilon)()

    def run() -> Any:
        with Gradient(model, chosen) as attributor:
            return attributor(x, lambda y: torch.nn.functional.one_hot(y.argmax(1), y.shape[1]).to(y) * y.detach())[1]

    return run


def on_device(made: tuple[Any, Any, Any], device: str) -> tuple[Any, Any, Any]:
    model, x, r = made
    return model.to(device), x.to(device), None if r is None else r.to(device)


def captum(task: str, rule: str, dtype: str) -> Run:
    import torch
    from captum.attr import LRP
    from captum.attr._utils.lrp_rules import EpsilonRule

    if rule != "epsilon":
        raise LookupError("captum's other rules are other formulas")
    if models.kind_of(task) == "resnet":
        raise LookupError("captum refuses the sum of a residual block")
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


def innvestigate(task: str, rule: str, dtype: str) -> Run:
    import innvestigate as library
    import tensorflow as tf

    if models.kind_of(task) == "resnet":
        raise LookupError("the table compares it on layers and on VGG-16")
    tf.compat.v1.disable_eager_execution()
    tf.keras.backend.set_floatx(dtype)
    layers = tf.keras.layers
    name = {"epsilon": "lrp.epsilon", "z-plus": "lrp.alpha_1_beta_0", "alpha2-beta1": "lrp.alpha_2_beta_1"}[rule]
    if task in models.LAYERS:
        w, b, x, _ = models.layer_data(task, dtype)
        one = layers.Dense(4096) if task == "dense" else layers.Conv2D(64, 3, padding="same")
        x = x if task == "dense" else np.ascontiguousarray(np.moveaxis(x, 1, -1))
        model = tf.keras.Sequential([tf.keras.Input(x.shape[1:]), one, layers.Flatten()])
        weights = [(w, b)]
    else:
        x = np.ascontiguousarray(np.moveaxis(models.images(models.batch_of(task), dtype), 1, -1))
        stack: list[Any] = [tf.keras.Input(x.shape[1:])]
        stack += [
            layers.MaxPool2D() if n == "M" else layers.Conv2D(n, 3, padding="same", activation="relu") for n in models.VGG
        ]
        dense = [layers.Dense(out, activation="relu" if out == 4096 else None) for _, out in models.HEAD]
        model, weights = tf.keras.Sequential([*stack, layers.Flatten(), *dense]), models.parameters("vgg", dtype)
    model.set_weights([a for w, b in weights for a in (np.transpose(w, (2, 3, 1, 0)) if w.ndim == 4 else w.T, b)])
    analyzer = library.create_analyzer(name, model, neuron_selection_mode="max_activation")
    return lambda: analyzer.analyze(x)


CANDIDATES = {
    "lrp_ref": ours, "products": products, "torch": gradient, "zennit": zennit, "captum": captum, "innvestigate": innvestigate,
}  # fmt: skip
LIBRARIES = ("zennit", "captum", "innvestigate")


def largest_activation(task: str, dtype: str) -> int:
    """Bytes of the largest value of a network."""
    batch = models.batch_of(task)
    sizes = [width * (size // stride) ** 2 for _, width, _, stride, size in models.convolutions(models.kind_of(task))]
    return prod((batch, max(sizes), np.dtype(dtype).itemsize))
