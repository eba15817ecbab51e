"""Composites: first match wins, nothing goes without a rule, and presets give every layer what their library gives it."""

import io
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from networks import PRESETS, image, residual

import lrp_ref as lrp

INN, ZEN, JUL = lrp.composites.innvestigate, lrp.composites.zennit, lrp.composites.relevance_propagation_jl
E, P = lrp.Epsilon(), lrp.Pass()


def chain(*layers: Any) -> lrp.Network:
    """Nodes n0, n1, ... in a row."""
    return lrp.Network([lrp.Node(f"n{k}", layer) for k, layer in enumerate(layers)])


CONV, DENSE, RELU, FLAT = lrp.Conv(np.ones((1, 1, 1))), lrp.Dense(np.ones((1, 1))), lrp.Activation(), lrp.Flatten()
NET = chain(FLAT, DENSE, RELU, DENSE, DENSE)


def chosen(entry: lrp.Assign, net: lrp.Network = NET) -> list[str]:
    return sorted(entry.matches(net))


def test_entries_choose_by_kind_name_position_and_predicate() -> None:
    assert chosen(lrp.Assign(E)) == ["n0", "n1", "n2", "n3", "n4"]
    assert chosen(lrp.Assign(E, lrp.Activation)) == ["n2"]
    assert chosen(lrp.Assign(E, (lrp.Activation, lrp.Flatten))) == ["n0", "n2"]
    assert chosen(lrp.Assign(E, name="n[1-3]")) == ["n1", "n2", "n3"]
    assert chosen(lrp.Assign(E, lrp.Dense, name="n[1-3]")) == ["n1", "n3"]
    assert chosen(lrp.Assign(E, when=lambda net, node: bool(net.readers(node.name)))) == ["n0", "n1", "n2", "n3"]


@pytest.mark.parametrize(
    ("position", "names"),
    [
        ("first", ["n1"]),
        ("last", ["n4"]),
        (1, ["n3"]),
        (-1, ["n4"]),
        (5, []),
        (range(2), ["n1", "n3"]),
        (range(1, 9), ["n3", "n4"]),
        ("input", ["n1"]),
    ],
)
def test_positions_count_layers_with_weights(position: Any, names: list[str]) -> None:
    assert chosen(lrp.Assign(E, position=position)) == names


def test_positions_count_what_matches_otherwise() -> None:
    assert chosen(lrp.Assign(E, lrp.Activation, position="first")) == ["n2"]
    assert chosen(lrp.Assign(E, lrp.Dense, position="first", name="n[34]")) == ["n3"]


def test_every_branch_that_reads_the_input_is_at_the_input() -> None:
    net = lrp.Network([lrp.Node("a", DENSE, "x"), lrp.Node("b", DENSE, "x"), lrp.Node("s", lrp.Add(), ("a", "b"))])
    assert chosen(lrp.Assign(E, position="input"), net) == ["a", "b"]
    assert chosen(lrp.Assign(E, position="first"), net) == ["a"]


def test_the_first_match_wins() -> None:
    composite = lrp.Composite([lrp.Assign(lrp.Flat(), position="first"), lrp.Assign(E, lrp.Dense), lrp.Assign(P)])
    assert [entry.rule for entry in (composite.assign(NET)[n.name] for n in NET.nodes)] == [P, lrp.Flat(), P, E, E]
    mine = lrp.Composite((lrp.Assign(lrp.Zero(), name="n1"), *composite.entries))
    assert mine.assign(NET)["n1"].rule == lrp.Zero()


