"""What a rule of one's own may hand back: converted or refused in one line, the same with kernels and without."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import lrp_ref as lrp
from lrp_ref.kernels import switched
from lrp_ref.rules import Part

LAYER = lrp.Dense(np.array([[1, 2, -1], [2, -1, 1]], np.float32), np.array([1, -1], np.float32))
X, R = np.array([[1, -2, 3], [2, 2, 1]], np.float32), np.array([[1, 2], [1, 1]], np.float32)
BOTH = pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "plain"])


def own(parts: Callable[..., Any], **said: Any) -> Any:
    """A rule with these parts."""
    return type("Own", (), {"name": "own", "bias": ("absorb",), "parts": staticmethod(parts), **said})()


def asked(rule: Any, kernels: bool = True, layer: Any = LAYER, x: Any = X, relevance: Any = R, **how: Any) -> Any:
    with switched(kernels):
        return lrp.propagate(layer, x, relevance, rule, **how).relevance


MOVERS = {
    "a factor": (lambda W, x, b, y: [Part(W.connections().contributions(), 0 * b, 2)], [2, 2, 2]),
    "two parts": (lambda W, x, b, y: 2 * [Part(W.connections().contributions(), 0 * b)], [2, 2, 2]),
    "a divisor": (lambda W, x, b, y: [Part(W.connections().contributions(), 0 * b, over=4)], [0.25, 0.25, 0.25]),
    "a bias": (lambda W, x, b, y: [Part(W.connections().contributions(), 0 * b + 1)], [0.5, 0.5, 0.5]),
    "a mask": (lambda W, x, b, y: [Part(W.connections().contributions(), 0 * b, where=y > 1)], [0, 1, 1]),
    "contributions": (lambda W, x, b, y: [Part((W.connections() * x), 0 * b + 1)], [0.5, 2 / 3, 0.75]),
    "weights": (lambda W, x, b, y: [Part((3 * W.connections()).contributions(), 0 * b + 1)], [0.75, 0.75, 0.75]),
    "nothing more": (lambda W, x, b, y: [Part(W.connections().contributions(), 0 * b)], [1, 1, 1]),
}


@BOTH
@pytest.mark.parametrize("name", MOVERS)
def test_a_rule_that_says_it_only_moves_is_taken_at_its_parts(name: str, kernels: bool) -> None:
    parts, want = MOVERS[name]
    x = np.array([[1, 2, 3]], np.float32)
    received = asked(own(parts, moves=True), kernels, lrp.Activation("relu"), x, np.ones_like(x))
    assert np.allclose(received, [want], rtol=1e-6)


@BOTH
@pytest.mark.parametrize("field", ["scale", "over", "c"])
@pytest.mark.parametrize("value", [Fraction(1, 2), 0.5, np.float64(0.5)], ids=["Fraction", "float", "float64"])
def test_numbers_of_a_part_are_converted_to_the_arithmetic_at_hand(field: str, value: Any, kernels: bool) -> None:
    z, c = LAYER.weight * X[:, None, :], LAYER.bias
    d = z.sum(-1) + (0.5 if field == "c" else c)
    q = {"scale": R / 2 / d, "over": R * 2, "c": R / d}[field]
    received = asked(own(lambda W, x, b, y: [Part(W * x, b)._replace(**{field: value})]), kernels)
    assert received.dtype == np.float32
    assert np.allclose(received, (z * q[..., None]).sum(1), rtol=1e-5)


@BOTH
@pytest.mark.parametrize("representation", ["structured", "explicit", "sparse"])
def test_a_fraction_in_a_formula_multiplies_floats(representation: str, kernels: bool) -> None:
    half = Fraction(1, 2)
    for parts in (lambda W, x, b, y: [Part(half * (W * x), 0 * b)], lambda W, x, b, y: [Part((half * W) * x, 0 * b)]):
        received = asked(own(parts), kernels, representation=representation)
        assert received.dtype == np.float32
        assert np.allclose(received, asked(lrp.Norm()), rtol=1e-5)


REFUSED = {
    "where as a boolean array such as y > 0, or None; got an array in int64": lambda W, x, b, y: [
        Part(W * x, b, where=(y > 0) * 1)
    ],
    "where as a boolean array such as y > 0, or None; got an array in float32": lambda W, x, b, y: [Part(W * x, b, where=y)],
    "where as a boolean array such as y > 0, or None; got bool True": lambda W, x, b, y: [Part(W * x, b, where=True)],
    "c as a number, or an array in float32 as x is; got NoneType None": lambda W, x, b, y: [Part(W * x, None)],
    "c as a number, or an array in float32 as x is; got an array in Python objects": lambda W, x, b, y: [
        Part(W * x, Fraction(1, 3) * b)
    ],
    "c as a number, or an array in float32 as x is; got an array in float64": lambda W, x, b, y: [
        Part(W * x, b.astype(np.float64))
    ],
    "scale as a number, or an array in float32 as x is; got str '1'": lambda W, x, b, y: [Part(W * x, b, "1")],
    "over as a number, or an array in float32 as x is; got list ": lambda W, x, b, y: [Part(W * x, b, over=[1, 2])],
    "n as contributions such as W * x or W.contributions(); got Structured": lambda W, x, b, y: [Part(W, b)],
    "parts(W, x, b, y), got <lambda>(W, x, b): too many positional arguments": lambda W, x, b: [Part(W * x, b)],
}


@BOTH
@pytest.mark.parametrize("expected", REFUSED)
def test_a_part_without_a_meaning_is_refused(expected: str, kernels: bool) -> None:
    with pytest.raises(lrp.LRPError) as refusal:
        asked(own(REFUSED[expected]), kernels)
    assert str(refusal.value).startswith(f"Own.parts: expected {expected}")


def _doubles(W: Any, x: Any, b: Any, y: Any) -> list[Part]:
    b *= 2
    return [Part(W * x, b)]


def _zeroes(W: Any, x: Any, b: Any, y: Any) -> list[Part]:
    for a in x.arrays:
        np.multiply(a, 0, out=a)
    return [Part(W * x, b)]


def _clips(W: Any, x: Any, b: Any, y: Any) -> list[Part]:
    np.maximum(y, 0, out=y)
    return [Part(W * x, b)]


def _prunes(W: Any, x: Any, b: Any, y: Any) -> list[Part]:
    W.maps[0].weight[...] = 0
    return [Part(W * x, b)]


@BOTH
@pytest.mark.parametrize("parts", [_doubles, _zeroes, _clips, _prunes])
def test_a_rule_that_writes_into_what_it_is_given_is_refused(parts: Any, kernels: bool) -> None:
    weight, bias, x, y = LAYER.weight.copy(), LAYER.bias.copy(), X.copy(), X @ LAYER.weight.T + LAYER.bias
    output = y.copy()
    with pytest.raises(lrp.LRPError, match=r"^Own.parts writes into what it is given \(.*read-only\)"):
        asked(own(parts), kernels, output=output)
    for kept, before in ((LAYER.weight, weight), (LAYER.bias, bias), (X, x), (output, y)):
        assert np.array_equal(kept, before)
    assert all(a.flags.writeable for a in (LAYER.weight, LAYER.bias, X, output))


def _plain(W: Any, x: Any, b: Any, y: Any) -> list[Part]:
    return [Part(W * x, b)]


@BOTH
def test_what_else_a_rule_says_is_refused_where_it_has_no_meaning(kernels: bool) -> None:
    for said, text in (
        ({"stabilizer": "signed_add"}, "Own.stabilizer: expected a lrp_ref.Stabilizer or None, got 'signed_add'"),
        ({"fitted": lambda self, inputs, shaped: None}, "Own.fitted: expected to return the rule itself or a changed copy"),
        ({"rescaled": lambda self, parts: None}, "Own.rescaled: expected to return a list of lrp_ref.Part, got NoneType"),
    ):
        with pytest.raises(lrp.LRPError) as refusal:
            asked(own(_plain, **said), kernels)
        assert str(refusal.value).startswith(text)


@pytest.mark.parametrize("axes", ["1", -1, 1.0, True])
def test_axes_of_a_layer_that_are_no_number_of_axes_are_refused(axes: Any) -> None:
    layer = type("Own", (), {"axes": axes, "affine": lambda self, x: LAYER.affine(x)})()
    with pytest.raises(lrp.LRPError, match=r"^Own.axes: expected the number of axes of one sample, or None; got"):
        asked(lrp.Zero(), layer=layer)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("signed_add", "1"), "stabilizer epsilon: expected a number >= 0, got '1'"),
        (("signed_add", None), "stabilizer epsilon: expected a number >= 0, got None"),
        (("signed_add", np.ones(2)), "stabilizer epsilon: expected a number >= 0, got array"),
        ((["signed_add"], 1), "stabilizer kind: expected one of none, "),
        (("signed_add", 1, np.ones(2)), "sign_at_zero: expected 1, 0 or -1; got array"),
    ],
)
def test_a_stabilizer_of_no_meaning_is_refused(given: tuple[Any, ...], text: str) -> None:
    with pytest.raises(lrp.LRPError) as refusal:
        lrp.Stabilizer(*given)
    assert str(refusal.value).startswith(text)
