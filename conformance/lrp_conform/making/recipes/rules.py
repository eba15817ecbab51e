"""Every rule on dense layers and convolutions: exact data first, then awkward data that only a bound can judge."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from lrp_conform.making.recipes.common import (
    NONE,
    Draw,
    Recipe,
    Search,
    Spec,
    divisible,
    exact_data,
    exact_recipe,
    integers,
    node,
    numbered,
    signed,
    spec,
    stab,
)


class Cycle(NamedTuple):
    """The entries of one rule that its cases cycle through: of exact data, and of awkward data that only a bound can judge."""

    exact: list[Spec]
    generic: list[Spec]


ENTRIES: dict[str, Cycle] = {
    "zero": Cycle(
        [
            spec("zero"),
            spec("zero", bias="ignore"),
            spec("zero", stabilizer=signed(1)),
            spec("zero", bias="ignore", stabilizer=signed(1)),
        ],
        [spec("zero")],
    ),
    "epsilon": Cycle(
        [
            spec("epsilon", epsilon="1"),
            spec("epsilon", epsilon="1/2"),
            spec("epsilon", epsilon="1", bias="ignore"),
            spec("epsilon", epsilon="1/64"),
        ],
        [spec("epsilon", epsilon="1/64"), spec("epsilon", epsilon="1")],
    ),
    "alpha-beta": Cycle(
        [
            spec("alpha-beta", alpha=2, beta=1, stabilizer=signed(1)),
            spec("alpha-beta", alpha=2, beta=1),
            spec("alpha-beta", alpha=1, beta=0, stabilizer=signed(1)),
            spec("alpha-beta", alpha=1, beta=0),
            spec("alpha-beta", alpha=2, beta=1, bias="ignore"),
            spec("alpha-beta", alpha=3, beta=2, stabilizer=signed(1)),
        ],
        [spec("alpha-beta", alpha=2, beta=1, stabilizer=signed("1/64")), spec("alpha-beta", alpha=1, beta=0)],
    ),
    "z-plus": Cycle(
        [
            spec("z-plus"),
            spec("z-plus", stabilizer=signed(1)),
            spec("z-plus", bias="absorb"),
            spec("z-plus", bias="absorb", stabilizer=signed(1)),
        ],
        [spec("z-plus", stabilizer=signed("1/64")), spec("z-plus", bias="absorb")],
    ),
    "z-plus-fast": Cycle(
        [spec("z-plus-fast"), spec("z-plus-fast", stabilizer=signed(1)), spec("z-plus-fast", bias="full_in_both")],
        [spec("z-plus-fast", stabilizer=signed("1/64"))],
    ),
    "gamma": Cycle(
        [
            spec("gamma", gamma="1", stabilizer=signed(1)),
            spec("gamma", gamma="1"),
            spec("gamma", gamma="1/2", stabilizer=signed(1)),
            spec("gamma", gamma="2", bias="ignore"),
            spec("gamma", gamma="1", bias="raw", stabilizer=signed(1)),
        ],
        [spec("gamma", gamma="1/4", stabilizer=signed("1/64"))],
    ),
    "generalized-gamma": Cycle(
        [
            spec("generalized-gamma", gamma="1", stabilizer=signed(1)),
            spec("generalized-gamma", gamma="1"),
            spec("generalized-gamma", gamma="1/2", stabilizer=signed(1)),
            spec("generalized-gamma", gamma="2", bias="ignore", stabilizer=signed(1)),
        ],
        [spec("generalized-gamma", gamma="1/4", stabilizer=signed("1/64"))],
    ),
    "w-square": Cycle(
        [
            spec("w-square"),
            spec("w-square", stabilizer=signed(1)),
            spec("w-square", bias="square"),
            spec("w-square", bias="square", stabilizer=signed(1)),
        ],
        [spec("w-square", stabilizer=signed("1/64")), spec("w-square")],
    ),
    "flat": Cycle(
        [spec("flat"), spec("flat", stabilizer=signed(1)), spec("flat", stabilizer=stab("unsigned_add", "1/2"))],
        [spec("flat"), spec("flat", stabilizer=signed("1/64"))],
    ),
    "z-box": Cycle(
        [
            spec("z-box", low="-3", high="3"),
            spec("z-box", low="-4", high="3", stabilizer=signed(1)),
            spec("z-box", low="-3", high="4", bias="absorb"),
            spec("z-box", low="CHANNEL", high="CHANNEL", stabilizer=signed(1)),
            spec("z-box", low="TENSOR", high="TENSOR"),
        ],
        [spec("z-box", low="-8", high="8", stabilizer=signed("1/64")), spec("z-box", low="-8", high="8")],
    ),
    "alpha-beta-x": Cycle(
        [
            spec("alpha-beta-x", alpha0=1, alpha1=0, beta0=0, beta1=0),
            spec("alpha-beta-x", alpha0=0, alpha1=1, beta0=0, beta1=0),
            spec("alpha-beta-x", alpha0=0, alpha1=0, beta0=1, beta1=0),
            spec("alpha-beta-x", alpha0=0, alpha1=0, beta0=0, beta1=1),
            spec("alpha-beta-x", alpha0=1, alpha1=0, beta0=0, beta1=0, bias="ignore"),
            spec("alpha-beta-x", alpha0=0, alpha1=1, beta0=0, beta1=0, bias="ignore"),
            spec("alpha-beta-x", alpha0=0, alpha1=0, beta0=1, beta1=0, bias="ignore"),
            spec("alpha-beta-x", alpha0=0, alpha1=0, beta0=0, beta1=1, bias="ignore"),
            spec("alpha-beta-x", alpha0=2, alpha1=1, beta0=1, beta1=1, stabilizer=signed(1)),
        ],
        [spec("alpha-beta-x", alpha0=1, alpha1="1/2", beta0="1/4", beta1="1/4", stabilizer=signed("1/64"))],
    ),
    "abs-z": Cycle(
        [spec("abs-z"), spec("abs-z", stabilizer=signed(1)), spec("abs-z", bias="absorb", stabilizer=signed(1))],
        [spec("abs-z", stabilizer=signed("1/64"))],
    ),
    "norm": Cycle(
        [spec("norm"), spec("norm", stabilizer=signed(1))],
        [spec("norm", stabilizer=signed("1/64"))],
    ),
    "gradient": Cycle(
        [spec("gradient")],
        [spec("gradient")],
    ),
}

SHAPES = ((3, 2, 2), (4, 3, 1), (2, 3, 2), (5, 2, 1), (6, 4, 1), (3, 1, 3))  # inputs, outputs, samples
KERNELS: tuple[dict[str, Any], ...] = (
    {"channels": (1, 2), "size": (3,), "kernel": (2,), "stride": [1], "padding": [[1, 1]], "dilation": [1], "groups": 1},
    {
        "channels": (2, 2),
        "size": (3, 3),
        "kernel": (2, 2),
        "stride": [1, 1],
        "padding": [[1, 1], [0, 0]],
        "dilation": [1, 1],
        "groups": 1,
    },
    {"channels": (2, 2), "size": (4,), "kernel": (3,), "stride": [2], "padding": [[1, 1]], "dilation": [1], "groups": 2},
    {
        "channels": (1, 2),
        "size": (4, 3),
        "kernel": (2, 2),
        "stride": [2, 1],
        "padding": [[0, 0], [0, 0]],
        "dilation": [2, 1],
        "groups": 1,
    },
    {
        "channels": (2, 1),
        "size": (3, 2),
        "kernel": (2, 2),
        "stride": [1, 2],
        "padding": [[1, 0], [0, 1]],
        "dilation": [1, 1],
        "groups": 1,
    },
    {
        "channels": (1, 1),
        "size": (2, 2, 2),
        "kernel": (2, 1, 2),
        "stride": [1, 1, 1],
        "padding": [[1, 0], [0, 0], [0, 0]],
        "dilation": [1, 1, 1],
        "groups": 1,
    },
)


def dense(draw: Draw, index: int) -> tuple[Spec, dict[str, Spec]]:
    """A dense layer with biases of both signs, and inputs of both signs."""
    i, o, n = SHAPES[index % len(SHAPES)]
    params = {"weight": draw.tensor(o, i, zeros=index % 3 == 0), "bias": draw.tensor(o, zeros=False)}
    return node("dense", params), {"x": draw.tensor(n, i, zeros=index % 4 == 3)}


def convolution(draw: Draw, index: int, low: int = -2, high: int = 2) -> tuple[Spec, dict[str, Spec]]:
    """A small convolution; the geometries cycle through one to three axes, strides, padding, dilation and groups."""
    k = KERNELS[index % len(KERNELS)]
    c, o = k["channels"]
    params = {
        "weight": draw.tensor(o, c // k["groups"], *k["kernel"], low=low, high=high, zeros=index % 3 == 0),
        "bias": draw.tensor(o, low=low, high=high, zeros=False),
    }
    attrs = {name: k[name] for name in ("stride", "padding", "dilation", "groups")}
    return node("conv", params, **attrs), {"x": draw.tensor(1, c, *k["size"], low=low, high=high, zeros=False)}


def bounded(rule: Spec, inputs: dict[str, Spec], draw: Draw) -> Spec:
    """The z-box entry with its per-channel and per-element bounds filled in."""
    shape = inputs["x"]["shape"]
    out = dict(rule)
    for name, sign in (("low", -1), ("high", 1)):
        if rule[name] == "CHANNEL":
            out[name] = [str(sign * draw.integer(3, 4)) for _ in range(shape[1])]
        elif rule[name] == "TENSOR":
            values = [int(v) + sign * draw.integer(1, 2) for v in inputs["x"]["data"]]
            out[name] = integers(shape, values)
    return out


def exact_cases(group: str, make: Any, count: int) -> Iterator[Search]:
    """`count` exact-data cases for every rule."""
    for name, (entries, _) in ENTRIES.items():
        for k in numbered(count if name != "gradient" else 4):
            entry, slug = entries[(k - 1) % len(entries)], f"{group}.{name}.exact-{k:02d}"
            if name != "z-box":
                at = k + (k - 1) // len(SHAPES)
                if name == "alpha-beta" and entry["stabilizer"] == NONE and make is convolution:
                    at = 3  # four taps and no padding: neither half is empty
                yield exact_recipe(slug, lambda draw, at=at: make(draw, at), entry)
            else:
                yield Search(slug, partial(_exact_box, slug, make, entry, k))


def _exact_box(slug: str, make: Any, entry: Spec, k: int) -> Recipe:
    """The bounds depend on the data, so they are drawn with it."""
    layer, inputs = make(Draw(f"{slug}/data"), k)
    for attempt in range(60):
        draw = Draw(f"{slug}/bounds/{attempt}")
        layer, inputs = make(draw, k)
        rule = bounded(entry, inputs, draw)
        if divisible(layer, rule, inputs, draw) is not None:
            fixed = layer, inputs
            try:
                return exact_data(slug, lambda _, fixed=fixed: fixed, rule, tries=1)
            except RuntimeError:
                continue
    raise RuntimeError(f"{slug}: no exact data found")


def generic_cases(count: int = 4) -> Iterator[Recipe]:
    """Awkward data with eleven significant bits, on dense layers and small convolutions."""
    for name, (_, entries) in ENTRIES.items():
        for k in numbered(count):
            draw = Draw(f"dense.{name}.generic-{k:02d}")
            i, o = draw.choice((4, 6)), 3
            layer = node("dense", {"weight": draw.significant(o, i, scale=1), "bias": draw.significant(o, scale=0)})
            inputs = {"x": draw.significant(2, i, scale=1), "relevance": draw.significant(2, o, scale=1)}
            yield Recipe(f"dense.{name}.generic-{k:02d}", layer, entries[(k - 1) % len(entries)], inputs, ("generic",))
        for k in numbered(2):
            draw = Draw(f"conv.{name}.generic-{k:02d}")
            params = {"weight": draw.significant(2, 1, 2, scale=1), "bias": draw.significant(2, scale=0)}
            layer = node("conv", params, stride=[k], padding=[[1, 1]], dilation=[1], groups=1)
            out = 4 if k == 1 else 2
            inputs = {"x": draw.significant(1, 1, 3, scale=1), "relevance": draw.significant(1, 2, out, scale=1)}
            yield Recipe(f"conv.{name}.generic-{k:02d}", layer, entries[(k - 1) % len(entries)], inputs, ("generic",))


def wide_cases() -> Iterator[Recipe]:
    """Doubles with all 53 bits, and a cancellation that makes the denominator ill-conditioned."""
    for name in ("zero", "epsilon", "alpha-beta", "z-plus", "gamma", "z-box"):
        draw = Draw(f"dense.{name}.double")
        layer = node(
            "dense", {"weight": draw.significant(1, 3, bits=53, scale=1), "bias": draw.significant(1, bits=53, scale=0)}
        )
        inputs = {"x": draw.significant(1, 3, bits=53, scale=1), "relevance": draw.significant(1, 1, bits=53)}
        yield Recipe(f"dense.{name}.double", layer, ENTRIES[name].generic[0], inputs, ("generic", "all-bits"))
    for k, tail in enumerate(("1/512", "1/64", "1/8"), start=1):
        layer = node(
            "dense", {"weight": integers((2, 3), ["3", "-2", "1", "1", "2", "-1"]), "bias": integers((2,), ["0", "1"])}
        )
        inputs = {"x": integers((1, 3), ["5/4", "15/8", tail]), "relevance": integers((1, 2), ["3", "-5"])}
        yield Recipe(
            f"dense.epsilon.cancelling-{k}", layer, spec("epsilon", epsilon="1/1024"), inputs, ("generic", "cancellation")
        )


def large_cases() -> Iterator[Search]:
    """Layers large enough for blocked, tiled and fast algorithms: up to 256 elements a tensor."""

    def wide(draw: Draw) -> tuple[Spec, dict[str, Spec]]:
        layer = node("dense", {"weight": draw.tensor(12, 20), "bias": draw.tensor(12, zeros=False)})
        return layer, {"x": draw.tensor(2, 20)}

    def image(
        draw: Draw, channels: int = 4, groups: int = 1, stride: int = 1, dilation: int = 1
    ) -> tuple[Spec, dict[str, Spec]]:
        params = {"weight": draw.tensor(4, channels // groups, 3, 3), "bias": draw.tensor(4, zeros=False)}
        attrs: dict[str, Any] = {
            "stride": [stride] * 2,
            "padding": [[dilation, dilation]] * 2,
            "dilation": [dilation] * 2,
            "groups": groups,
        }
        return node("conv", params, **attrs), {"x": draw.tensor(1, channels, 5, 5, low=-2, high=2)}

    chosen = ("epsilon", "alpha-beta", "z-plus", "z-plus-fast", "gamma", "generalized-gamma", "w-square", "flat", "abs-z")
    entries = {name: {**ENTRIES[name].exact[0], "stabilizer": signed(1)} for name in chosen}
    entries["z-box"] = spec("z-box", low="-3", high="3", stabilizer=signed(1))
    for name, entry in entries.items():
        yield exact_recipe(f"dense.{name}.large", wide, entry, ("large",), want="float32")
        yield exact_recipe(f"conv.{name}.large", image, entry, ("large",), want="float32")
    for name in ("epsilon", "alpha-beta", "z-plus", "flat"):
        yield exact_recipe(f"conv.{name}.large-strided", partial(image, stride=2), entries[name], ("large",), want="float32")
        yield exact_recipe(f"conv.{name}.large-depthwise", partial(image, groups=4), entries[name], ("large",), want="float32")
        yield exact_recipe(f"conv.{name}.large-dilated", partial(image, dilation=2), entries[name], ("large",), want="float32")


def recipes() -> dict[str, list[Recipe | Search]]:
    groups: dict[str, list[Recipe | Search]] = {}
    exact, rounded = (
        [*exact_cases("dense", dense, 24), *exact_cases("conv", convolution, 12)],
        [*generic_cases(), *wide_cases()],
    )
    every: list[Recipe | Search] = [*exact, *rounded, *large_cases()]
    for recipe in every:
        op, rule, _ = recipe.id.split(".")
        groups.setdefault(f"{op}/{rule}", []).append(recipe)
    return groups


__all__ = ["ENTRIES", "NONE", "convolution", "dense", "recipes"]
