"""A rule or a stabiliser of one's own: right where it says nothing of itself, refused where what it says is not so."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import lrp_ref as lrp
from lrp_ref import stabilizers
from lrp_ref.arrays import absolute, neg, pos, where
from lrp_ref.propagation.unread import Unread
from lrp_ref.rules import Part

rng = np.random.default_rng(0)
LAYER = lrp.Dense(rng.normal(size=(4, 5)), rng.normal(size=4))
X, R = rng.normal(size=(2, 5)), rng.normal(size=(2, 4))


@dataclass(frozen=True)
class Branch:
    """n = (w x)+ where the output is positive, (w x)- where it is negative."""

    name: ClassVar[str] = "branch"
    bias: ClassVar[tuple[str, ...]] = ("absorb",)

    def parts(self, W: Any, x: Any, b: Any, y: Any) -> list[Part]:
        return [Part(pos(W * x), pos(b), where=y > 0), Part(neg(W * x), neg(b), where=y < 0)]


@dataclass(frozen=True)
class Liar(Branch):
    """The same, and says that it does not read the output."""

    reads_output: ClassVar[bool] = False


@dataclass(frozen=True)
class Mover:
    """Says that it only moves relevance."""

    name: ClassVar[str] = "mover"
    bias: ClassVar[tuple[str, ...]] = ("ignore",)
    moves: ClassVar[bool] = True

    def parts(self, W: Any, x: Any, b: Any, y: Any) -> list[Part]:
        return [Part(W.connections().contributions(), 0 * b)]


@dataclass(frozen=True)
class Magnitudes:
    """n = |w| x."""

    name: ClassVar[str] = "magnitudes"
    bias: ClassVar[tuple[str, ...]] = ("absorb",)

    def parts(self, W: Any, x: Any, b: Any, y: Any) -> list[Part]:
        return [Part(absolute(W) * x, absolute(b))]


@dataclass(frozen=True)
class Difference:
    """n = (w+ - w-) x, which is |w| x."""

    name: ClassVar[str] = "difference"
    bias: ClassVar[tuple[str, ...]] = ("absorb",)

    def parts(self, W: Any, x: Any, b: Any, y: Any) -> list[Part]:
        return [Part((pos(W) - neg(W)) * x, pos(b) - neg(b))]


def asked(rule: Any, exact: bool = False, **how: Any) -> Any:
    layer, x, relevance = LAYER, X, R
    if exact:
        layer, x, relevance = lrp.Dense(lrp.exact(LAYER.weight), lrp.exact(LAYER.bias)), lrp.exact(X), lrp.exact(R)
    return lrp.propagate(layer, x, relevance, rule, **how).relevance


def by_hand() -> Any:
    """The branches of `Branch`, output by output."""
    z, y = LAYER.weight * X[:, None, :], X @ LAYER.weight.T + LAYER.bias
    total = np.zeros_like(X)
    for n, j in np.ndindex(*y.shape):
        half = np.maximum if y[n, j] > 0 else np.minimum
        shares = half(z[n, j], 0)
        total[n] += shares / (shares.sum() + half(LAYER.bias[j], 0)) * R[n, j]
    return total


@pytest.mark.parametrize("representation", ["structured", "explicit"])
@pytest.mark.parametrize("registered", [False, True])
def test_a_rule_that_reads_the_output_is_given_it(
    representation: str, registered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if registered:
        monkeypatch.setitem(lrp.RULES, Branch.name, Branch)
    assert np.allclose(asked(Branch(), representation=representation), by_hand(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rule", [Magnitudes(), Difference()], ids=lambda rule: rule.name)
@pytest.mark.parametrize("representation", ["structured", "explicit", "sparse"])
def test_weights_have_magnitudes_and_differences_in_every_representation(representation: str, rule: Any) -> None:
    n = np.abs(LAYER.weight) * X[:, None, :]
    want = (n / (n.sum(-1) + np.abs(LAYER.bias))[..., None] * R[..., None]).sum(1)
    assert np.allclose(asked(rule, representation=representation), want)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("representation", ["structured", "explicit"])
def test_a_rule_that_reads_what_it_says_it_does_not_read_is_refused(representation: str, exact: bool) -> None:
    with pytest.raises(lrp.LRPError, match=r"^Liar: its parts read the output y.*; say reads_output = True$"):
        asked(Liar(), exact, representation=representation)


@pytest.mark.parametrize(
    "use",
    [
        lambda y: y > 0, lambda y: X[:, :4] > y, lambda y: X[:, :4] + y, lambda y: y - 1, lambda y: -y, lambda y: y == 0,
        lambda y: y.shape, np.abs, lambda y: np.maximum(y, 0), np.asarray, lambda y: np.where(y, 1, 0), pos, hash,
        bool, float, len, list, lambda y: where(y, X, X), lambda y: y[0], lambda y: y @ X, lambda y: np.array([y]),
    ],
)  # fmt: skip
def test_every_use_of_an_unread_output_is_refused(use: Callable[[Any], Any]) -> None:
    with pytest.raises(lrp.LRPError, match="Liar: its parts read the output y"):
        use(Unread(Liar()))
    assert "Liar" in repr(Unread(Liar()))


def test_a_rule_that_only_moves_is_refused_where_values_are_mixed() -> None:
    with pytest.raises(lrp.LRPError, match=r"^Mover: Dense mixes several inputs in one output"):
        asked(Mover())
    assert np.array_equal(lrp.propagate(lrp.Flatten(), X, X, Mover()).relevance, X)


@pytest.mark.parametrize("mode", ["absorbed", ""])
def test_a_bias_mode_that_nobody_knows_is_refused(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Branch, "bias", (mode,))
    with pytest.raises(lrp.LRPError, match=r"Branch: a rule's bias modes are among absorb, .*; got"):
        asked(Branch())


def test_a_rule_may_bring_its_stabilizer_and_change_its_parts_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    own = lrp.Stabilizer("signed_add", 0.5)
    want = asked(lrp.Zero(), stabilizer=own)
    monkeypatch.setattr(Branch, "parts", lambda self, W, x, b, y: [Part(W * x, b)])
    monkeypatch.setattr(Branch, "stabilizer", own, raising=False)
    assert np.array_equal(asked(Branch()), want)
    monkeypatch.setattr(Branch, "rescaled", lambda self, parts: [p._replace(scale=2.0) for p in parts], raising=False)
    assert np.allclose(asked(Branch()), 2 * want)


def test_a_stabilizer_that_says_nothing_of_itself_has_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stabilizers.KINDS, "mean", lambda d, eps, sgn: d + eps * abs(d).mean())  # looks at every output
    own = lrp.Stabilizer("mean", 0.5)
    assert (own.coupled, own.pole, own.known) == (True, True, False)
    d = X @ LAYER.weight.T + LAYER.bias
    want = X * ((R / (d + 0.5 * abs(d).mean())) @ LAYER.weight)
    assert np.allclose(asked(lrp.Zero(), stabilizer=own), want, rtol=1e-12, atol=1e-12)
    with pytest.raises(lrp.LRPError, match="bounds are not known for the stabilizer 'mean'"):
        lrp.bounds(LAYER, X, R, lrp.Zero(), stabilizer=own)


@pytest.mark.parametrize("kind", stabilizers.KINDS)
def test_every_stabilizer_says_how_it_moves(kind: str) -> None:
    assert lrp.Stabilizer(kind, 0.5).known
    assert lrp.Stabilizer(kind, 0.5).coupled == (kind in ("rms_scaled", "std_scaled"))
    d = np.array([[-0.5, 1.0, 2.0]])
    assert lrp.Stabilizer(kind, 0.5).pole == (kind in ("unsigned_add", "drop", "abs_share"))
    assert (lrp.Stabilizer(kind, 0.5)(d, 0.5)[0, 0] == 0) == lrp.Stabilizer(kind, 0.5).pole
