"""The second oracle against numbers worked out by hand."""

from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import pytest
from examples import sweep
from oracle import explain

Json = dict[str, Any]


def t(shape: list[int], *values: Any) -> Json:
    return {"shape": shape, "data": [str(v) for v in values]}


def ramp(shape: list[int], start: int = 0) -> Json:
    """Values of both signs, zeros among them."""
    return t(shape, *(Fraction((7 * (i + start)) % 11 - 5, 1 + i % 3) for i in range(prod(shape))))


def case(op: str, rule: Json, xs: list[Json], relevance: Json, attrs: Json | None = None, **params: Json) -> Json:
    names = ["x"] if len(xs) == 1 else [f"x{k}" for k in range(len(xs))]
    node = {"name": "layer", "op": op, "inputs": names, "attrs": attrs or {}, "params": params}
    inputs = {**dict(zip(names, xs, strict=True)), "relevance": relevance}
    return {"model": {"nodes": [node]}, "rules": {"layer": rule}, "inputs": inputs}


def numbers(*texts: Any) -> list[Fraction]:
    return [Fraction(str(v)) for v in texts]


def handed_back(one: Json, name: str = "x") -> list[Fraction]:
    assert_ledger(one)
    return explain(one)["relevance"][name]["data"]


def assert_ledger(one: Json) -> None:
    """sum R_in + sum of the three columns = sum R_out, exactly."""
    result = explain(one)
    back = sum(sum(entry["data"]) for entry in result["relevance"].values())
    columns = sum(sum(entry["data"]) for entry in result["ledger"].values())
    assert back + columns == sum(Fraction(v) for v in one["inputs"]["relevance"]["data"])


def v0(**rule: Any) -> Json:
    return case("dense", rule, [t([1, 2], 1, 1)], t([1, 1], -1), weight=t([1, 2], 1, -1), bias=t([1], -1))


SIGNED = {"kind": "signed_add", "epsilon": "1/10", "sign_at_zero": 1}
UNSIGNED = {"kind": "unsigned_add", "epsilon": "1/10", "sign_at_zero": 1}

