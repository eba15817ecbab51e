"""Layers that models from files bring along: local response normalisation, factors and shifts, slices, bounded activations."""

from collections.abc import Iterator
from typing import Any

from lrp_conform.making.recipes.common import Draw, Recipe, Spec, integers, node, outputs, signed, spec

PASS, ZERO, GRADIENT = spec("pass"), spec("zero"), spec("gradient")
BINDER = "arXiv:1604.00825"


def _case(name: str, layer: Spec, x: Spec, rule: Spec = PASS, flags: tuple[str, ...] = (), **extra: Any) -> Recipe:
    """A layer with relevance drawn for it."""
    relevance = Draw(f"{name}/relevance").tensor(*outputs_shape(layer, x), low=-9, high=9, zeros=False)
    return Recipe(name, layer, rule, {"x": x, "relevance": relevance}, flags, **extra)


def outputs_shape(layer: Spec, x: Spec) -> tuple[int, ...]:
    """The shape of the output; all but a slice keep the input's."""
    return tuple(outputs(layer, {"x": x}).shape) if layer["op"] == "slice" else tuple(x["shape"])


def _lrn(word: str = "ratio", size: int = 3, alpha: Any = 3, beta: Any = 1, bias: Any = 1) -> Spec:
    return node("lrn", size=size, alpha=str(alpha), beta=str(beta), bias=str(bias), linearization=word)


def response_norms() -> Iterator[Recipe]:
    yield from _derived_response_norms()
    draw = Draw("lrn")
    image, row = draw.tensor(2, 3, 2, 2), draw.tensor(1, 4, 2)
    epsilon = spec("epsilon", epsilon="1/2")
    words = {"ratio": (PASS, epsilon), "gradient": (GRADIENT, spec("zero", stabilizer=signed("1/8"))), "taylor": (epsilon,)}
    for word, rules in words.items():
        for rule in rules:
            name, status = f"lrn.{word}-{rule['rule']}", "core" if word == "ratio" else "extended"
            yield _case(f"{name}.image", _lrn(word, 3, "1/2", 2, 2), image, rule, status=status)
            yield _case(f"{name}.even-window", _lrn(word, 2), row, rule, ("even-window",), status=status)
            yield _case(f"{name}.wider-than-channels", _lrn(word, 7, 7), row, rule, status=status)
    alone = "The window holds channel c alone: ratio and taylor are one map, and no neighbour receives any."
    yield _case("lrn.taylor-epsilon.window-of-one", _lrn("taylor", 1), row, epsilon, comment=alone, status="extended")
    halves = spec("alpha-beta", alpha=2, beta=1, stabilizer=signed("1/8"))
    about = "Neighbours contribute with the opposite sign: here the negative half is they."
    yield _case("lrn.taylor-alpha-beta", _lrn("taylor"), row, halves, comment=about, references=(BINDER,), status="extended")
    usual = _lrn("ratio", 5, "1/8", "3/4", 1)
    yield _case("lrn.irrational", usual, draw.significant(1, 6, 2, scale=0), epsilon, ("generic", "irrational", "exponential"))
    yield _case("lrn.irrational-pass", usual, draw.significant(1, 6, 1), PASS, ("generic", "irrational", "exponential"))


def _derived_response_norms() -> Iterator[Recipe]:
    """x = (1, 2, 3) in windows of 3 with bias 1 and alpha / size = beta = 1: s = (6, 15, 14), y = (1/6, 2/15, 3/14)."""
    x = integers((1, 3, 1), [1, 2, 3])

    def case(name: str, word: str, rule: Spec, arriving: list[str], hand: list[str], comment: str, **extra: Any) -> Recipe:
        inputs = {"x": x, "relevance": integers((1, 3, 1), arriving)}
        return Recipe(f"lrn.derived-{name}", _lrn(word), rule, inputs, (), comment, hand={"x": hand}, **extra)

    yield case("pass", "ratio", PASS, ["6", "15", "14"], ["6", "15", "14"], "1 / s is a factor of each, and passes.")
    text = "y / (y + 1/2) = (1/4, 4/19, 3/10) of (4, 19, 10)."
    yield case("epsilon", "ratio", spec("epsilon", epsilon="1/2"), ["4", "19", "10"], ["1", "4", "3"], text)
    text = (
        "q = 2 x / s^2 = (1/18, 4/225, 3/98). Rows of the Jacobian times R: (1/6 - 1/18, -1/9, 0) 9, "
        "(-4/225, 1/15 - 8/225, -12/225) 225, (0, -6/98, 1/14 - 9/98) 49: sums of columns 1 - 4, -1 + 7 - 3, -12 - 1."
    )
    slow: Spec = {"status": "extended"}
    yield case("gradient", "gradient", GRADIENT, ["9", "225", "49"], ["-3", "3", "-13"], text, **slow)
    text = "R / y = (9, 225, 49): x times the gradient's answer to that. The rest of y is a bias, and absorbs."
    yield case("tangent-zero", "gradient", ZERO, ["3/2", "30", "21/2"], ["-3", "6", "-39"], text, **slow)
    text = (
        "Own terms x / (1 + x^2) = (1/2, 2/5, 3/10); neighbours -q_c x_k^2: -2/9 from 2 to 1, -4/225 and -4/25 from 1 and "
        "3 to 2, -6/49 from 2 to 3. d = (5/18, 2/9, 87/490), R / d = (18, 9, 490)."
    )
    hand = ["221/25", "-302/5", "3639/25"]
    yield case("taylor", "taylor", ZERO, ["5", "2", "87"], hand, text, references=(BINDER,), **slow)


