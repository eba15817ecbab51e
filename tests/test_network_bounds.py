"""Bounds through networks: honest floats in any order of summation stay inside, at every node; wrong ones do not."""

from collections.abc import Iterator
from typing import Any

import array_api_strict
import numpy as np
import pytest
from flint import fmpq
from networks import PRESETS

import lrp_ref as lrp
from lrp_ref.layers.maps import ConvMap, DenseMap

NAMES = (
    "innvestigate.z", "innvestigate.epsilon", "innvestigate.w_square", "innvestigate.alpha2_beta1_ignore_bias",
    "innvestigate.sequential_preset_b_flat", "innvestigate.deep_taylor", "innvestigate.bounded_z", "zennit.epsilon_plus",
    "zennit.epsilon_alpha2_beta1_flat", "zennit.epsilon_gamma_box", "zennit.excitation_backprop", "julia.epsilon_gamma_box",
)  # fmt: skip
ORDERS = ("as it is", "explicit", "backwards", "shuffled", "shuffled again")


def rational(a: Any) -> Any:
    """The floats themselves, as rationals."""
    found = np.empty(a.shape, dtype=object)
    for index in np.ndindex(a.shape):
        found[index] = fmpq(*float(a[index]).as_integer_ratio())
    return found


def network(cast: Any, seed: int = 0, scale: float = 0.5) -> lrp.Network:
    """A residual network on x (N, 2, 6, 6) with float32 weights; the variances have rational roots."""
    rng = np.random.default_rng(seed)

    def some(*shape: int) -> Any:
        return cast(rng.normal(scale=scale, size=shape).astype(np.float32))

    norm = lrp.BatchNorm(some(4), some(4), some(4), cast(np.array([4, 1, 0.25, 9], np.float32)), 0)
    nodes = [
        lrp.Node("conv", lrp.Conv(some(4, 2, 3, 3), some(4))),
        lrp.Node("norm", norm),
        lrp.Node("relu", lrp.Activation()),
        lrp.Node("branch", lrp.Conv(some(4, 2, 3, 3), some(4), padding=1, groups=2)),
        lrp.Node("add", lrp.Add(), ("branch", "relu")),
        lrp.Node("relu2", lrp.Activation()),
        lrp.Node("average", lrp.AvgPool((2, 2))),
        lrp.Node("max", lrp.MaxPool((2, 2)), "relu2"),
        lrp.Node("both", lrp.Concat(), ("average", "max")),
        lrp.Node("flat", lrp.Flatten()),
        lrp.Node("dense", lrp.Dense(some(5, 32), some(5))),
        lrp.Node("relu3", lrp.Activation()),
        lrp.Node("logits", lrp.Dense(some(3, 5), some(3))),
    ]
    return lrp.Network(nodes)