# V0: contributions z = (1, -1), b = -1, so d = -1 and R = -1.
V0 = [
    # (1, -1) * R/d = (1, -1) * 1
    ({"rule": "zero", "bias": "absorb"}, (1, -1)),
    # positive half: (1, 0) over 1 + b+ = 1, times R = -1; b- plays no part
    ({"rule": "alpha-beta", "alpha": 1, "beta": 0, "bias": "split"}, (-1, 0)),
    ({"rule": "alpha-beta", "alpha": 1, "beta": 0, "bias": "ignore"}, (-1, 0)),
    # 2 * (1, 0) * -1; and -1 * (0, -1)/(-1 - 1) * -1 = (0, 1/2); without b-: (0, -1)/(-1) = (0, 1)
    ({"rule": "alpha-beta", "alpha": 2, "beta": 1, "bias": "split"}, (-2, "1/2")),
    ({"rule": "alpha-beta", "alpha": 2, "beta": 1, "bias": "ignore"}, (-2, 1)),
    # full bias in both halves: the positive denominator is 1 - 1 = 0, so all that is left is the negative half
    ({"rule": "alpha-beta", "alpha": 2, "beta": 1, "bias": "full_in_both"}, (0, "1/2")),
    # alpha + beta = 1: 2 * (1, 0) * -1 and then -1 * (0, -1)/(-2) * -1
    ({"rule": "alpha-beta", "alpha": 2, "beta": -1, "parameterization": "sum", "bias": "split"}, (-2, "1/2")),
    # w^2 = (1, 1): halves of -1; with b^2 = 1 as well: thirds
    ({"rule": "w-square", "bias": "ignore"}, ("-1/2", "-1/2")),
    ({"rule": "w-square", "bias": "square"}, ("-1/3", "-1/3")),
    ({"rule": "flat", "bias": "ignore"}, ("-1/2", "-1/2")),
    # 1 + 2 = 3 and -1 - 2 * (-1) = 1, over 4
    ({"rule": "z-box", "low": "-2", "high": "2", "bias": "ignore"}, ("-3/4", "-1/4")),
    ({"rule": "z-box", "low": ["-2", "-2"], "high": t([1, 2], 2, 2), "bias": "ignore"}, ("-3/4", "-1/4")),
    # (5/4, -1), b = -1: over -3/4, times -1: factor 4/3. Without b: over 1/4: factor -4
    ({"rule": "gamma", "gamma": "1/4", "bias": "absorb"}, ("5/3", "-4/3")),
    ({"rule": "gamma", "gamma": "1/4", "bias": "ignore"}, (-5, 4)),
    # squared with gamma = 1/4 and w = 1 is the same as the original
    ({"rule": "gamma", "gamma": "1/4", "kind": "squared", "bias": "absorb"}, ("5/3", "-4/3")),
    # y < 0: (1, -5/4), b = -5/4: over -3/2, factor 2/3. Without b, same branch: over -1/4, factor 4
    ({"rule": "generalized-gamma", "gamma": "1/4", "bias": "absorb"}, ("2/3", "-5/6")),
    ({"rule": "generalized-gamma", "gamma": "1/4", "branch": "biased", "bias": "ignore"}, (4, -5)),
    # unbiased: z = 0 chooses. Positive: (5/4, -1), b = -1, factor 4/3
    ({"rule": "generalized-gamma", "gamma": "1/4", "branch": "unbiased", "bias": "absorb"}, (0, 0)),
    (
        {"rule": "generalized-gamma", "gamma": "1/4", "branch": "unbiased", "at_zero": "positive", "bias": "absorb"},
        ("5/3", "-4/3"),
    ),
    # zero gives (1, -1) and the bias -1; half of that to each
    ({"rule": "zero", "bias": "redistribute"}, ("1/2", "-3/2")),
    # s = 0: everything belongs to the bias
    ({"rule": "zero", "bias": "share"}, (0, 0)),
    # so nothing is left for flat either: the share is taken of the true contributions
    ({"rule": "flat", "bias": "share"}, (0, 0)),
    # D = -11/10 and -9/10
    ({"rule": "epsilon", "epsilon": "1/10", "bias": "absorb", "stabilizer": SIGNED}, ("10/11", "-10/11")),
    ({"rule": "epsilon", "epsilon": "1/10", "bias": "absorb", "stabilizer": UNSIGNED}, ("10/9", "-10/9")),
    # |1|, |-1|, |b| = 1: thirds of -1
    ({"rule": "abs-z", "bias": "absorb"}, ("-1/3", "-1/3")),
    # z without b sums to 0: dropped
    ({"rule": "norm", "bias": "absorb"}, (0, 0)),
    ({"rule": "gradient", "bias": "absorb"}, (-1, 1)),
    # quadrants: w+x+ = (1, 0) over 1; w-x+ = (0, -1) over -1 - 1; the other two are empty, with bias w-x-: b- = -1
    (
        {"rule": "alpha-beta-x", "alpha0": 2, "alpha1": 3, "beta0": 1, "beta1": 5, "bias": "absorb"},
        (-2, "1/2"),
    ),
]


@pytest.mark.parametrize(("rule", "expected"), V0)
def test_v0(rule: Json, expected: tuple[Any, Any]) -> None:
    assert handed_back(v0(**rule)) == numbers(*expected)
    assert explain(v0(**rule))["y"] == {"shape": [1, 1], "data": [-1]}


def test_v0_without_a_batch_axis() -> None:
    one = case("dense", {"rule": "zero", "bias": "absorb"}, [t([2], 1, 1)], t([1], -1), weight=t([1, 2], 1, -1))
    one["model"]["nodes"][0]["params"]["bias"] = t([1], -1)
    assert handed_back(one) == [1, -1]
    assert explain(one)["y"] == {"shape": [1], "data": [-1]}


def test_v0_ledger() -> None:
    # D = -11/10, unit R/D = 10/11: bias -1 * 10/11, stabilizer (-11/10 + 1) * 10/11 = -1/11
    ledger = explain(v0(rule="epsilon", epsilon="1/10", bias="absorb", stabilizer=SIGNED))["ledger"]
    assert [ledger[key]["data"] for key in ("bias", "stabilizer", "dropped")] == [
        numbers("-10/11"),
        numbers("-1/11"),
        [0],
    ]
    # alpha-beta-x above: f sums to 2 + 3 - 1 - 5 = -1. Parts with a denominator: w+x+ (2), w-x- (D = b- = -1, 3)
    # and w-x+ (-1); w+x- has none. Bias: 3 * R = -3 and -1 * (-1)/(-2) * -1 = 1/2. Dropped: (1 - 4) * -1 = 3.
    rule = {"rule": "alpha-beta-x", "alpha0": 2, "alpha1": 3, "beta0": 1, "beta1": 5, "bias": "absorb"}
    ledger = explain(v0(**rule))["ledger"]
    assert [ledger[key]["data"] for key in ("bias", "stabilizer", "dropped")] == [numbers("-5/2"), [0], [3]]


