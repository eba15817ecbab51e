"""Every request without a meaning is refused in one line: what was expected, what was given, the way out."""

import re
from collections.abc import Callable
from typing import Any

import array_api_strict
import numpy as np
import pytest

import lrp_ref as lrp

W, B, X, R = np.array([[1.0, -1.0]]), np.array([-1.0]), np.array([[1.0, 1.0]]), np.array([[-1.0]])
IMAGE, ONES = np.ones((1, 1, 4)), [np.ones(2)] * 3
NAN, INF = float("nan"), float("inf")


def ask(
    *,
    layer: Any = None,
    x: Any = X,
    relevance: Any = R,
    rule: Any = None,
    call: Callable[..., Any] = lrp.propagate,
    **conventions: Any,
) -> Any:
    """V0 with one thing wrong."""
    layer, rule = lrp.Dense(W, B) if layer is None else layer, lrp.Zero() if rule is None else rule
    return call(layer, x, relevance, rule, **conventions)


def batch_norm(variance: list[float], linearization: str, epsilon: float = 0.0) -> Any:
    return ask(layer=lrp.BatchNorm(*ONES, np.array(variance, float), epsilon, linearization), relevance=X)


# name: what is done, and what the one line says
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    # arrays
    "integer x": (lambda: ask(x=X.astype(int)), r"x: expected a float dtype, got int64; convert with astype\(float64\) or"),
    "complex x": (lambda: ask(x=X.astype(complex)), "x: expected a float dtype, got complex128; convert"),
    "integer relevance": (lambda: ask(relevance=R.astype(np.int32)), "relevance: expected a float dtype, got int32"),
    "integer weight": (lambda: lrp.Dense(W.astype(int)), "Dense.weight: expected a float dtype, got int64; convert"),
    "list for x": (lambda: ask(x="abc"), r"x: expected an array, got str; use numpy.asarray\(...\) or lrp_ref.exact"),
    "list for relevance": (lambda: ask(relevance=[[1.0]]), "relevance: expected an array, got list; use"),
    "list for weight": (lambda: lrp.Dense([[1.0]]), "Dense.weight: expected an array, got list; use"),
    "NaN in x": (lambda: ask(x=np.array([[1, NAN]])), r"x\[0, 1\]: expected a finite number, got nan; mask or repair it"),
    "infinite relevance": (lambda: ask(relevance=-INF * R), r"relevance\[0, 0\]: expected a finite number, got inf; mask"),
    "NaN in the weight": (lambda: lrp.Dense(np.array([[NAN]])), r"Dense.weight\[0, 0\]: expected a finite number, got nan"),
    "NaN in the second input": (
        lambda: ask(layer=lrp.Add(), x=(X, X * NAN), relevance=X),
        r"x\[1\]\[0, 0\]: expected a finite number, got nan",
    ),
    "integers among exact numbers": (
        lambda: ask(x=np.array([[1, 2]], dtype=object)),
        r"x\[0, 0\]: expected an exact number, got int 1; use lrp_ref.exact",
    ),
    "dtype of relevance": (
        lambda: ask(relevance=R.astype(np.float32)),
        "relevance has dtype float32, but x has float64; convert one of them first",
    ),
    "dtype of the weight": (
        lambda: ask(layer=lrp.Dense(W.astype(np.float32))),
        "Dense.weight has dtype float32, but x has float64; convert",
    ),
    "dtype under an embedding": (
        lambda: ask(layer=lrp.Embedding(W), x=np.array([[0]]), relevance=np.ones((1, 1, 2), np.float32)),
        "relevance has dtype float32, but Embedding.weight has float64; convert",
    ),
    "exact x, float weight": (lambda: ask(x=lrp.exact(X)), "has dtype float64, but x has object; convert"),
    "two namespaces": (
        lambda: ask(relevance=array_api_strict.asarray(R)),
        "relevance is an array of array_api_strict, but x is one of numpy; convert one of them first",
    ),
    "exact of NaN": (lambda: lrp.exact([1, NAN]), r"exact\[1\]: expected a finite number, got nan; use an int, a float or"),
    "exact of text": (lambda: lrp.exact(["one"]), r"exact\[0\]: expected a finite number, got 'one'"),
    "exact of nothing": (lambda: lrp.exact([None]), r"exact\[0\]: expected a finite number, got None"),
    # shapes
    "shape of relevance": (lambda: ask(relevance=X), r"relevance: expected the output's shape \(1, 1\), got \(1, 2\)"),
    "last axis of x": (lambda: ask(x=np.ones((1, 3))), "Dense: expected x with last axis 2, got 3"),
    "bias of a wrong shape": (lambda: lrp.Dense(W, np.ones(3)), r"Dense: expected bias of shape \(1,\), got \(3,\)"),
    "weight with three axes": (lambda: lrp.Dense(IMAGE), r"Dense: expected a weight with 2 axes, got shape \(1, 1, 4\)"),
    "empty kernel": (lambda: lrp.Conv(np.ones((1, 1, 0))), r"expected a weight without empty axes, got shape \(1, 1, 0\)"),
    "channels of a convolution": (
        lambda: ask(layer=lrp.Conv(np.ones((3, 1, 2))), x=np.ones((1, 2, 4))),
        "Conv: expected x with channels 1, got 2",
    ),
    "x without a channel axis": (lambda: ask(layer=lrp.Conv(IMAGE), x=B), r"expected x with at least 2 axes, got shape \(1,\)"),
    "scalar x": (lambda: ask(layer=lrp.Flatten(), x=np.array(3.0)), r"Flatten: expected x with at least .*, got shape \(\)"),
    "groups that do not divide": (
        lambda: lrp.Conv(np.ones((3, 1, 2)), groups=2),
        "Conv: expected groups that divide the 3 output channels, got 2",
    ),
    "groups of a transposed convolution": (
        lambda: lrp.ConvTranspose(np.ones((3, 1, 2)), groups=2),
        "ConvTranspose: expected groups that divide the 3 input channels, got 2",
    ),
    "window beyond the image": (
        lambda: ask(layer=lrp.Conv(np.ones((1, 1, 5))), x=IMAGE),
        r"Conv: the window does not fit into x of shape \(1, 1, 4\); enlarge x or the padding",
    ),
    "pool beyond the image": (
        lambda: ask(layer=lrp.MaxPool((5,)), x=IMAGE),
        r"MaxPool: the window does not fit into x of shape \(1, 1, 4\)",
    ),
    "pool on padding alone": (
        lambda: ask(layer=lrp.AvgPool((2,), padding=2, stride=1), x=IMAGE),
        "AvgPool: some windows lie on padding alone; reduce the padding to below the kernel",
    ),
    "output padding as large as the stride": (
        lambda: ask(layer=lrp.ConvTranspose(np.ones((1, 1, 2)), stride=2, output_padding=2), x=IMAGE),
        r"ConvTranspose: no output of size \(10,\) fits x .*; output_padding must be < stride",
    ),
    "stride of zero": (lambda: lrp.Conv(IMAGE, stride=0), "Conv: expected stride as 1 integers >= 1, got 0"),
    "stride of a half": (lambda: lrp.Conv(IMAGE, stride=1.5), "Conv: expected stride as 1 integers >= 1, got 1.5"),
    "negative padding": (lambda: lrp.Conv(IMAGE, padding=-1), r"expected padding as 1 \(begin, end\) pairs >= 0, got -1"),
    "padding in words": (lambda: lrp.Conv(IMAGE, padding="same"), r"expected padding as 1 \(begin, end\) pairs >= 0, got same"),
    "kernel as an integer": (lambda: lrp.MaxPool(2), "MaxPool: expected kernel as a tuple of integers >= 1, got 2"),
    "inputs of a sum": (
        lambda: ask(layer=lrp.Add(), x=(X, np.ones((1, 3)))),
        r"Add: expected inputs of one shape \(1, 2\), got \(1, 3\)",
    ),
    "batches of a concatenation": (
        lambda: ask(layer=lrp.Concat(), x=(X, np.ones((2, 2)))),
        r"x\[1\]: expected the axes and batch size of x\[0\], \(1, 2\), got \(2, 2\)",
    ),
    "axis of a concatenation": (lambda: ask(layer=lrp.Concat(0), x=(X, X)), "Concat: expected an axis from 1 to 1, got 0"),
    "two inputs for dense": (lambda: ask(x=(X, X)), r"Dense: expected 1 input\(s\), got 2"),
    "no input": (lambda: ask(layer=lrp.Add(), x=()), "Add: expected a tuple of inputs, got 0"),
    "reshape to another size": (
        lambda: ask(layer=lrp.Reshape((3,))),
        r"Reshape: cannot give samples of shape \(2,\) the shape \(3,\)",
    ),
    "reshape to nothing": (lambda: ask(layer=lrp.Reshape((0,))), "Reshape: cannot give samples of shape"),
    "crop of everything": (lambda: ask(layer=lrp.Crop(((2, 2),)), x=IMAGE), "Crop: nothing is left of x of shape"),
    "upsampling by zero": (lambda: ask(layer=lrp.Upsample((0,)), x=IMAGE), "expected scale as 1 integers >= 1, got"),
    "pooling without space": (lambda: ask(layer=lrp.GlobalAvgPool()), r"expected x \(N, C, \*spatial\), got shape \(1, 2\)"),
    "index beyond the table": (
        lambda: ask(layer=lrp.Embedding(W), x=np.array([[0, 4]]), relevance=np.ones((1, 2, 2))),
        "Embedding: expected indices from 0 to 0, got 0 to 4",
    ),
    "float index": (
        lambda: ask(layer=lrp.Embedding(W), x=X, relevance=np.ones((1, 2, 2))),
        "Embedding: expected integer indices, got dtype float64",
    ),
    "index without a batch": (
        lambda: ask(layer=lrp.Embedding(W), x=np.array([0]), relevance=np.ones((1, 2))),
        r"Embedding: expected indices \(N, T\), got shape \(1,\)",
    ),
    # layers
    "unknown activation": (lambda: lrp.Activation("gelu"), "Activation: function is one of relu, .*; got 'gelu'"),
    "unknown linearization": (
        lambda: lrp.Activation("relu", "x"),
        "linearization is one of identity, gradient, ratio; got 'x'",
    ),
    "unknown pool": (lambda: lrp.MaxPool((2,), linearization="x"), "linearization is one of winner, average; got 'x'"),
    "unknown ties": (lambda: lrp.MaxPool((2,), ties="x"), "MaxPool: ties is one of first, last, split; got 'x'"),
    "unknown reduction": (lambda: lrp.Embedding(W, "mean"), "Embedding: reduce is one of sum, keep; got 'mean'"),
    "unknown batch norm": (lambda: batch_norm([1, 1], "x"), "BatchNorm: linearization is one of affine, .*; got 'x'"),
    "variance zero": (lambda: batch_norm([0, 1], "affine"), r"BatchNorm: expected variance \+ epsilon > 0 .* got 0.0; raise"),
    "variance negative": (
        lambda: batch_norm([1, -4], "affine"),
        r"expected variance \+ epsilon > 0 in every channel, got -4.0",
    ),
    "variance without epsilon": (lambda: batch_norm([0, 1], "without_epsilon", 1.0), "expected variance > 0 in every channel"),
    "NaN epsilon": (lambda: batch_norm([1, 1], "affine", NAN), "BatchNorm.epsilon: expected a finite number, got nan"),
    "irrational root": (
        lambda: ask(
            layer=lrp.BatchNorm(*[lrp.exact([1, 1])] * 3, lrp.exact([2, 1]), 0), x=lrp.exact(X), relevance=lrp.exact(X)
        ),
        "the square root of 2 is not rational: use float arrays, or flint.arb for a certified root",
    ),
    "irrational exponential": (
        lambda: ask(layer=lrp.Activation("sigmoid"), x=lrp.exact(X), relevance=lrp.exact(X)),
        "exp of a rational is irrational: use float arrays, or flint.arb",
    ),
    "irrational stabiliser": (
        lambda: ask(
            layer=lrp.Dense(lrp.exact([[1, 1], [1, 0]])),
            x=lrp.exact(X),
            relevance=lrp.exact(X),
            stabilizer=lrp.Stabilizer("rms_scaled", 1),
        ),
        "the square root of 5/2 is not rational: use float arrays",
    ),
    # rules
    "alpha-beta": (lambda: lrp.AlphaBeta(2, 2), "expected alpha - beta = 1, alpha >= 1, beta >= 0; got alpha=2, beta=2"),
    "alpha below one": (lambda: lrp.AlphaBeta(0.5, -0.5), "expected alpha - beta = 1, .*; got alpha=0.5, beta=-0.5"),
    "alpha-beta of NaN": (lambda: lrp.AlphaBeta(NAN, 1), "expected alpha - beta = 1, .*; got alpha=nan, beta=1"),
    "alpha-beta as a sum": (
        lambda: lrp.AlphaBeta(2, 1, parameterization="sum"),
        r"expected alpha \+ beta = 1, got alpha=2, beta=1",
    ),
    "rescaling another split": (
        lambda: lrp.AlphaBeta(split="half", empty_half="rescale"),
        "AlphaBeta: empty_half='rescale' belongs to split='joint', got split='half'; use 'keep'",
    ),
    "epsilon of zero": (lambda: lrp.Epsilon(0), r"Epsilon: expected epsilon > 0, got 0; use Zero\(\) for none"),
    "infinite epsilon": (lambda: ask(rule=lrp.Epsilon(INF)), "Epsilon.epsilon: expected a finite number, got inf"),
    "negative gamma": (lambda: lrp.Gamma(-1), "Gamma: expected gamma >= 0, got -1"),
    "infinite gamma": (lambda: ask(rule=lrp.Gamma(INF)), "Gamma.gamma: expected a finite number, got inf"),
    "NaN gamma": (lambda: lrp.GeneralizedGamma(NAN), "GeneralizedGamma: expected gamma >= 0, got nan"),
    "NaN quadrant": (lambda: ask(rule=lrp.AlphaBetaX(1, NAN)), "AlphaBetaX.alpha1: expected a finite number, got nan"),
    "low above high": (lambda: ask(rule=lrp.ZBox(2, -2)), "ZBox: expected low <= high; at flat index 0 low=2.0, .*; widen"),
    "x below low": (lambda: ask(rule=lrp.ZBox(1.5, 2)), "ZBox: expected x >= low; at flat index 0 low=1.5, x=1.0, high=2.0"),
    "x above high": (
        lambda: ask(rule=lrp.ZBox(-2, 0)),
        "ZBox: expected x <= high; at flat index 0 .* high=0.0; widen the bounds",
    ),
    "NaN bound": (lambda: ask(rule=lrp.ZBox(NAN, 2)), "ZBox bound: expected a finite number, got nan"),
    "NaN in a bound": (lambda: ask(rule=lrp.ZBox(X * NAN, 2)), r"ZBox bound\[0, 0\]: expected a finite number, got nan"),
    "integer bounds": (lambda: ask(rule=lrp.ZBox(X.astype(int), 2)), "ZBox bound: expected a float dtype, got int64"),
    "bound in words": (
        lambda: ask(rule=lrp.ZBox("mean", 2)),
        "expected a bound as a number, array, 'min' or 'max'; got 'mean'",
    ),
    "three channels of bounds": (lambda: ask(rule=lrp.ZBox([-2, -2, -2], 2)), r"one per channel \(2,\) .*; got shape \(3,\)"),
    "one share for two inputs": (
        lambda: ask(layer=lrp.Add(), x=(X, X), relevance=X, rule=lrp.Shares((1,))),
        "Shares: expected one share per input, 2, got 1",
    ),
    "NaN share": (
        lambda: ask(layer=lrp.Add(), x=(X, X), relevance=X, rule=lrp.Shares((1, NAN))),
        "Shares: expected a finite number, got nan",
    ),
    "pass through dense": (
        lambda: ask(rule=lrp.Pass()),
        "Pass: Dense mixes several inputs in one output; use Zero, Norm or Flat",
    ),
    "unknown convention": (
        lambda: ask(rule=lrp.AlphaBeta(split="x")),
        "AlphaBeta: split is one of joint, half, weight; got 'x'",
    ),
    "unknown bias": (lambda: ask(bias="x"), "Zero: bias is one of absorb, ignore, redistribute, share; got 'x'"),
    "bias of another rule": (lambda: ask(rule=lrp.Flat(), bias="absorb"), "Flat: bias is one of ignore; got 'absorb'"),
    "unknown representation": (
        lambda: ask(representation="x"),
        "representation is one of structured, explicit, sparse; got 'x'",
    ),
    "sparse rationals": (
        lambda: ask(layer=lrp.Dense(lrp.exact(W)), x=lrp.exact(X), relevance=lrp.exact(R), representation="sparse"),
        "takes NumPy float32 and float64, got object; use 'explicit'",
    ),
    # what is no layer, rule, stabiliser or dialect
    "rule by name": (lambda: ask(rule="zero"), r"rule: expected one such as lrp_ref.Epsilon\(1e-6\), got str 'zero'"),
    "rule as a class": (lambda: ask(rule=lrp.Zero), "rule: expected one such as .*, got type <class"),
    "array for a layer": (lambda: ask(layer=W), "layer: expected one such as .*, got ndarray array"),
    "number for a stabiliser": (lambda: ask(stabilizer=1e-6), "stabilizer: expected one such as .*, got float 1e-06"),
    "unknown dialect": (lambda: ask(dialect="zennit-9"), "no dialect 'zennit-9'; .*known are innvestigate-2.1, "),
    "number for a dialect": (lambda: ask(dialect=1.0), "dialect: expected one such as .*, got float 1.0"),
    # stabilisers
    "unknown stabiliser": (lambda: lrp.Stabilizer("x"), "stabilizer kind: expected one of none, signed_add, .*; got 'x'"),
    "negative stabiliser": (lambda: lrp.Stabilizer("none", -1), "stabilizer epsilon: expected a number >= 0, got -1"),
    "NaN stabiliser": (lambda: lrp.Stabilizer("none", NAN), "stabilizer epsilon: expected a number >= 0, got nan"),
    "infinite stabiliser": (
        lambda: ask(stabilizer=lrp.Stabilizer("signed_add", INF)),
        "stabilizer epsilon: expected a finite number, got inf",
    ),
    "sign of two": (lambda: lrp.Stabilizer("none", 0, 2), "sign_at_zero: expected 1, 0 or -1; got 2"),
    # patterns
    "unknown mask": (lambda: lrp.pattern_statistics(W, X, "x"), "pattern mask is one of all, positive, negative; got 'x'"),
    "x for patterns": (lambda: lrp.pattern_statistics(W, np.ones((1, 3))), r"x: expected \(N >= 1, 2\), got shape \(1, 3\)"),
    "weight for patterns": (lambda: lrp.pattern_statistics(B, X), r"weight: expected \(out, in\), got shape \(1,\)"),
    "dtype for patterns": (
        lambda: lrp.pattern_statistics(W, X.astype(np.float32)),
        "weight has dtype float64, but x has float32; convert",
    ),
    "masks mixed": (
        lambda: lrp.pattern_statistics(W, X) + lrp.pattern_statistics(W, X, "positive"),
        "cannot combine mask 'all' with 'positive'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_clear_line(name: str) -> None:
    call, text = REFUSED[name]
    with pytest.raises(lrp.LRPError) as caught:
        call()
    line = str(caught.value)
    assert re.search(text, line), line
    assert "\n" not in line
    assert "Traceback" not in line
    assert len(line) < 250


@pytest.mark.parametrize("call", [lrp.propagate, lrp.messages, lrp.bounds])
def test_every_entry_point_refuses_alike(call: Callable[..., Any]) -> None:
    with pytest.raises(lrp.LRPError, match="x: expected a float dtype, got int64"):
        ask(x=X.astype(int), call=call)
    with pytest.raises(lrp.LRPError, match="Zero: bias is one of"):
        ask(bias="x", call=call)


def test_an_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="expected alpha - beta = 1"):
        lrp.AlphaBeta(1, 1)


def test_unknown_names_of_the_package_are_refused() -> None:
    with pytest.raises(AttributeError, match="module 'lrp_ref' has no attribute 'Epsylon'"):
        _ = lrp.Epsylon
