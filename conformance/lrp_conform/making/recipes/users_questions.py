"""The groups for the questions users ask first: does it conserve, is batch norm right, is the bounded rule right?"""

from collections.abc import Iterator

from lrp_conform.making.recipes.common import Draw, Recipe, Search, exact_recipe, integers, node, signed, spec


def conservation() -> Iterator[Recipe]:
    """Per output: sample k of the batch carries relevance at output k alone, so its total is that output's."""
    rules = (
        spec("zero"),
        spec("epsilon", epsilon="1/64"),
        spec("epsilon", epsilon="1"),
        spec("alpha-beta", alpha=2, beta=1, stabilizer=signed("1/64")),
        spec("alpha-beta", alpha=1, beta=0, stabilizer=signed("1/64")),
        spec("z-plus"),
        spec("z-plus-fast", stabilizer=signed("1/64")),
        spec("gamma", gamma="1/4", stabilizer=signed("1/64")),
        spec("generalized-gamma", gamma="1/4", stabilizer=signed("1/64")),
        spec("w-square"),
        spec("flat"),
        spec("z-box", low="-8", high="8"),
    )
    for index, rule in enumerate(rules):
        name = f"{rule['rule']}-{rule['bias']}-{rule['stabilizer']['kind']}".replace("_", "-") + (
            "-2" if index in (2, 4) else ""
        )
        draw = Draw(f"conservation.{name}")
        layer = node("dense", {"weight": draw.significant(4, 6, scale=1), "bias": draw.significant(4, scale=0)})
        x, values = draw.significant(1, 6, scale=1)["data"], draw.significant(4, scale=1)["data"]
        inputs = {
            "x": integers((4, 6), x * 4),
            "relevance": integers((4, 4), [values[j] if i == j else 0 for i in range(4) for j in range(4)]),
        }
        yield Recipe(f"conservation.dense.{name}", layer, rule, inputs, ("generic", "conservation"))
        draw = Draw(f"conservation.conv.{name}")
        layer = node(
            "conv",
            {"weight": draw.significant(1, 1, 3, scale=1), "bias": draw.significant(1, scale=0)},
            stride=[1],
            padding=[[1, 1]],
            dilation=[1],
            groups=1,
        )
        x, values = draw.significant(1, 3, scale=1)["data"], draw.significant(3, scale=1)["data"]
        inputs = {
            "x": integers((3, 1, 3), x * 3),
            "relevance": integers((3, 1, 3), [values[j] if i == j else 0 for i in range(3) for j in range(3)]),
        }
        yield Recipe(f"conservation.conv.{name}", layer, rule, inputs, ("generic", "conservation"))
    for k, tail in enumerate(("1/8", "1/64", "1/256")):
        # Near cancellation every element's bound is wide; the total hardly moves, and is judged for itself.
        layer = node("dense", {"weight": integers((1, 3), ["3", "-2", "1"]), "bias": integers((1,), ["0"])})
        inputs = {"x": integers((1, 3), ["5/4", "15/8", tail]), "relevance": integers((1, 1), ["11/8"])}
        yield Recipe(
            f"conservation.cancelling-{k + 1}", layer, spec("zero"), inputs, ("generic", "conservation", "cancellation")
        )


def batch_norm() -> Iterator[Recipe]:
    """Batch norm with a root that is irrational: expected values are nearest doubles with a certified radius."""
    for k in range(1, 7):
        draw = Draw(f"batch-norm.irrational-{k}")
        channels = 2
        params = {
            "gamma": draw.significant(channels, scale=0),
            "beta": draw.significant(channels, scale=0),
            "mean": draw.significant(channels, scale=0),
            "variance": integers((channels,), [draw.choice(("3", "5/2", "7/4", "11/8")) for _ in range(channels)]),
        }
        layer = node("batch-norm", params, epsilon="1/1024", linearization="affine")
        rule = spec("zero") if k % 2 else spec("zero", stabilizer=signed("1/64"))
        inputs = {"x": draw.significant(2, channels, 2, scale=1), "relevance": draw.significant(2, channels, 2, scale=1)}
        yield Recipe(f"batch-norm.irrational-{k}", layer, rule, inputs, ("generic", "irrational"))


def bounded() -> Iterator[Search]:
    """The z-box rule: bounds below and above zero, touching x, per channel and per element, with a bias that must cancel."""
    boxes = {
        "symmetric": ("-3", "3"),
        "at-zero": ("0", "4"),
        "tight": ("1", "2"),
        "negative": ("-4", "-1"),
        "per-channel": (["-1", "-2", "0"], ["3", "3", "4"]),
        "touching": ("1", "3"),
        "wide": ("-16", "16"),
    }
    for name, (low, high) in boxes.items():
        for rule in (spec("z-box", low=low, high=high), spec("z-box", low=low, high=high, bias="absorb", stabilizer=signed(1))):

            def make(draw: Draw, name: str = name) -> tuple[dict, dict]:  # type: ignore[type-arg]
                lo, hi = {
                    "at-zero": (0, 4),
                    "tight": (1, 2),
                    "negative": (-4, -1),
                    "touching": (1, 3),
                    "per-channel": (0, 3),
                }.get(name, (-3, 3))
                layer = node("dense", {"weight": draw.tensor(2, 3, zeros=False), "bias": draw.tensor(2, zeros=False)})
                return layer, {"x": draw.tensor(2, 3, low=lo, high=hi)}

            yield exact_recipe(f"bounded.dense.{name}-{rule['bias']}", make, rule, tries=400)
    for name, padding in (("plain", [[0, 0]]), ("padded", [[1, 1]]), ("asymmetric", [[1, 0]])):

        def image(draw: Draw, padding: list[list[int]] = padding) -> tuple[dict, dict]:  # type: ignore[type-arg]
            params = {"weight": draw.tensor(2, 2, 2, zeros=False), "bias": draw.tensor(2, zeros=False)}
            return node("conv", params, stride=[1], padding=padding, dilation=[1], groups=1), {
                "x": draw.tensor(1, 2, 3, low=-1, high=2)
            }

        yield exact_recipe(f"bounded.conv.{name}", image, spec("z-box", low=["-1", "-2"], high=["2", "3"]), tries=400)


def recipes() -> dict[str, list[Recipe | Search]]:
    return {
        "conservation/conservation": list(conservation()),
        "batch-norm/irrational": list(batch_norm()),
        "bounded/bounded": list(bounded()),
    }
