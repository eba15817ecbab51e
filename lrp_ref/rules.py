"""The rules: what input i contributes to output j (n), and what belongs to no input (c).

Every rule is its published formula. W, x and b come in either representation of
`algebra/contributions.py` and in any arithmetic; y is the layer's output. The engine
(`propagation/shares.py`) normalises every row and distributes:

    R_i = sum_k scale_k sum_j n_ji / stab(sum_i n_ji + c_j) R_j

Conventions that are None mean "not given": a dialect may fill them, else the value named first holds.

What else a rule may say of itself, and the answer of one that says nothing:

- `reads_output`, True: `parts` reads y. Where it says False, y need not be formed, and reading it is refused.
- `moves`, False: relevance goes where the value came from, so that the layer must not mix values.
- `stabilizer`, none: the one that belongs to the rule where `propagate` is given none.
- `rescaled(parts)`, unchanged: the parts once the bias mode has had its say.
- `fitted(inputs, shaped)`: the rule in the arithmetic of x; without it, every number is converted.
- `on_padding(x, window, inputs, shaped)`: the same on inputs that hold their padding, if not as on any other.
- `formula`: its parts as "n; c", "n; c; factor" or "n; c; factor; where", for pages and tables; `note` adds words to it, and
  `variants` has the formula under a value of a convention.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple, Protocol

from lrp_ref.arrays import Array, LRPError, Number, absolute, full, neg, number, pos, where
from lrp_ref.boxes import bound, check_box
from lrp_ref.stabilizers import Stabilizer
from lrp_ref.text.printing import brief
from lrp_ref.values import ByValue, fields_of

__all__ = [
    "RULES", "AbsZ", "AlphaBeta", "AlphaBetaX", "Epsilon", "Flat", "Gamma", "GeneralizedGamma", "Gradient", "Norm", "Part",
    "Pass", "Rule", "Shares", "WSquare", "ZBox", "ZPlus", "ZPlusFast", "Zero",
]  # fmt: skip

Shaped = Callable[[tuple[Array, ...]], Any]  # arrays of the inputs' shapes, as a rule's formula has x


class Part(NamedTuple):
    """One normalised sum: contributions n, bias c (shaped as y), a factor, and the outputs it serves."""

    n: Any
    c: Array
    scale: Any = 1
    where: Array | None = None
    over: Any = None  # what a row is divided by, if not its own stabilised sum: an array, or 1
    over_work: Array | None = None  # the magnitudes behind `over`, where it is computed
    work: Array | None = None  # a bound on the magnitudes that forming c may pass through, if not |c|


class Rule(Protocol):
    """What the engine asks of a rule: any object with these three, a dataclass or not. See `docs/extending.md`.

    name: what dialects know it by. bias: the modes it has a meaning for, the first by default. parts: its formula, from the
    weights W and inputs x in either representation, the bias b and the output y, both shaped as the output.

    Optional: `reads_output`, False where the formula has no y, which is formed otherwise. `moves`, True where relevance only
    changes place. `stabilizer`, the rule's own, else none. `fitted(inputs, shaped)`, the rule with its fields as these inputs
    need them, else its numbers are converted. `padding`, and `on_padding(x, window, inputs, shaped)`: the same where padding
    is "counted" as input, else `fitted`. `rescaled(parts)`, factors that depend on the parts' sums, which the bounds of a
    network refuse. `formula`, `variants`, `note`: the parts in words, for the suite's pages; else none are written.
    """

    @property
    def name(self) -> str: ...

    @property
    def bias(self) -> tuple[str, ...]: ...

    def parts(self, W: Any, x: Any, b: Array, y: Array, /) -> list[Part]: ...


RULE = ("name", "bias", "parts(W, x, b, y)")


@dataclass(frozen=True)
class Zero:
    """LRP-0: n = w_ji x_i, c = b_j. A denominator of exactly 0 drops its relevance.

    Bach et al. 2015, doi:10.1371/journal.pone.0130140, eq. 56.
    """

    formula: ClassVar[tuple[str, ...]] = ("z_ji; b_j",)
    name: ClassVar[str] = "zero"
    bias: ClassVar[tuple[str, ...]] = ("absorb", "ignore", "redistribute", "share")
    reads_output: ClassVar[bool] = False

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        return [Part(W * x, b)]


@dataclass(frozen=True)
class Epsilon:
    """LRP-epsilon: n = w_ji x_i, c = b_j, D = d + epsilon sgn(d) with sgn(0) = +1.

    Bach et al. 2015, doi:10.1371/journal.pone.0130140, eq. 58.
    `epsilon` > 0; a stabilizer given to `propagate` replaces it.
    """

    epsilon: Number = 1e-6
    formula: ClassVar[tuple[str, ...]] = ("z_ji; b_j",)
    note: ClassVar[str] = "`epsilon` is repeated in the stabilizer"
    name: ClassVar[str] = "epsilon"
    bias: ClassVar[tuple[str, ...]] = Zero.bias
    reads_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _numbers("Epsilon", epsilon=self.epsilon)
        if not self.epsilon > 0:
            raise LRPError(f"Epsilon: expected epsilon > 0, got {self.epsilon}; use Zero() for none")

    @property
    def stabilizer(self) -> Stabilizer:
        return Stabilizer("signed_add", self.epsilon)

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        return [Part(W * x, b)]


@dataclass(frozen=True)
class AlphaBeta:
    """LRP-alpha-beta: alpha times the shares of the positive contributions, minus beta times the negative ones.

    n = (w x)+, c = b+ and n = (w x)-, c = b-, each over its own sum.

    Bach et al. 2015, doi:10.1371/journal.pone.0130140, eq. 60.

    alpha - beta = 1, alpha >= 1, beta >= 0 (`parameterization="sum"`: alpha + beta = 1 and R = alpha R+ + beta R-).
    `split`: "joint" by the sign of the contribution; "half" gives w+x+ and w-x- denominators of their own;
    "weight" splits by the weight's sign alone. `empty_half`: "keep", or "rescale" to let one half hand on everything.
    """

    alpha: Number = 2
    beta: Number = 1
    split: str | None = None
    empty_half: str | None = None
    parameterization: str | None = None
    formula: ClassVar[tuple[str, ...]] = ("z_ji^+; b_j^+; alpha", "z_ji^-; b_j^-; -beta")
    variants: ClassVar[dict[str, tuple[str, ...]]] = {
        "half": (
            "w_ji^+ x_i^+; b_j^+; alpha",
            "w_ji^- x_i^-; b_j^-; alpha",
            "w_ji^+ x_i^-; b_j^+; -beta",
            "w_ji^- x_i^+; b_j^-; -beta",
        ),
        "weight": ("w_ji^+ x_i; b_j^+; alpha", "w_ji^- x_i; b_j^-; -beta"),
    }
    name: ClassVar[str] = "alpha-beta"
    bias: ClassVar[tuple[str, ...]] = ("split", "ignore", "full_in_both", "share")
    reads_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _numbers("AlphaBeta", alpha=self.alpha, beta=self.beta)
        if self.empty_half == "rescale" and self.split not in (None, "joint"):
            raise LRPError(f"AlphaBeta: empty_half='rescale' belongs to split='joint', got split={self.split!r}; use 'keep'")
        if self.parameterization == "sum":
            if not _close(self.alpha + self.beta, 1):
                raise LRPError(f"AlphaBeta: expected alpha + beta = 1, got alpha={self.alpha}, beta={self.beta}")
        elif not (self.alpha >= 1 and self.beta >= 0 and _close(self.alpha - self.beta, 1)):
            raise LRPError(
                f"AlphaBeta: expected alpha - beta = 1, alpha >= 1, beta >= 0; got alpha={self.alpha}, beta={self.beta}"
            )

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        beta = self.beta if self.parameterization == "sum" else -self.beta
        if self.split == "half":
            return [
                Part(pos(W) * pos(x), pos(b), self.alpha),
                Part(neg(W) * neg(x), neg(b), self.alpha),
                Part(pos(W) * neg(x), pos(b), beta),
                Part(neg(W) * pos(x), neg(b), beta),
            ]
        if self.split == "weight":
            return [Part(pos(W) * x, pos(b), self.alpha), Part(neg(W) * x, neg(b), beta)]
        return [Part(pos(W * x), pos(b), self.alpha), Part(neg(W * x), neg(b), beta)]

    def rescaled(self, parts: list[Part]) -> list[Part]:
        """Where one half is empty, the other hands on everything (`empty_half="rescale"` of the joint split)."""
        if self.empty_half != "rescale":
            return parts
        d = [part.n.rows() + part.c for part in parts]
        one = 0 * (d[0] + d[1]) + 1
        return [
            part._replace(scale=where(other == 0, one, part.scale * one))
            for part, other in zip(parts, reversed(d), strict=True)
        ]


@dataclass(frozen=True)
class ZPlus:
    """z+ rule: n = (w_ji x_i)+, bias ignored; AlphaBeta(1, 0) where the bias is ignored there too.

    For inputs of any sign: (w x)+ = w+ x+ + w- x-.
    Montavon et al. 2017 (deep Taylor), doi:10.1016/j.patcog.2016.11.008.
    """

    formula: ClassVar[tuple[str, ...]] = ("z_ji^+; b_j^+",)
    name: ClassVar[str] = "z-plus"
    bias: ClassVar[tuple[str, ...]] = ("ignore", "absorb", "full_in_both", "share")
    reads_output: ClassVar[bool] = False

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        return [Part(pos(W * x), pos(b))]


@dataclass(frozen=True)
class ZPlusFast:
    """n = w_ji+ x_i, bias ignored: equals ZPlus only where x >= 0.

    Montavon et al. 2017, doi:10.1016/j.patcog.2016.11.008.
    """

    formula: ClassVar[tuple[str, ...]] = ("w_ji^+ x_i; b_j^+",)
    name: ClassVar[str] = "z-plus-fast"
    bias: ClassVar[tuple[str, ...]] = ("ignore", "absorb", "full_in_both")
    reads_output: ClassVar[bool] = False

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        return [Part(pos(W) * x, pos(b))]


@dataclass(frozen=True)
class Gamma:
    """LRP-gamma: n = (w + gamma w+) x, c = b + gamma b+.

    Montavon et al. 2019, doi:10.1007/978-3-030-28954-6_10. gamma >= 0.
    `kind`: "original", or "squared" for w + gamma (w+)^2, a known error.
    """

    gamma: Number = 0.25
    kind: str | None = None
    formula: ClassVar[tuple[str, ...]] = ("(w_ji + gamma w_ji^+) x_i; b_j + gamma b_j^+",)
    variants: ClassVar[dict[str, tuple[str, ...]]] = {"squared": ("(w_ji + gamma (w_ji^+)^2) x_i; b_j + gamma (b_j^+)^2",)}
    name: ClassVar[str] = "gamma"
    bias: ClassVar[tuple[str, ...]] = ("absorb", "raw", "ignore", "redistribute", "share")
    reads_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _nonnegative("Gamma", self.gamma)

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        if self.kind == "squared":
            return [Part((W + self.gamma * (pos(W) * pos(W))) * x, b + self.gamma * (pos(b) * pos(b)))]
        return [Part((W + self.gamma * pos(W)) * x, b + self.gamma * pos(b))]


@dataclass(frozen=True)
class GeneralizedGamma:
    """Generalised gamma, by the sign of the output z_j.

    z_j > 0: n = z_ji + gamma z_ji+, c = b + gamma b+;  z_j < 0: n = z_ji + gamma z_ji-, c = b + gamma b-.

    z_j = 0 drops its relevance. As in zennit's `Gamma` and RelevancePropagation.jl's `GeneralizedGammaRule`. gamma >= 0.
    `branch`: "biased" (z_j with the bias, whatever the bias mode) or "unbiased"; `at_zero`: "drop", "positive", "negative".
    """

    gamma: Number = 0.25
    branch: str | None = None
    at_zero: str | None = None
    formula: ClassVar[tuple[str, ...]] = (
        "z_ji + gamma z_ji^+; b_j + gamma b_j^+; 1; z_j > 0",
        "z_ji + gamma z_ji^-; b_j + gamma b_j^-; 1; z_j < 0",
    )
    note: ClassVar[str] = "z_j is the layer's output"
    name: ClassVar[str] = "generalized-gamma"
    bias: ClassVar[tuple[str, ...]] = ("absorb", "raw", "ignore", "redistribute", "share")
    reads_output: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _nonnegative("GeneralizedGamma", self.gamma)

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        z, g = W * x, self.gamma
        sign = z.rows() if self.branch == "unbiased" else y
        above = sign >= 0 if self.at_zero == "positive" else sign > 0
        below = sign <= 0 if self.at_zero == "negative" else sign < 0
        return [
            Part(z + g * pos(z), b + g * pos(b), where=above),
            Part(z + g * neg(z), b + g * neg(b), where=below),
        ]


@dataclass(frozen=True)
class WSquare:
    """w^2 rule: n = w_ji^2, bias ignored (`bias="square"`: c = b^2).

    Montavon et al. 2017, doi:10.1016/j.patcog.2016.11.008.
    `padding` on convolutions: "absent", or "counted": taps on padding count in the denominator and lose their share.
    """

    padding: str | None = None
    formula: ClassVar[tuple[str, ...]] = ("w_ji^2; b_j^2",)
    name: ClassVar[str] = "w-square"
    bias: ClassVar[tuple[str, ...]] = ("ignore", "square")
    reads_output: ClassVar[bool] = False

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        return [Part((W * W).contributions(), b * b)]


@dataclass(frozen=True)
class Flat:
    """Flat rule: n = 1 on every connection (a zero weight is one, padding is not), no bias.

    Lapuschkin et al. 2019, doi:10.1038/s41467-019-08987-4. `padding` as in `WSquare`.
    """

    padding: str | None = None
    formula: ClassVar[tuple[str, ...]] = ("1; 0",)
    note: ClassVar[str] = "1 stands on every connection"
    name: ClassVar[str] = "flat"
    bias: ClassVar[tuple[str, ...]] = ("ignore",)
    reads_output: ClassVar[bool] = False

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        return [Part(W.connections().contributions(), 0 * b)]


@dataclass(frozen=True, eq=False)
class ZBox(ByValue):
    """z^B rule (bounded): n = w x - w+ low - w- high, c = b - b+ - b- = 0.

    Montavon et al. 2017, doi:10.1016/j.patcog.2016.11.008.
    `low` <= x <= `high`: numbers, one per channel, arrays of x's shape, or "min" and "max" of each sample.
    `padding` as in `WSquare`.
    """

    low: Any = -1
    high: Any = 1
    padding: str | None = None
    formula: ClassVar[tuple[str, ...]] = ("z_ji - low_i w_ji^+ - high_i w_ji^-; b_j - b_j^+ - b_j^- = 0",)
    note: ClassVar[str] = (
        "Bounds: a number, a list per channel, a tensor of x's shape, or `min` and `max` of what relevance sees of the sample"
    )
    name: ClassVar[str] = "z-box"
    bias: ClassVar[tuple[str, ...]] = ("ignore", "absorb")
    reads_output: ClassVar[bool] = False

    def __repr__(self) -> str:
        return f"ZBox({', '.join(f'{f.name}={brief(getattr(self, f.name))}' for f in fields(self))})"

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        return [Part(W * x - pos(W) * self.low - neg(W) * self.high, 0 * b, work=2 * absolute(b))]

    def fitted(self, inputs: tuple[Array, ...], shaped: Shaped) -> "ZBox":
        """Both bounds as arrays of the inputs' shapes; x outside of them is refused."""
        low, high = (tuple(bound(given, x) for x in inputs) for given in (self.low, self.high))
        for x, least, most in zip(inputs, low, high, strict=True):
            check_box(x, least, most)
        return replace(self, low=shaped(low), high=shaped(high))

    def on_padding(self, x: Array, window: Any, inputs: tuple[Array, ...], shaped: Shaped) -> "ZBox":
        """Numbers and bounds per channel reach the padding; arrays, and the extremes of x, are 0 there."""

        def widened(given: Any) -> Any:
            per_element = isinstance(given, str) or (hasattr(given, "shape") and given.ndim > 1)
            return window.pad(bound(given, x)) if per_element else given

        low, high = (tuple(bound(widened(given), wide) for wide in inputs) for given in (self.low, self.high))
        return replace(self, low=shaped(low), high=shaped(high))


