"""Vectors derived on paper, with the derivation beside them, and the defects that users have reported."""

from collections.abc import Iterator
from typing import Any

from lrp_conform.making.recipes.common import Draw, Recipe, Spec, integers, node, outputs, signed, spec, stab

V0 = node("dense", {"weight": integers((1, 2), [1, -1]), "bias": integers((1,), [-1])})
V0_DATA = {"x": integers((1, 2), [1, 1]), "relevance": integers((1, 1), [-1])}
V0_STORY = "z = (1, -1), sum 0, bias -1, so z = -1; R = -1. "


def _v0(name: str, rule: Spec, answer: tuple[str, str], why: str = "", flags: tuple[str, ...] = ("negative-bias",)) -> Recipe:
    return Recipe(
        f"v0.{name}", V0, rule, V0_DATA, flags, V0_STORY + why, ("doi:10.1371/journal.pone.0130140",), hand={"x": answer}
    )


def v0() -> Iterator[Recipe]:
    both = ("negative-bias", "full-bias-in-both")
    yield _v0("zero", spec("zero"), ("1", "-1"), "Shares 1/-1 and -1/-1 of -1.")
    yield _v0("alpha1-beta0", spec("alpha-beta", alpha=1, beta=0), ("-1", "0"), "Z+ = 1, b+ = 0: all of R to input 0.", both)
    tiny = spec("alpha-beta", alpha=1, beta=0, stabilizer=signed("1/1073741824"))
    yield _v0(
        "alpha1-beta0-tiny-epsilon",
        tiny,
        ("-1073741824/1073741825", "0"),
        "Epsilon 2^-30: where the full bias cancels Z+ to 0, the answer is -2^30.",
        both,
    )
    yield _v0("alpha1-beta0-bias-ignored", spec("alpha-beta", alpha=1, beta=0, bias="ignore"), ("-1", "0"))
    yield _v0(
        "alpha2-beta1",
        spec("alpha-beta", alpha=2, beta=1),
        ("-2", "1/2"),
        "2 R to input 0; Z- + b- = -2, so input 1 gets -(-1/-2) R.",
        both,
    )
    yield _v0(
        "alpha2-beta1-bias-ignored",
        spec("alpha-beta", alpha=2, beta=1, bias="ignore"),
        ("-2", "1"),
        "Z- = -1: all of -R to input 1.",
    )
    yield _v0("z-plus", spec("z-plus"), ("-1", "0"))
    yield _v0("w-square", spec("w-square"), ("-1/2", "-1/2"), "Squares 1 and 1 over 2.", ("squared-bias",))
    yield _v0(
        "w-square-bias-squared", spec("w-square", bias="square"), ("-1/3", "-1/3"), "1 over 1 + 1 + b^2 = 3.", ("squared-bias",)
    )
    yield _v0("flat", spec("flat"), ("-1/2", "-1/2"))
    yield _v0("z-box", spec("z-box", low="-2", high="2"), ("-3/4", "-1/4"), "1 - (1)(-2) = 3 and -1 - (-1)(2) = 1 over 4.")
    yield _v0("gamma", spec("gamma", gamma="1/4"), ("5/3", "-4/3"), "5/4 and -1 over 5/4 - 1 - 1 = -3/4.")
    yield _v0("gamma-bias-ignored", spec("gamma", gamma="1/4", bias="ignore"), ("-5", "4"), "5/4 and -1 over 1/4.")
    yield _v0(
        "generalized-gamma",
        spec("generalized-gamma", gamma="1/4"),
        ("2/3", "-5/6"),
        "z < 0: 1 and -5/4 over 1 - 5/4 - 5/4 = -3/2.",
    )
    yield _v0(
        "generalized-gamma-bias-ignored",
        spec("generalized-gamma", gamma="1/4", bias="ignore"),
        ("4", "-5"),
        "Branch by the biased z: 1 and -5/4 over -1/4.",
    )
    yield _v0("bias-redistributed", spec("zero", bias="redistribute"), ("1/2", "-3/2"), "1 - 1/2 and -1 - 1/2 over -1.")
    yield _v0("bias-share", spec("zero", bias="share"), ("0", "0"), "The contributions sum to 0: the bias keeps everything.")
    yield _v0(
        "epsilon-tenth", spec("epsilon", epsilon="1/10"), ("10/11", "-10/11"), "1 and -1 over -1 - 1/10.", ("stabilizer-kind",)
    )
    yield _v0(
        "epsilon-tenth-unsigned",
        spec("zero", stabilizer=stab("unsigned_add", "1/10")),
        ("10/9", "-10/9"),
        "1 and -1 over -1 + 1/10.",
        ("stabilizer-kind",),
    )


