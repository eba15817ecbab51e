"""Every layer, with vectors that tell its conventions apart: geometry, padding, ties, statistics, routing."""

from collections.abc import Callable, Iterator
from typing import Any

from lrp_conform.making.recipes.common import (
    Draw,
    Recipe,
    Search,
    Spec,
    exact_recipe,
    integers,
    node,
    outputs,
    signed,
    spec,
    stab,
)

Make = Callable[[Draw], tuple[Spec, dict[str, Spec]]]
PASS = spec("pass")


def _x(draw: Draw, *shape: int, **limits: Any) -> dict[str, Spec]:
    return {"x": draw.tensor(*shape, **{"zeros": False, **limits})}


def _several(group: str, makes: dict[str, Make], entries: list[Spec], want: str = "float16") -> Iterator[Search]:
    """Every geometry under every rule entry."""
    for name, make in makes.items():
        for entry in entries:
            words = [entry["rule"], entry["bias"], entry["stabilizer"]["kind"]]
            slug = f"{group}.{name}.{'-'.join(words).replace('_', '-')}"
            yield exact_recipe(slug, make, entry, want=want, tries=400)


def _routed(group: str, name: str, layer: Spec, inputs: dict[str, Spec], rule: Spec = PASS, **extra: Any) -> Recipe:
    """A layer that moves values: any relevance is exact."""
    y = outputs(layer, inputs)
    draw = Draw(f"{group}.{name}/relevance")
    relevance = draw.tensor(*y.shape, low=-9, high=9, zeros=False)
    return Recipe(f"{group}.{name}", layer, rule, {**inputs, "relevance": relevance}, **extra)