@dataclass(frozen=True)
class AlphaBetaX:
    """Four quadrants, each with its own denominator: R = alpha0 pp + alpha1 nn - (beta0 pn + beta1 np).

    n = w+ x+, w- x-, w- x+, w+ x- in this order; c = b+ or b- by the weight's sign.
    As iNNvestigate's `AlphaBetaXRule`. `alpha1_from`: "alpha1", or "beta1" for that library's known error.
    """

    alpha0: Number = 1
    alpha1: Number = 0
    beta0: Number = 0
    beta1: Number = 0
    alpha1_from: str | None = None
    formula: ClassVar[tuple[str, ...]] = (
        "w_ji^+ x_i^+; b_j^+; alpha0",
        "w_ji^- x_i^-; b_j^-; alpha1",
        "w_ji^- x_i^+; b_j^-; -beta0",
        "w_ji^+ x_i^-; b_j^+; -beta1",
    )
    note: ClassVar[str] = "Each with its own denominator"
    name: ClassVar[str] = "alpha-beta-x"
    bias: ClassVar[tuple[str, ...]] = ("split", "ignore", "full_in_both")
    reads_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _numbers("AlphaBetaX", alpha0=self.alpha0, alpha1=self.alpha1, beta0=self.beta0, beta1=self.beta1)

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        return [
            Part(pos(W) * pos(x), pos(b), self.alpha0),
            Part(neg(W) * neg(x), neg(b), self.beta1 if self.alpha1_from == "beta1" else self.alpha1),
            Part(neg(W) * pos(x), neg(b), -self.beta0),
            Part(pos(W) * neg(x), pos(b), -self.beta1),
        ]