def classics() -> Iterator[Recipe]:
    """Signs, empty halves, zeros, and geometry, small enough to follow with a pencil."""
    mixed = node("dense", {"weight": integers((1, 2), [2, -3]), "bias": integers((1,), [0])})
    signs = {"x": integers((1, 2), [1, -2]), "relevance": integers((1, 1), [8])}
    yield Recipe(
        "classic.mixed-signs-z-plus",
        mixed,
        spec("z-plus"),
        signs,
        ("negative-input",),
        "z+ = (2, 6) over 8.",
        hand={"x": ("2", "6")},
    )
    yield Recipe(
        "classic.mixed-signs-z-plus-fast",
        mixed,
        spec("z-plus-fast"),
        signs,
        ("negative-input",),
        "w+ x = (2, 0) over 2.",
        hand={"x": ("8", "0")},
    )
    yield Recipe(
        "classic.mixed-signs-alpha1-beta0",
        mixed,
        spec("alpha-beta", alpha=1, beta=0, bias="ignore"),
        signs,
        ("negative-input",),
        "As z-plus.",
        hand={"x": ("2", "6")},
    )
    two = {"x": integers((1, 2), [1, 2]), "relevance": integers((1, 1), [3])}
    for name, weights, answer, why in (
        ("no-negative-half", [1, 1], ("2", "4"), "rho = alpha = 2."),
        ("no-positive-half", [-1, -1], ("-1", "-2"), "rho = -beta = -1."),
    ):
        layer = node("dense", {"weight": integers((1, 2), weights), "bias": integers((1,), [0])})
        yield Recipe(
            f"classic.{name}",
            layer,
            spec("alpha-beta", alpha=2, beta=1),
            two,
            ("empty-half",),
            f"Alpha-beta(2, 1): {why}",
            hand={"x": answer},
        )
        yield Recipe(
            f"classic.{name}-stabilized",
            layer,
            spec("alpha-beta", alpha=2, beta=1, stabilizer=signed(1)),
            {**two, "relevance": integers((1, 1), [12])},
            ("empty-half",),
            f"Alpha-beta(2, 1): {why}",
        )
    cancel = node("dense", {"weight": integers((2, 2), [1, -1, 2, 1]), "bias": integers((2,), [0, 1])})
    for zero in ("0", "-0.0"):
        tag = "" if zero == "0" else "-minus"
        data = {"x": integers((1, 2), ["2", "2"]), "relevance": integers((1, 2), [3, 14])}
        layer = cancel
        if zero == "-0.0":  # every product is -0.0 or 0.0, and so is their sum
            layer = node("dense", {"weight": integers((2, 2), [1, 1, 2, 1]), "bias": {"shape": [2], "data": ["-0.0", "1"]}})
            data = {"x": {"shape": [1, 2], "data": ["-0.0", "-0.0"]}, "relevance": integers((1, 2), [3, 14])}
        yield Recipe(
            f"classic.output-is{tag}-zero-epsilon",
            layer,
            spec("epsilon", epsilon="1/2"),
            data,
            ("zero-denominator", "sign-at-zero"),
            "z = 0: D = epsilon sgn(0) = 1/2.",
        )
    yield Recipe(
        "classic.output-is-zero-dropped",
        cancel,
        spec("zero"),
        {"x": integers((1, 2), [2, 2]), "relevance": integers((1, 2), [3, 14])},
        ("zero-denominator",),
        "z = 0 under LRP-0: the relevance is dropped.",
        hand={"x": ("8", "4")},
    )
    for numerator, name in ((-1, "minus-half-epsilon"), (-2, "minus-epsilon"), (-3, "below-minus-epsilon")):
        layer = node("dense", {"weight": integers((1, 2), [1, 1]), "bias": integers((1,), [-1])})
        from fractions import Fraction

        x = {"x": integers((1, 2), [1, Fraction(numerator, 4)]), "relevance": integers((1, 1), [3])}
        yield Recipe(
            f"classic.z-is-{name}",
            layer,
            spec("epsilon", epsilon="1/2"),
            x,
            ("unsigned-stabilizer",),
            "An epsilon added without the sign of z has its pole here, or amplifies.",
        )
    pad = node(
        "conv",
        {"weight": integers((1, 1, 3), [1, 1, 1]), "bias": integers((1,), [0])},
        stride=[1],
        padding=[[1, 1]],
        dilation=[1],
        groups=1,
    )
    row = {"x": integers((1, 1, 4), [1, 2, 3, 4]), "relevance": integers((1, 1, 4), [6, 6, 6, 6])}
    yield Recipe(
        "classic.flat-padded",
        pad,
        spec("flat"),
        row,
        ("padding-taps",),
        "Two taps at the ends, three inside: sum 24.",
        hand={"x": ("5", "7", "7", "5")},
    )
    yield Recipe(
        "classic.flat-padded-counted",
        pad,
        spec("flat", padding="counted"),
        row,
        ("padding-taps",),
        "Three taps everywhere: the ends lose 2 each.",
        status="extended",
        hand={"x": ("4", "6", "6", "4")},
    )
    batch = {"x": integers((2, 2), [1, 2, -3, 1]), "relevance": integers((2, 2), [4, -9, 10, 7])}
    layer = node("dense", {"weight": integers((2, 2), [1, 2, -1, 3]), "bias": integers((2,), [1, -2])})
    for rule in (
        spec("epsilon", epsilon="1"),
        spec("alpha-beta", alpha=2, beta=1, stabilizer=signed(1)),
        spec("w-square", stabilizer=signed(1)),
        spec("flat", stabilizer=signed(1)),
    ):
        yield Recipe(
            f"classic.two-samples-{rule['rule']}",
            layer,
            rule,
            batch,
            ("batch",),
            "Two different samples: neither may see the other.",
        )