def conv() -> Iterator[Search]:
    """Geometries that the rule vectors do not reach, each under three rules."""

    def make(channels: tuple[int, int], size: tuple[int, ...], kernel: tuple[int, ...], **attrs: Any) -> Make:
        c, o = channels
        usual = {"stride": [1] * len(size), "padding": [[0, 0]] * len(size), "dilation": [1] * len(size), "groups": 1}
        whole = {**usual, **attrs}

        def draw_it(draw: Draw) -> tuple[Spec, dict[str, Spec]]:
            params = {"weight": draw.tensor(o, c // whole["groups"], *kernel, zeros=False), "bias": draw.tensor(o, zeros=False)}
            return node("conv", params, **whole), _x(draw, 1, c, *size)

        return draw_it

    makes = {
        "stride-3": make((1, 2), (7,), (2,), stride=[3]),
        "dilation-2": make((2, 1), (5,), (3,), dilation=[2]),
        "dilated-and-strided": make((1, 1), (6, 4), (2, 2), stride=[2, 1], dilation=[2, 1], padding=[[1, 1], [0, 0]]),
        "asymmetric-padding": make((1, 2), (3, 3), (2, 2), padding=[[1, 0], [0, 1]]),
        "padding-wider-at-the-end": make((2, 2), (4,), (3,), padding=[[0, 2]]),
        "depthwise": make((3, 3), (3,), (2,), groups=3),
        "depthwise-multiplier-2": make((2, 4), (3,), (2,), groups=2),
        "grouped": make((4, 2), (3,), (2,), groups=2),
        "pointwise": make((3, 2), (2, 2), (1, 1)),
        "rectangular-kernel": make((1, 2), (3, 4), (3, 2)),
        "three-axes": make((2, 1), (2, 3, 2), (2, 2, 1)),
        "no-output-overlap": make((1, 2), (4, 4), (2, 2), stride=[2, 2]),
    }
    entries = [
        spec("epsilon", epsilon=1),
        spec("alpha-beta", alpha=2, beta=1, stabilizer=signed(1)),
        spec("zero", bias="ignore", stabilizer=signed(1)),
    ]
    yield from _several("conv-geometry", makes, entries)


def conv_transpose() -> Iterator[Search]:
    def make(channels: tuple[int, int], size: tuple[int, ...], kernel: tuple[int, ...], **attrs: Any) -> Make:
        c, o = channels
        n = len(size)
        usual = {"stride": [1] * n, "padding": [[0, 0]] * n, "dilation": [1] * n, "groups": 1, "output_padding": [0] * n}
        whole = {**usual, **attrs}

        def draw_it(draw: Draw) -> tuple[Spec, dict[str, Spec]]:
            params = {
                "weight": draw.tensor(c, o // whole["groups"], *kernel, zeros=False, low=-2, high=2),
                "bias": draw.tensor(o, zeros=False, low=-2, high=2),
            }
            return node("conv-transpose", params, **whole), _x(draw, 1, c, *size, low=-2, high=2)

        return draw_it

    makes = {
        "plain": make((2, 1), (3,), (2,)),
        "stride-2": make((1, 2), (3,), (3,), stride=[2]),
        "stride-2-padded": make((2, 2), (2, 2), (3, 3), stride=[2, 2], padding=[[1, 1], [1, 1]]),
        "output-padding": make((1, 1), (3,), (3,), stride=[2], padding=[[1, 1]], output_padding=[1]),
        "dilated": make((1, 2), (3,), (2,), dilation=[2]),
        "grouped": make((4, 2), (2,), (2,), groups=2),
        "asymmetric-padding": make((2, 1), (3,), (3,), padding=[[1, 0]]),
        "three-axes": make((1, 1), (2, 1, 2), (2, 1, 2)),
    }
    entries = [
        spec("epsilon", epsilon=1),
        spec("alpha-beta", alpha=2, beta=1, stabilizer=signed(1)),
        spec("flat", stabilizer=signed(1)),
        spec("z-plus", stabilizer=signed(1)),
    ]
    yield from _several("conv-transpose", makes, entries)


def pools() -> Iterator[Search]:
    def make(op: str, channels: int, size: tuple[int, ...], kernel: tuple[int, ...], **attrs: Any) -> Make:
        n = len(size)
        usual: Spec = {"kernel": list(kernel), "stride": list(kernel), "padding": [[0, 0]] * n, "dilation": [1] * n}
        if op == "avg-pool":
            usual["count_include_pad"] = True
        whole = {**usual, **attrs}
        return lambda draw: (node(op, **whole), _x(draw, 2, channels, *size))

    entries = [spec("zero"), spec("norm"), spec("zero", stabilizer=signed(1)), spec("flat")]
    averages = {
        "disjoint": make("avg-pool", 2, (4,), (2,)),
        "overlapping": make("avg-pool", 1, (5,), (4,), stride=[1]),
        "two-axes": make("avg-pool", 1, (4, 4), (2, 2)),
        "padded-counting-padding": make("avg-pool", 1, (3, 3), (2, 2), padding=[[1, 1], [1, 1]]),
        "padded-not-counting-padding": make("avg-pool", 1, (3, 3), (2, 2), padding=[[1, 1], [1, 1]], count_include_pad=False),
        "asymmetric-padding": make("avg-pool", 1, (3,), (2,), stride=[1], padding=[[1, 0]]),
        "three-axes": make("avg-pool", 1, (2, 2, 2), (2, 1, 2)),
    }
    yield from _several("avg-pool", averages, entries, want="float32")
    sums = {
        "disjoint": make("sum-pool", 2, (2, 2), (2, 2)),
        "overlapping": make("sum-pool", 1, (4, 3), (3, 2), stride=[1, 1]),
        "padded": make("sum-pool", 1, (3, 3), (3, 3), stride=[2, 2], padding=[[1, 1], [1, 1]]),
        "dilated": make("sum-pool", 1, (5,), (2,), stride=[1], dilation=[2]),
    }
    yield from _several("sum-pool", sums, entries, want="float32")

    def whole(size: tuple[int, ...]) -> Make:
        return lambda draw: (node("global-avg-pool"), _x(draw, 2, 2, *size))

    yield from _several(
        "global-avg-pool",
        {"one-axis": whole((4,)), "two-axes": whole((2, 2)), "three-axes": whole((2, 1, 2))},
        entries,
        want="float32",
    )


def max_pools() -> Iterator[Recipe]:
    def case(
        name: str,
        size: tuple[int, ...],
        kernel: tuple[int, ...],
        values: list[int] | None = None,
        rule: Spec = PASS,
        **attrs: Any,
    ) -> Recipe:
        n = len(size)
        usual: Spec = {
            "kernel": list(kernel),
            "stride": list(kernel),
            "padding": [[0, 0]] * n,
            "dilation": [1] * n,
            "ties": "first",
            "linearization": "winner",
        }
        draw = Draw(f"max-pool.{name}")
        x = integers((1, 1, *size), values) if values else draw.tensor(1, 1, *size, low=-9, high=9)
        flags = ("ties",) if values and len(set(values)) < len(values) else ()
        return _routed("max-pool", name, node("max-pool", **{**usual, **attrs}), {"x": x}, rule, flags=flags)

    yield case("disjoint", (2, 4), (2, 2))
    yield case("overlapping", (4, 4), (3, 3), stride=[1, 1])
    yield case("padded-all-negative", (3, 3), (2, 2), [-1, -2, -3, -4, -5, -6, -7, -8, -9], padding=[[1, 1], [1, 1]])
    yield case("asymmetric-padding", (4,), (2,), stride=[1], padding=[[1, 0]])
    yield case("dilated", (6,), (2,), stride=[1], dilation=[3])
    yield case("three-axes", (2, 2, 2), (2, 1, 2))
    yield case("one-axis-strided", (7,), (3,), stride=[2])
    tied = [3, 3, 1, 3, 3, 3, 2, 3, 3]
    for word in ("first", "last", "split"):
        yield case(f"ties-{word}", (3, 3), (2, 2), tied, stride=[1, 1], ties=word)
        yield case(f"ties-padded-{word}", (4,), (2,), [0, 0, 5, 5], stride=[1], padding=[[1, 1]], ties=word)
    yield case("average-instead", (2, 4), (2, 2), linearization="average")
    yield case("winner-is-zero", (4,), (2,), [0, -1, -2, 0])


def batch_norms() -> Iterator[Recipe | Search]:
    """gamma, beta, mean and variance all non-trivial; variance + epsilon a square of a power of two."""

    def layer(draw: Draw, word: str = "affine", epsilon: str = "1/64") -> Spec:
        variance = {"1/64": ["255/64", "15/64"], "0": ["4", "1/4"]}[epsilon]
        params = {
            "gamma": draw.tensor(2, zeros=False, low=-2, high=3),
            "beta": draw.tensor(2, zeros=False),
            "mean": draw.tensor(2, zeros=False),
            "variance": integers((2,), variance),
        }
        return node("batch-norm", params, epsilon=epsilon, linearization=word)

    def make(shape: tuple[int, ...], word: str = "affine") -> Make:
        return lambda draw: (layer(draw, word), _x(draw, *shape))

    shapes: dict[str, tuple[int, ...]] = {
        "dense": (3, 2),
        "one-axis": (2, 2, 3),
        "two-axes": (2, 2, 2, 2),
        "three-axes": (1, 2, 2, 1, 2),
    }
    makes = {name: make(shape) for name, shape in shapes.items()}
    entries = [
        spec("zero"),
        spec("zero", stabilizer=signed(1)),
        spec("zero", bias="ignore"),
        spec("alpha-beta", alpha=2, beta=1, stabilizer=signed(1)),
    ]
    yield from _several("batch-norm", makes, entries, want="float32")
    for word in ("centered", "at_mean_zero"):
        seen = {f"seen-{word.replace('_', '-')}": make((3, 2), word)}
        yield from _several("batch-norm", seen, entries[:2], want="float32")
    for word in ("without_epsilon", "variance_squared"):
        draw = Draw(f"batch-norm.seen-{word}")
        params = {
            "gamma": integers((2,), [2, -3]),
            "beta": integers((2,), [1, 2]),
            "mean": integers((2,), [1, -1]),
            "variance": integers((2,), {"without_epsilon": ["1/4", "4"], "variance_squared": ["3", "4"]}[word]),
        }
        epsilon = "0"
        node_ = node("batch-norm", params, epsilon=epsilon, linearization=word)
        if word == "variance_squared":  # y needs sqrt(3): the other channel alone
            node_["params"] = {k: integers((1,), v["data"][1:]) for k, v in params.items()}
        x = {"x": draw.tensor(2, len(node_["params"]["gamma"]["data"]), zeros=False)}
        yield _routed(
            "batch-norm", f"seen-{word.replace('_', '-')}", node_, x, spec("zero", stabilizer=signed(1)), status="extended"
        )
    yield _routed("batch-norm", "pass", layer(Draw("batch-norm.pass")), {"x": Draw("batch-norm.pass").tensor(2, 2, 2)}, PASS)
    at_mean = {
        "gamma": integers((2,), [2, 3]),
        "beta": integers((2,), [3, -1]),
        "mean": integers((2,), [2, -2]),
        "variance": integers((2,), ["255/64", "15/64"]),
    }
    for name, values in (("x-equals-mean", [2, -2, 4, 1]), ("x-equals-mean-in-one", [2, 3, 5, -2])):
        yield Recipe(
            f"batch-norm.{name}",
            node("batch-norm", at_mean, epsilon="1/64", linearization="affine"),
            spec("zero"),
            {
                "x": integers((2, 2), values),
                "relevance": integers((2, 2), [6, -4, 20, 12] if name == "x-equals-mean" else [6, 58, 12, -4]),
            },
            ("x-equals-mean",),
            "At x = mean the output is beta and the rule is x (gamma/sigma) R / y; (y - beta) / (x - mean) is 0/0 there.",
        )


def additions() -> Iterator[Recipe | Search]:
    def sums(*shape: int, count: int = 2) -> Make:
        names = [f"x{k}" for k in range(count)]
        return lambda draw: (
            node("add", inputs=names),
            {name: draw.tensor(*shape, zeros=False, low=-5, high=5) for name in names},
        )

    makes = {"residual": sums(2, 3), "three-inputs": sums(1, 2, 2, count=3), "image": sums(1, 2, 2, 2)}
    entries = [spec("zero"), spec("norm"), spec("zero", stabilizer=signed(1)), spec("abs-z"), spec("flat"), spec("gradient")]
    yield from _several("add", makes, entries)
    pair = node("add", inputs=("x0", "x1"))
    unequal = {"x0": integers((1, 2), [3, 3000]), "x1": integers((1, 2), [-1, -2999]), "relevance": integers((1, 2), [2, 1])}
    yield Recipe(
        "add.cancelling",
        pair,
        spec("zero"),
        unequal,
        ("cancellation", "unequal-summands"),
        "Shares of 3/2 and -1/2; near cancellation 3000 and -2999.",
    )
    yield Recipe(
        "add.shares",
        pair,
        spec("shares", shares=["3/4", "1/4"]),
        {**unequal, "relevance": integers((1, 2), [8, -4])},
        ("unequal-summands",),
        "Fixed shares.",
        status="extended",
    )
    opposite = {"x0": integers((1, 2), [5, 2]), "x1": integers((1, 2), [-5, 2]), "relevance": integers((1, 2), [3, 4])}
    yield Recipe(
        "add.sum-is-zero",
        pair,
        spec("zero"),
        opposite,
        ("zero-denominator",),
        "5 - 5 = 0: the relevance of that output is dropped.",
        status="extended",
    )


def routing() -> Iterator[Recipe]:
    draw = Draw("routing")
    two = {"x0": draw.tensor(2, 1, 2), "x1": draw.tensor(2, 3, 2)}
    yield _routed("concat", "channels", node("concat", inputs=("x0", "x1"), axis=1), two)
    yield _routed(
        "concat",
        "last-axis",
        node("concat", inputs=("x0", "x1", "x2"), axis=2),
        {"x0": draw.tensor(1, 2, 1), "x1": draw.tensor(1, 2, 2), "x2": draw.tensor(1, 2, 3)},
    )
    yield _routed(
        "concat",
        "unequal-magnitudes-zero-rule",
        node("concat", inputs=("x0", "x1"), axis=1),
        {"x0": integers((1, 2), [1, -2]), "x1": integers((1, 1), [300])},
        spec("zero"),
    )
    image = {"x": draw.tensor(2, 2, 2, 3)}
    yield _routed("flatten", "image", node("flatten"), image)
    yield _routed("flatten", "three-axes", node("flatten"), {"x": draw.tensor(1, 2, 2, 1, 2)})
    yield _routed("reshape", "image-to-sequence", node("reshape", shape=[3, 4]), image)
    yield _routed("reshape", "sequence-to-image", node("reshape", shape=[1, 2, 3]), {"x": draw.tensor(2, 6)})
    yield _routed("permute", "channels-last", node("permute", axes=[2, 3, 1]), image)
    yield _routed("permute", "transpose", node("permute", axes=[2, 1]), {"x": draw.tensor(2, 2, 3)})
    yield _routed(
        "pad",
        "zeros",
        node("pad", padding=[[1, 0], [2, 1]], value="0"),
        {"x": draw.tensor(1, 1, 2, 2)},
        comment="Relevance on the padding is dropped.",
    )
    yield _routed("pad", "constant", node("pad", padding=[[1, 1]], value="3"), {"x": draw.tensor(2, 1, 2)})
    yield _routed(
        "pad",
        "constant-zero-rule",
        node("pad", padding=[[1, 1]], value="3"),
        {"x": draw.tensor(1, 1, 3, zeros=False)},
        spec("zero"),
        comment="Under LRP-0 the constant is a bias and absorbs.",
    )
    yield _routed("crop", "image", node("crop", crop=[[1, 0], [0, 2]]), {"x": draw.tensor(1, 2, 3, 4)})
    yield _routed("crop", "sequence", node("crop", crop=[[1, 1]]), {"x": draw.tensor(2, 1, 4)})
    yield _routed("upsample", "image", node("upsample", scale=[2, 2]), {"x": draw.tensor(1, 1, 2, 2)})
    yield _routed("upsample", "uneven", node("upsample", scale=[1, 3]), {"x": draw.tensor(1, 2, 2, 1)})
    yield _routed("upsample", "zero-rule", node("upsample", scale=[2]), {"x": draw.tensor(1, 1, 3, zeros=False)}, spec("zero"))
    table = draw.tensor(5, 3)
    for word in ("sum", "keep"):
        layer = node("embedding", {"weight": table}, reduce=word)
        yield _routed(
            "embedding",
            word,
            layer,
            {"x": integers((2, 3), [4, 0, 2, 1, 1, 3])},
            status="core" if word == "sum" else "extended",
        )
    values = {"x": integers((2, 4), [-3, -1, 0, 2, 5, -2, 1, 0])}
    for function in ("relu", "leaky-relu"):
        slope: dict[str, Any] = {"slope": "1/4"} if function == "leaky-relu" else {}
        for word, rule in (("identity", PASS), ("gradient", spec("gradient")), ("ratio", spec("zero"))):
            layer = node("activation", function=function, linearization=word, **slope)
            yield _routed(
                "activation", f"{function}-{word}", layer, values, rule, status="core" if word == "identity" else "extended"
            )


def stabilizers() -> Iterator[Recipe]:
    """Every stabiliser, with outputs of both signs, exact zeros, and z = -epsilon where it is not a pole."""
    layer = node(
        "dense", {"weight": integers((4, 3), [1, 2, -1, -2, 1, -1, 1, -1, 1, 3, 1, 0]), "bias": integers((4,), [1, -1, 0, -2])}
    )
    x = integers((2, 3), [1, 2, 1, 2, 1, -1])
    for kind, epsilon in (
        ("signed_add", "1/2"),
        ("unsigned_add", "1/2"),
        ("replace_zero", "1/2"),
        ("zero_to_eps_then_signed", "1/2"),
        ("clip", "4"),
        ("drop", "0"),
        ("drop", "1/2"),
        ("abs_share", "1/2"),
    ):
        suffix = "-no-epsilon" if epsilon == "0" else ""
        relevance = integers((2, 4), [9, -7, 5, 3, 4, 10, -6, 8])
        yield Recipe(
            f"stabilizer.{kind.replace('_', '-')}{suffix}",
            layer,
            spec("zero", stabilizer=stab(kind, epsilon)),
            {"x": x, "relevance": relevance},
            ("stabilizer-kind", "zero-denominator"),
            status="extended",
        )
    for sign in (0, -1):
        name = "zero" if sign == 0 else "minus"
        yield Recipe(
            f"stabilizer.sign-at-zero-{name}",
            layer,
            spec("zero", stabilizer=stab("signed_add", "1/2", sign)),
            {"x": x, "relevance": integers((2, 4), [9, -7, 5, 3, 4, 10, -6, 8])},
            ("sign-at-zero",),
            status="extended",
        )
    yield Recipe(
        "stabilizer.rms-scaled",
        node("dense", {"weight": integers((2, 2), [1, 2, 1, 0]), "bias": integers((2,), [0, 0])}),
        spec("zero", stabilizer=stab("rms_scaled", "1/4")),
        {"x": integers((1, 2), [1, 3]), "relevance": integers((1, 2), [33, -9])},
        ("stabilizer-kind",),
        "z = (7, 1): the root of the mean square is 5, so epsilon adds 5/4.",
        status="extended",
    )
    yield Recipe(
        "stabilizer.std-scaled",
        node("dense", {"weight": integers((2, 2), [1, 2, 1, 0]), "bias": integers((2,), [0, 0])}),
        spec("zero", stabilizer=stab("std_scaled", "1/4")),
        {"x": integers((1, 2), [1, 3]), "relevance": integers((1, 2), [31, -7])},
        ("stabilizer-kind",),
        "z = (7, 1): the standard deviation is 3, so epsilon adds 3/4.",
        status="extended",
    )


def conventions() -> Iterator[Recipe]:
    """The conventions of rules.md section 4 that the rule vectors leave at their default."""
    layer = node("dense", {"weight": integers((3, 3), [1, -2, 3, -2, 1, -1, -1, 1, 2]), "bias": integers((3,), [1, -2, -1])})
    inputs = {"x": integers((2, 3), [2, 1, 3, -1, 2, 1]), "relevance": integers((2, 3), [12, -10, 6, 9, 5, -8])}
    entries = {
        "alpha-beta-half": spec("alpha-beta", alpha=2, beta=1, split="half", stabilizer=signed(1)),
        "alpha-beta-weight": spec("alpha-beta", alpha=2, beta=1, split="weight", stabilizer=signed(1)),
        "alpha-beta-rescaled": spec("alpha-beta", alpha=2, beta=1, empty_half="rescale", bias="ignore"),
        "alpha-plus-beta": spec("alpha-beta", alpha="1/2", beta="1/2", parameterization="sum", stabilizer=signed(1)),
        "alpha-beta-full-bias": spec("alpha-beta", alpha=2, beta=1, bias="full_in_both", stabilizer=signed(1)),
        "alpha1-beta0-weight-full-bias": spec(
            "alpha-beta", alpha=1, beta=0, split="weight", bias="full_in_both", stabilizer=signed(1)
        ),
        "bias-redistributed": spec("zero", bias="redistribute"),
        "bias-redistributed-epsilon": spec("epsilon", epsilon="1/2", bias="redistribute"),
        "bias-share": spec("zero", bias="share"),
        "bias-share-alpha-beta": spec("alpha-beta", alpha=2, beta=1, bias="share", stabilizer=signed(1)),
        "gamma-squared": spec("gamma", gamma="1/2", kind="squared", stabilizer=signed(1)),
        "gamma-raw-bias": spec("gamma", gamma="1/2", bias="raw", stabilizer=signed(1)),
        "alpha-beta-x-beta1-for-alpha1": spec(
            "alpha-beta-x", alpha0=1, alpha1=1, beta0=0, beta1="1/2", alpha1_from="beta1", stabilizer=signed(1)
        ),
        "z-box-data-bounds": spec("z-box", low="min", high="max", stabilizer=signed(1)),
    }
    for name, entry in entries.items():
        yield Recipe(f"convention.{name}", layer, entry, inputs, ("convention",), status="extended")
    zero = node("dense", {"weight": integers((2, 2), [1, -1, 2, 1]), "bias": integers((2,), [0, 1])})
    at_zero = {"x": integers((1, 2), [2, 2]), "relevance": integers((1, 2), [6, 14])}
    for word in ("drop", "positive", "negative"):
        yield Recipe(
            f"convention.generalized-gamma-at-zero-{word}",
            zero,
            spec("generalized-gamma", gamma=1, at_zero=word, stabilizer=signed(1)),
            at_zero,
            ("zero-output",),
            status="core" if word == "drop" else "extended",
        )
    pulled = node("dense", {"weight": integers((1, 2), [2, -1]), "bias": integers((1,), [-3])})
    for word in ("biased", "unbiased"):
        entry = spec("generalized-gamma", gamma=1, branch=word, stabilizer=signed(1))
        data = {"x": integers((1, 2), [2, 3]), "relevance": integers((1, 1), [36])}
        yield Recipe(
            f"convention.generalized-gamma-branch-{word}",
            pulled,
            entry,
            data,
            ("convention",),
            "The contributions sum to 1, the bias makes z = -2.",
            status="core" if word == "biased" else "extended",
        )
    padded = node(
        "conv",
        {"weight": integers((1, 1, 3), [1, -2, 3]), "bias": integers((1,), [1])},
        stride=[1],
        padding=[[1, 1]],
        dilation=[1],
        groups=1,
    )
    row = {"x": integers((1, 1, 4), [1, -2, 3, 2]), "relevance": integers((1, 1, 4), [6, 12, -6, 18])}
    bounds: dict[str, Any] = {"low": "-3", "high": "4"}
    for rule, given in (("flat", {}), ("w-square", {}), ("z-box", bounds)):
        for word in ("absent", "counted"):
            yield Recipe(
                f"convention.{rule}-padding-{word}",
                padded,
                spec(rule, padding=word, **given),
                row,
                ("padding-taps",),
                "A border output tells whether taps on padding count.",
                status="core" if word == "absent" else "extended",
            )


def recipes() -> dict[str, list[Recipe | Search]]:
    sources: dict[str, Callable[[], Iterator[Recipe | Search]]] = {
        "layers/conv-geometry": conv,
        "layers/conv-transpose": conv_transpose,
        "layers/pools": pools,
        "layers/max-pool": max_pools,
        "batch-norm/batch-norm": batch_norms,
        "layers/add": additions,
        "layers/routing": routing,
        "conventions/stabilizers": stabilizers,
        "conventions/conventions": conventions,
    }
    return {group: list(source()) for group, source in sources.items()}
