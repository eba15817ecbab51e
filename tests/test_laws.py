"""Laws without goldens: a correct layer keeps them all, and for each of them there is a mutant that breaks it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_command_run import called

import lrp_ref as lrp
from lrp_conform.diagnosis.jacobian import NotAffine, affine
from lrp_conform.diagnosis.metamorphic import Outcome, Subject, check, from_target

Array = np.ndarray
RANDOM = np.random.default_rng(7)
W, B = RANDOM.normal(size=(5, 7)), RANDOM.normal(size=5)
X, R = RANDOM.normal(size=(3, 7)), RANDOM.normal(size=(3, 5))
RULE = lrp.Epsilon(1e-6)


def make(weight: Array, bias: Array, spoil: Callable[[Array, Array, Array], Array] | None = None) -> Any:
    """The epsilon rule on a dense layer; `spoil` has (x, relevance, relevance_in)."""

    def explain(x: Array, relevance: Array) -> tuple[Array, Array]:
        y = x @ weight.T + bias
        s = relevance / (y + y.dtype.type(1e-6) * np.where(y >= 0, 1, -1).astype(y.dtype))
        found = x * (s @ weight)
        return y, found if spoil is None else spoil(x, relevance, found)

    return explain


def outcomes(spoil: Any = None, dtype: str = "float64", **changes: Any) -> dict[str, Outcome]:
    weight, bias = W.astype(dtype), B.astype(dtype)
    given: dict[str, Any] = {
        "explain": make(weight, bias, spoil),
        "layer": lrp.Dense(weight, bias),
        "rule": RULE,
        "make": lambda w, b: make(w, b, spoil),
        "weight": weight,
        "bias": bias,
    }
    subject = Subject(x=X.astype(dtype), relevance=R.astype(dtype), **{**given, **changes})
    return {o.law: o for o in check(subject)}


LAWS = (
    "repeated call", "scaling", "no relevance", "linear in R", "batch", "order of samples", "permuted inputs",
    "permuted outputs", "conservation", "reference",
)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_correct_layer_keeps_every_law(dtype: str) -> None:
    found = outcomes(dtype=dtype)
    assert tuple(found) == LAWS
    assert all(o.held for o in found.values()), found


@pytest.mark.parametrize(
    "rule", [lrp.AlphaBeta(2, 1), lrp.ZPlus(), lrp.Gamma(0.25), lrp.WSquare(), lrp.Flat(), lrp.ZBox(-5, 5)]
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_reference_itself_keeps_every_law(rule: Any, dtype: str) -> None:
    def of(weight: Array, bias: Array) -> Any:
        layer = lrp.Dense(weight, bias)
        return lambda x, relevance: (layer.affine(x).y, lrp.propagate(layer, x, relevance, rule).relevance)

    weight, bias = W.astype(dtype), B.astype(dtype)
    found = outcomes(dtype=dtype, explain=of(weight, bias), make=of, rule=rule)
    assert all(o.held for o in found.values()), found


calls: list[int] = []


def stateful(x: Array, relevance: Array, found: Array) -> Array:
    calls.append(1)
    return found * (1 + 2.0**-50 * len(calls))


MUTANTS: list[tuple[str, Any]] = [
    ("repeated call", stateful),
    ("scaling", lambda x, r, found: found * np.abs(r).sum()),
    ("no relevance", lambda x, r, found: found + 1e-300),
    ("linear in R", lambda x, r, found: np.abs(found)),
    ("batch", lambda x, r, found: found + 1e-9 * found.mean(axis=0)),
    ("order of samples", lambda x, r, found: found[:1] + 0 * found),
    ("permuted inputs", lambda x, r, found: found * np.linspace(1, 1.01, x.shape[1])),
    ("permuted outputs", lambda x, r, found: found * (1 + 1e-3 * r[:, :1])),
    ("conservation", lambda x, r, found: found * (1 - 1e-9)),
    ("reference", lambda x, r, found: found[:, ::-1]),
]


@pytest.mark.parametrize(("law", "spoil"), MUTANTS, ids=[law for law, _ in MUTANTS])
def test_a_mutant_breaks_its_law(law: str, spoil: Any) -> None:
    broken = outcomes(spoil)[law]
    assert broken.held is False
    if broken.index is not None:
        assert broken.got is not None
        assert broken.expected is not None
        assert broken.allowed is not None
        assert not abs(broken.got - broken.expected) <= broken.allowed


def test_nothing_that_is_not_finite_keeps_a_law() -> None:
    found = outcomes(lambda x, r, relevance: relevance * np.nan)
    assert {o.held for law, o in found.items() if law not in ("permuted inputs", "permuted outputs")} == {False}


def test_what_is_not_known_is_left_open_with_what_is_missing() -> None:
    found = outcomes(layer=None, rule=None, make=None)
    assert found["conservation"].held is found["reference"].held is None
    assert "give `rule`" in found["reference"].note
    assert "permuted inputs" not in found
    single = Subject(make(W, B), X[:1], R[:1])
    assert {o.law: o.held for o in check(single)}["batch"] is None


def test_a_layer_that_is_only_a_function_is_compared_by_its_matrix() -> None:
    def forward(x: Array) -> Array:
        return np.asarray(x @ W.T + B)

    found = outcomes(layer=None, forward=forward)
    assert found["reference"].held
    assert found["reference"].note == "Epsilon on the layer's Jacobian"
    assert found["conservation"].held
    assert outcomes(lambda x, r, a: a * 1.001, layer=None, forward=forward)["reference"].held is False
    matrix = affine(forward, X)
    np.testing.assert_allclose(matrix.weight[0], W, rtol=1e-15)
    np.testing.assert_array_equal(matrix.bias[0], B)


def test_a_piecewise_linear_model_needs_its_jacobian() -> None:
    """Relevance of a ReLU network by LRP-0 at once: W is dy/dx at every sample, b what is left."""
    V = RANDOM.normal(size=(7, 7))

    def forward(x: Array) -> Array:
        return np.asarray(np.maximum(x @ V.T, 0) @ W.T + B)

    def slope(x: Array) -> Array:
        return np.asarray(W @ ((x @ V.T > 0).T * V))

    def explain(x: Array, relevance: Array) -> tuple[Array, Array]:
        y = forward(x)
        return y, np.stack([x[n] * ((relevance[n] / y[n]) @ slope(x[n : n + 1])) for n in range(len(x))])

    with pytest.raises(NotAffine):
        affine(forward, X)
    assert outcomes(explain=explain, layer=None, rule=lrp.Zero(), forward=forward, make=None)["reference"].held is None
    found = outcomes(explain=explain, layer=None, rule=lrp.Zero(), jacobian=slope, make=None)
    assert found["reference"].held
    assert all(o.held for o in found.values()), found


def test_a_library_that_explains_one_target_is_composed() -> None:
    def explain_target(x: Array, target: int) -> tuple[Array, Array]:
        y = x @ W.T + B
        return make(W, B)(x, np.where(np.arange(5) == target, y, 0))

    found = outcomes(explain=from_target(explain_target))
    assert all(o.held for o in found.values()), found


MODULE = """
import numpy as np, lrp_ref
W = np.array([[1.0, -2.0, 3.0], [0.5, 1.0, -1.0]])
x = np.array([[1.0, 2.0, -1.0], [3.0, -1.0, 2.0]])
rule, forward = lrp_ref.Zero(), lambda x: x @ W.T

def explain(x, relevance):
    y = x @ W.T
    return y, FACTOR * x * ((relevance / y) @ W)

FACTOR = 1
"""


def test_the_command_tells_what_holds_and_what_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.py"
    with pytest.MonkeyPatch.context() as patch:
        path.write_text(MODULE, encoding="utf-8")
        assert called(patch, "laws", path) == 0
        out = capsys.readouterr().out
        assert "broken" not in out
        assert "Zero on the layer's Jacobian" in out
        path.write_text(MODULE + "FACTOR = 1.5\n", encoding="utf-8")
        assert called(patch, "laws", path) == 1
        out = capsys.readouterr().out
        assert "broken" in out
        assert "R[0][0] = " in out
        path.write_text(MODULE + "def explain(x, relevance):\n    raise ValueError('not\\ntoday')\n", encoding="utf-8")
        assert called(patch, "laws", path) == 2
        assert "ValueError: not today" in capsys.readouterr().err
        path.write_text("x = 1\n", encoding="utf-8")
        assert called(patch, "laws", path) == 2
        assert "expected x, and explain(x, relevance)" in capsys.readouterr().err
        assert called(patch, "laws", tmp_path / "none.py") == 2
        assert "no such Python file" in capsys.readouterr().err
