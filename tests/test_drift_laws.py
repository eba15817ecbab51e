"""A bound is a theorem or a refusal: every registered operator, activation and rule, on data that nobody chose."""

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import product
from typing import Any, ClassVar

import numpy as np
import pytest
import strategies
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

import lrp_ref as lrp
from lrp_conform.cases import model
from lrp_conform.cases.numbers import float_array
from lrp_conform.cases.question import Question
from lrp_ref import fast
from lrp_ref.arrays import neg, pos
from lrp_ref.layers import activation
from lrp_ref.layers.affine import linear
from lrp_ref.layers.maps import Routed
from lrp_ref.rules import RULES, Part
from lrp_ref.stabilizers import KINDS

AWKWARD = ("0", "0", "1", "-1", *(str(Fraction(float(np.float32(v)))) for v in np.random.default_rng(11).normal(size=24)))
MANY = examples(5, 15)
ROUTES = (("structured", True), ("structured", False), ("explicit", False))


def scaled(question: Question, dtype: str, factors: Any) -> tuple[lrp.Network, dict[str, Any], lrp.Composite, Any]:
    """The layer between elementwise factors that round: a network, its inputs, the rule at the layer, and the seed."""
    layer, x, relevance = question.arrays(lambda data: float_array(data, dtype))
    rule, stabilizer, bias = model.rule(question.rule, lambda data: float_array(data, dtype))
    xs = x if isinstance(x, tuple) else (x,)
    names, inputs, nodes = [], {}, []
    for k, a in enumerate(xs):
        inputs[f"x{k}"] = a
        if np.issubdtype(a.dtype, np.integer):
            names.append(f"x{k}")
            continue
        weight, shift = (f[: a[0].size].reshape(a.shape[1:]).astype(dtype) for f in factors)
        nodes.append(lrp.Node(f"in{k}", lrp.Scale(weight, shift), (f"x{k}",)))
        names.append(f"in{k}")
    nodes.append(lrp.Node("layer", layer, tuple(names)))
    composite = lrp.Composite([lrp.Assign(rule, name="layer", stabilizer=stabilizer, bias=bias), lrp.Assign(lrp.Epsilon(0.25))])
    return lrp.Network(nodes, tuple(inputs)), inputs, composite, relevance


def judge(question: Question, factors: Any) -> None:
    """Every float32 route stays within the bound of the float64 run, at every node, forward and backward."""
    net, x, composite, seed = scaled(question, "float64", factors)
    try:
        net.explain(x, composite, seed=seed)
    except lrp.LRPError:  # a box that the inputs leave, a rule that the layer has no meaning for
        return
    exact = net.explain(x, composite, seed=seed, at="all", bounds="float32")
    own = net.explain(x, composite, seed=seed, bounds="float64").bounds
    values = net.forward(x, at="all")
    narrow, x32, composite32, seed32 = scaled(question, "float32", factors)
    for representation, switched in ROUTES:
        with fast.switched(switched), pytest.MonkeyPatch.context() as patch:
            if representation == "explicit":
                patch.setattr("lrp_ref.network.composite.propagate", partial(lrp.propagate, representation="explicit"))
            found = narrow.explain(x32, composite32, seed=seed32, at="all")
            given = narrow.forward(x32, at="all")
        for name, e in exact.bounds.forward.items():
            off = np.abs(given[name].astype(np.float64) - values[name])
            assert (off <= e + own.forward[name]).all(), ("value", name, representation, switched)
        for name, B in exact.bounds.at.items():
            off = np.abs(found.at[name].astype(np.float64) - exact.at[name])
            assert (off <= B + own.at[name]).all(), ("relevance", name, representation, switched)


@st.composite
def factors(draw: Any) -> Any:
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    return rng.normal(size=512).astype(np.float32), rng.normal(size=512).astype(np.float32)


def drawn(data: Any, op: str, rule: str) -> Question:
    question, seen = data.draw(strategies.placed(op, AWKWARD))
    kinds = tuple(kind for kind in KINDS if kind != "abs_share" or rule not in strategies.INSEPARABLE)
    return question.replace(rule=data.draw(strategies.rules(rule, seen, op, kinds)))