BUGS: dict[str, tuple[str, list[str]]] = {
    "full-bias-in-both": (
        "The full bias enters both halves of alpha-beta; there is a pole at b = -Z+.",
        ["https://github.com/albermax/innvestigate/issues/273", "https://github.com/chr5tphr/zennit/issues/107"],
    ),
    "variance-squared": ("Fused batch norm squares the variance and forgets gamma in the bias.", []),
    "alpha1-is-beta1": ("AlphaBetaX multiplies the x- w- quadrant by beta1.", []),
    "one-gradient": (
        "The bounded rule taken as one gradient: neither x nor the bounds multiply.",
        ["https://github.com/albermax/innvestigate/commit/985e8c4"],
    ),
    "w-square-undivided": (
        "w-square seeded with R instead of R / Z.",
        ["https://github.com/albermax/innvestigate/commit/1de4fa7"],
    ),
    "half-denominators": (
        "Each quadrant of alpha-beta has its own denominator.",
        [
            "https://github.com/albermax/innvestigate/issues/42",
            "https://github.com/chr5tphr/zennit/pull/54",
            "https://github.com/chr5tphr/zennit/pull/100",
        ],
    ),
    "negative-bias-twice": (
        "A negative bias counted twice in the negative half.",
        ["https://github.com/chr5tphr/zennit/issues/53"],
    ),
    "first-input-twice": ("A module of two inputs hands the first input's relevance to both.", []),
    "inputs-not-split": ("Alpha1-beta0 clamps the weights only: negative inputs keep their sign.", []),
    "unsigned-epsilon": ("Epsilon added without the sign of z: a pole at z = -epsilon, amplification for every z < 0.", []),
    "gamma-squared": ("w + gamma (w+)^2 instead of w + gamma w+.", []),
    "geometry-ignored": ("The convolution's stride and padding are ignored in the backward pass.", []),
    "sign-of-zero": ("sgn(0) taken as -1 or 0.", []),
    "relevance-twice": ("The negative term multiplied by R twice; R = 1 hides it.", []),
    "empty-half-nan": ("An empty half gives 0/0.", ["https://github.com/sebastian-lapuschkin/lrp_toolbox/issues/19"]),
    "batch-norm-without-epsilon": ("Batch norm fused without epsilon.", []),
    "equal-add": ("A residual sum split equally, whatever the summands.", []),
    "unpool-loses": ("Overlapping windows lose relevance when a pooling is undone by unpooling.", []),
    "batch-coupled": ("A sum over the whole batch couples the samples.", []),
    "gradient-for-batch-norm": ("A plain gradient stands in for the rule.", []),
    "raw-bias-in-gamma": ("The bias is left raw in gamma, or dropped.", []),
    "w-square-bias": ("b^2 stays in the denominator of w-square.", []),
    "flat-bias": ("The flat rule keeps a bias.", ["https://github.com/chr5tphr/zennit/pull/102"]),
    "z-box-bias": ("The bias does not cancel in the box rule.", []),
    "transposed-layout": ("A grouped, strided, transposed convolution attributed through the wrong geometry.", []),
    "ties-split": ("Ties of max pooling split equally.", []),
}