def image(seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(-1, 1, size=(2, 2, 6, 6)).astype(np.float32)


def in_order(order: str, patch: pytest.MonkeyPatch) -> None:
    """Sums in another order: taps, columns and channels permuted, and added one block after the other."""
    if order == "as it is":
        return
    if order == "explicit":
        original = lrp.propagate
        patch.setattr(
            "lrp_ref.network.composite.propagate", lambda *args, **named: original(*args, **named, representation="explicit")
        )
        return
    rng = np.random.default_rng(len(order))

    def permuted(n: int) -> Any:
        return np.arange(n)[::-1] if order == "backwards" else rng.permutation(n)

    def matmul(a: Any, b: Any) -> Any:
        total = 0
        for k in np.array_split(permuted(a.shape[1]), 3):
            total = total + a[:, k] @ b[k, :]
        return total

    taps = ConvMap._taps

    def shuffled(self: ConvMap, transposed: bool) -> Iterator[Any]:
        pairs = list(taps(self, transposed))
        return iter([pairs[k] for k in permuted(len(pairs))])

    patch.setattr(DenseMap, "apply", lambda self, u: matmul(u, self.weight.T))
    patch.setattr(DenseMap, "adjoint", lambda self, s: matmul(s, self.weight))
    patch.setattr(ConvMap, "_taps", shuffled)


def largest_tau(exact: Any, found: Any, bounds: Any) -> float:
    """The largest error in units of its bound, over all nodes."""
    worst = 0.0
    for name, B in bounds.at.items():
        error = np.abs(rational(np.asarray(found.at[name])) - exact.at[name]).astype(float)
        assert (B[error > 0] > 0).all(), name
        worst = max([worst, *(error[B > 0] / B[B > 0])])
    return worst


@pytest.mark.parametrize("name", NAMES)
def test_honest_floats_stay_inside_at_every_node(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = NAMES.index(name)
    composite, x = PRESETS[name](), image(seed)
    exact = network(rational, seed).explain(rational(x), composite, target=1, at="all", bounds="float32")
    wide = network(rational, seed).explain(rational(x), composite, target=1, bounds="float64").bounds
    truth = network(rational, seed).forward(rational(x), at="all")
    for order in ORDERS:
        with monkeypatch.context() as patch:
            in_order(order, patch)
            for dtype, bounds in (("float32", exact.bounds), ("float64", wide)):
                cast = lambda a, dtype=dtype: a.astype(dtype)  # noqa: E731
                net = network(cast, seed)
                found = net.explain(cast(x), composite, target=1, at="all")
                assert largest_tau(exact, found, bounds) <= 1
                values = net.forward(cast(x), at="all")
                for value, e in bounds.forward.items():
                    assert (np.abs(rational(values[value]) - truth[value]).astype(float) <= e).all()


@pytest.mark.parametrize("name", ["innvestigate.epsilon", "innvestigate.alpha2_beta1_ignore_bias", "zennit.epsilon_plus_flat"])
def test_wrong_relevance_lies_outside(name: str) -> None:
    composite, x = PRESETS[name](), image()
    exact = network(rational).explain(rational(x), composite, target=1, at="all", bounds="float64")
    assert exact.bounds.says_nothing == ()
    assert "warning" not in repr(exact)
    net = network(lambda a: a.astype(np.float64))
    good = net.explain(x.astype(np.float64), composite, target=1, at="all")
    assert largest_tau(exact, good, exact.bounds) <= 1
    R, B = good.relevance, exact.bounds.relevance
    truth = exact.relevance.astype(float)
    assert np.max(np.abs(R * 1.0001 - truth) / B) > 1
    wrong = lrp.Composite([lrp.Assign(lrp.Epsilon(1e-3), lrp.Dense), *composite.entries])
    assert largest_tau(exact, net.explain(x.astype(np.float64), wrong, target=1, at="all"), exact.bounds) > 1
    single = network(lambda a: a).explain(x, composite, target=1, at="all")
    assert largest_tau(exact, single, exact.bounds) > 1


def test_bounds_of_the_run_itself_are_those_of_the_exact_one() -> None:
    composite, x = PRESETS["zennit.epsilon_plus"](), image()
    exact = network(rational).explain(rational(x), composite, bounds="float64").bounds
    own = network(lambda a: a.astype(np.float64)).explain(x.astype(np.float64), composite, bounds=True).bounds
    assert own.dtype == "float64"
    for name, B in exact.at.items():
        assert np.allclose(own.at[name], B, rtol=1e-3)


@pytest.mark.parametrize("kind", ["strict", "torch"])
def test_bounds_are_the_same_in_every_namespace(kind: str) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed") if kind == "torch" else None

    def cast(a: Any) -> Any:
        return torch.tensor(a) if torch else array_api_strict.asarray(a)

    composite, x = PRESETS["zennit.epsilon_plus"](), image()
    expected = network(lambda a: a).explain(x, composite, bounds=True).bounds
    found = network(cast).explain(cast(x), composite, bounds=True).bounds
    for name, B in expected.at.items():
        assert np.allclose(np.asarray(found.at[name]), B, rtol=1e-3)
    assert found.says_nothing == expected.says_nothing


def test_an_output_that_starts_nothing_adds_nothing() -> None:
    ones = lrp.Dense(np.ones((2, 3)))
    net = lrp.Network([lrp.Node("a", ones), lrp.Node("tied", ones, "x")], outputs=("a", "tied"))
    composite = lrp.Composite([lrp.Assign(lrp.Epsilon(0.1))])
    found = net.explain(np.ones((1, 3)), composite, target={"a": 0}, at="all", bounds=True)
    alone = lrp.Network([lrp.Node("a", ones)]).explain(np.ones((1, 3)), composite, target=0, bounds=True)
    assert found.bounds.says_nothing == ()
    assert not found.bounds.at["tied"].any()
    assert np.allclose(found.bounds.relevance, alone.bounds.relevance, rtol=1e-6)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_no_image_has_no_bound(kind: str) -> None:
    cast = pytest.importorskip("torch", reason="torch is not installed").tensor if kind == "torch" else np.asarray
    found = network(cast).explain(cast(image()[:0]), PRESETS["zennit.epsilon_plus"](), bounds=True)
    assert found.bounds.says_nothing == ()
    assert tuple(found.bounds.relevance.shape) == (0, 2, 6, 6)


@pytest.mark.parametrize("seed", ["one", "probability", "array"])
def test_every_seed_has_a_bound(seed: Any) -> None:
    composite, x = PRESETS["zennit.epsilon_plus"](), image()
    given = np.ones((2, 3), np.float32) / 3 if seed == "array" else seed
    single = network(lambda a: a).explain(x, composite, target=0, seed=given, bounds=True)
    wide = np.asarray(given, np.float64) if seed == "array" else seed
    double = network(lambda a: a.astype(np.float64)).explain(x.astype(np.float64), composite, target=0, seed=wide)
    assert (np.abs(single.relevance - double.relevance) <= single.bounds.relevance).all()


def test_where_rounding_decides_every_branch_counts() -> None:
    """Two units that differ by less than rounding, under a maximum, a ReLU's kink, a sign and a class that may change."""
    rng = np.random.default_rng(5)
    w = rng.normal(size=8).astype(np.float32)
    twin = np.nextafter(w, 2, dtype=np.float32)
    double = np.stack([w, w, w + 0, twin])
    x = rng.normal(size=(1, 8)).astype(np.float32)
    near = np.concatenate([w, -w]).astype(np.float32)[None, :]
    zero = np.concatenate([x, x], axis=1) + np.float32(0)

    def tied(cast: Any) -> lrp.Network:
        reshape, pool = lrp.Reshape((1, 4)), lrp.MaxPool((2,))
        nodes = [lrp.Node("dense", lrp.Dense(cast(double))), lrp.Node("shape", reshape), lrp.Node("max", pool)]
        return lrp.Network([*nodes, lrp.Node("flat", lrp.Flatten())])

    composite = lrp.Composite(
        [
            lrp.Assign(lrp.Epsilon(1e-3), lrp.Dense),
            lrp.Assign(lrp.Gradient(), lrp.Activation, sees={"linearization": "gradient"}),
            lrp.Assign(lrp.Gradient()),
        ]
    )
    found = tied(lambda a: a).explain(x, composite, target=1, seed="one", bounds=True, at=("shape",))
    relevance, B = found.at["shape"][0, 0], found.bounds.at["shape"][0, 0]
    assert sorted(relevance) == [0, 0, 0, 1]
    assert (B[2:] >= 1).all()  # either may have won
    assert (B[:2] < 1e-40).all()  # underflow
    assert "says nothing" in repr(found).splitlines()[-1]
    assert "shape" in found.bounds.says_nothing

    def kink(cast: Any) -> lrp.Network:
        return lrp.Network([lrp.Node("dense", lrp.Dense(cast(near))), lrp.Node("relu", lrp.Activation())])

    at_kink = kink(lambda a: a).explain(zero, composite, target=0, seed="one", bounds=True)
    assert at_kink.bounds.at["dense"].item() >= 1

    sign = lrp.Composite([lrp.Assign(lrp.GeneralizedGamma(0.25))])
    both = kink(lambda a: a)
    only = lrp.Network([both["dense"]])
    exact = lrp.Network([lrp.Node("dense", lrp.Dense(rational(near)))])
    truth = exact.explain(rational(zero), sign, target=0, seed="one").relevance  # z = 0 exactly: all is dropped
    assert (truth == 0).all()
    shifted = only.explain(zero + np.float32(1e-7) * (np.arange(16) == 0), sign, target=0, seed="one", bounds=True)
    assert (np.abs(shifted.relevance) <= shifted.bounds.relevance).all()

    classes = lrp.Network([lrp.Node("dense", lrp.Dense(double))])
    chosen = classes.explain(x, composite, bounds=True, at="all")
    assert (chosen.bounds.at["dense"][0] >= np.abs(chosen.output[0])).all()
    named = classes.explain(x, composite, target=0, bounds=True, at="all")
    assert (named.bounds.at["dense"][0, 1:] == 0).all()


def test_units_that_are_surely_off_stay_exact() -> None:
    net = lrp.Network([lrp.Node("dense", lrp.Dense(np.float32([[1, 2], [-3, -1]]))), lrp.Node("relu", lrp.Activation())])
    found = net.explain(np.float32([[1, 1]]), lrp.Composite([lrp.Assign(lrp.Zero())]), target=1, bounds=True)
    assert found.bounds.forward["relu"][0, 1] == 0
    assert found.bounds.at["relu"][0, 1] == 0


@pytest.mark.parametrize("function", ["sigmoid", "tanh", "silu", "elu", "softplus", "leaky-relu"])
@pytest.mark.parametrize("linearization", ["identity", "gradient", "ratio"])
def test_activations_stay_inside(function: str, linearization: str) -> None:
    rng = np.random.default_rng(2)
    weights = [rng.normal(size=shape).astype(np.float32) for shape in ((6, 5), (6,), (2, 6))]
    x = rng.normal(size=(3, 5)).astype(np.float32)
    rule = lrp.Pass() if linearization == "identity" else lrp.Gradient()
    entries = [lrp.Assign(rule, lrp.Activation, sees={"linearization": linearization}), lrp.Assign(lrp.Epsilon(0.1))]

    def found(dtype: str, bounds: bool) -> Any:
        W, b, V = (a.astype(dtype) for a in weights)
        act = lrp.Node("act", lrp.Activation(function))
        net = lrp.Network([lrp.Node("in", lrp.Dense(W, b)), act, lrp.Node("out", lrp.Dense(V))])
        return net.explain(x.astype(dtype), lrp.Composite(entries), target=0, at="all", bounds=bounds)

    single, double = found("float32", True), found("float64", False)
    for name, B in single.bounds.at.items():
        assert (np.abs(single.at[name] - double.at[name]) <= B).all(), name
    assert "x" not in single.bounds.says_nothing


@pytest.mark.parametrize(
    "kind", ["unsigned_add", "clip", "zero_to_eps_then_signed", "rms_scaled", "std_scaled", "none", "drop"]
)
def test_stabilisers_stay_inside(kind: str) -> None:
    entry = lrp.Assign(lrp.Zero(), (lrp.Dense, lrp.Conv, lrp.BatchNorm), stabilizer=lrp.Stabilizer(kind, 0.01))
    composite = lrp.Composite([entry, *PRESETS["zennit.epsilon_plus"]().entries])
    x = image(8)
    single = network(lambda a: a, 8).explain(x, composite, target=1, at="all", bounds=True)
    double = network(lambda a: a.astype(np.float64), 8).explain(x.astype(np.float64), composite, target=1, at="all")
    for name, B in single.bounds.at.items():
        assert (np.abs(single.at[name] - double.at[name]) <= B).all(), name


def test_half_precision_says_where_it_says_nothing() -> None:
    found = network(lambda a: a).explain(image(), PRESETS["innvestigate.z"](), target=1, bounds="bfloat16")
    assert "x" in found.bounds.says_nothing
    line = repr(found).splitlines()[-1]
    assert line.startswith("warning: at x, ")
    assert line.endswith("the bfloat16 bound exceeds a tenth of the relevance and says nothing; use a wider dtype")


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "exact": (lrp.Assign(lrp.Zero()), True, "bounds: the arithmetic is exact; name the dtype to bound"),
    "dtype": (lrp.Assign(lrp.Zero()), "float8", "bounds are known for float64, float32, float16, bfloat16; got 'float8'"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_has_no_bound_is_told(case: tuple[Any, Any, str]) -> None:
    entry, bounds, message = case
    net = lrp.Network([lrp.Node("a", lrp.Dense(lrp.exact([[1, 2]])))])
    with pytest.raises(lrp.LRPError, match=message):
        net.explain(lrp.exact([[1, 1]]), lrp.Composite([entry]), bounds=bounds)