@pytest.mark.parametrize("op", strategies.OPS)
@MANY
@given(st.data())
def test_every_operator_stays_within_its_bounds(op: str, data: Any) -> None:
    rule = data.draw(st.sampled_from([name for name in RULES if strategies.fits(name, op)]))
    judge(drawn(data, op, rule), data.draw(factors()))


@pytest.mark.parametrize("rule", RULES)
@MANY
@given(st.data())
def test_every_rule_stays_within_its_bounds_where_weights_move_with_x(rule: str, data: Any) -> None:
    ops = [op for op in ("activation", "lrn") if strategies.fits(rule, op)]
    if ops:
        judge(drawn(data, data.draw(st.sampled_from(ops)), rule), data.draw(factors()))
    else:
        judge(drawn(data, "add", rule), data.draw(factors()))


@pytest.mark.parametrize("function", activation.FUNCTIONS)
@pytest.mark.parametrize("linearization", activation.LINEARIZATIONS)
@MANY
@given(st.data())
def test_every_activation_stays_within_its_bounds(function: str, linearization: str, data: Any) -> None:
    slope = data.draw(st.sampled_from((None, Fraction(1, 4), Fraction(-2)))) if function in activation.SLOPES else None
    high = data.draw(st.sampled_from((None, Fraction(1, 3))))
    layer = lrp.Activation(function, linearization, slope, high=high)
    rule = lrp.Pass() if linearization == "identity" else data.draw(st.sampled_from((lrp.Gradient(), lrp.Epsilon(0.25))))
    stays_within(layer, rule, data.draw(st.integers(0, 2**31)), data.draw(st.sampled_from((1e-3, 1, 4))))


def stays_within(layer: lrp.Activation, rule: Any, seed: int, scale: float) -> None:
    """Float32 within the bound of the float64 run, on a factor that rounds and an activation behind it."""
    rng = np.random.default_rng(seed)
    weight, shift, x = (rng.normal(size=(5,)) * s for s in (scale, scale, 1))
    composite = lrp.Composite([lrp.Assign(rule, lrp.Activation), lrp.Assign(lrp.Epsilon(0.25))])

    def found(dtype: str, bounds: Any) -> tuple[Any, Any]:
        nodes = [
            lrp.Node("in", lrp.Scale(*(a.astype(np.float32).astype(dtype) for a in (weight, shift)))),
            lrp.Node("f", layer),
        ]
        net, given = lrp.Network(nodes), x.astype(np.float32).astype(dtype)[None, :]
        seed = np.ones((1, 5), dtype)
        return net.forward(given, at="all"), net.explain(given, composite, seed=seed, at="all", bounds=bounds)

    values, exact = found("float64", "float32")
    own = found("float64", "float64")[1].bounds
    given_values, single = found("float32", False)
    for name, e in exact.bounds.forward.items():
        assert (np.abs(given_values[name].astype(np.float64) - values[name]) <= e + own.forward[name]).all(), name
    for name, B in exact.bounds.at.items():
        assert (np.abs(single.at[name].astype(np.float64) - exact.at[name]) <= B + own.at[name]).all(), name


# What is added, and says nothing or not enough -------------------------------------------------------------------------


def _same(a: Any) -> Any:
    return a


@dataclass(frozen=True)
class Power:
    """y = x^16 x, the factor x^16 held constant: a gate."""

    axes: ClassVar[None] = None

    def affine(self, x: Any) -> Any:
        w = x
        for _ in range(4):
            w = w * w
        return linear([Routed(w, _same, _same)], [x], roundings=16)


@dataclass(frozen=True)
class Multiply:
    """y = a b, each operand with the other held and half of y."""

    axes: ClassVar[None] = None

    def affine(self, a: Any, b: Any) -> Any:
        return linear([Routed(b / 2, _same, _same), Routed(a / 2, _same, _same)], [a, b], roundings=1)