def scales() -> Iterator[Recipe]:
    def layer(**params: Spec) -> Spec:
        return node("scale", params)

    pair = layer(weight=integers((2,), [3, -1]), bias=integers((2,), [1, 2]))
    inputs = {"x": integers((1, 2), [2, -3]), "relevance": integers((1, 2), [14, 10])}
    text = "z = (6, 3), y = (7, 5): 6/7 of 14 and 3/5 of 10; the shift keeps 2 and 4."
    yield Recipe("scale.derived", pair, ZERO, inputs, (), text, hand={"x": ["12", "6"]})
    draw = Draw("scale")
    image = draw.tensor(2, 2, 2, 3, zeros=False)
    per_channel = {name: draw.tensor(2, 1, 1, zeros=False) for name in ("weight", "bias")}
    layers = {
        "per-channel": layer(**per_channel),
        "factor-alone": layer(weight=per_channel["weight"]),
        "shift-alone": layer(bias=per_channel["bias"]),
        "per-element": layer(weight=draw.tensor(2, 2, 3, zeros=False), bias=draw.tensor(2, 2, 3)),
        "per-column": layer(weight=draw.tensor(1, 1, 3, zeros=False), bias=draw.tensor(1, 2, 1)),
    }
    entries = [
        spec("zero", stabilizer=signed(1)),
        spec("zero", bias="ignore", stabilizer=signed(1)),
        spec("alpha-beta", alpha=2, beta=1, stabilizer=signed(1)),
        PASS,
        GRADIENT,
    ]
    for name, made in layers.items():
        for entry in entries:
            status = "extended" if entry is GRADIENT else "core"
            yield _case(f"scale.{name}.{entry['rule']}-{entry['bias']}", made, image, entry, status=status)


def slices() -> Iterator[Recipe]:
    def layer(axis: int, begin: int, end: int, step: int = 1) -> Spec:
        return node("slice", axis=axis, begin=begin, end=end, step=step)

    draw = Draw("slice")
    image, row = draw.tensor(2, 4, 2, 3, zeros=False), draw.tensor(2, 5, zeros=False)
    lost = "What is cut off receives nothing, and loses nothing: no relevance arrives there."
    yield _case("slice.channels", layer(1, 1, 3), image, comment=lost)
    yield _case("slice.every-other-channel", layer(1, 0, 4, 2), image)
    yield _case("slice.columns", layer(3, 1, 3), image)
    yield _case("slice.one-row", layer(2, 1, 2), image)
    yield _case("slice.step-past-the-end", layer(1, 1, 5, 3), row)
    yield _case("slice.zero-rule", layer(1, 2, 5), row, ZERO)
    yield _case("identity.row", node("identity"), row)
    yield _case("identity.zero-rule", node("identity"), row, spec("zero", stabilizer=signed(1)))
    inference = "Once training is over, nothing is dropped or scaled."
    yield _case("dropout.image", node("dropout", rate="1/2"), image, comment=inference)
    yield _case("softmax.classes", node("softmax", axis=1), row, PASS, ("irrational", "exponential"), status="extended")
    yield _case("softmax.channels", node("softmax", axis=1), image, PASS, ("irrational", "exponential"), status="extended")


def activations() -> Iterator[Recipe]:
    row = integers((2, 4), [-3, -1, 0, 2, 5, -2, 1, 0])
    steep = integers((1, 8), [-6, -3, "-3/2", 0, "3/2", 3, 6, "1/2"])
    image = integers((1, 4, 2), [-3, 2, -1, "1/2", -2, 0, 4, -4])
    slopes = ["1/4", "0", "-2", "1"]
    made: dict[str, tuple[Spec, Spec]] = {
        "clip-both": ({"function": "clip", "low": "-1", "high": "2"}, row),
        "clip-relu6": ({"function": "clip", "low": "0", "high": "6"}, steep),
        "clip-below": ({"function": "clip", "low": "-1"}, row),
        "clip-above": ({"function": "clip", "high": "1"}, row),
        "hard-sigmoid": ({"function": "hard-sigmoid"}, steep),
        "hard-sigmoid-quarter": ({"function": "hard-sigmoid", "slope": "1/4"}, row),
        "slopes-per-channel": ({"function": "leaky-relu", "slope": slopes}, integers((2, 4), [-3, -1, -2, -4, 5, -2, 1, 0])),
        "slopes-per-channel-image": ({"function": "leaky-relu", "slope": slopes}, image),
    }
    for name, (attrs, x) in made.items():
        for word, rule in (("identity", PASS), ("gradient", GRADIENT), ("ratio", ZERO)):
            status = "core" if word == "identity" else "extended"
            yield _case(f"activation.{name}-{word}", node("activation", linearization=word, **attrs), x, rule, status=status)


def recipes() -> dict[str, list[Recipe]]:
    return {
        "layers/lrn": list(response_norms()),
        "layers/scale": list(scales()),
        "layers/slice": list(slices()),
        "layers/activation": list(activations()),
    }
