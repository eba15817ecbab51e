"""Everything public prints in a few lines that a reader understands, and no array prints whole."""

import doctest
import pydoc
import re
from typing import Any

import networks
import numpy as np
import pytest

import lrp_ref as lrp
from lrp_ref.propagation import gauges
from lrp_ref.streaming.identity import digest
from lrp_ref.text import printing

WIDE = lrp.Dense(np.ones((10, 784), np.float32), np.ones(10, np.float32))
IMAGE, SEED = np.ones((2, 784), np.float32), np.ones((2, 10), np.float32)
SMALL = lrp.Dense(lrp.exact([[1, -1]]), lrp.exact([-1]))
RULES = lrp.Composite([lrp.Assign(lrp.Pass(), (lrp.Activation, lrp.MaxPool)), lrp.Assign(lrp.Epsilon(0.25))], "mine")


def small() -> lrp.Result:
    return lrp.propagate(SMALL, lrp.exact([1, 1]), lrp.exact([-1]), lrp.AlphaBeta(2, 1))


def test_a_result_prints_its_shape_its_dtype_and_the_totals_of_its_account() -> None:
    assert str(small()) == "Result(relevance (2,) exact)\narrived -1, received -3/2, bias 1/2, stabilizer 0, dropped 0"
    wide = lrp.propagate(WIDE, IMAGE, SEED, lrp.Zero())
    assert repr(wide) == "Result(relevance (2, 784) float32)"
    assert str(wide).splitlines()[1].startswith("arrived 20, received 19.97")
    both = lrp.propagate(lrp.Add(), (IMAGE, IMAGE), IMAGE, lrp.Zero())
    assert repr(both) == "Result(relevance (2, 784), (2, 784) float32)"


def test_a_ledger_prints_its_totals() -> None:
    assert str(small().ledger) == "arrived -1, received -3/2, bias 1/2, stabilizer 0, dropped 0"
    assert repr(small().ledger) == "Ledger(arrived (1, 1) exact, received (1, 2) exact)"


def test_a_repr_computes_nothing() -> None:
    found = small()
    repr(found)
    assert "_computed" not in vars(found.ledger)
    net = networks.residual()
    explained = net.explain(networks.image(), lrp.Composite([lrp.Assign(lrp.Zero())]))
    repr(explained)
    repr(explained.ledger)
    assert "nodes" not in vars(explained.ledger)


def test_an_exact_number_prints_in_full_only_where_it_is_short() -> None:
    huge = lrp.exact([10**400])[0]
    assert printing.quantity(lrp.exact(["1/3"])[0]) == "1/3"
    assert printing.quantity(huge) == "100000000000000000000000 ..."
    assert printing.quantity(1 / (huge + 1) + 1) == "1"
    assert printing.quantity(np.float32(0.1)) == "0.1"


def test_a_layer_prints_the_shapes_of_its_arrays_and_what_is_not_as_usual() -> None:
    assert repr(WIDE) == "Dense(weight (10, 784) float32, bias (10,))"
    assert repr(lrp.Conv(np.ones((2, 1, 3, 3)), stride=2)) == "Conv(weight (2, 1, 3, 3) float64, stride=2)"
    assert repr(lrp.Flatten()) == "Flatten()"
    assert repr(lrp.Activation("elu")).startswith("Activation(function='elu'")


def test_every_layer_that_holds_arrays_prints_short() -> None:
    large = np.ones((40, 40, 3, 3))
    assert len(repr(lrp.Node("norm", lrp.BatchNorm(*[np.ones(999)] * 4)))) < 150
    for kind in (lrp.Conv, lrp.ConvTranspose):
        assert "weight (40, 40, 3, 3) float64" in repr(kind(large))
    assert "weight (40, 40) float64" in repr(lrp.Embedding(large[:, :, 0, 0]))
    assert "array(" not in repr(lrp.Scale(large[:, 0, 0, 0], large[:, 0, 0, 1]))


@pytest.mark.parametrize("rule", [r() for r in lrp.RULES.values()], ids=lambda r: r.name)
def test_the_repr_of_a_rule_is_python(rule: Any) -> None:
    assert eval(repr(rule), dict(vars(lrp.layers) | {r.__name__: r for r in lrp.RULES.values()})) == rule


def test_bounds_that_are_arrays_print_by_shape() -> None:
    assert repr(lrp.ZBox(np.zeros((3, 32, 32)), 1)) == "ZBox(low=(3, 32, 32) float64, high=1, padding=None)"