def bugs() -> Iterator[Recipe]:
    """One vector for every publicly reported defect that a single layer can show."""
    dense = node("dense", {"weight": integers((2, 3), [2, -1, 3, -3, 2, 1]), "bias": integers((2,), [-2, 3])})
    data = {"x": integers((2, 3), [1, -2, 2, 3, 1, -1]), "relevance": integers((2, 2), [10, -6, 14, 9])}

    def bug(name: str, layer: Spec, rule: Spec, inputs: dict[str, Spec], **extra: Any) -> Recipe:
        return Recipe(f"bug.{name}", layer, rule, inputs, ("known-bug", name), BUGS[name][0], **extra)

    yield bug("full-bias-in-both", dense, spec("alpha-beta", alpha=2, beta=1), data)
    box = {**data, "x": integers((2, 3), [1, -2, 2, 2, 1, -1])}
    yield bug("one-gradient", dense, spec("z-box", low="-3", high="3"), box)
    yield bug("z-box-bias", dense, spec("z-box", low="-3", high="3", stabilizer=signed(1)), box)
    yield bug("w-square-undivided", dense, spec("w-square"), data)
    yield bug("w-square-bias", dense, spec("w-square", stabilizer=signed(1)), data)
    yield bug("flat-bias", dense, spec("flat", stabilizer=signed(1)), data)
    yield bug("half-denominators", dense, spec("alpha-beta", alpha=2, beta=1, bias="ignore"), data)
    yield bug("negative-bias-twice", dense, spec("alpha-beta", alpha=2, beta=1, stabilizer=signed(1)), data)
    yield bug("alpha1-is-beta1", dense, spec("alpha-beta-x", alpha0=1, alpha1=1, beta0=0, beta1=0), data)
    yield bug("inputs-not-split", dense, spec("z-plus", stabilizer=signed(1)), data)
    yield bug(
        "unsigned-epsilon",
        node("dense", {"weight": integers((1, 2), [1, 1]), "bias": integers((1,), [-1])}),
        spec("epsilon", epsilon="1"),
        {"x": integers((1, 2), [1, -1]), "relevance": integers((1, 1), [4])},
    )
    yield bug("gamma-squared", dense, spec("gamma", gamma="1/2", stabilizer=signed(1)), data)
    yield bug(
        "raw-bias-in-gamma",
        node("dense", {"weight": integers((1, 2), [2, -1]), "bias": integers((1,), [3])}),
        spec("gamma", gamma="1/2", stabilizer=signed(1)),
        {"x": integers((1, 2), [1, 2]), "relevance": integers((1, 1), [26])},
    )
    yield bug(
        "sign-of-zero",
        node("dense", {"weight": integers((1, 2), [1, -2]), "bias": integers((1,), [0])}),
        spec("epsilon", epsilon="1/2"),
        {"x": integers((1, 2), [2, 1]), "relevance": integers((1, 1), [3])},
    )
    yield bug(
        "relevance-twice",
        dense,
        spec("alpha-beta", alpha=2, beta=1, bias="ignore", stabilizer=signed(1)),
        {**data, "relevance": integers((2, 2), [5, -4, 6, 3])},
    )
    yield bug(
        "empty-half-nan",
        node("dense", {"weight": integers((1, 2), [1, 2]), "bias": integers((1,), [1])}),
        spec("alpha-beta", alpha=2, beta=1, stabilizer=signed(1)),
        {"x": integers((1, 2), [2, 1]), "relevance": integers((1, 1), [12])},
    )
    draw = Draw("bug.geometry")
    kernel = {"weight": draw.tensor(2, 1, 2, 2, zeros=False), "bias": draw.tensor(2, zeros=False)}
    strided = node("conv", kernel, stride=[2, 1], padding=[[0, 1], [0, 1]], dilation=[1, 1], groups=1)
    image = {"x": draw.tensor(1, 1, 3, 2, zeros=False)}
    y = outputs(strided, image)
    yield bug(
        "geometry-ignored",
        strided,
        spec("epsilon", epsilon="1"),
        {**image, "relevance": draw.tensor(*y.shape, zeros=False, low=-9, high=9)},
    )
    transposed = node(
        "conv-transpose",
        {"weight": draw.tensor(2, 1, 2, zeros=False), "bias": draw.tensor(2, zeros=False)},
        stride=[2],
        padding=[[1, 0]],
        dilation=[1],
        groups=2,
        output_padding=[1],
    )
    row = {"x": draw.tensor(1, 2, 2, zeros=False)}
    y = outputs(transposed, row)
    yield bug(
        "transposed-layout",
        transposed,
        spec("epsilon", epsilon="1"),
        {**row, "relevance": draw.tensor(*y.shape, zeros=False, low=-9, high=9)},
    )
    norm = {
        "gamma": integers((1,), [2]),
        "beta": integers((1,), [3]),
        "mean": integers((1,), [1]),
        "variance": integers((1,), ["15/4"]),
    }
    for name in ("variance-squared", "batch-norm-without-epsilon", "gradient-for-batch-norm"):
        yield bug(
            name,
            node("batch-norm", norm, epsilon="1/4", linearization="affine"),
            spec("zero"),
            {"x": integers((2, 1), [3, -4]), "relevance": integers((2, 1), [10, 6])},
        )
    pair = node("add", inputs=("x0", "x1"))
    sums = {
        "x0": integers((2, 2), [3, 5, 1, 2]),
        "x1": integers((2, 2), [-1, 5, 3, -6]),
        "relevance": integers((2, 2), [4, -3, 8, 12]),
    }
    for name in ("first-input-twice", "equal-add", "batch-coupled"):
        yield bug(name, pair, spec("zero") if name != "batch-coupled" else spec("zero", stabilizer=signed(1)), sums)
    peak = node("max-pool", kernel=[2], stride=[1], padding=[[0, 0]], dilation=[1], ties="first", linearization="winner")
    yield bug(
        "unpool-loses",
        peak,
        spec("pass"),
        {"x": integers((1, 1, 4), [1, 5, 2, 3]), "relevance": integers((1, 1, 3), [3, 4, 7])},
    )
    yield bug("ties-split", peak, spec("pass"), {"x": integers((1, 1, 3), [2, 2, 1]), "relevance": integers((1, 1, 2), [4, 6])})