def explained(layer: Any, rule: Any = None, inputs: tuple[str, ...] = ("a",), bounds: Any = True) -> Any:
    nodes = [lrp.Node("a", lrp.Dense(np.ones((2, 2), np.float32))), lrp.Node("added", layer, inputs)]
    composite = lrp.Composite([lrp.Assign(rule or lrp.Epsilon(0.25))])
    return lrp.Network(nodes).explain(np.ones((1, 2), np.float32), composite, target=0, bounds=bounds)


@pytest.mark.parametrize(("layer", "inputs"), [(Power(), ("a",)), (Multiply(), ("a", "a"))])
def test_a_layer_that_says_nothing_of_its_weights_is_refused(layer: Any, inputs: tuple[str, ...]) -> None:
    assert explained(layer, inputs=inputs, bounds=False).relevance.shape == (1, 2)
    with pytest.raises(
        lrp.LRPError, match=f"node 'added': bounds are not known for {type(layer).__name__}, which does not say"
    ):
        explained(layer, inputs=inputs)


def test_an_activation_whose_row_says_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(activation.FUNCTIONS, "eighth", (lambda x: x**8, lambda x: 8 * x**7))
    assert explained(lrp.Activation("eighth"), bounds=False).relevance.shape == (1, 2)
    with pytest.raises(lrp.LRPError, match="bounds are not known for the activation 'eighth'"):
        explained(lrp.Activation("eighth"))


def test_an_activation_whose_row_says_how_steep_it_is_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    row = activation.Function(
        lambda x: x**8,
        lambda x: 8 * x**7,
        reach=lambda x, e: 8 * (abs(x) + e) ** 7,
        bend=lambda x, e, u: 56 * (abs(x) + e) ** 6 * e,
    )
    monkeypatch.setitem(activation.FUNCTIONS, "eighth", row)
    for seed, scale in product(range(20), (1e-3, 1)):
        stays_within(lrp.Activation("eighth"), lrp.Pass(), seed, scale)
        stays_within(lrp.Activation("eighth", "gradient"), lrp.Gradient(), seed, scale)
        stays_within(lrp.Activation("eighth", "ratio"), lrp.Epsilon(0.25), seed, scale)


@dataclass(frozen=True)
class Cubed:
    """n = w^3 x: a rule of one's own that is steep in W."""

    name: ClassVar[str] = "cubed"
    bias: ClassVar[tuple[str, ...]] = ("absorb",)

    def parts(self, W: Any, x: Any, b: Any, y: Any) -> list[Part]:
        return [Part((W * W * W) * x, b * b * b)]


@dataclass(frozen=True)
class Branch:
    """A rule of one's own that reads the sign of y."""

    name: ClassVar[str] = "branch"
    bias: ClassVar[tuple[str, ...]] = ("absorb",)

    def parts(self, W: Any, x: Any, b: Any, y: Any) -> list[Part]:
        z = W * x
        return [Part(pos(z), pos(b), where=y > 0), Part(neg(z), neg(b), where=y < 0)]


@dataclass(frozen=True)
class Odd:
    """A rule whose text leaves the algebra of W, x, b and y."""

    name: ClassVar[str] = "odd"
    bias: ClassVar[tuple[str, ...]] = ("absorb",)

    def parts(self, W: Any, x: Any, b: Any, y: Any) -> list[Part]:
        return [Part(W * x, np.sqrt(np.abs(b)))]


@pytest.mark.parametrize("rule", [Cubed(), Branch()])
@MANY
@given(st.data())
def test_a_rule_of_ones_own_is_bounded_by_its_text(rule: Any, data: Any) -> None:
    question = drawn(data, data.draw(st.sampled_from(("dense", "activation", "lrn"))), "zero")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "rule", lambda spec, like: (rule, lrp.Stabilizer("signed_add", 0.25), "absorb"))
        judge(question, data.draw(factors()))


def test_a_rule_that_leaves_the_algebra_is_refused() -> None:
    layer = lrp.Dense(np.ones((2, 2), np.float32), np.ones(2, np.float32))
    with pytest.raises(lrp.LRPError, match="bounds are not known for Odd, whose text leaves the algebra"):
        explained(layer, Odd())