# d of V0 under `zero` is -1; with `norm` it is 0. What D becomes, for epsilon = 1/2 (0: dropped).
STABILIZED = [
    ("none", 1, "-1", "0"),
    ("signed_add", 1, "-3/2", "1/2"),
    ("signed_add", -1, "-3/2", "-1/2"),
    ("signed_add", 0, "-3/2", "0"),
    ("unsigned_add", 1, "-1/2", "1/2"),
    ("replace_zero", 1, "-1", "1/2"),
    ("zero_to_eps_then_signed", -1, "-3/2", "1/2"),
    ("clip", 1, "-1", "1/2"),
    ("clip", -1, "-1", "-1/2"),
    ("drop", 1, "-1/2", "0"),
    ("rms_scaled", 1, "-3/2", "0"),  # one output: the root mean square is |d|
    ("std_scaled", 1, "-1", "0"),  # one output: no deviation
]


@pytest.mark.parametrize(("kind", "sign", "at_minus_one", "at_zero"), STABILIZED)
def test_stabilizers(kind: str, sign: int, at_minus_one: str, at_zero: str) -> None:
    for rule, big_d in (("zero", Fraction(at_minus_one)), ("norm", Fraction(at_zero))):
        stabilizer = {"kind": kind, "epsilon": "1/2", "sign_at_zero": sign}
        expected = [0, 0] if big_d == 0 else [-1 / big_d, 1 / big_d]
        assert handed_back(v0(rule=rule, bias="absorb", stabilizer=stabilizer)) == expected


def test_stabilizer_of_absolute_values() -> None:
    # |1| + |-1| + |b| = 3, + 1/2 = 7/2: each input gets 1/(7/2) * -1
    one = v0(rule="zero", bias="absorb", stabilizer={"kind": "abs_share", "epsilon": "1/2", "sign_at_zero": 1})
    assert handed_back(one) == numbers("-2/7", "-2/7")
    assert explain(one)["ledger"]["stabilizer"]["data"] == numbers("-1/7")


def test_scaled_stabilizers() -> None:
    # Sample 0: d = 1, 7: mean of squares 25, root 5: D = 6, 12. Sample 1: d = 7, 1: the same the other way round.
    # Whole batch: mean 4, deviation 3: D = 1 + 3 and 7 + 3.
    x, weight = t([2, 2], 1, 7, 7, 1), t([2, 2], 1, 0, 0, 1)
    for kind, one, seven in (("rms_scaled", "1/6", "7/12"), ("std_scaled", "1/4", "7/10")):
        rule = {"rule": "zero", "bias": "absorb", "stabilizer": {"kind": kind, "epsilon": "1", "sign_at_zero": 1}}
        back = handed_back(case("dense", rule, [x], t([2, 2], 1, 1, 1, 1), weight=weight))
        assert back == numbers(one, seven, seven, one)


def test_mixed_signs() -> None:
    # z = (2, 6). w+ x = (2, 0).
    for rule, expected in (("z-plus", [2, 6]), ("z-plus-fast", [8, 0])):
        one = case("dense", {"rule": rule, "bias": "ignore"}, [t([1, 2], 1, -2)], t([1, 1], 8), weight=t([1, 2], 2, -3))
        assert handed_back(one) == expected


def test_alpha_beta_splits() -> None:
    # W = (2, 3, -1, -4), x = (1, -1, 2, -1): z = (2, -3, -2, 4), R = 6, alpha 2, beta 1, no bias.
    # joint: 2 * (2, 0, 0, 4)/6 * 6 - (0, 3, 2, 0)/5 * 6
    # half: w+x+ = (2), w-x- = (4), each over itself: 12 and 12; w-x+ = (-2), w+x- = (-3): -6 and -6
    # weight: w+ x = (2, -3) over -1: 2 * (-2, 3) * 6; w- x = (-2, 4) over 2: -(-1, 2) * 6
    for split, expected in (
        ("joint", (4, "-18/5", "-12/5", 8)),
        ("half", (12, -6, -6, 12)),
        ("weight", (-24, 36, 6, -12)),
    ):
        rule = {"rule": "alpha-beta", "alpha": 2, "beta": 1, "split": split, "bias": "ignore"}
        one = case("dense", rule, [t([1, 4], 1, -1, 2, -1)], t([1, 1], 6), weight=t([1, 4], 2, 3, -1, -4))
        assert handed_back(one) == numbers(*expected)