@dataclass(frozen=True)
class AbsZ:
    """Shares by magnitude: n = |w_ji x_i|, bias ignored (`bias="absorb"`: c = |b_j|)."""

    formula: ClassVar[tuple[str, ...]] = ("| z_ji |; | b_j |",)
    name: ClassVar[str] = "abs-z"
    bias: ClassVar[tuple[str, ...]] = ("ignore", "absorb")
    reads_output: ClassVar[bool] = False

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        return [Part(absolute(W * x), absolute(b))]


@dataclass(frozen=True)
class Norm:
    """n = w_ji x_i over their sum, no bias: LRP-0 for layers without parameters, such as sums and averages."""

    formula: ClassVar[tuple[str, ...]] = ("z_ji; 0",)
    name: ClassVar[str] = "norm"
    bias: ClassVar[tuple[str, ...]] = ("ignore",)
    reads_output: ClassVar[bool] = False

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        return [Part(W * x, 0 * b)]


@dataclass(frozen=True)
class Pass:
    """Relevance goes where the value came from: n = 1 on the connection. Only for layers that move values."""

    formula: ClassVar[tuple[str, ...]] = ("1; 0",)
    note: ClassVar[str] = "1 stands on every connection. Only where every output has at most one connection, and for max-pool"
    name: ClassVar[str] = "pass"
    bias: ClassVar[tuple[str, ...]] = ("ignore",)
    reads_output: ClassVar[bool] = False
    moves: ClassVar[bool] = True

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        return [Part(W.connections().contributions(), 0 * b)]


