"""A natural image through SqueezeNet, and which of its parts speak for a temple, which for a dahlia.

The `onnx` package ships SqueezeNet without its weights: all are one constant. Here its 25 hidden convolutions get random
weights (He et al. 2015), and its last one is fitted by ridge regression to two photographs that scikit-learn ships, mirrored:
class 0 is a position within the temple, class 1 within the dahlia, class 2 neither. It knows nothing else of the world; what it
says of the same photographs, not mirrored, in one image, is explained, and the share of positive relevance that falls on
the object is compared with the object's share of the image.
"""

import argparse
from pathlib import Path

import numpy as np

import lrp_ref as lrp

try:
    import onnx
    from onnx import numpy_helper
    from PIL import Image
    from sklearn.datasets import load_sample_image
except ModuleNotFoundError as missing:
    raise SystemExit(f"{missing.name} is missing: pip install 'lrp-ref[examples]'") from None

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light/light_squeezenet.onnx"
SIDE, MEAN, STD = 224, 0.5, 0.25
LABELS = ("temple", "dahlia", "neither")
PHOTOS = {"temple": "china.jpg", "dahlia": "flower.jpg"}
BOXES = {"temple": (65, 30, 375, 395), "dahlia": (168, 85, 446, 360)}  # left, top, right, bottom, in pixels of the photograph
SHOWN = {"temple": (0, 30, 640, 350), "dahlia": (0, 60, 640, 380)}  # what the image has of each, one above the other
CROPS, RIDGE = 16, 0.03
COMPOSITES = ("zennit.epsilon_plus", "zennit.epsilon_plus_flat", "zennit.epsilon_alpha2_beta1_flat")
DRAWN = "zennit.epsilon_plus_flat"


def with_random_weights(random):
    """SqueezeNet with weights that keep the size of activations, and no biases."""
    model = onnx.load(LIGHT)
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in [node for node in model.graph.node if node.op_type == "ConstantOfShape"]:
        shape = shapes[node.input[0]]
        scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0
        weight = (scale * random.standard_normal(shape)).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weight, node.output[0]))
        model.graph.node.remove(node)
    return model


def network(model, path):
    onnx.save(model, path)
    return lrp.transforms.remove_identity(lrp.transforms.strip_softmax(lrp.load_onnx(path)))


def crops(random):
    """Mirrored pieces of the photographs, resized, and the class of every position of the last feature map (13 x 13)."""
    for label, name in PHOTOS.items():
        photo, (left, top, right, bottom) = Image.fromarray(load_sample_image(name)), BOXES[label]
        inside = Image.new("1", photo.size)
        inside.paste(1, (left, top, right, bottom))
        for _ in range(CROPS):
            size = int(random.integers(360, 428))
            x, y = (int(random.integers(0, total - size + 1)) for total in photo.size)
            pieces = [a.crop((x, y, x + size, y + size)).transpose(Image.Transpose.FLIP_LEFT_RIGHT) for a in (photo, inside)]
            where = np.asarray(pieces[1].resize((13, 13), Image.Resampling.NEAREST))
            yield pieces[0].resize((SIDE, SIDE)), np.where(where, LABELS.index(label), 2)


def normalised(image):
    """What the network reads, (1, 3, H, W)."""
    return ((np.asarray(image, np.float64) / 255 - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)


def fit(net, random):
    """Weights (3, 512) and biases of the last convolution, which tell the classes apart at every position."""
    (reads,) = net["n62"].inputs
    features, classes = [], []
    for image, where in crops(random):
        features.append(net.forward(normalised(image), at=[reads])[reads][0].reshape(512, -1).T)
        classes.append(where.reshape(-1))
    X, T = np.concatenate(features).astype(np.float64), np.eye(3)[np.concatenate(classes)]
    mean, std = X.mean(axis=0), X.std(axis=0) + 1e-9
    Z = (X - mean) / std
    weight = np.linalg.solve(Z.T @ Z / len(Z) + RIDGE * np.eye(512), Z.T @ (T - T.mean(axis=0)) / len(Z)) / std[:, None]
    bias = T.mean(axis=0) - mean @ weight
    hits = (X @ weight + bias).argmax(axis=1) == T.argmax(axis=1)
    print(f"{len(X)} positions of {2 * CROPS} mirrored crops, {hits.mean():.3f} of them told apart by the fit")
    return weight.T, bias


def set_last(model, weight, bias):
    """The last convolution with these rows; every other class gets nothing."""
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    for name, a in (("conv10_w_0", weight[:, :, None, None]), ("conv10_b_0", bias)):
        whole = np.zeros(tuple(held[name].dims), np.float32)
        whole[: len(a)] = a
        held[name].CopyFrom(numpy_helper.from_array(whole, name))


def both():
    """The image, and where in it the objects are."""
    image, where = Image.new("RGB", (SIDE, SIDE)), {}
    for k, (label, box) in enumerate(SHOWN.items()):
        photo = Image.fromarray(load_sample_image(PHOTOS[label]))
        image.paste(photo.resize((SIDE, SIDE // 2), box=box), (0, k * SIDE // 2))
        scale, (left, top, right, bottom) = SIDE / (box[2] - box[0]), BOXES[label]
        rows = [int(min(max(scale * (r - box[1]), 0), SIDE // 2)) + k * SIDE // 2 for r in (top, bottom)]
        where[label] = np.zeros((SIDE, SIDE), bool)
        where[label][rows[0] : rows[1], int(scale * left) : int(scale * right)] = True
    return image, where


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("natural"), help="where model and image go (default: %(default)s)")
    parser.add_argument("--picture", type=Path, help="where the picture goes (default: OUT/natural_image.png)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    random, path = np.random.default_rng(0), args.out / "model.onnx"
    model = with_random_weights(random)
    set_last(model, *fit(network(model, path), random))
    net, (image, where) = network(model, path), both()
    image.save(args.out / "image.png")
    (args.out / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    maps = []
    print(f"\n{'class':8}{'composite':36}{'logit':>8}{'on the object':>15}{'its area':>10}")
    for label, inside in where.items():
        for name in COMPOSITES:
            found = net.explain(normalised(image), lrp.composites.named(name), target=LABELS.index(label))
            R = found.relevance[0].sum(axis=0)
            share, logit = np.maximum(R, 0)[inside].sum() / np.maximum(R, 0).sum(), found.output[0, LABELS.index(label)].item()
            print(f"{label:8}{name:36}{logit:8.3f}{share:15.3f}{inside.mean():10.3f}")
            if name == DRAWN:
                maps.append(R / logit)
    figure = lrp.pictures.grid(
        [maps], [np.asarray(image) / 255], columns=[f"speaks for the {label}" for label in where], limit="99.5%", side=1.9,
        label="share of the logit",
    )  # fmt: skip
    picture = args.picture or args.out / "natural_image.png"
    figure.savefig(picture, dpi=140, pil_kwargs={"optimize": True})
    print(f"\nwritten: {path}, image.png, labels.txt, {picture}")


if __name__ == "__main__":
    main()
