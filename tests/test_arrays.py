"""One text in every arithmetic: each answer stays within its bound of the exact one, and in the caller's kind of array."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import array_api_compat
import array_api_strict
import numpy as np
import pytest
from examples import examples, sweep
from flint import arb, ctx, fmpq
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import COARSE, DYADIC, INSEPARABLE, OPS, SCALED_KINDS, fits, placed, questions, rules

import lrp_ref as lrp
from lrp_conform.cases import model
from lrp_conform.cases.numbers import exact_array, float_array, floats, rational
from lrp_conform.cases.question import Question, answer
from lrp_ref.propagation.gauges import allowed, gauges
from lrp_ref.propagation.settle import settle
from lrp_ref.propagation.shares import normalized, received_by

few = examples(2, 3)
FORMATS = ("float16", "float32", "float64")


def numpy_array(a: np.ndarray) -> Any:
    """A read-only NumPy array: writing to it raises."""
    a = a.copy()
    a.setflags(write=False)
    return a


def strict_array(a: np.ndarray) -> Any:
    """An array of the strictest namespace, away from its default device."""
    return array_api_strict.asarray(a, device=array_api_strict.Device("device1"))


def cupy_array(a: np.ndarray) -> Any:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    if not cupy.is_available():
        pytest.skip("CuPy is installed, but finds no CUDA device")
    return cupy.asarray(a)


ARITHMETICS = [
    pytest.param(numpy_array, "float16", id="numpy-float16"),
    pytest.param(numpy_array, "float32", id="numpy-float32"),
    pytest.param(numpy_array, "float64", id="numpy-float64"),
    pytest.param(strict_array, "float32", id="strict-float32"),
    pytest.param(strict_array, "float64", id="strict-float64"),
    pytest.param(cupy_array, "float32", id="cupy-float32", marks=pytest.mark.gpu),
    pytest.param(cupy_array, "float64", id="cupy-float64", marks=pytest.mark.gpu),
]


def as_numpy(a: Any) -> np.ndarray:
    """A copy in host memory."""
    if hasattr(a, "get"):
        return np.asarray(a.get())
    strict = type(a).__module__.startswith("array_api_strict")
    return np.array(a.to_device(array_api_strict.Device("CPU_DEVICE")) if strict else a)


def ambiguous(problem: Any, shares: list[Any]) -> bool:
    """A discontinuity at hand: an exact zero that rounding may turn into either sign."""
    if problem.affine.roundings == 0 and problem.bias != "share":
        return False
    zeros = [(share.d, share.part.n.gauge().rows() + abs(share.part.c)) for share in shares]
    zeros += [(share.stabilized, share.part.n.gauge().rows() + abs(share.part.c)) for share in shares]
    zeros.append((problem.affine.y, (problem.weights * problem.inputs).gauge().rows() + abs(problem.affine.bias)))
    return any(bool(((d == 0) & (size != 0)).any()) for d, size in zeros)


def exactly(question: Question, kind: Any = fmpq) -> tuple[Any, Any, Any]:
    """Relevance, and the problem with its parts, in rationals (or balls)."""

    def read(data: dict[str, Any]) -> Any:
        return exact_array(data, kind)

    layer, x, relevance = question.arrays(read)
    problem = settle(layer, x, relevance, *model.rule(question.rule, read))
    shares = list(normalized(problem))
    return received_by(problem, shares), problem, shares


def held(given: Any) -> list[Any]:
    """Every array that a layer, an input or a rule holds."""
    if isinstance(given, tuple | list):
        return [a for one in given for a in held(one)]
    if hasattr(given, "shape"):
        return [given]
    return [a for a in vars(given).values() if hasattr(a, "shape")] if hasattr(given, "__dict__") else []


def excess(
    got: tuple[Any, ...], want: tuple[Any, ...], found: Any, dtype: str, number: Callable[[Any], Fraction] = rational
) -> float:
    """The largest |error| / bound of an element; NaN and infinities among `got` count as infinite."""
    worst = 0.0
    for a, b, *gauge in zip(got, want, found.G, found.H, found.S, strict=True):
        bound = allowed(*(floats(g) for g in gauge), found.fan_in, found.fan_out, float(found.kappa), dtype)
        for value, exact, limit in zip(as_numpy(a).reshape(-1), b.reshape(-1), np.ravel(bound), strict=True):
            if not np.isfinite(value):
                return float("inf")
            error = abs(Fraction(float(value)) - number(exact))
            worst = max(worst, float(error) / float(limit) if limit else float("inf") if error else 0.0)
    return worst


def assert_faithful(question: Question, make: Callable[[np.ndarray], Any], dtype: str) -> None:
    """`propagate` in floats against the exact answer to the same question."""

    def read(data: dict[str, Any]) -> Any:
        return make(float_array(data, dtype))

    want, problem, shares = exactly(question)
    assume(not ambiguous(problem, shares))
    layer, x, relevance = question.arrays(read)
    if model.index_input(question.node):
        x = make(x)
    rule, stabilizer, bias = model.rule(question.rule, read)
    before = held([layer, x, relevance, rule])
    copies = [as_numpy(a) for a in before]
    result = lrp.propagate(layer, x, relevance, rule, stabilizer=stabilizer, bias=bias)
    for a, copy in zip(before, copies, strict=True):
        assert np.array_equal(as_numpy(a), copy)
    received = result.relevance if isinstance(x, tuple) else (result.relevance,)
    for r, w in zip(received, want, strict=True):
        assert array_api_compat.array_namespace(r) is array_api_compat.array_namespace(relevance)
        assert r.dtype == relevance.dtype
        assert array_api_compat.device(r) == array_api_compat.device(relevance)
        assert tuple(r.shape) == w.shape
    found = gauges(problem, shares)
    assert excess(received, want, found, dtype) <= 1
    result.ledger.check()
    for column in ("bias", "stabilizer", "dropped", "rho"):
        assert getattr(result.ledger, column).dtype == relevance.dtype


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(("make", "dtype"), ARITHMETICS)
@few
@given(data=st.data())
def test_every_rule_stays_within_its_bound(make: Callable[[np.ndarray], Any], dtype: str, op: str, data: Any) -> None:
    question, seen = data.draw(placed(op, COARSE if dtype == "float16" else DYADIC))
    turn = OPS.index(op) + FORMATS.index(dtype) + (make is strict_array)
    for name in sweep(list(lrp.RULES), 4, turn):  # every rule on every layer in some arithmetic
        if fits(name, op):
            spec = data.draw(rules(name, seen, op))
            if spec["stabilizer"]["kind"] == "abs_share" and name in INSEPARABLE:
                spec["stabilizer"]["kind"] = "clip"
            assert_faithful(question.replace(rule=spec), make, dtype)


@pytest.mark.parametrize("rule", [rule for rule in lrp.RULES if fits(rule, "dense")])
@pytest.mark.parametrize("op", ["dense", "conv"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@few
@given(data=st.data())
def test_stabilisers_with_roots_stay_within_their_bound(dtype: str, op: str, rule: str, data: Any) -> None:
    """Against balls of 200 bits, whose width is far below any bound."""
    question = data.draw(questions(rule, op, ("1", "-1", "2", "-3", "1/2", "-1/2"), SCALED_KINDS))
    precision, ctx.prec = ctx.prec, 200
    try:
        want, problem, shares = exactly(question, lambda p, q: arb(p) / q)
        found = gauges(problem, shares)
        numbers = {name: tuple(as_rational(g) for g in getattr(found, name)) for name in ("G", "H", "S")}
        kappa = middle(found.kappa)
    finally:
        ctx.prec = precision
    layer, x, relevance = question.arrays(lambda d: numpy_array(float_array(d, dtype)))
    settled, stabilizer, bias = model.rule(question.rule, lambda d: numpy_array(float_array(d, dtype)))
    result = lrp.propagate(layer, x, relevance, settled, stabilizer=stabilizer, bias=bias)
    result.ledger.check()
    (g,), (h,), (s,) = numbers["G"], numbers["H"], numbers["S"]
    bound = allowed(floats(g), floats(h), floats(s), found.fan_in, found.fan_out, float(kappa), dtype)
    for value, ball, limit in zip(result.relevance.reshape(-1), want[0].reshape(-1), bound.reshape(-1), strict=True):
        assert abs(Fraction(float(value)) - middle(ball)) <= Fraction(limit) if np.isfinite(limit) else np.isfinite(value)


def middle(ball: Any) -> Fraction:
    """The midpoint of a ball as a rational."""
    mantissa, exponent = ball.mid().man_exp() if isinstance(ball, arb) else (ball, 0)
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def as_rational(balls: Any) -> np.ndarray:
    return np.array([middle(v) for v in balls.reshape(-1)], dtype=object).reshape(balls.shape)


@pytest.mark.parametrize("rule", lrp.RULES)
@few
@given(data=st.data())
def test_flint_rationals_and_fractions_are_equal(rule: str, data: Any) -> None:
    op = data.draw(st.sampled_from([op for op in OPS if fits(rule, op)]))
    question = data.draw(questions(rule, op, kinds=("none", "signed_add", "clip")))
    fast, slow = exactly(question, fmpq)[0], exactly(question, Fraction)[0]
    for a, b in zip(fast, slow, strict=True):
        assert all(isinstance(v, fmpq) for v in a.reshape(-1))
        assert all(isinstance(v, Fraction) for v in b.reshape(-1))
        assert [rational(v) for v in a.reshape(-1)] == b.reshape(-1).tolist()


@given(
    values=st.lists(st.integers(-40, 40).map(lambda k: Fraction(k, 8)), min_size=8, max_size=8),
    variances=st.lists(st.integers(1, 50).map(lambda k: Fraction(k, 7) ** 2), min_size=2, max_size=2),
    linearization=st.sampled_from(("affine", "centered", "without_epsilon")),
)
@examples(50, 100)
def test_balls_contain_the_exact_relevance_of_batch_norm(
    values: list[Fraction], variances: list[Fraction], linearization: str
) -> None:
    gamma, beta, mean, x = (values[k : k + 2] for k in range(0, 8, 2))

    def through(read: Callable[[Any], Any]) -> Any:
        layer = lrp.BatchNorm(read(gamma), read(beta), read(mean), read(variances), Fraction(0), linearization)
        return lrp.propagate(layer, read([x]), read([[3, -2]]), lrp.Flat()).relevance, layer.affine(read([x])).y

    def balls(nested: Any) -> Any:
        plain = lrp.exact(nested)
        return np.array([arb(v.numerator) / v.denominator for v in plain.reshape(-1)], dtype=object).reshape(plain.shape)

    for ball, exact in zip(through(balls), through(lrp.exact), strict=True):
        for b, e in zip(ball.reshape(-1), exact.reshape(-1), strict=True):
            assert abs(middle(b) - e) <= middle(b.rad())


def test_balls_carry_irrational_roots_and_rationals_refuse_them() -> None:
    one = [lrp.exact([1])] * 3
    with pytest.raises(lrp.LRPError, match=r"not rational: use float arrays, or flint\.arb"):
        lrp.propagate(lrp.BatchNorm(*one, lrp.exact([2]), 0), lrp.exact([[3]]), lrp.exact([[1]]), lrp.Zero())
    ball = np.array([arb(1)], dtype=object)
    layer = lrp.BatchNorm(ball, ball, ball, np.array([arb(2)], dtype=object), 0)
    y = layer.affine(np.array([[arb(3)]], dtype=object)).y[0, 0]  # 2 / sqrt(2) + 1
    assert y.overlaps(arb(2).sqrt() + 1)
    assert float(y.rad()) < 1e-13


def test_the_reference_answer_of_a_question_is_what_propagate_returns() -> None:
    node = {
        "name": "layer",
        "op": "dense",
        "inputs": ["x"],
        "attrs": {},
        "params": {"weight": {"shape": [1, 2], "data": ["1", "-1"]}},
    }
    spec = {"rule": "flat", "bias": "ignore", "stabilizer": {"kind": "none", "epsilon": "0", "sign_at_zero": "1"}}
    inputs = {"x": {"shape": [1, 2], "data": ["1", "1"]}, "relevance": {"shape": [1, 1], "data": ["-1"]}}
    assert floats(answer(Question(node, spec, inputs)).relevance[0]).tolist() == [[-0.5, -0.5]]


@pytest.mark.parametrize("kind", ["signed_add", "unsigned_add"])
def test_the_bound_notices_a_forgotten_stabiliser(kind: str) -> None:
    """An answer that is off by the epsilon of 1e-6 lies far outside."""
    weight, x, relevance = (np.asarray(a, np.float64) for a in ([[1, 2]], [[3, 4]], [[5]]))
    layer = lrp.Dense(lrp.exact(weight))
    found = lrp.bounds(layer, lrp.exact(x), lrp.exact(relevance), lrp.Zero())
    want = (lrp.propagate(layer, lrp.exact(x), lrp.exact(relevance), lrp.Zero()).relevance,)
    right = lrp.propagate(lrp.Dense(weight), x, relevance, lrp.Zero())
    wrong = lrp.propagate(lrp.Dense(weight), x, relevance, lrp.Zero(), stabilizer=lrp.Stabilizer(kind, 1e-6))
    assert excess((right.relevance,), want, found, "float64") <= 1
    assert excess((wrong.relevance,), want, found, "float64") > 1000