@dataclass(frozen=True)
class Shares:
    """Fixed shares: n = p_k, so that input k of a sum receives p_k / sum(p); `shares` has one number per input."""

    shares: tuple[Number, ...] = ()
    formula: ClassVar[tuple[str, ...]] = ("p_k; 0",)
    note: ClassVar[str] = "p_k is one of `shares`, one per input of `add`, on the connections of input k"
    name: ClassVar[str] = "shares"
    bias: ClassVar[tuple[str, ...]] = ("ignore",)
    reads_output: ClassVar[bool] = False

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        return [Part(W.connections() * self.shares, 0 * b)]

    def fitted(self, inputs: tuple[Array, ...], shaped: Shaped) -> "Shares":
        """Every share as an array of its input's shape."""
        if len(self.shares) != len(inputs):
            raise LRPError(f"Shares: expected one share per input, {len(inputs)}, got {len(self.shares)}")
        arrays = (full(x.shape, number(p, x, "Shares"), x) for p, x in zip(self.shares, inputs, strict=True))
        return replace(self, shares=shaped(tuple(arrays)))


@dataclass(frozen=True)
class Gradient:
    """The plain vector-Jacobian product, R_i = sum_j w_ji R_j: what hook libraries do where no rule applies."""

    formula: ClassVar[tuple[str, ...]] = ()
    note: ClassVar[str] = "R_i = sum_j w_ji R_j: no denominator, no stabilizer; the rest of R_j counts as dropped"
    name: ClassVar[str] = "gradient"
    bias: ClassVar[tuple[str, ...]] = ("ignore",)
    reads_output: ClassVar[bool] = False

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        return [Part(W.contributions(), 0 * b, over=1)]