def test_empty_half() -> None:
    # z = (1, 2), nothing negative: kept, alpha = 2 stands alone and creates 1; rescaled, its factor is 1.
    for mode, total in (("keep", 2), ("rescale", 1)):
        rule = {"rule": "alpha-beta", "alpha": 2, "beta": 1, "bias": "ignore", "empty_half": mode}
        one = case("dense", rule, [t([1, 2], 1, 2)], t([1, 1], 1), weight=t([1, 2], 1, 1))
        assert sum(handed_back(one)) == total
        assert explain(one)["ledger"]["dropped"]["data"] == [1 - total]
        # Everything negative: -1 * (1, 2)/3, or the factor 1.
        one = case("dense", rule, [t([1, 2], 1, 2)], t([1, 1], 1), weight=t([1, 2], -1, -1))
        assert sum(handed_back(one)) == (-1 if mode == "keep" else 1)


def test_zero_denominator_is_dropped() -> None:
    one = case("dense", {"rule": "zero"}, [t([1, 2], 1, "-0.0")], t([1, 1], 3), weight=t([1, 2], 0, 5))
    assert handed_back(one) == [0, 0]
    assert explain(one)["ledger"]["dropped"]["data"] == [3]


def test_share() -> None:
    # z = (3), b = -1: |s|/(|s| + |b|) = 3/4 of R = 8 goes to the input, 2 counts as bias.
    one = case("dense", {"rule": "zero", "bias": "share"}, [t([1, 1], 3)], t([1, 1], 8), weight=t([1, 1], 1))
    one["model"]["nodes"][0]["params"]["bias"] = t([1], -1)
    assert handed_back(one) == [6]
    assert explain(one)["ledger"]["bias"]["data"] == [2]


PADDED = {"padding": [[1, 1]], "stride": [1], "dilation": [1], "groups": 1}


def test_flat_on_padding() -> None:
    # n = 4, k = 3, p = 1: two outputs with two taps inside, two with three. Counted: 2 * 2/3 + 2 = 10/3.
    for padding, total in (("absent", "4"), ("counted", "10/3")):
        rule = {"rule": "flat", "bias": "ignore", "padding": padding}
        one = case("conv", rule, [t([1, 1, 4], 1, 2, 3, 4)], t([1, 1, 4], 1, 1, 1, 1), PADDED, weight=t([1, 1, 3], 1, 1, 1))
        assert sum(handed_back(one)) == Fraction(total)
    # absent: x0 gets 1/2 (from y0) + 1/3 (from y1); x1 1/2 + 1/3 + 1/3
    one["rules"]["layer"]["padding"] = "absent"
    assert handed_back(one) == numbers("5/6", "7/6", "7/6", "5/6")


def test_box_on_padding() -> None:
    # One output at x = (1), w = (1, 2, -1), one pad either side, low -1, high 3:
    # numerators: left 0 + 1 = 1, middle 2 + 2 = 4, right 0 - 3 * (-1) = 3. Counted: 4/8.
    # Bounds as tensors of x's shape end where x ends: 4/4.
    for low, high, expected in (("-1", "3", "1/2"), (["-1"], ["3"], "1/2"), (t([1, 1, 1], -1), t([1, 1, 1], 3), "1")):
        rule = {"rule": "z-box", "low": low, "high": high, "bias": "ignore", "padding": "counted"}
        one = case("conv", rule, [t([1, 1, 1], 1)], t([1, 1, 1], 1), PADDED, weight=t([1, 1, 3], 1, 2, -1))
        assert handed_back(one) == numbers(expected)


def y_of(one: Json) -> tuple[list[int], list[Fraction]]:
    y = explain(one)["y"]
    return y["shape"], y["data"]


