"""What `docs/scaling.md` builds on: relevance of a network in pieces is the relevance of the whole."""

from typing import Any

import networks
import numpy as np
import pytest

import lrp_ref as lrp

RULES = [lrp.Epsilon(1e-2), lrp.ZPlus(), lrp.AlphaBeta(2, 1), lrp.Gamma(0.5), lrp.WSquare(), lrp.Flat(), lrp.ZBox(-9, 9)]


def stage(net: lrp.Network, nodes: slice, reads: str) -> lrp.Network:
    """Some nodes of a network as a network of its own, which reads what the node `reads` returns."""
    return lrp.Network(net.nodes[nodes], inputs=[reads])


def fixed(net: lrp.Network, composite: lrp.Composite) -> lrp.Composite:
    """Every node's rule in the whole network, by name: "first" and the like mean something else in a part of it."""
    entries = composite.assign(net)
    return lrp.Composite([lrp.Assign(e.rule, name=n, stabilizer=e.stabilizer, bias=e.bias, dialect=e.dialect, sees=e.sees)
                          for n, e in entries.items()])  # fmt: skip


@pytest.mark.parametrize("preset", ["zennit.epsilon_plus_flat", "zennit.epsilon_alpha2_beta1", "innvestigate.deep_taylor"])
def test_stages_that_pass_relevance_on_give_every_bit_of_the_whole(preset: str) -> None:
    net = networks.residual(networks.float32)
    x = np.random.default_rng(0).standard_normal((3, 1, 5, 5)).astype(np.float32)
    rules = fixed(net, networks.PRESETS[preset]())
    cut = [node.name for node in net.nodes].index("relu2") + 1
    lower, upper = stage(net, slice(cut), "x"), stage(net, slice(cut, None), "relu2")
    between = lower.forward(x)
    above = upper.explain(between, rules)
    below = lower.explain(x, rules, seed=above.relevance)
    whole = net.explain(x, networks.PRESETS[preset]())
    assert (above.output == whole.output).all()
    assert (below.relevance == whole.relevance).all()


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_dense_layer_split_by_outputs_needs_one_sum(rule: Any) -> None:
    rng = np.random.default_rng(1)
    w, b, x, R = (lrp.exact(rng.integers(-4, 5, shape) / 2) for shape in ((6, 4), (6,), (3, 4), (3, 6)))
    whole = lrp.propagate(lrp.Dense(w, b), x, R, rule).relevance
    parts = [lrp.propagate(lrp.Dense(w[k : k + 2], b[k : k + 2]), x, R[:, k : k + 2], rule).relevance for k in (0, 2, 4)]
    assert (sum(parts) == whole).all()
    assert whole.any()
