"""A rule or a layer of a user's own works wherever ours do, and what it lacks is said in one line."""

import doctest
import pickle
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import own
import pytest

import lrp_ref as lrp
from lrp_ref import transforms

DOCS = Path(__file__).resolve().parent.parent / "docs" / "extending.md"
DENSE = lrp.Dense(lrp.exact([["1/2", -1, 2], [3, "1/4", -1]]), lrp.exact([-1, "1/2"]))
X, R = lrp.exact([[1, 2, -1], ["1/2", -2, 1]]), lrp.exact([[1, -1], [2, "1/2"]])
SHIFT = own.Shift(DENSE.weight, DENSE.bias)
TWINS = {"shift": (SHIFT, DENSE), "smooth": (own.Smooth(), lrp.Dense(lrp.exact([["1/2", "1/2", 0], [0, "1/2", "1/2"]])))}
RULES = {rule.name: rule for rule in own.RULES}


def single(a: Any) -> Any:
    return a.astype(np.float32)


def test_the_examples_of_the_page_run_as_printed() -> None:
    found = doctest.testfile(str(DOCS), module_relative=False)
    assert found.attempted >= 15
    assert found.failed == 0


ASKED = re.compile(r"(?:getattr|hasattr)\((?:\w+\.)*(rule|layer), \"(\w+)\"")
OURS = {"empty_half", "groups"}  # fields of AlphaBeta and Conv, which no rule or layer of a user's own has to know


@pytest.mark.parametrize(("what", "protocol"), [("rule", lrp.Rule), ("layer", lrp.Layer)])
def test_what_the_package_asks_of_rules_and_layers_is_documented(what: str, protocol: type) -> None:
    texts = [path.read_text(encoding="utf-8") for path in Path(lrp.__file__).parent.rglob("*.py")]
    asked = {name for text in texts for kind, name in ASKED.findall(text) if kind == what} - OURS
    assert len(asked) >= 5
    for text in (protocol.__doc__ or "", DOCS.read_text(encoding="utf-8")):
        assert [name for name in sorted(asked) if not re.search(rf"`{name}\b", text)] == []


@pytest.mark.parametrize("name", RULES)
def test_a_rule_of_ones_own_agrees_in_every_representation_and_arithmetic(name: str) -> None:
    rule = RULES[name]
    found = lrp.propagate(DENSE, X, R, rule)
    found.ledger.check()
    assert (found.relevance == lrp.propagate(DENSE, X, R, rule, representation="explicit").relevance).all()
    assert (found.relevance == lrp.messages(DENSE, X, R, rule).sum(axis=1)).all()
    (B,) = lrp.bounds(DENSE, X, R, rule).allowed("float32")
    floats = lrp.propagate(lrp.Dense(single(DENSE.weight), single(DENSE.bias)), single(X), single(R), rule)
    floats.ledger.check()
    assert (np.abs(lrp.exact(floats.relevance) - found.relevance) <= B).all()


def test_a_class_that_is_no_dataclass_is_the_same_rule() -> None:
    for gamma in (Fraction(1, 3), 0.25, 2):
        ours, theirs = (lrp.propagate(DENSE, X, R, rule(gamma)).relevance for rule in (own.Boost, own.PlainBoost))
        assert (ours == theirs).all()


def test_settling_a_rule_leaves_it_as_it_is() -> None:
    rule = own.PlainBoost(0.25)
    lrp.propagate(DENSE, X, R, rule)
    assert type(rule.gamma) is float


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("rule", [lrp.Epsilon(0.25), lrp.AlphaBeta(2, 1), lrp.WSquare(), own.Boost()], ids=lambda r: r.name)
def test_a_layer_of_ones_own_is_its_twin_of_ours(name: str, rule: Any) -> None:
    mine, ours = TWINS[name]
    found, expected = (lrp.propagate(layer, X, R, rule) for layer in (mine, ours))
    assert (found.relevance == expected.relevance).all()
    assert found.ledger.totals() == expected.ledger.totals()
    assert (lrp.messages(mine, X, R, rule) == lrp.messages(ours, X, R, rule)).all()
    (B,), (C,) = (lrp.bounds(layer, X, R, rule).allowed("float32") for layer in (mine, ours))
    assert (B == C).all()


def network(cast: Any) -> lrp.Network:
    shift = own.Shift(cast(DENSE.weight), cast(DENSE.bias))
    return lrp.Network(
        [
            lrp.Node("reverse", own.Reverse()),
            lrp.Node("sum", lrp.Add(), ("reverse", "x")),
            lrp.Node("shift", shift),
            lrp.Node("relu", lrp.Activation("relu")),
            lrp.Node("smooth", own.Smooth()),
        ]
    )


COMPOSITE = lrp.Composite(
    [
        lrp.Assign(lrp.Pass(), (own.Reverse, lrp.Activation)),
        lrp.Assign(own.PlainBoost(), own.Shift),
        lrp.Assign(own.BySign(), position="first"),
        lrp.Assign(lrp.Epsilon(0.25)),
    ],
    "mine",
)


def test_they_are_explained_in_a_network() -> None:
    exact, floats = network(lambda a: a), network(single)
    found = exact.explain(X, COMPOSITE, target=0, at="all")
    found.ledger.check()
    near = floats.explain(single(X), COMPOSITE, target=0)
    near.ledger.check()
    assert np.allclose(near.relevance, found.relevance.astype(np.float32), atol=1e-5)
    assert str(pickle.loads(pickle.dumps(near))) == str(near)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_network_of_them_is_within_its_bounds(dtype: str) -> None:
    exact = network(lambda a: a).explain(X, COMPOSITE, target=0, bounds=dtype)
    near = network(lambda a: a.astype(dtype)).explain(X.astype(dtype), COMPOSITE, target=0)
    B = exact.bounds.relevance
    assert np.isfinite(B).all()
    assert (np.abs(lrp.exact(near.relevance) - exact.relevance) <= B).all()