def test_a_composite_prints_a_line_per_entry() -> None:
    assert repr(RULES) == "Composite('mine', 2 entries)"
    assert str(RULES) == "mine\n  Pass(), Activation | MaxPool\n  Epsilon(epsilon=0.25)"
    conventions = lrp.Assign(
        lrp.ZPlus(), lrp.Conv, name="block1.*", position="first", bias="absorb", dialect=lrp.DIALECTS["zennit-1.0"]
    )
    assert str(conventions) == "ZPlus(), Conv, name='block1.*', position='first', bias='absorb', dialect=zennit-1.0"


def test_stabilisers_print_by_kind_and_epsilon() -> None:
    signed = lrp.Assign(lrp.Zero(), stabilizer=lrp.Stabilizer("signed_add", 1e-6))
    assert repr(signed) == "Assign(Zero(), stabilizer=signed_add 1e-06)"
    assert repr(lrp.Assign(lrp.Pass(), stabilizer=lrp.Stabilizer())) == "Assign(Pass(), stabilizer=none)"


@pytest.mark.parametrize("preset", lrp.composites.PRESETS.values(), ids=str)
def test_every_preset_prints_short_lines(preset: Any) -> None:
    numbers = {"low": np.zeros((3, 224, 224)), "high": np.ones((3, 224, 224)), "alpha": 2, "beta": 1, "idx": 1}
    composite = preset(**{name: numbers[name] for name in preset.required})
    lines = str(composite).splitlines()
    assert lines[0] == composite.name
    assert len(lines) == 1 + len(composite.entries)
    assert all(len(line) < 180 for line in lines)
    assert "Dialect(" not in str(composite)
    assert len(repr(composite)) < 100


def test_patterns_do_not_print_their_weights() -> None:
    net = lrp.Network([lrp.Node("dense", WIDE)])
    composite = lrp.composites.patterns.pattern_net(net, {"dense": WIDE.weight})
    assert "sees={'weight': (10, 784) float32}" in str(composite)


def test_a_network_prints_a_line_per_node() -> None:
    net = networks.residual(networks.float32)
    assert len(repr(net)) < 250
    assert repr(net).startswith("Network(11 nodes, x -> dense: conv Conv, norm BatchNorm,")
    lines = str(net).splitlines()
    assert len(lines) == 12
    assert lines[0] == "network: x -> dense"
    assert lines[-1].split() == ["dense", "Dense(weight", "(3,", "16)", "float32,", "bias", "(3,))", "of", "flat"]
    assert lines[5].split()[0] == "add"
    assert lines[5].endswith("of branch, relu")


def test_gauges_say_what_they_are_and_the_largest_bound() -> None:
    found = lrp.bounds(SMALL, lrp.exact([1, 1]), lrp.exact([-1]), lrp.AlphaBeta(2, 1))
    first, second = str(found).splitlines()
    assert first == repr(found) == "Gauges(inputs (1, 2) exact, output (1, 1); fan in 2, fan out 1, kappa 1)"
    (B,) = found.allowed("float32")
    assert f"float32 {B.max():.3g}, " in second


def test_bounds_of_a_network_say_how_large_they_are() -> None:
    net = lrp.Network([lrp.Node("dense", WIDE)])
    found = net.explain(IMAGE, RULES, target=1, bounds="float64").bounds
    assert re.fullmatch(r"NetworkBounds\(float64: relevance \(2, 784\) up to \d\.\d+e-\d+\)", repr(found))


def test_other_values_print_their_arrays_by_shape() -> None:
    statistics = lrp.pattern_statistics(WIDE.weight, IMAGE)
    assert repr(statistics).startswith("PatternStatistics(mask='all', counts (10,) float32, mean_x (784, 10)")
    account = lrp.Network([lrp.Node("dense", WIDE)]).explain(IMAGE, RULES).ledger.nodes["dense"]
    assert repr(account) == "NodeAccount(arrived (2,) float32, received (2,), bias (2,), stabilizer (2,), dropped (2,))"


def test_what_prints_short_is_still_told_apart_by_its_numbers() -> None:
    assert digest(lrp.Dense(np.ones((30, 30)))) != digest(lrp.Dense(np.zeros((30, 30))))


def test_the_help_on_bounds_is_an_example_that_runs() -> None:
    text = pydoc.plain(pydoc.render_doc(lrp.bounds))
    assert "allowed(dtype)" in text
    found = doctest.testmod(gauges)
    assert found.attempted >= 8
    assert found.failed == 0


def test_the_package_lists_public_names_only() -> None:
    listed = {name for name in dir(lrp) if not name.startswith("__")}
    assert listed == {*lrp.__all__, "composites", "layers", "pictures", "transforms"}
    assert "__version__" in dir(lrp)