def test_conv_by_hand() -> None:
    zero = {"rule": "zero", "bias": "absorb"}
    # stride 2, dilation 2, padding (1, 0), x = 1 .. 5, w = (1, 10): places -1, 1 | 1, 3 and no third (3, 5 is outside)
    attrs = {"stride": [2], "dilation": [2], "padding": [[1, 0]], "groups": 1}
    one = case("conv", zero, [t([1, 1, 5], 1, 2, 3, 4, 5)], t([1, 1, 2], 20, 42), attrs, weight=t([1, 1, 2], 1, 10))
    assert y_of(one) == ([1, 1, 2], [20, 42])
    assert handed_back(one) == [0, 22, 0, 40, 0]  # 10 * 2 + 1 * 2; 10 * 4
    # groups 2 with two inputs each: output 0 sees channels 0, 1, output 1 sees 2, 3
    one = case("conv", zero, [t([1, 4, 1], 1, 2, 3, 4)], t([1, 2, 1], 1, 1), {"groups": 2}, weight=t([2, 2, 1], 1, 1, 1, 2))
    one["model"]["nodes"][0]["params"]["bias"] = t([2], 0, 1)
    assert y_of(one) == ([1, 2, 1], [3, 12])
    assert handed_back(one) == numbers("1/3", "2/3", "1/4", "2/3")
    # two axes: 2 x 3 input, 2 x 2 kernel (1, 2 / 3, 4), no flip
    x, weight = t([1, 1, 2, 3], 1, 2, 3, 4, 5, 6), t([1, 1, 2, 2], 1, 2, 3, 4)
    one = case("conv", {"rule": "gradient"}, [x], t([1, 1, 1, 2], 1, 10), weight=weight)
    assert y_of(one) == ([1, 1, 1, 2], [1 + 4 + 12 + 20, 2 + 6 + 15 + 24])
    assert handed_back(one) == [1, 12, 20, 3, 34, 40]


def test_conv_transpose_by_hand() -> None:
    # x = (1, 2), w = (1, 10, 100), stride 2: 1, 10, 100 + 2, 20, 200; padding (1, 0) cuts the first,
    # output_padding 1 adds an empty place
    attrs = {"stride": [2], "padding": [[1, 0]], "output_padding": [1], "dilation": [1], "groups": 1}
    rule, relevance = {"rule": "zero", "bias": "absorb"}, t([1, 1, 5], 10, 102, 20, 200, 7)
    one = case("conv-transpose", rule, [t([1, 1, 2], 1, 2)], relevance, attrs, weight=t([1, 1, 3], 1, 10, 100))
    assert y_of(one) == ([1, 1, 5], [10, 102, 20, 200, 0])
    assert handed_back(one) == [110, 222]
    assert explain(one)["ledger"]["dropped"]["data"] == [0, 0, 0, 0, 7]
    # groups 2: weight (in, out/groups): channel 0 -> outputs 0, 1; channel 1 -> outputs 2, 3
    one = case(
        "conv-transpose",
        rule,
        [t([1, 2, 1], 1, 2)],
        t([1, 4, 1], 1, 2, 3, 4),
        {"groups": 2},
        weight=t([2, 2, 1], 1, 3, 5, 7),
    )
    assert y_of(one) == ([1, 4, 1], [1, 3, 10, 14])
    assert handed_back(one) == [3, 7]


def test_max_pool() -> None:
    # x = (2, 2, 1), kernel 2, stride 1: windows (2, 2) and (2, 1). Winners by ties; x1 always wins the second.
    for ties, expected in (("first", (5, 3, 0)), ("last", (0, 8, 0)), ("split", ("5/2", "11/2", 0))):
        attrs = {"kernel": [2], "stride": [1], "padding": [[0, 0]], "dilation": [1], "ties": ties}
        attrs["linearization"] = "winner"
        one = case("max-pool", {"rule": "pass"}, [t([1, 1, 3], 2, 2, 1)], t([1, 1, 2], 5, 3), attrs)
        assert handed_back(one) == numbers(*expected)
        assert y_of(one)[1] == [2, 2]
    # mean instead: (2, 2)/4 * 5, (2, 1)/3 * 3
    attrs["linearization"] = "average"
    one = case("max-pool", {"rule": "zero"}, [t([1, 1, 3], 2, 2, 1)], t([1, 1, 2], 5, 3), attrs)
    assert handed_back(one) == numbers("5/2", "9/2", 1)
    assert y_of(one)[1] == [2, 2]
    # padding never wins, not even over negative values
    attrs.update(linearization="winner", padding=[[1, 1]])
    one = case("max-pool", {"rule": "pass"}, [t([1, 1, 1], -3)], t([1, 1, 2], 5, 3), attrs)
    assert (handed_back(one), y_of(one)[1]) == ([8], [-3, -3])


