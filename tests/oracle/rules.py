"""Every rule, bias mode and stabilizer as scalar formulas over the taps of one output."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from .tensors import ONE, ZERO, Json, Layer, Output, Tap, exact_sqrt, number, tensor

BIAS_IGNORED_BY_DEFAULT = ("z-plus", "z-plus-fast", "w-square", "flat", "z-box")
PASS_REFUSES = ("dense", "conv", "avg-pool", "sum-pool", "add")


def pos(a: Fraction) -> Fraction:
    return a if a > 0 else ZERO


def neg(a: Fraction) -> Fraction:
    return a if a < 0 else ZERO


class Part(NamedTuple):
    n: Callable[[Tap], Fraction]
    c: Callable[[Fraction], Fraction]
    f: Fraction = ONE
    serves: Callable[[Output], bool] = lambda out: True
    half: str = ""  # "positive" or "negative" in alpha-beta


def bounds(value: Any, layer: Layer) -> Callable[[Tap], Fraction]:
    """A z-box bound as a function of the tap: a number, one per channel, or a tensor of x's shape."""
    if isinstance(value, list):
        per_channel = [number(v) for v in value]
        return lambda t: per_channel[t.channel]
    if isinstance(value, dict):
        whole = tensor(value)
        shape = layer.relevance_shapes[layer.inputs[0]]
        if whole.shape not in (shape, shape[1:]):
            raise ValueError("a bound must have x's shape")
        return lambda t: ZERO if t.input is None else whole.data[t.index % len(whole.data)]
    fixed = number(value)
    return lambda t: fixed


def alpha_beta(rule: Json) -> list[Part]:
    alpha, beta = number(rule["alpha"]), number(rule["beta"])
    down = {"difference": -beta, "sum": beta}[rule.get("parameterization", "difference")]
    split = rule.get("split", "joint")
    if split == "joint":
        return [
            Part(lambda t: pos(t.w * t.x), pos, alpha, half="positive"),
            Part(lambda t: neg(t.w * t.x), neg, down, half="negative"),
        ]
    if split == "half":
        return [
            Part(lambda t: pos(t.w) * pos(t.x), pos, alpha, half="positive"),
            Part(lambda t: neg(t.w) * neg(t.x), neg, alpha, half="positive"),
            Part(lambda t: neg(t.w) * pos(t.x), neg, down, half="negative"),
            Part(lambda t: pos(t.w) * neg(t.x), pos, down, half="negative"),
        ]
    if split == "weight":
        return [
            Part(lambda t: pos(t.w) * t.x, pos, alpha, half="positive"),
            Part(lambda t: neg(t.w) * t.x, neg, down, half="negative"),
        ]
    raise ValueError(f"unknown split {split}")


def generalized_gamma(rule: Json) -> list[Part]:
    gamma = number(rule["gamma"])
    biased = {"biased": True, "unbiased": False}[rule.get("branch", "biased")]
    at_zero = {"drop": 0, "positive": 1, "negative": -1}[rule.get("at_zero", "drop")]

    def branch(out: Output) -> int:
        z = out.y if biased else sum((t.w * t.x for t in out.taps), ZERO)
        if z is None:
            raise ValueError("the branch depends on an output that is not rational")
        return 1 if z > 0 else -1 if z < 0 else at_zero

    return [
        Part(
            lambda t: t.w * t.x + gamma * pos(t.w * t.x),
            lambda b: b + gamma * pos(b),
            serves=lambda out: branch(out) == 1,
        ),
        Part(
            lambda t: t.w * t.x + gamma * neg(t.w * t.x),
            lambda b: b + gamma * neg(b),
            serves=lambda out: branch(out) == -1,
        ),
    ]