RULES = {
    rule.name: rule
    for rule in (
        Zero, Epsilon, AlphaBeta, ZPlus, ZPlusFast, Gamma, GeneralizedGamma, WSquare, Flat, ZBox,
        AlphaBetaX, AbsZ, Norm, Pass, Shares, Gradient,
    )
}  # fmt: skip


class Parameter(NamedTuple):
    """A number, or numbers, that a rule takes: its domain (a name of the schema of golden files), in words, and some to try."""

    domain: str
    about: str
    tried: tuple[str, ...] = ()


PARAMETERS: dict[str, Parameter] = {
    "epsilon": Parameter("positive", "The stabiliser's epsilon, repeated there.", ("1/4", "1/1024")),
    "alpha": Parameter("finite", "Factor of the positive half.", ("2", "3/2", "1", "1/4")),
    "beta": Parameter("finite", "Factor of the negative half.", ("1", "1/2", "0", "3/4")),
    "gamma": Parameter("nonnegative", "The factor of the favoured sign.", ("1/4", "0", "2")),
    "alpha0": Parameter("nonnegative", "Factor of the w+ x+ quadrant.", ("2", "1", "0")),
    "alpha1": Parameter("nonnegative", "Factor of the w- x- quadrant.", ("1", "0")),
    "beta0": Parameter("nonnegative", "Factor of the w- x+ quadrant.", ("1/2", "0")),
    "beta1": Parameter("nonnegative", "Factor of the w+ x- quadrant.", ("3/2", "0")),
    "low": Parameter("bound", "Lower end of the box.", ("-7", "-8", "min")),
    "high": Parameter("bound", "Upper end of the box.", ("7", "8", "max")),
    "shares": Parameter("shares", "One share per input.", ("1/2", "1/4", "1", "0")),
}