def test_average_pool() -> None:
    # x = (2, 4), kernel 2, stride 2, one pad either side: windows (pad, 2) and (4, pad)
    for include, y in ((True, [1, 2]), (False, [2, 4])):
        attrs = {"kernel": [2], "stride": [2], "padding": [[1, 1]], "dilation": [1], "count_include_pad": include}
        one = case("avg-pool", {"rule": "gradient"}, [t([1, 1, 2], 2, 4)], t([1, 1, 2], 6, 8), attrs)
        assert y_of(one)[1] == y
        assert handed_back(one) == ([3, 4] if include else [6, 8])
    one = case("global-avg-pool", {"rule": "zero"}, [t([1, 1, 1, 2], 2, 4)], t([1, 1, 1, 1], 6))
    assert (handed_back(one), y_of(one)) == ([2, 4], ([1, 1, 1, 1], [3]))
    attrs = {"kernel": [2], "stride": [1], "padding": [[0, 0]], "dilation": [1]}
    one = case("sum-pool", {"rule": "zero"}, [t([1, 1, 3], 1, 2, 3)], t([1, 1, 2], 3, 5), attrs)
    assert (handed_back(one), y_of(one)[1]) == ([1, 4, 3], [3, 5])


BATCH_NORM = {"gamma": t([1], 2), "beta": t([1], "3/10"), "mean": t([1], 1), "variance": t([1], 4)}


def test_batch_norm() -> None:
    # variance + epsilon = 4 + 9/4 = (5/2)^2, g = 4/5. x = 2: y = 8/5 + 3/10 - 4/5 = 11/10; x = 1: y = 3/10.
    for mode, expected in (
        # R = y: x g
        ("affine", ("8/5", "4/5")),
        ("at_mean_zero", ("8/5", 0)),
        ("centered", ("4/5", 0)),
        # g = 1, y' = x + 3/10 - 1: R/y' = 11/10 / (13/10), 3/10 / (3/10)
        ("without_epsilon", (Fraction(2) * 11 / 13, 1)),
    ):
        attrs = {"epsilon": "9/4", "linearization": mode}
        rule = {"rule": "zero", "bias": "absorb"}
        one = case("batch-norm", rule, [t([1, 1, 2], 2, 1)], t([1, 1, 2], "11/10", "3/10"), attrs, **BATCH_NORM)
        assert handed_back(one) == numbers(*expected)
        assert y_of(one)[1] == numbers("11/10", "3/10")
    # variance^2 + epsilon = 16 + 9 = 5^2: g = 2/5, bias 3/10 - 1/5 = 1/10. x = 2: 4/5 over 9/10.
    # (variance + epsilon = 13 has no rational root, so no y.)
    attrs = {"epsilon": "9", "linearization": "variance_squared"}
    one = case("batch-norm", {"rule": "zero"}, [t([1, 1], 2)], t([1, 1], 9), attrs, **BATCH_NORM)
    assert (handed_back(one), explain(one)["y"]) == ([8], None)
    with pytest.raises(ValueError, match="root"):
        explain(case("batch-norm", {"rule": "zero"}, [t([1, 1], 2)], t([1, 1], 9), {"epsilon": "9"}, **BATCH_NORM))


def test_joining_layers() -> None:
    one = case("add", {"rule": "zero"}, [t([1, 2], 1, 2), t([1, 2], 3, -1)], t([1, 2], 8, 5))
    assert (handed_back(one, "x0"), handed_back(one, "x1")) == ([2, 10], [6, -5])
    one["rules"]["layer"] = {"rule": "shares", "shares": ["1/4", "3/4"]}
    assert (handed_back(one, "x0"), handed_back(one, "x1")) == (numbers(2, "5/4"), numbers(6, "15/4"))
    xs = [t([2, 1, 2], 1, 2, 3, 4), t([2, 2, 2], 5, 6, 7, 8, 9, 10, 11, 12)]
    one = case("concat", {"rule": "pass"}, xs, t([2, 3, 2], *range(12)), {"axis": 1})
    assert y_of(one) == ([2, 3, 2], [1, 2, 5, 6, 7, 8, 3, 4, 9, 10, 11, 12])
    assert (handed_back(one, "x0"), handed_back(one, "x1")) == ([0, 1, 6, 7], [2, 3, 4, 5, 8, 9, 10, 11])