def parts_of(rule: Json, layer: Layer) -> list[Part]:
    """The table of rules, natural bias included."""
    name = rule["rule"]
    if name in ("zero", "epsilon"):
        return [Part(lambda t: t.w * t.x, lambda b: b)]
    if name == "alpha-beta":
        return alpha_beta(rule)
    if name == "z-plus":
        return [Part(lambda t: pos(t.w * t.x), pos)]
    if name == "z-plus-fast":
        return [Part(lambda t: pos(t.w) * t.x, pos)]
    if name == "gamma":
        gamma, power = number(rule["gamma"]), {"original": 1, "squared": 2}[rule.get("kind", "original")]
        return [Part(lambda t: (t.w + gamma * pos(t.w) ** power) * t.x, lambda b: b + gamma * pos(b) ** power)]
    if name == "generalized-gamma":
        return generalized_gamma(rule)
    if name == "w-square":
        return [Part(lambda t: t.w * t.w, lambda b: b * b)]
    if name == "flat":
        return [Part(lambda t: ONE, lambda b: ZERO)]
    if name == "z-box":
        low, high = bounds(rule["low"], layer), bounds(rule["high"], layer)
        return [Part(lambda t: t.w * t.x - low(t) * pos(t.w) - high(t) * neg(t.w), lambda b: b - pos(b) - neg(b))]
    if name == "alpha-beta-x":
        alpha0, alpha1, beta0, beta1 = (number(rule[key]) for key in ("alpha0", "alpha1", "beta0", "beta1"))
        alpha1 = {"alpha1": alpha1, "beta1": beta1}[rule.get("alpha1_from", "alpha1")]
        return [
            Part(lambda t: pos(t.w) * pos(t.x), pos, alpha0),
            Part(lambda t: neg(t.w) * neg(t.x), neg, alpha1),
            Part(lambda t: neg(t.w) * pos(t.x), neg, -beta0),
            Part(lambda t: pos(t.w) * neg(t.x), pos, -beta1),
        ]
    if name == "abs-z":
        return [Part(lambda t: abs(t.w * t.x), abs)]
    if name == "norm":
        return [Part(lambda t: t.w * t.x, lambda b: ZERO)]
    if name == "pass":
        mixing = layer.op == "lrn" and any(len(out.taps) > 1 for sample in layer.samples for out in sample)
        if layer.op in PASS_REFUSES or mixing:
            raise ValueError(f"pass is not for {layer.op}")
        return [Part(lambda t: ONE, lambda b: ZERO)]
    if name == "shares":
        share = dict(zip(layer.inputs, (number(p) for p in rule["shares"]), strict=True))
        return [Part(lambda t: share[t.input], lambda b: ZERO)]
    raise ValueError(f"unknown rule {name}")


def with_bias(part: Part, mode: str) -> Part:
    if mode in ("absorb", "split", "redistribute"):
        return part
    if mode in ("ignore", "share"):
        return part._replace(c=lambda b: ZERO)
    if mode == "square":
        return part._replace(c=lambda b: b * b)
    if mode in ("raw", "full_in_both"):
        return part._replace(c=lambda b: b)
    raise ValueError(f"unknown bias mode {mode}")


def stabilize(kind: str, eps: Fraction, at_zero: int, d: Fraction, sample: list[Fraction], batch: list) -> Fraction:
    """From d to D. `sample` holds the part's d of the sample's outputs, `batch` those of all samples."""
    sign = 1 if d > 0 else -1 if d < 0 else at_zero
    if kind == "none":
        return d
    if kind == "signed_add":
        return d + eps * sign
    if kind in ("unsigned_add", "abs_share"):
        return d + eps
    if kind == "replace_zero":
        return d if d != 0 else eps
    if kind == "zero_to_eps_then_signed":
        return eps if d == 0 else d + eps * sign
    if kind == "clip":
        return sign * max(abs(d), eps)
    if kind == "drop":
        return ZERO if d == 0 else d + eps
    if kind == "rms_scaled":
        return d + sign * eps * exact_sqrt(sum(v * v for v in sample) / len(sample))
    if kind == "std_scaled":
        mean = sum(batch) / len(batch)
        return d + sign * eps * exact_sqrt(sum((v - mean) ** 2 for v in batch) / len(batch))
    raise ValueError(f"unknown stabilizer {kind}")


class Terms(NamedTuple):
    """One part at one output: a numerator per tap, per tap on padding, and the bias term."""

    taps: list[Fraction]
    padding: list[Fraction]
    c: Fraction

    @property
    def d(self) -> Fraction:
        return sum(self.taps, ZERO) + sum(self.padding, ZERO) + self.c


def terms_of(part: Part, out: Output, counted: bool, absolute: bool) -> Terms:
    beyond = [part.n(t) for t in out.padding] if counted else []
    taps, c = [part.n(t) for t in out.taps], part.c(out.bias)
    if absolute:
        return Terms([abs(n) for n in taps], [abs(n) for n in beyond], abs(c))
    return Terms(taps, beyond, c)


def factors(parts: list[Part], ds: list[Fraction], rescale: bool) -> list[Fraction]:
    """The factor of each part at one output; an empty half may leave everything to the other one."""
    if not rescale:
        return [part.f for part in parts]
    empty = {
        half: all(d == 0 for part, d in zip(parts, ds, strict=True) if part.half == half) for half in ("positive", "negative")
    }
    other = {"positive": "negative", "negative": "positive"}
    return [ONE if empty[other[part.half]] else part.f for part in parts]
