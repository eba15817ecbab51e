"""Train a small convolutional network on digits, export it to ONNX, explain it, and draw the explanations.

The network (convolution, batch norm, ReLU, twice; max pooling; dense) learns the 8 x 8 digits of scikit-learn in seconds on a
CPU. Every row of the picture is a held-out digit, every column a composite: the share of the winning logit that every pixel
received. All maps have one scale.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np

import lrp_ref as lrp

try:
    import torch
    from PIL import Image
    from sklearn.datasets import load_digits
except ModuleNotFoundError as missing:
    raise SystemExit(f"{missing.name} is missing: pip install 'lrp-ref[examples]'") from None

TRAINED = 1400  # images; the other 397 are held out
SHOWN = (3, 4, 6, 9)
COMPOSITES = {
    "zennit\nEpsilonPlus": "zennit.epsilon_plus",
    "zennit\nEpsilonGammaBox": "zennit.epsilon_gamma_box(low=0, high=1)",
    "zennit\nEpsilonAlpha2Beta1": "zennit.epsilon_alpha2_beta1",
    "iNNvestigate\nLRPZ": "innvestigate.z",
    "iNNvestigate\nSequentialPresetAFlat": "innvestigate.sequential_preset_a_flat",
}


def digits():
    """Images (N, 1, 8, 8) as an 8-bit file holds them, and labels."""
    data = load_digits()
    return np.round(data.images[:, None] * (255 / 16)).astype(np.uint8), data.target


def train(pixels, labels):
    """The network, from a fixed seed."""
    torch.manual_seed(0)
    nn = torch.nn
    first = [nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()]
    second = [nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(32 * 4 * 4, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    for _ in range(12):
        for batch in torch.randperm(len(pixels)).split(50):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(pixels[batch]), labels[batch]).backward()
            optimizer.step()
    return model.eval()


def export(model, path):
    """The network as ONNX, its batch norms as they are."""
    kept = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    names = {"input_names": ["image"], "output_names": ["logits"], "dynamic_axes": {"image": {0: "batch"}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its own successor
        torch.onnx.export(model, (torch.zeros(1, 1, 8, 8),), str(path), dynamo=False, **kept, **names)


def shares(net, x, name):
    """The share of the winning logit that every pixel received."""
    library = lrp.composites.PRESETS[name.split("(")[0]]
    found = (lrp.transforms.merge_batch_norm(net) if library.merged else net).explain(x, lrp.composites.named(name))
    found.ledger.check()
    return found.relevance / found.output.max(axis=1)[:, None, None, None]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("digits"), help="where model and images go (default: %(default)s)")
    parser.add_argument("--picture", type=Path, help="where the picture goes (default: OUT/digits_network.png)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    images, labels = digits()
    pixels = torch.tensor(images / 255, dtype=torch.float32)
    model = train(pixels[:TRAINED], torch.tensor(labels[:TRAINED]))
    hits = model(pixels[TRAINED:]).argmax(1).numpy() == labels[TRAINED:]
    print(f"held-out accuracy {hits.mean():.3f} on {len(hits)} images")
    export(model, args.out / "model.onnx")
    chosen = [TRAINED + int(np.argmax(hits & (labels[TRAINED:] == digit))) for digit in SHOWN]
    for digit, k in zip(SHOWN, chosen, strict=True):
        Image.fromarray(images[k, 0]).save(args.out / f"{digit}.png")
    net, x = lrp.load_onnx(args.out / "model.onnx"), pixels[chosen].numpy()
    maps = [shares(net, x, name) for name in COMPOSITES.values()]
    figure = lrp.pictures.grid(
        [[a[k] for a in maps] for k in range(len(SHOWN))], 1 - x[:, 0], rows=[f"a {digit}" for digit in SHOWN],
        columns=list(COMPOSITES), label="share of the logit", side=1.25,
    )  # fmt: skip
    picture = args.picture or args.out / "digits_network.png"
    figure.savefig(picture)
    print(f"written: {args.out / 'model.onnx'}, {', '.join(f'{d}.png' for d in SHOWN)}, {picture}")


if __name__ == "__main__":
    main()