def test_moving_layers() -> None:
    rule = {"rule": "pass"}
    x = t([1, 2, 3], 1, 2, 3, 4, 5, 6)
    one = case("permute", rule, [x], t([1, 3, 2], 10, 20, 30, 40, 50, 60), {"axes": [2, 1]})
    assert y_of(one) == ([1, 3, 2], [1, 4, 2, 5, 3, 6])
    assert handed_back(one) == [10, 30, 50, 20, 40, 60]
    # three axes turned round: y[a, b, c] = x[c, a, b], so y = x[0, 0, 0], x[1, 0, 0], x[0, 0, 1], x[1, 0, 1]
    one = case("permute", rule, [t([1, 2, 1, 2], 1, 2, 3, 4)], t([1, 1, 2, 2], 5, 6, 7, 8), {"axes": [2, 3, 1]})
    assert y_of(one) == ([1, 1, 2, 2], [1, 3, 2, 4])
    assert handed_back(one) == [5, 7, 6, 8]
    one = case("pad", {"rule": "zero", "bias": "absorb"}, [t([1, 1, 1], 4)], t([1, 1, 3], 1, 2, 3), {"padding": [[2, 0]]})
    assert (handed_back(one), y_of(one)[1]) == ([3], [0, 0, 4])
    assert explain(one)["ledger"]["dropped"]["data"] == [1, 2, 0]
    one["model"]["nodes"][0]["attrs"]["value"] = "1/2"
    assert (handed_back(one), y_of(one)[1]) == ([3], numbers("1/2", "1/2", 4))
    assert explain(one)["ledger"]["bias"]["data"] == [1, 2, 0]
    one = case("crop", rule, [x], t([1, 2, 1], 8, 9), {"crop": [[2, 0]]})
    assert (handed_back(one), y_of(one)[1]) == ([0, 0, 8, 0, 0, 9], [3, 6])
    one = case("upsample", rule, [t([1, 1, 2], 1, 2)], t([1, 1, 4], 1, 2, 3, 4), {"scale": [2]})
    assert (handed_back(one), y_of(one)[1]) == ([3, 7], [1, 1, 2, 2])
    for op, attrs, shape in (("flatten", {}, [1, 6]), ("reshape", {"shape": [3, 2]}, [1, 3, 2])):
        one = case(op, rule, [x], t(shape, *range(6)), attrs)
        assert (handed_back(one), y_of(one)) == ([0, 1, 2, 3, 4, 5], (shape, [1, 2, 3, 4, 5, 6]))


def test_embedding() -> None:
    weight, relevance = t([3, 2], 0, 1, 2, 3, 4, 5), t([1, 2, 2], 1, 2, 3, 4)
    for reduce, shape, expected in (("sum", [1, 2], [3, 7]), ("keep", [1, 2, 2], [1, 2, 3, 4])):
        one = case("embedding", {"rule": "pass"}, [t([1, 2], 2, 0)], relevance, {"reduce": reduce}, weight=weight)
        assert y_of(one) == ([1, 2, 2], [4, 5, 0, 1])
        assert handed_back(one) == expected
        assert explain(one)["relevance"]["x"]["shape"] == shape


def test_activation() -> None:
    x, relevance = t([1, 3], -2, 0, 4), t([1, 3], 5, 6, 7)
    # gradient rule on the three linearisations of leaky relu with slope 1/2
    for mode, expected in (("identity", (5, 6, 7)), ("gradient", ("5/2", 3, 7)), ("ratio", ("5/2", 0, 7))):
        attrs = {"function": "leaky-relu", "slope": "1/2", "linearization": mode}
        one = case("activation", {"rule": "gradient"}, [x], relevance, attrs)
        assert (handed_back(one), y_of(one)[1]) == (numbers(*expected), [-1, 0, 4])
    one = case("activation", {"rule": "pass"}, [x], relevance, {"function": "tanh", "linearization": "identity"})
    assert (handed_back(one), explain(one)["y"]) == ([5, 6, 7], None)
    with pytest.raises(ValueError, match="not rational"):
        explain(case("activation", {"rule": "pass"}, [x], relevance, {"function": "tanh", "linearization": "ratio"}))


