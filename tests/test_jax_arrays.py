"""JAX arrays cannot be written to, and may be traced: the same text, the same refusals, and `jax.jit`."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from examples import PROFILE, sweep
from namespaces import LAYERS, RULES, Make, posed, serving

import lrp_ref as lrp
from lrp_ref.arrays import known
from lrp_ref.kernels import switched

jax = pytest.importorskip("jax", reason="JAX is not installed")


@pytest.fixture(autouse=True, scope="module")
def _double_precision_compiled_soon() -> Iterator[None]:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_disable_most_optimizations", True)  # what takes time here is compiling
    yield
    jax.config.update("jax_enable_x64", before)
    jax.config.update("jax_disable_most_optimizations", False)


def there(a: np.ndarray) -> Any:
    return jax.numpy.asarray(a)


def given(x: tuple[Any, ...]) -> Any:
    return x if len(x) > 1 else x[0]


def assert_as_numpy(op: str, rule: Any, received: Any) -> None:
    """Both are honest float64 evaluations: each within its bound, so within two bounds of each other."""
    layer, x, relevance = posed(op, np.asarray)
    want = lrp.propagate(layer, x, relevance, rule).relevance
    bounds = lrp.bounds(layer, x, relevance, rule).allowed("float64")
    for r, w, bound in zip(received, want, bounds, strict=True):
        assert isinstance(r, jax.Array)
        assert (str(r.dtype), r.shape) == ("float64", w.shape)
        assert (abs(np.asarray(r) - w) <= 2 * bound).all()


@pytest.mark.parametrize("op", dict.fromkeys(("dense", "conv", "concat", *sweep(LAYERS, 2))))
def test_layers_and_rules_give_what_they_give_on_numpy(op: str) -> None:
    """Layers, and every rule on one that has weights and, in part, one that joins: each new shape is compiled anew."""
    layer, x, relevance = posed(op, there)
    asked = serving(op) if op == "dense" else sweep(serving(op), 3) if op == "concat" else [RULES["alpha-beta"], RULES["z-box"]]
    for rule in asked if len(asked) > 2 else sweep(asked, 2, LAYERS.index(op)):
        result = lrp.propagate(layer, x, relevance, rule)
        assert_as_numpy(op, rule, result.relevance)
    if PROFILE == "full" or op in ("dense", "conv", "concat"):
        result.ledger.check()


@pytest.mark.parametrize("representation", ["structured", "explicit"])
def test_the_plain_text_and_the_explicit_matrix_give_it_too(representation: str) -> None:
    layer, x, relevance = posed("conv", there)
    with switched(False):
        result = lrp.propagate(layer, x, relevance, RULES["gamma"], representation=representation)
    assert_as_numpy("conv", RULES["gamma"], result.relevance)


@pytest.mark.parametrize("op", ["dense", "conv"])
def test_compiled_rules_give_what_they_give_on_numpy(op: str) -> None:
    layer, x, relevance = posed(op, there)
    rules = serving(op)
    compiled = jax.jit(lambda x, R: [lrp.propagate(layer, x, R, rule).relevance for rule in rules])
    for rule, received in zip(rules, compiled(x, relevance), strict=True):
        assert_as_numpy(op, rule, received)


@pytest.mark.parametrize("op", LAYERS)
def test_every_layer_can_be_traced(op: str) -> None:
    layer, x, relevance = posed(op, there)
    traced = jax.eval_shape(lambda x, R: lrp.propagate(layer, x, R, RULES["z-box"]).relevance, x, relevance)
    assert [t.shape for t in traced] == [a.shape for a in lrp.propagate(*posed(op, np.asarray), RULES["z-box"]).relevance]


def refusal(x: np.ndarray, rule: Any, make: Make, relevance: float = 1.0) -> str:
    """The one line that refuses x (N, 2)."""
    layer = lrp.Dense(make(np.eye(2, dtype=np.float64)))
    with pytest.raises(lrp.LRPError) as caught:
        lrp.propagate(layer, make(x), make(np.full((len(x), 2), relevance)), rule)
    return str(caught.value)


@pytest.mark.parametrize(
    ("x", "rule", "line"),
    [
        ([[1, np.nan]], lrp.Zero(), r"x[0, 1]: expected a finite number, got nan"),
        ([[1, 2], [-np.inf, 2]], lrp.Zero(), r"x[1, 0]: expected a finite number, got -inf"),
        ([[1, 2]], lrp.ZBox(-1, 1), "ZBox: expected x <= high"),
        ([[1, 2]], lrp.ZBox([-3, 5], [3, 3]), "ZBox: expected low <= high"),
    ],
)
def test_data_that_numpy_refuses_is_refused_in_the_same_words(x: list[Any], rule: Any, line: str) -> None:
    said = refusal(np.array(x, np.float64), rule, there)
    assert said == refusal(np.array(x, np.float64), rule, np.asarray)
    assert line in said


def test_integers_and_overflows_are_refused_in_the_same_words() -> None:
    for x, relevance, line in (([[1, 2]], 1.0, "expected a float dtype, got int64"), ([[1e-300, 1.0]], 1e300, "overflows")):
        said = [refusal(np.array(x), lrp.Epsilon(1e-307), make, relevance) for make in (there, np.asarray)]
        assert said[0] == said[1]
        assert line in said[0]


def test_indices_beyond_the_table_are_refused() -> None:
    layer = lrp.Embedding(there(np.ones((3, 2))))
    with pytest.raises(lrp.LRPError, match="expected indices from 0 to 2, got 1 to 3"):
        lrp.propagate(layer, there(np.array([[1, 3]])), there(np.ones((1, 2, 2))), lrp.Flat())


def test_what_is_traced_is_refused_only_by_what_is_known_of_it() -> None:
    """Numbers are not known, shapes are."""
    layer, x, relevance = posed("dense", there)
    compiled = jax.jit(lambda x, R: lrp.propagate(layer, x, R, lrp.ZBox(-9, 9)).relevance)
    assert np.isnan(np.asarray(compiled(given(x), relevance * np.nan))).any()
    with pytest.raises(lrp.LRPError, match="relevance: expected the output's shape"):
        compiled(given(x), relevance[:, :1])
    layer, x, relevance = posed("concat", there)
    with pytest.raises(lrp.LRPError, match="Pass: how Concat connects is not known while it is traced"):
        jax.jit(lambda x, R: lrp.propagate(layer, x, R, lrp.Pass()).relevance)(x, relevance)


def test_an_error_that_is_not_about_tracing_is_no_unknown() -> None:
    with pytest.raises(TypeError, match="no truth"):
        known(Untrue())


class Untrue:
    def __bool__(self) -> bool:
        raise TypeError("no truth")