# Every convention a rule can carry, the reference's value first; the fork of the literature it settles.
CONVENTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "split": (("joint", "half", "weight"), "what shares a denominator in alpha-beta"),
    "empty_half": (("keep", "rescale"), "alpha-beta where one half is empty"),
    "parameterization": (("difference", "sum"), "alpha - beta = 1, or alpha + beta = 1"),
    "kind": (("original", "squared"), "the weights of LRP-gamma"),
    "branch": (("biased", "unbiased"), "whose sign chooses the branch of generalised gamma"),
    "at_zero": (("drop", "positive", "negative"), "generalised gamma where z_j = 0"),
    "padding": (("absent", "counted"), "taps on padding in flat, w-square and z-box"),
    "alpha1_from": (("alpha1", "beta1"), "the factor of w- x- in alpha-beta-x"),
}

# What the values of a convention mean, where no variant of a rule's formula says it.
MEANINGS: dict[str, str] = {
    "split": "The other two give each half, or each sign of the weight, denominators of its own.",
    "empty_half": "`rescale`, of the joint split, per output: if the negative half's d is 0 then f of the positive half is 1; "
    "if the positive half's d is 0 then f of the negative half is 1.",
    "parameterization": "`difference`: f = alpha and -beta, alpha - beta = 1. `sum`: f = alpha and beta, alpha + beta = 1.",
    "kind": "`squared` is a known error.",
    "branch": "`biased`: z_j with the bias, whatever the bias mode. `unbiased`: without.",
    "at_zero": "Which branch z_j = 0 takes, if any.",
    "padding": "`counted`: taps on padding count in D, with x = 0 there and the bounds of their channel, 0 if a bound is a "
    "tensor; their share is dropped.",
    "alpha1_from": "`beta1`, a known error: f of w- x- is beta1.",
}
# What becomes of the natural c.
BIAS: dict[str, str] = {
    "absorb": "natural c (as `split`: named as usual for rules of one part and of two)",
    "split": "natural c",
    "square": "natural c of w-square",
    "ignore": "c = 0 (branches still use the true output)",
    "raw": "c = b, unmodified, in a rule of one part",
    "full_in_both": "c = b in every part, unmodified (a known error for alpha-beta)",
    "redistribute": "natural c in D, and the share (c_j + D_j - d_j) f R_j / D_j is then handed in equal parts to the m_j "
    "connections of output j",
    "share": "R_j is first multiplied by |s| / (|s| + |b_j|), s = sum_i z_ji (by 1 where both are 0), then as `ignore`; the "
    "rest counts as bias",
}


def conventions(rule: Any) -> dict[str, str]:
    """Every convention of `rule`, with the reference's value where none is given."""
    return {name: value or CONVENTIONS[name][0][0] for name, value in fields_of(rule).items() if name in CONVENTIONS}


def check_conventions(rule: Any) -> None:
    """Refuse a convention value that does not exist."""
    for name, value in conventions(rule).items():
        if value not in CONVENTIONS[name][0]:
            known = ", ".join(CONVENTIONS[name][0])
            raise LRPError(f"{type(rule).__name__}: {name} is one of {known}; got {value!r}")


def _close(a: Number, b: Number) -> bool:
    return bool(abs(a - b) <= 1e-12 if isinstance(a, float) else a == b)


def _numbers(rule: str, **given: Any) -> None:
    """Refuse parameters that are no numbers."""
    for name, value in given.items():
        if isinstance(value, str | bool) or not hasattr(value, "__sub__"):
            raise LRPError(f"{rule}: expected {name} as a number, got {value!r}; use an int, a float or a Fraction")


def _nonnegative(rule: str, gamma: Number) -> None:
    _numbers(rule, gamma=gamma)
    if not gamma >= 0:
        raise LRPError(f"{rule}: expected gamma >= 0, got {gamma}")
