"""Judge zennit on one layer of a small digit classifier, and draw the verdict.

A network 64-32-10 learns the 8 x 8 digits of scikit-learn. For one image, relevance arrives at the first linear layer;
zennit hands it back to the pixels in float32 and float64, and lrp_ref does the same in rationals. The bound says how far
honest rounding may carry a pixel from the exact answer: tau = max |error| / bound, and tau <= 1 is conformant.
"""

import argparse
from copy import deepcopy

import numpy as np

import lrp_ref as lrp

try:
    import matplotlib as mpl
    import torch
    from matplotlib.figure import Figure
    from sklearn.datasets import load_digits
    from zennit import rules as zennit
except ModuleNotFoundError as missing:
    raise SystemExit(f"{missing.name} is missing: pip install matplotlib scikit-learn torch torchvision zennit") from None

SAMPLE = 1428  # one of the images held out from training
STABILIZER = lrp.Stabilizer("signed_add", 1e-6)  # zennit's default for every rule below
QUESTIONS = [  # a name, zennit's rule, the reference's rule, and what the reference does with the bias
    ("Epsilon", zennit.Epsilon(1e-6), lrp.Epsilon(1e-6), "absorb"),
    ("AlphaBeta(2, 1)", zennit.AlphaBeta(2, 1), lrp.AlphaBeta(2, 1), "split"),
    ("WSquare", zennit.WSquare(), lrp.WSquare(), "ignore"),  # as published
    ("WSquare", zennit.WSquare(), lrp.WSquare(), "square"),  # b^2 joins the denominator
]


def train(pixels, labels):
    """The network 64-32-10, on the full batch from a fixed seed."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9, weight_decay=0.002)
    for _ in range(300):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(pixels), labels).backward()
        optimizer.step()
    return model.requires_grad_(False)


def exact_layer(linear):
    """A torch layer for the reference: every float is a rational, so nothing is rounded."""
    return lrp.Dense(lrp.exact(linear.weight.numpy()), lrp.exact(linear.bias.numpy()))


def ask_zennit(linear, rule, x, relevance, dtype):
    """What zennit hands back to x: its rule is a hook on the layer, the relevance comes as a gradient."""
    layer, x = deepcopy(linear).to(dtype), x.to(dtype).requires_grad_()
    handles = rule.copy().register(layer)
    (received,) = torch.autograd.grad(layer(x), x, relevance.to(dtype))
    handles.remove()
    return received.numpy()


def short(value):
    return f"{value:.2g}" if value < 100 else f"{value:.0f}" if value < 1e5 else f"{value:.1e}"


def draw(path, image, digit, arriving, rows):
    """Per rule: zennit and the reference on one scale, up to the reference's largest |relevance|, and error / bound."""
    mpl.rcParams.update({"font.size": 8, "axes.titlesize": 8, "axes.linewidth": 0.5, "xtick.major.width": 0.5})
    pairs = {"relevance": ("#2166ac", "#b2182b"), "error / bound": ("#542788", "#b35806")}  # zero is white
    maps = {k: mpl.colors.LinearSegmentedColormap.from_list(k, [low, "white", high], N=255) for k, (low, high) in pairs.items()}
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots(2, 4)
    axes[0, 0].imshow(image, cmap="gray_r")
    axes[0, 0].set(title=f"input: a {digit}", xticks=[], yticks=[])
    axes[1, 0].bar(range(arriving.size), arriving, color=np.where(arriving < 0, *pairs["relevance"]))
    axes[1, 0].axhline(0, color="black", linewidth=0.5)
    axes[1, 0].set(title="relevance arriving", xlabel="hidden unit", box_aspect=1)
    for (first, *others), (label, got, want, ratio, verdict) in zip(axes[:, 1:], rows, strict=True):
        top, tau = np.abs(want).max(), np.abs(ratio).max()
        first.imshow(got.reshape(8, 8), cmap=maps["relevance"], vmin=-top, vmax=top)
        first.set(title="zennit, float32", ylabel=label, xticks=[], yticks=[])
        shown = ("relevance", want, top, "lrp_ref, exact"), ("error / bound", ratio, tau, f"$\\tau$ = {short(tau)}: {verdict}")
        for axis, (kind, values, limit, title) in zip(others, shown, strict=True):
            axis.set(title=title, xticks=[], yticks=[])
            drawn = axis.imshow(values.reshape(8, 8), cmap=maps[kind], vmin=-limit, vmax=limit)
            bar = figure.colorbar(drawn, ax=axis, shrink=0.95)
            bar.set_ticks([-limit, 0, limit], labels=[f"−{short(limit)}", "0", short(limit)])
            bar.ax.text(4.6, 0, kind, rotation=90, ha="center", va="center", in_layout=False)
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=__file__.replace(".py", ".png"), help="where the figure goes (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = load_digits()
    pixels, labels = torch.tensor(data.data / 16, dtype=torch.float32), torch.tensor(data.target)
    model = train(pixels[:1400], labels[:1400])
    x, digit = pixels[SAMPLE : SAMPLE + 1], int(labels[SAMPLE])
    hidden, logits = model[:2](x), model(x)
    start = torch.where(logits == logits.max(), logits, 0)  # all relevance begins at the winning logit
    upper = lrp.propagate(exact_layer(model[2]), lrp.exact(hidden.numpy()), lrp.exact(start.numpy()), lrp.Epsilon(1e-6))
    relevance = torch.tensor(upper.relevance.astype(np.float32))  # rounded once: one problem for both dtypes
    hits = model(pixels[1400:]).argmax(1) == labels[1400:]
    print(f"held-out accuracy {hits.float().mean():.3f}; image {SAMPLE}: a {digit}, read as {int(logits.argmax())}\n")
    problem = exact_layer(model[0]), lrp.exact(x.numpy()), lrp.exact(relevance.numpy())
    ledgers, rows = [], []
    print(f"{'rule':15} {'bias':6} {'dtype':7} {'max |error|':>11} {'tau':>8}  verdict")
    for label, rule, reference, bias in QUESTIONS:
        want = lrp.propagate(*problem, reference, stabilizer=STABILIZER, bias=bias)
        gauges = lrp.bounds(*problem, reference, stabilizer=STABILIZER, bias=bias)
        for dtype in ("float32", "float64"):
            got = ask_zennit(model[0], rule, x, relevance, getattr(torch, dtype))
            error = (lrp.exact(got) - want.relevance).astype(float)  # subtracted exactly
            ratio = error / gauges.allowed(dtype)[0]
            tau = np.abs(ratio).max()
            verdict = "conformant" if tau <= 1 else "deviates"
            print(f"{label:15} {bias:6} {dtype:7} {np.abs(error).max():11.1e} {short(tau):>8}  {verdict}")
            if dtype == "float32" and bias in ("split", "ignore"):
                rows.append((label, got, want.relevance.astype(float), ratio, verdict))
        totals = want.ledger.totals()  # the same in both dtypes: the reference's account is exact
        ledgers.append(f"{label:15} {bias:6}" + "".join(f" {float(total):10.5f}" for total in totals.values()))
    print(f"\n{'ledger':15} {'bias':6}" + "".join(f" {name:>10}" for name in totals), *ledgers, sep="\n")
    draw(args.out, data.images[SAMPLE], digit, relevance.numpy()[0], rows)


if __name__ == "__main__":
    main()