REFUSED: dict[str, tuple[Any, str]] = {
    "no rule": (
        lambda: lrp.Composite([lrp.Assign(E, lrp.Dense)], "mine").assign(NET),
        r"mine: no rule for n0 \(Flatten\), n2 \(Activation\); "
        r"add Assign\(rule, kind=Flatten\); add Assign\(rule, kind=Activation\)",
    ),
    "softmax": (
        lambda: ZEN.epsilon_plus().assign(chain(DENSE, lrp.Softmax())),
        r"zennit.epsilon_plus: no rule for n1 \(Softmax\); .*, or strip it with lrp_ref.transforms.strip_softmax",
    ),
    "tanh": (
        lambda: INN.deep_taylor().assign(chain(DENSE, lrp.Activation("tanh"))),
        r"innvestigate.deep_taylor: no rule for n1 \(Activation\)",
    ),
    "a class": (lambda: lrp.Assign(lrp.Zero), "Assign: rule: expected one such as lrp_ref.Epsilon"),
    "position": (lambda: lrp.Assign(E, position="second"), "position is 'first', 'last', 'input', an index or a range; got"),
    "entry": (lambda: lrp.Composite([E]), r"expected entries such as lrp_ref.Assign\(rule, kind=...\), got Epsilon"),
    "sees": (lambda: lrp.Assign(E, sees={"colour": 1}).seen(DENSE), "Assign: Dense has no colour; limit the entry with kind="),
    "zero_params": (lambda: ZEN.epsilon_plus(zero_params="weight"), "zero_params: expected None or 'bias', got 'weight'"),
    "alpha": (lambda: INN.alpha_beta(1, 1), "AlphaBeta: expected alpha - beta = 1"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_has_no_rule_is_told_in_one_line(case: tuple[Any, str]) -> None:
    call, message = case
    with pytest.raises(lrp.LRPError, match=message) as told:
        call()
    assert "\n" not in str(told.value)


def rules(composite: lrp.Composite, net: lrp.Network) -> list[str]:
    """What every node gets, as "rule bias stabilizer" where they are said."""
    found = []
    for node in net.nodes:
        entry = composite.assign(net)[node.name]
        _, rule, stabilizer, bias = entry.seen(node.layer), entry.rule, entry.stabilizer, entry.bias
        if entry.dialect:
            _, rule, stabilizer, bias = entry.dialect.apply(entry.seen(node.layer), rule, stabilizer, bias)
        words = [rule.name, bias, stabilizer and stabilizer.kind != "none" and f"{stabilizer.kind} {stabilizer.epsilon}"]
        found.append(" ".join(word for word in words if word))
    return found


BOX = lrp.ZBox(-1, 1)
NORM = lrp.BatchNorm(*[np.ones(1)] * 4)
MODEL = chain(FLAT, CONV, NORM, RELU, CONV, lrp.AvgPool((1,)), lrp.MaxPool((1,)), FLAT, DENSE, RELU, DENSE)
REPLACED, SIGNED = "replace_zero 1e-07", "signed_add 1e-06"
JULIA, JULIA_EPSILON = "zero_to_eps_then_signed 1e-09", "epsilon zero_to_eps_then_signed 1e-06"
GRADIENT, ZERO_INN, EPSILON_INN = "gradient", f"zero {REPLACED}", "epsilon signed_add 0.1"
HALVES = f"alpha-beta full_in_both {REPLACED}"
X, FLAT_INN, TAYLOR = f"alpha-beta-x {REPLACED}", f"flat {REPLACED}", f"alpha-beta ignore {REPLACED}"
# Flatten, Conv, BatchNorm, ReLU, Conv; AvgPool, MaxPool, Flatten; Dense, ReLU, Dense: as the libraries' own files say.
ASSIGNED: dict[str, tuple[Any, list[list[str]]]] = {
    "innvestigate.z": (
        INN.z(),
        [[GRADIENT, ZERO_INN, ZERO_INN, "pass", ZERO_INN], [ZERO_INN, GRADIENT, GRADIENT], [ZERO_INN, "pass", ZERO_INN]],
    ),
    "innvestigate.sequential_preset_a_flat": (
        INN.sequential_preset_a_flat(),
        [[GRADIENT, FLAT_INN, X, "pass", HALVES], [ZERO_INN, GRADIENT, GRADIENT], [EPSILON_INN, "pass", EPSILON_INN]],
    ),
    "innvestigate.sequential_preset_b_flat_until_idx": (
        INN.sequential_preset_b_flat_until_idx(2),
        [[GRADIENT, FLAT_INN, X, "pass", FLAT_INN], [ZERO_INN, GRADIENT, GRADIENT], [FLAT_INN, "pass", EPSILON_INN]],
    ),
    "innvestigate.bounded_deep_taylor": (
        INN.bounded_deep_taylor(-1, 1),
        [[GRADIENT, f"z-box {REPLACED}", GRADIENT, GRADIENT, TAYLOR], [GRADIENT] * 3, [TAYLOR, GRADIENT, TAYLOR]],
    ),
    "zennit.epsilon_gamma_box": (
        ZEN.epsilon_gamma_box(-1, 1),
        [
            [GRADIENT, f"z-box absorb {SIGNED}", "pass", "pass", f"generalized-gamma {SIGNED}"],
            [f"norm {SIGNED}", GRADIENT, GRADIENT],
            [f"epsilon {SIGNED}", "pass", f"epsilon {SIGNED}"],
        ],
    ),
    "zennit.excitation_backprop": (
        ZEN.excitation_backprop(),
        [
            [GRADIENT, f"z-plus absorb {SIGNED}", GRADIENT, GRADIENT, f"z-plus absorb {SIGNED}"],
            [f"norm {SIGNED}", GRADIENT, GRADIENT],
            [f"z-plus absorb {SIGNED}", GRADIENT, f"z-plus absorb {SIGNED}"],
        ],
    ),
    "julia.epsilon_gamma_box": (  # its first layer is no convolution
        JUL.epsilon_gamma_box(-1, 1),
        [
            ["pass", f"gamma {JULIA}", "pass", "pass", f"gamma {JULIA}"],
            [f"zero {JULIA}", f"zero {JULIA}", "pass"],
            [JULIA_EPSILON, "pass", JULIA_EPSILON],
        ],
    ),
}


@pytest.mark.parametrize("name", ASSIGNED)
def test_a_preset_gives_every_layer_what_its_library_gives_it(name: str) -> None:
    composite, expected = ASSIGNED[name]
    assert rules(composite, MODEL) == [name for row in expected for name in row]


def test_namesakes_differ() -> None:
    """zennit flattens the first linear layer of any kind, Julia only a convolution that is the very first layer."""
    behind, first = chain(FLAT, DENSE, RELU, DENSE), chain(CONV, RELU, FLAT, DENSE)
    assert rules(ZEN.epsilon_plus_flat(), behind)[1].startswith("flat")
    assert rules(JUL.epsilon_plus_flat(), behind)[1].startswith("epsilon")
    assert rules(ZEN.epsilon_plus_flat(), first)[0].startswith("flat")
    assert rules(JUL.epsilon_plus_flat(), first)[0].startswith("flat")


def test_an_input_layer_rule_may_be_a_rule_or_a_range() -> None:
    assert rules(INN.alpha2_beta1(input_layer_rule=(-1, 1)), MODEL)[1] == f"z-box {REPLACED}"
    assert rules(INN.alpha2_beta1(input_layer_rule=lrp.WSquare()), MODEL)[1] == f"w-square {REPLACED}"
    assert INN.z((-1, 1)).entries[0].rule == BOX


def test_the_same_name_means_different_numbers() -> None:
    """V0, weight (1, -1), bias -1, x (1, 1), z = -1 and R = -1, as a network of one dense layer."""
    net = lrp.Network([lrp.Node("v0", lrp.Dense(lrp.exact([[1, -1]]), lrp.exact([-1])))])

    def of(composite: lrp.Composite) -> list[float]:
        return [float(r) for r in net.explain(lrp.exact([[1, 1]]), composite).relevance[0]]

    assert of(INN.alpha2_beta1()) == [-2e7, 0.5]
    assert of(INN.alpha2_beta1_ignore_bias()) == pytest.approx([-2, 1])
    assert of(INN.w_square()) == [-0.5, -0.5]
    assert of(ZEN.epsilon_plus_flat()) == pytest.approx([-0.5, -0.5], rel=1e-6)
    assert of(JUL.epsilon_plus_flat()) == pytest.approx([1, -1], rel=1e-5)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_have_their_library_in_their_name(preset: str) -> None:
    assert PRESETS[preset]().name.split(".")[0] in ("captum", "innvestigate", "zennit", "relevance_propagation_jl")


def test_deep_taylor_of_a_rectified_output_conserves_what_is_positive() -> None:
    """Without batch norms, sums and averages, which get the gradient."""
    rng = np.random.default_rng(4)
    net = chain(lrp.Dense(lrp.exact(rng.integers(-3, 4, (4, 3)))), RELU, lrp.Dense(lrp.exact(rng.integers(-3, 4, (2, 4)))))
    net = lrp.transforms.rectify_output(net)
    result = net.explain(lrp.exact([[1, 2, 3]]), INN.deep_taylor(), target=0)
    assert result.output[0, 0] > 0
    assert float(result.relevance.sum()) == pytest.approx(float(result.output[0, 0]))


def test_pattern_attribution_by_hand() -> None:
    """One ReLU unit w = (1, -1) with pattern a: R_i = w_i a_i R for PatternAttribution, a_i R for PatternNet."""
    net = lrp.Network([lrp.Node("unit", lrp.Dense(lrp.exact([[1, -1]]))), lrp.Node("relu", RELU)])
    batches = [lrp.exact([[2, 1], [1, 1]]), lrp.exact([[0, 3], [4, 1]])]
    done: list[int] = []
    patterns = lrp.fit_patterns(net, batches, progress=done.append)
    # y = 1, 0, -3, 3; y > 0 at (2, 1), (4, 1): E[x] = (3, 1), E[xy] = (7, 2), E[y] = 1/4, cov = (25/4, 7/4), v = 9/2
    assert patterns["unit"].tolist() == [[Fraction(25, 18), Fraction(7, 18)]]
    assert done == [1, 2]
    x = lrp.exact([[2, 1], [0, 1]])
    attribution = lrp.composites.patterns.pattern_attribution(net, patterns)
    assert net.explain(x, attribution, seed="one").relevance.tolist() == [[Fraction(25, 18), Fraction(-7, 18)], [0, 0]]
    signal = lrp.composites.patterns.pattern_net(net, patterns)
    assert net.explain(x, signal, seed="one").relevance.tolist() == [[Fraction(25, 18), Fraction(7, 18)], [0, 0]]


def test_patterns_of_a_convolution_are_those_of_its_patches() -> None:
    rng = np.random.default_rng(1)
    weight = lrp.exact(rng.integers(-2, 3, (4, 1, 2, 2)))
    conv = lrp.Conv(weight, None, stride=2, padding=((1, 0), (0, 1)), groups=2)
    net, x = lrp.Network([lrp.Node("conv", conv)]), lrp.exact(rng.integers(-3, 4, (3, 2, 3, 3)))
    found = lrp.fit_patterns(net, [x], "negative")["conv"]
    padded = np.zeros((3, 2, 4, 4), dtype=object) + Fraction(0)
    padded[:, :, 1:, :3] = x
    for group in range(2):
        patches = [padded[n, group, i : i + 2, j : j + 2].reshape(-1) for n in range(3) for i in (0, 2) for j in (0, 2)]
        own = weight[2 * group : 2 * group + 2].reshape(2, -1)
        expected = lrp.pattern_statistics(own, np.array(patches), "negative").patterns(own)
        assert (found[2 * group : 2 * group + 2].reshape(2, -1) == expected.T).all()


def test_patterns_fit_a_whole_network_and_batches_add_up() -> None:
    net, x = residual(), image(batch=4)
    parts = lrp.fit_patterns(net, [x[:1], x[1:]])
    whole = lrp.fit_patterns(net, [x])
    assert list(whole) == ["conv", "branch", "dense"]
    for name, pattern in whole.items():
        assert pattern.shape == net[name].layer.weight.shape
        assert (parts[name] == pattern).all()
    result = net.explain(x, lrp.composites.patterns.pattern_attribution(net, whole))
    assert (result.ledger.imbalance() == 0).all()


def test_masks_of_patterns_follow_the_activations() -> None:
    """The last layer has no ReLU: all samples count there."""
    net, x = chain(lrp.Dense(lrp.exact([[1]])), RELU, lrp.Dense(lrp.exact([[-1]]))), lrp.exact([[1], [2], [-1]])
    default = lrp.fit_patterns(net, [x])
    said = lrp.fit_patterns(net, [x], {"n0": "positive", "n2": "all"})
    assert all((default[name] == said[name]).all() for name in default)
    for call, message in (
        (lambda: lrp.fit_patterns(net, []), "expected at least one batch, got none"),
        (lambda: lrp.fit_patterns(net, [x], "some"), "pattern mask is one of"),
        (lambda: lrp.fit_patterns(net, [x], {"n1": "all"}), "mask: 'n1' is no dense layer or convolution"),
        (
            lambda: lrp.composites.patterns.pattern_net(net, {"n0": lrp.exact([[1, 2]])}),
            r"patterns: expected 'n0' of its weight's shape \(1, 1\), got \(1, 2\)",
        ),
    ):
        with pytest.raises(lrp.LRPError, match=message):
            call()


@pytest.mark.parametrize("name", [name for name in PRESETS if not name.startswith("captum")])
def test_every_preset_takes_response_norms_and_factors_as_its_library_would(name: str) -> None:
    """Autograd's gradient; in Julia, ZeroRule by way of the gradient, and the dense layers' rule."""
    norm = lrp.LRN(3, alpha=3, beta=1)
    factor = lrp.Scale(lrp.exact([[[2]], [[-1]], [["1/2"]]]), lrp.exact([[[1]], [[1]], [[-1]]]))
    convolution = lrp.Conv(lrp.exact([[[[1]]], [[[2]]], [[["1/2"]]]]), lrp.exact([1, -1, 1]))
    net = chain(convolution, norm, factor, RELU, FLAT, lrp.Dense(lrp.exact([[1, 2, -1], [1, 1, 1]]), lrp.exact([1, 0])))
    found = net.explain(lrp.exact([[[[2]]], [[[-3]]]]), PRESETS[name](), target=1, seed="one", at="all")
    found.ledger.check()
    values = net.forward(lrp.exact([[[[2]]], [[[-3]]]]), at="all")
    tangent = lrp.LRN(3, alpha=3, beta=1, linearization="gradient")
    julia = name.startswith("julia")
    rules = (lrp.Zero(), lrp.Epsilon()) if julia else (lrp.Gradient(), lrp.Gradient())
    how = {"dialect": lrp.DIALECTS["relevancepropagation.jl"]} if julia else {}
    for node, layer, rule in (("n1", tangent, rules[0]), ("n2", factor, rules[1])):
        before = f"n{int(node[1]) - 1}"
        expected = lrp.propagate(layer, values[before], found.at[node], rule, **how)  # type: ignore[arg-type]
        assert (found.at[before] == expected.relevance).all()


def test_captum_refuses_what_it_has_no_rule_for() -> None:
    with pytest.raises(lrp.LRPError, match=r"captum.epsilon: no rule for n0 \(LRN\), n1 \(Scale\)"):
        lrp.composites.captum.epsilon().assign(chain(lrp.LRN(3), lrp.Scale(lrp.exact([2]))))


class Terminal(io.StringIO):
    """What stands for standard error."""

    def __init__(self, tty: bool) -> None:
        super().__init__()
        self.isatty = lambda: tty  # type: ignore[method-assign]


@pytest.mark.parametrize("tty", [True, False])
def test_fitting_shows_a_bar_on_a_terminal_and_nothing_in_a_pipe(tty: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal(tty))
    x = [np.random.default_rng(k).normal(size=(4, 3)) for k in range(3)]
    net = chain(lrp.Dense(np.random.default_rng(9).normal(size=(2, 3))))
    known, unknown = lrp.fit_patterns(net, x), lrp.fit_patterns(net, iter(x))
    assert (known["n0"] == unknown["n0"]).all()
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert ("batches" in shown, "3 of 3" in shown) == (tty, tty)
    lrp.fit_patterns(net, x, progress=lambda done: None)
    assert sys.stderr.getvalue() == shown  # type: ignore[attr-defined]
