"""Presets by name."""

import ast
import inspect
from typing import Any

import networks
import numpy as np
import pytest

import lrp_ref as lrp
from lrp_ref.composites import PRESETS, innvestigate, named, relevance_propagation_jl, zennit
from lrp_ref.composites.presets import UNNAMED


def public(module: Any) -> set[str]:
    """The functions that a module's text defines, annotated to return a composite."""
    tree = ast.parse(inspect.getsource(module))
    defined = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    return {node.name for node in defined if isinstance(node.returns, ast.Name) and node.returns.id == "Composite"}


@pytest.mark.parametrize("module", [innvestigate, zennit, relevance_propagation_jl])
def test_every_preset_of_a_library_is_listed_with_what_it_is(module: Any) -> None:
    library = module.__name__.rsplit(".", 1)[-1]
    listed = {name for name in PRESETS if name.startswith(f"{library}.")}
    assert listed == {f"{library}.{name}" for name in public(module)}
    for name in listed:
        assert PRESETS[name].about
        assert PRESETS[name].merged == (module is not innvestigate)


def test_a_preset_is_written_as_it_is_called() -> None:
    assert str(PRESETS["innvestigate.bounded_deep_taylor"]) == "innvestigate.bounded_deep_taylor(low, high)"
    for preset in PRESETS.values():
        if not preset.required:
            assert [type(e.rule) for e in named(str(preset)).entries] == [type(e.rule) for e in preset().entries]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zennit.epsilon_plus", zennit.epsilon_plus()),
        (" zennit.epsilon_plus(epsilon=0.5) ", zennit.epsilon_plus(epsilon=0.5)),
        ("zennit.epsilon_gamma_box(-4, high=4, gamma=1)", zennit.epsilon_gamma_box(-4, 4, gamma=1)),
        ("innvestigate.alpha_beta(2, 1, bias=False)", innvestigate.alpha_beta(2, 1, False)),
        ("innvestigate.z(input_layer_rule=(-4, 4))", innvestigate.z((-4, 4))),
        ("innvestigate.z(input_layer_rule=AlphaBeta(2, beta=1))", innvestigate.z(lrp.AlphaBeta(2, 1))),
    ],
)
def test_a_name_makes_what_the_function_makes(text: str, expected: Any) -> None:
    net, x = networks.residual(networks.float64), networks.float64(networks.image())
    assert named(text).name == expected.name
    assert np.array_equal(net.explain(x, named(text)).relevance, net.explain(x, expected).relevance)


def test_arguments_may_follow_the_name() -> None:
    assert named("zennit.epsilon_plus(epsilon=1)", stabilizer=0.5).entries == zennit.epsilon_plus(1, 0.5).entries


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zennit.epsilon_pluss", r"did you mean 'zennit.epsilon_plus'\? zennit has epsilon_gamma_box, epsilon_plus, "),
        ("keras.z", "known are those of innvestigate, zennit, relevance_propagation_jl"),
        ("zennit", "zennit has epsilon_gamma_box"),
        ("zennit.comes_first", "no composite"),
        ("zennit.ZENNIT", "no composite"),
        ("", "expected a name, or a name with literal arguments"),
        ("zennit.epsilon_plus(", "expected a name, or a name with literal arguments"),
        ("zennit.epsilon_plus(1)(2)", "expected a name, or a name with literal arguments"),
        ("zennit.epsilon_plus(**{})", "expected a name, or a name with literal arguments"),
        ("zennit.epsilon_plus(epsilon=x)", "expected a name, or a name with literal arguments"),
        ("[].pop()", "expected a name, or a name with literal arguments"),
        ("(" * 500, "expected a name, or a name with literal arguments"),
        ("zennit.epsilon_plus(epsilon=open('a'))", "no rule 'open'; known are Zero"),
        ("zennit.epsilon_plus(epsilon=Zero(1))", r"Zero\(\) does not take these arguments"),
        ("zennit.epsilon_plus(eps=1)", r"unexpected keyword argument 'eps'; it is zennit.epsilon_plus\(epsilon=1e-06"),
        ("zennit.epsilon_gamma_box", "missing a required argument: 'low'; it is zennit.epsilon_gamma_box"),
        ("zennit.epsilon_plus(epsilon=-1)", "expected epsilon > 0, got -1"),
        ("zennit.epsilon_plus(epsilon='a')", "expected epsilon as a number"),
        ("patterns.pattern_net", "needs fitted patterns: use lrp_ref.fit_patterns and lrp_ref.composites.patterns.pattern_net"),
    ],
)
def test_what_is_no_preset_is_one_line(text: str, message: str) -> None:
    with pytest.raises(lrp.LRPError, match=message) as told:
        named(text)
    assert "\n" not in str(told.value)


def test_patterns_are_known_by_name_alone() -> None:
    assert UNNAMED == ("patterns.pattern_net", "patterns.pattern_attribution")