def test_without_a_drift_bounds_of_a_network_are_refused() -> None:
    net = lrp.Network([lrp.Node("still", Still())])
    assert net.explain(X, COMPOSITE, target=0).relevance.shape == X.shape
    with pytest.raises(lrp.LRPError, match="node 'still': bounds are not known for Still"):
        net.explain(X, COMPOSITE, target=0, bounds="float32")


def test_they_print_by_name() -> None:
    assert "shift    Shift" not in repr(network(single))
    assert "shift Shift" in repr(network(single))
    assert all(len(line) < 160 for line in str(network(single)).splitlines())


def test_they_are_seen_in_pictures() -> None:
    pytest.importorskip("matplotlib")
    found = network(single).explain(single(X), COMPOSITE, target=0)
    assert lrp.pictures.waterfall(found.ledger) is not None


def test_transforms_leave_them_alone() -> None:
    net = network(single)
    assert [type(node.layer) for node in transforms.merge_batch_norm(net).nodes] == [type(node.layer) for node in net.nodes]


def test_a_dialect_gives_its_stabiliser_to_a_rule_of_ones_own() -> None:
    zennit = lrp.DIALECTS["zennit-1.0"]
    found = lrp.propagate(DENSE, X, R, own.PlainBoost(), dialect=zennit).relevance
    assert (found == lrp.propagate(DENSE, X, R, own.Boost(), stabilizer=lrp.Stabilizer("signed_add", 1e-6)).relevance).all()


class Named(own.PlainBoost):
    name = "gamma"


class Modeless(own.PlainBoost):
    bias: Any = "absorb"


class Lone(own.PlainBoost):
    def parts(self, W: Any, x: Any, b: Any, y: Any) -> Any:
        return lrp.Part(W * x, b)


class Bare(own.PlainBoost):
    def parts(self, W: Any, x: Any, b: Any, y: Any) -> Any:
        return [W * x]


class Empty(own.PlainBoost):
    def parts(self, W: Any, x: Any, b: Any, y: Any) -> Any:
        return []


class Inexact(own.PlainBoost):
    def parts(self, W: Any, x: Any, b: Any, y: Any) -> Any:
        return [lrp.Part(0.5 * (W * x), b)]


class Axeless:
    def affine(self, x: Any) -> Any:
        return own.Smooth().affine(x)


class Still:
    axes = 1

    def affine(self, x: Any) -> Any:
        return own.Smooth().affine(x)


class Output(own.Smooth):
    def affine(self, x: Any) -> Any:
        return x


def asked(layer: Any = DENSE, rule: Any = own.Boost(), **how: Any) -> Any:  # noqa: B008
    return lrp.propagate(layer, X, R, rule, **how)


REFUSED = {
    "a layer without affine": (lambda: asked(own.Duck()), r"layer: Duck has no affine\(x\); .* or see lrp_ref.Layer"),
    "a layer without axes": (lambda: asked(Axeless()), "layer: Axeless has no axes; .* or see lrp_ref.Layer"),
    "a layer that is nothing": (lambda: asked(object.__new__(type("It", (), {}))), r"It has no axes and no affine\(x\)"),
    "a layer as a class": (lambda: asked(own.Smooth), "layer: expected one such as .*, got type <class"),
    "a layer that returns an array": (
        lambda: asked(Output()),
        "Output.affine: expected to return an lrp_ref.Affine, .* ndarray",
    ),
    "a node": (lambda: lrp.Network([lrp.Node("a", own.Duck())]), r"node 'a': layer: Duck has no affine\(x\)"),  # type: ignore[arg-type]
    "a rule without a name": (lambda: asked(rule=own.Nameless()), "rule: Nameless has no name; .* or see lrp_ref.Rule"),
    "a rule in a composite": (lambda: lrp.Assign(own.Nameless()), "Assign: rule: Nameless has no name"),
    "modes that are one word": (lambda: asked(rule=Modeless()), r"Modeless.bias is a tuple of modes .* got 'absorb'"),
    "one part": (lambda: asked(rule=Lone()), "Lone.parts: expected to return a list of lrp_ref.Part, got Part"),
    "contributions": (lambda: asked(rule=Bare()), "Bare.parts: expected to return at least one lrp_ref.Part, .* got Separable"),
    "no parts": (lambda: asked(rule=Empty()), "Empty.parts: expected to return at least one lrp_ref.Part"),
    "a float in exact arithmetic": (lambda: asked(rule=Inexact()), "Inexact.parts turns exact numbers into floats"),
    "a name of ours, in a dialect": (
        lambda: asked(rule=Named(), dialect=lrp.DIALECTS["zennit-1.0"]),
        "Named: its name 'gamma' is that of lrp_ref.Gamma, whose conventions in zennit-1.0 it would get",
    ),
    "a field that is not there": (
        lambda: lrp.Assign(lrp.Zero(), sees={"slope": 1}).seen(own.Reverse()),
        "Reverse has no slope",
    ),
    "no composite": (lambda: network(single).explain(single(X), own.Duck()), r"composite: Duck has no assign\(net\)"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_is_lacking_is_said_in_one_line(case: tuple[Any, str]) -> None:
    call, message = case
    with pytest.raises(lrp.LRPError, match=message) as told:
        call()
    assert "\n" not in str(told.value)


def test_floats_written_into_a_formula_are_fine_in_floats() -> None:
    found = lrp.propagate(lrp.Dense(single(DENSE.weight)), single(X), single(R), Inexact())
    assert found.relevance.dtype == np.float32