def test_numbers() -> None:
    one = case("dense", {"rule": "zero"}, [t([1, 1], "0x1.8p+1")], t([1, 1], "-0x1p-2"), weight=t([1, 1], "17/90"))
    assert explain(one)["relevance"]["x"]["data"] == numbers("-1/4")
    assert y_of(one)[1] == numbers("17/30")
    for bad in ("nan", "inf"):
        with pytest.raises(ValueError, match=f"(?i){bad}"):
            explain(case("dense", {"rule": "zero"}, [t([1, 1], bad)], t([1, 1], 1), weight=t([1, 1], 1)))
    x = {"shape": [1, 1], "file": "a.safetensors", "tensor": "x"}
    with pytest.raises(ValueError, match="large"):
        explain(case("dense", {"rule": "zero"}, [x], t([1, 1], 1), weight=t([1, 1], 1)))


CONV = {"padding": [[1, 0], [1, 1]], "stride": [1, 2], "dilation": [1, 1], "groups": 2}
POOL = {"kernel": [2, 2], "stride": [2, 1], "padding": [[0, 0], [1, 1]], "dilation": [1, 1]}
NORM = {"gamma": ramp([2]), "beta": ramp([2], 3), "mean": ramp([2], 1), "variance": t([2], 3, 8)}
LAYERS = {
    "dense": case("dense", {}, [ramp([2, 3])], ramp([2, 4], 2), weight=ramp([4, 3], 5), bias=ramp([4], 1)),
    "conv": case(
        "conv", {}, [ramp([1, 2, 3, 3])], ramp([1, 2, 3, 2], 4), CONV, weight=ramp([2, 1, 2, 3], 1), bias=ramp([2], 4)
    ),
    "conv-transpose": case(
        "conv-transpose",
        {},
        [ramp([1, 2, 2])],
        ramp([1, 4, 5], 6),
        {"padding": [[1, 0]], "stride": [2], "dilation": [2], "groups": 2, "output_padding": [1]},
        weight=ramp([2, 2, 2], 3),
        bias=ramp([4], 2),
    ),
    "max-pool": case("max-pool", {}, [ramp([1, 1, 2, 3])], ramp([1, 1, 1, 4], 1), POOL),
    "max-pool-mean": case("max-pool", {}, [ramp([1, 1, 2, 3])], ramp([1, 1, 1, 4], 1), POOL | {"linearization": "average"}),
    "batch-norm": case("batch-norm", {}, [ramp([2, 2, 2])], ramp([2, 2, 2], 5), {"epsilon": "1"}, **NORM),
    "pad": case("pad", {}, [ramp([1, 1, 2])], ramp([1, 1, 4], 2), {"padding": [[1, 1]], "value": "-2"}),
}
RULES = [
    {"rule": "zero"},
    *({"rule": "alpha-beta", "alpha": 2, "beta": 1, "split": split} for split in ("joint", "half", "weight")),
    {"rule": "alpha-beta", "alpha": 2, "beta": -1, "parameterization": "sum", "empty_half": "rescale"},
    {"rule": "z-plus"},
    {"rule": "z-plus-fast"},
    {"rule": "gamma", "gamma": "1/3"},
    {"rule": "gamma", "gamma": "1/3", "kind": "squared"},
    {"rule": "generalized-gamma", "gamma": "1/3", "branch": "unbiased", "at_zero": "negative"},
    {"rule": "generalized-gamma", "gamma": "1/3"},
    *({"rule": name, "padding": padding} for name in ("w-square", "flat") for padding in ("absent", "counted")),
    {"rule": "z-box", "low": "-5", "high": "5", "padding": "counted"},
    {"rule": "alpha-beta-x", "alpha0": 2, "alpha1": 1, "beta0": 1, "beta1": "1/2", "alpha1_from": "beta1"},
    {"rule": "abs-z"},
    {"rule": "norm"},
    {"rule": "gradient"},
]
BIASES = ["absorb", "split", "square", "ignore", "raw", "full_in_both", "redistribute", "share"]
KINDS = [
    ("none", 1),
    ("signed_add", 1),
    ("signed_add", 0),
    ("unsigned_add", 1),
    ("replace_zero", 1),
    ("zero_to_eps_then_signed", -1),
    ("clip", 0),
    ("clip", -1),
    ("drop", 1),
    ("abs_share", 1),
]


@pytest.mark.parametrize("layer", LAYERS)
def test_ledger_identity(layer: str) -> None:
    for rule, bias, (kind, sign) in sweep(list(product(RULES, BIASES, KINDS)), 3):  # 3 divides neither number
        stabilizer = {"kind": kind, "epsilon": "1/7", "sign_at_zero": sign}
        settled = {**rule, "bias": bias, "stabilizer": stabilizer}
        assert_ledger({**LAYERS[layer], "rules": {"layer": settled}})