def patterns() -> Iterator[Recipe]:
    """Listing 10: masked means of x and xy, combined over batches, and the pattern they give."""
    layer = node("dense", {"weight": integers((2, 2), [1, -1, 2, 1]), "bias": integers((2,), [1, -2])})
    rows = [2, 1, -1, 1, 3, -2, -2, -1, 1, 3, 0, -1, -3, 2, 4, 1]
    for mask in ("all", "positive", "negative"):
        for batches in (1, 2, 4):
            rule = {"rule": "pattern", "mask": mask, "batches": batches}
            yield Recipe(
                f"pattern.{mask}-{batches}-batches",
                layer,
                rule,
                {"x": integers((8, 2), rows)},
                ("pattern",),
                "sum_i w_ji a_ij = 1 wherever v_j is not 0.",
            )
    empty = {"x": integers((4, 2), [1, 0, 2, 1, 3, 1, 2, 0])}
    for mask in ("positive", "negative"):
        yield Recipe(
            f"pattern.{mask}-empty-mask",
            layer,
            {"rule": "pattern", "mask": mask, "batches": 2},
            empty,
            ("pattern", "empty-mask"),
            "An empty mask divides by 1, not by an epsilon.",
        )


def recipes() -> dict[str, list[Recipe]]:
    sources = {"vectors/v0": v0, "vectors/classics": classics, "vectors/known-bugs": bugs, "patterns/patterns": patterns}
    return {group: list(source()) for group, source in sources.items()}
