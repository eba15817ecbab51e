"""Networks: the graph, the forward pass, and relevance that equals scalar loops node by node and balances exactly."""

import pickle
from dataclasses import FrozenInstanceError, fields
from fractions import Fraction
from typing import Any

import array_api_strict
import numpy as np
import pytest
from examples import examples, sweep
from flint import fmpq
from hypothesis import given
from hypothesis import strategies as st
from networks import PRESETS, float32, float64, image, residual, residual_nodes
from oracle import explain as scalar_loops
from oracle.layers import build

import lrp_ref as lrp
from lrp_ref.rules import CONVENTIONS, conventions

Json = dict[str, Any]
few = examples(2, 8)
presets = pytest.mark.parametrize("preset", PRESETS)
PLAIN = lrp.Composite(
    [
        lrp.Assign(lrp.Epsilon(0.25), lrp.Dense),
        lrp.Assign(lrp.AlphaBeta(2, 1), (lrp.Conv, lrp.BatchNorm)),
        lrp.Assign(lrp.Norm(), (lrp.Add, lrp.AvgPool)),
        lrp.Assign(lrp.Pass()),
    ]
)


def golden(a: Any) -> Json:
    return {"shape": list(a.shape), "data": [str(v) for v in a.reshape(-1)]}


def spelled(entry: lrp.Assign, layer: Any, node: Json) -> tuple[Json, Json]:
    """A node and its rule as golden files spell them, with a composite entry's conventions settled."""
    layer, rule, stabilizer, bias = entry.seen(layer), entry.rule, entry.stabilizer, entry.bias
    if entry.dialect is not None:
        layer, rule, stabilizer, bias = entry.dialect.apply(layer, rule, stabilizer, bias)
    numbers = {f.name: str(Fraction(getattr(rule, f.name))) for f in fields(rule) if f.name not in CONVENTIONS}
    if stabilizer is None and rule.name == "epsilon":
        stabilizer = lrp.Stabilizer("signed_add", rule.epsilon)
    stabilizer = stabilizer or lrp.Stabilizer()
    spec = {"rule": rule.name, **numbers, **conventions(rule), "bias": bias or rule.bias[0]}
    spec["stabilizer"] = {"kind": stabilizer.kind, "epsilon": str(Fraction(stabilizer.epsilon)), "sign_at_zero": "1"}
    changed = getattr(layer, "linearization", None)
    return (node | {"attrs": node["attrs"] | {"linearization": changed}} if changed else node), spec


def looped(nodes: list[Json], net: lrp.Network, composite: lrp.Composite, x: Any, relevance: Any) -> tuple[Json, Json]:
    """The relevance of every value, and per node the sum of what was lost, by scalar loops and a plain walk of the graph."""
    values, rules = {"x": golden(x)}, composite.assign(net)
    for node in nodes:
        built = build(node, {name: values[name] for name in node["inputs"]})
        outputs = [str(out.y) for sample in built.samples for out in sample]
        values[node["name"]] = {"shape": built.y_shape, "data": outputs}
    arriving, lost = {nodes[-1]["name"]: golden(relevance)}, {}
    for node in reversed(nodes):
        name = node["name"]
        seen, spec = spelled(rules[name], net[name].layer, node)
        inputs = {key: values[key] for key in node["inputs"]} | {"relevance": arriving[name]}
        found = scalar_loops({"model": {"nodes": [seen]}, "rules": {name: spec}, "inputs": inputs})
        lost[name] = sum(sum(found["ledger"][column]["data"]) for column in ("bias", "stabilizer", "dropped"))
        for key, r in found["relevance"].items():
            old = arriving.get(key, {"data": [0] * len(r["data"])})["data"]
            summed = [Fraction(a) + b for a, b in zip(old, r["data"], strict=True)]
            arriving[key] = {"shape": list(r["shape"]), "data": [str(v) for v in summed]}
    return arriving, lost


@presets
def test_relevance_at_every_node_is_that_of_scalar_loops(preset: str) -> None:
    nodes, net, x, composite = residual_nodes(np.random.default_rng(0)), residual(), image(batch=1), PRESETS[preset]()
    seed = lrp.exact([[1, -2, Fraction(1, 3)]])
    result = net.explain(x, composite, seed=seed, at="all")
    expected, lost = looped(nodes, net, composite, x, seed)
    assert {name: golden(a) for name, a in result.at.items()} == expected
    assert {name: row.bias[0] + row.stabilizer[0] + row.dropped[0] for name, row in result.ledger.nodes.items()} == lost
    assert golden(result.relevance) == expected["x"]


@pytest.mark.parametrize("preset", sweep(list(PRESETS), 4))
@given(data=st.data())
@few
def test_a_whole_network_balances_exactly(preset: str, data: Any) -> None:
    net = residual(seed=data.draw(st.integers(0, 50)))
    x = image(data.draw(st.integers(0, 50)))
    target = data.draw(st.sampled_from((None, 0, [2, 1])))
    result = net.explain(x, PRESETS[preset](), target=target, seed=data.draw(st.sampled_from(("logit", "one"))))
    result.ledger.check()
    assert (result.ledger.imbalance() == 0).all()
    totals = result.ledger.totals()
    assert totals["received"] == result.relevance.sum()
    assert totals["arrived"] == sum(totals[name] for name in ("received", "bias", "stabilizer", "dropped"))


def test_a_chain_is_propagate_after_propagate() -> None:
    rng = np.random.default_rng(3)
    layers = [lrp.Dense(rng.normal(size=(4, 5)), rng.normal(size=4)), lrp.Activation(), lrp.Dense(rng.normal(size=(2, 4)))]
    net = lrp.Network([lrp.Node(f"layer{k}", layer) for k, layer in enumerate(layers)])
    x, rule = rng.normal(size=(3, 5)), lrp.Epsilon(0.1)
    result = net.explain(x, lrp.Composite([lrp.Assign(rule)]), seed="one", target=1, at="all")
    hidden = [x]
    for layer in layers:
        hidden.append(layer.affine(hidden[-1]).y)
    assert (result.output == hidden[-1]).all()
    relevance = np.array([[0.0, 1.0]] * 3)
    for k in (2, 1, 0):
        assert (result.at[f"layer{k}"] == relevance).all()
        found = lrp.propagate(layers[k], hidden[k], relevance, rule)
        assert (result.ledgers[f"layer{k}"].bias == found.ledger.bias).all()
        relevance = found.relevance
    assert (result.relevance == relevance).all()


def test_relevance_of_a_value_read_twice_is_the_sum() -> None:
    """y = (2 + 3) x + x, so that both readers and the sum itself hand x its share: 2/6, 3/6 and 1/6 of R."""
    net = lrp.Network(
        [
            lrp.Node("double", lrp.Dense(lrp.exact([[2]])), "x"),
            lrp.Node("triple", lrp.Dense(lrp.exact([[3]])), "x"),
            lrp.Node("sum", lrp.Add(), ("double", "triple", "x")),
        ]
    )
    result = net.explain(lrp.exact([[5]]), lrp.Composite([lrp.Assign(lrp.Zero())]), seed=lrp.exact([[6]]), at="all")
    assert {name: a.item() for name, a in result.at.items()} == {"x": 6, "double": 2, "triple": 3, "sum": 6}


def test_a_node_may_read_one_value_twice() -> None:
    net = lrp.Network([lrp.Node("twice", lrp.Add(), ("x", "x"))])
    assert net.forward(lrp.exact([[5]])).item() == 10
    assert net.explain(lrp.exact([[5]]), lrp.Composite([lrp.Assign(lrp.Norm())])).relevance.item() == 10


def test_one_layer_serves_several_nodes() -> None:
    shared = lrp.Dense(lrp.exact([[1, 1], [0, 2]]), lrp.exact([1, 0]))
    net = lrp.Network([lrp.Node("first", shared), lrp.Node("second", shared)])
    x = lrp.exact([[1, 2]])
    result = net.explain(x, lrp.Composite([lrp.Assign(lrp.Zero())]), target=0, at="all")
    assert net.forward(x).tolist() == [[9, 8]]
    assert result.at["first"].tolist() == [[4, 4]]  # (4, 4) sum to 9 with the bias
    assert result.relevance.tolist() == [[1, 6]]  # 4 (1, 2) / 4 + 4 (0, 4) / 4
    assert result.ledger.totals()["bias"] == 2


def two_by_two() -> lrp.Network:
    """Inputs a and b; outputs sum = a + b and scaled = 3 sum + 1, which reads the other output."""
    return lrp.Network(
        [lrp.Node("scaled", lrp.Dense(lrp.exact([[3]]), lrp.exact([1])), "sum"), lrp.Node("sum", lrp.Add(), ("a", "b"))],
        inputs=("a", "b"),
        outputs=("sum", "scaled"),
    )


def test_several_inputs_and_outputs() -> None:
    net, x = two_by_two(), {"a": lrp.exact([[1]]), "b": lrp.exact([[3]])}
    assert [node.name for node in net.nodes] == ["sum", "scaled"]
    assert {name: y.item() for name, y in net.forward(x).items()} == {"sum": 4, "scaled": 13}
    zero = lrp.Composite([lrp.Assign(lrp.Zero())])
    both = net.explain(x, zero, target={"sum": 0, "scaled": 0})
    assert {name: r.item() for name, r in both.relevance.items()} == {"a": 4, "b": 12}  # of 4 + 13 - bias 1
    one = net.explain(x, zero, seed={"scaled": "one"})
    assert {name: r.item() for name, r in one.relevance.items()} == {"a": Fraction(3, 13), "b": Fraction(9, 13)}
    early = net.explain(x, zero, seed={"sum": lrp.exact([[8]])}, at="all")
    assert {name: r.item() for name, r in early.at.items()} == {"a": 2, "b": 6, "sum": 8, "scaled": 0}
    for result in (both, one, early):
        assert (result.ledger.imbalance() == 0).all()


def test_targets_choose_the_same_relevance() -> None:
    net, x = residual(), image()
    y = net.forward(x)
    best = y.argmax(axis=1)
    hot = lrp.exact((np.arange(3) == best[:, None]).astype(int))
    expected = net.explain(x, PLAIN).relevance
    for target in ("argmax", best, best.tolist(), hot, hot == 1):
        assert (net.explain(x, PLAIN, target=target).relevance == expected).all()
    assert (net.explain(x, PLAIN, seed=hot * y).relevance == expected).all()
    assert (net.explain(x, PLAIN, target=hot, seed=y).relevance == expected).all()
    summed = sum(net.explain(x, PLAIN, target=k).relevance for k in range(3))
    assert (net.explain(x, PLAIN, seed=y).relevance == summed).all()


def test_seeds_scale_what_a_target_starts() -> None:
    net, x = residual(float64), float64(image())
    y, composite = net.forward(x), PRESETS["zennit.epsilon_plus"]()
    one = net.explain(x, composite, target=1, seed="one")
    assert one.ledger.seed["dense"].tolist() == [1, 1]
    assert net.explain(x, composite, target=1).ledger.seed["dense"].tolist() == y[:, 1].tolist()
    p = np.exp(y - y.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    found = net.explain(x, composite, target=1, seed="probability")
    assert found.ledger.seed["dense"].tolist() == p[:, 1].tolist()
    assert np.allclose(found.relevance, one.relevance * p[:, 1].reshape(2, 1, 1, 1), rtol=1e-12)


def test_a_map_of_classes_is_explained_at_every_position() -> None:
    net = lrp.Network([lrp.Node("conv", lrp.Conv(lrp.exact([[[[1]]], [[[-1]]]])))])
    x = lrp.exact([[[[1, -2]]]])
    keep = lrp.Composite([lrp.Assign(lrp.Zero())])
    assert net.explain(x, keep).relevance.tolist() == [[[[1, 2]]]]
    assert net.explain(x, keep, target=0).relevance.tolist() == [[[[1, -2]]]]
    assert net.explain(x, keep, target=[[[0, 0]]]).relevance.tolist() == [[[[1, -2]]]]


@given(data=st.data())
@few
def test_relevance_is_linear_in_the_seed(data: Any) -> None:
    net, x = residual(seed=data.draw(st.integers(0, 9))), image(data.draw(st.integers(0, 9)), batch=1)
    composite = PRESETS[data.draw(st.sampled_from(list(PRESETS)))]()
    R, S = (lrp.exact([data.draw(st.lists(st.integers(-3, 3), min_size=3, max_size=3))]) for _ in range(2))
    r, s, both = (net.explain(x, composite, seed=seed).relevance for seed in (R, S, 2 * R - 3 * S))
    assert (both == 2 * r - 3 * s).all()


@given(data=st.data())
@few
def test_samples_do_not_see_each_other(data: Any) -> None:
    net, x = residual(seed=data.draw(st.integers(0, 9))), image(data.draw(st.integers(0, 9)), batch=3)
    composite = PRESETS[data.draw(st.sampled_from(list(PRESETS)))]()
    whole = net.explain(x, composite).relevance
    for n in range(3):
        assert (net.explain(x[n : n + 1], composite).relevance == whole[n : n + 1]).all()


def test_the_order_of_the_list_does_not_matter() -> None:
    net, x = residual(), image()
    shuffled = lrp.Network(list(reversed(net.nodes)), outputs=net.outputs)
    assert (shuffled.explain(x, PLAIN).relevance == net.explain(x, PLAIN).relevance).all()


@pytest.mark.parametrize("kind", ["fmpq", "float16", "float32", "float64", "strict", "torch"])
def test_every_arithmetic_comes_back(kind: str) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed") if kind == "torch" else None

    def cast(a: Any) -> Any:
        if kind == "fmpq":
            return np.vectorize(lambda v: fmpq(v.numerator, v.denominator), otypes=[object])(a)
        if kind == "strict":
            return array_api_strict.asarray(a.astype(np.float64))
        return torch.tensor(a.astype(np.float32)) if torch else a.astype("float32" if kind == "torch" else kind)

    net, x = residual(cast), cast(image())
    composite = PRESETS["zennit.epsilon_plus_flat"]()
    result = net.explain(x, composite, target=1, seed="one", at=("conv", "x"))
    result.ledger.check()
    assert type(result.relevance) is type(x)
    assert result.relevance.dtype == x.dtype
    assert result.relevance.shape == x.shape
    assert list(result.at) == ["conv", "x"]
    exact = residual().explain(image(), composite, target=1, seed="one").relevance
    if kind == "fmpq":
        assert golden(result.relevance) == golden(exact)
    else:
        assert np.allclose(np.asarray(result.relevance, dtype=float), exact.astype(float), rtol=2e-2, atol=2e-3)


def test_words_go_in_as_indices() -> None:
    net = lrp.Network(
        [
            lrp.Node("words", lrp.Embedding(lrp.exact([[1, 2], [3, 4]]))),
            lrp.Node("dense", lrp.Dense(lrp.exact([[1, 1]]))),
            lrp.Node("flat", lrp.Flatten()),
        ]
    )
    result = net.explain(np.array([[0, 1, 1]]), lrp.Composite([lrp.Assign(lrp.Zero())]), seed=lrp.exact([[3, 7, 14]]), at="all")
    assert result.at["words"].tolist() == [[[1, 2], [3, 4], [6, 8]]]
    assert result.relevance.tolist() == [[3, 7, 14]]
    assert (result.ledger.imbalance() == 0).all()


def test_what_is_not_asked_for_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    import lrp_ref.network.explain as module

    seen: list[set[str]] = []
    real = lrp.Assign.propagate

    def watched(net: Any, rules: Any, values: dict[str, Any], arriving: dict[str, Any]) -> Any:
        def spy(self: Any, *args: Any) -> Any:
            seen.append(set(values) | {f"R {name}" for name in arriving})
            return real(self, *args)

        monkeypatch.setattr(lrp.Assign, "propagate", spy)
        return backward(net, rules, values, arriving)

    backward = module.backward
    monkeypatch.setattr(module, "backward", watched)
    chain = [lrp.Node(f"n{k}", lrp.Dense(np.eye(2))) for k in range(4)]
    result = lrp.Network(chain).explain(np.ones((1, 2)), lrp.Composite([lrp.Assign(lrp.Epsilon())]))
    assert seen == [{"x", "n0", "n1", "n2"}, {"x", "n0", "n1"}, {"x", "n0"}, {"x"}]
    assert not result.at
    assert not result.ledgers


def test_forward_returns_the_values_asked_for() -> None:
    net, x = residual(), image()
    everything = net.forward(x, at="all")
    assert list(everything) == ["x", *(node.name for node in net.nodes)]
    assert (everything["relu"] == np.maximum(everything["norm"], 0)).all()
    assert list(net.forward(x, at=("relu",))) == ["relu"]
    assert (net.forward(x) == everything["dense"]).all()


@pytest.mark.parametrize("layer", [lrp.Identity(), lrp.Flatten(), lrp.Activation(), lrp.Dropout()], ids=repr)
def test_nothing_comes_back_in_the_callers_memory(layer: Any) -> None:
    net, passed = lrp.Network([lrp.Node("a", layer)]), lrp.Composite([lrp.Assign(lrp.Pass())])
    x, seed = np.ones((1, 2)), np.full((1, 2), 3.0)
    found = net.explain(x, passed, seed=seed, at="all")
    for a in (found.relevance, found.output, *found.at.values(), net.forward(x)):
        assert not any(np.shares_memory(a, own) for own in (x, seed))


def test_networks_are_values() -> None:
    net = residual()
    assert net == residual()
    assert net != residual(seed=1)
    assert pickle.loads(pickle.dumps(net)) == net
    with pytest.raises(FrozenInstanceError):
        net.nodes = ()  # type: ignore[misc]


def test_the_account_prints_as_a_table() -> None:
    result = residual().explain(image(), PLAIN, at=("conv",))
    lines = str(result).splitlines()
    assert repr(result) == lines[0]
    assert lines[0] == "Explanation(relevance (2, 1, 5, 5); at conv)"
    assert lines[1].split() == ["node", "arrived", "received", "bias", "stabilizer", "dropped", "conserved"]
    assert lines[2].split()[0] == "dense"
    assert lines[-1].split()[0] == "total"


def test_a_float_account_that_is_off_is_told() -> None:
    result = residual(float32).explain(float32(image()), PRESETS["zennit.epsilon_plus"]())
    result.ledger.check()
    for row in result.ledger.nodes.values():
        row.bias[...] += 10
    with pytest.raises(lrp.LRPError, match=r"ledger of sample 0 does not balance: off by .* \(allowed .*\)"):
        result.ledger.check()


D = lrp.Dense(np.ones((2, 2)))
X = np.ones((1, 2))
GRAPHS: dict[str, tuple[Any, str]] = {
    "nothing": (lambda: lrp.Network([]), "Network: expected at least one node, got none"),
    "no node": (lambda: lrp.Network([D]), r"expected nodes such as Node\('conv1', layer\), got Dense"),
    "no layer": (lambda: lrp.Network([lrp.Node("a", lrp.Dense)]), "node 'a': layer: expected one such as"),
    "unknown": (lambda: lrp.Network([lrp.Node("pool", D, "q")]), "'pool' reads 'q', no node or input; known are pool, x"),
    "misspelt": (lambda: lrp.Network([lrp.Node("conv1", D), lrp.Node("b", D, "conv")]), "did you mean 'conv1'"),
    "twice": (lambda: lrp.Network([lrp.Node("a", D), lrp.Node("a", D)]), "node 'a': another node has the same name"),
    "as input": (lambda: lrp.Network([lrp.Node("x", D)]), "node 'x': an input of the network has the same name"),
    "cycle": (
        lambda: lrp.Network([lrp.Node("a", lrp.Add(), ("x", "b")), lrp.Node("b", D, "a")]),
        "nodes read each other in a cycle: a <- b <- a; one of them needs another input",
    ),
    "itself": (lambda: lrp.Network([lrp.Node("a", D, "a")]), "in a cycle: a <- a"),
    "dead": (lambda: lrp.Network([lrp.Node("a", D), lrp.Node("b", D, "x")]), "that reach no output: a; remove them, or name"),
    "unread": (lambda: lrp.Network([lrp.Node("a", D)], inputs=("x", "z")), "inputs that no node reads: z"),
    "no such output": (lambda: lrp.Network([lrp.Node("a", D)], outputs="b"), "output 'b' is no node; known are a"),
    "too many": (lambda: lrp.Network([lrp.Node("a", D, ("x", "x"))]), r"node 'a': Dense takes 1 input\(s\), got 2"),
    "no list": (lambda: lrp.Network(5), "Network: expected a list of nodes, got int"),
    "no name": (lambda: lrp.Network([lrp.Node("a", D)], inputs=5), "Network: expected inputs as names, got 5"),
    "none read": (lambda: lrp.Network([lrp.Node("a", lrp.Add(), ())]), "node 'a': Add takes at least one input, got 0"),
}
NET = lrp.Network([lrp.Node("a", D)])
EPS = lrp.Composite([lrp.Assign(lrp.Epsilon())])
CALLS: dict[str, tuple[Any, str]] = {
    "shape": (lambda: NET.forward(np.ones((1, 3))), r"node 'a': Dense: expected x with last axis 2, got 3"),
    "integers": (lambda: NET.forward(np.ones((1, 2), int)), "node 'a': x: expected a float dtype, got int64"),
    "one sample": (lambda: NET.forward(np.ones(2)), r"x: expected the batch axis first, got shape \(2,\)"),
    "a list": (lambda: NET.forward([[1.0, 2.0]]), r"x: expected \{'x': array\}, got list"),
    "one image": (
        lambda: lrp.Network([lrp.Node("a", lrp.Conv(np.ones((2, 3, 1, 1))))]).explain(np.ones((3, 4, 4)), EPS),
        r"node 'a': Conv: expected x with the batch axis first, got shape \(3, 4, 4\); one sample is x\[None, ...\]",
    ),
    "other names": (lambda: NET.forward({"y": X}), "x: expected arrays for x; got y"),
    "two inputs": (lambda: two_by_two().forward(X), r"x: expected \{'a': array, 'b': array\}, got ndarray"),
    "batches": (lambda: two_by_two().forward({"a": X, "b": np.ones((2, 2))}), "x: expected one batch size, got a 1, b 2"),
    "overflow": (lambda: NET.forward(np.full((1, 2), 1.7e308)), "node 'a': its output overflows float64"),
    "at": (lambda: NET.forward(X, at=("b",)), "at: no node or input 'b'; known are a, x"),
    "class": (lambda: NET.explain(X, EPS, target=2), "output 'a': target: expected classes from 0 to 1, got 2"),
    "negative": (lambda: NET.explain(X, EPS, target=-1), "expected classes from 0 to 1, got -1"),
    "classes": (lambda: NET.explain(X, EPS, target=[0, 1]), r"target: expected one class, classes of shape \(1,\)"),
    "word": (lambda: NET.explain(X, EPS, target="best"), "target: expected a class, .*; got 'best'"),
    "target shape": (lambda: NET.explain(X, EPS, target=np.ones((2, 2))), r"target: expected the output's shape \(1, 2\)"),
    "seed": (lambda: NET.explain(X, EPS, seed="two"), "seed: expected one of logit, one, probability"),
    "seed shape": (lambda: NET.explain(X, EPS, seed=np.ones(2)), r"seed: expected the output's shape \(1, 2\), got \(2,\)"),
    "seed dtype": (lambda: NET.explain(X, EPS, seed=np.ones((1, 2), np.float32)), "seed has dtype float32"),
    "which output": (
        lambda: two_by_two().explain({"a": lrp.exact([[1]]), "b": lrp.exact([[1]])}, EPS),
        "several outputs: name those to explain as target=",
    ),
    "no output": (lambda: NET.explain(X, EPS, target={"b": 0}), "target: 'b' is no output; the outputs are a"),
    "irrational": (
        lambda: residual().explain(image(), PLAIN, seed="probability"),
        "exp of a rational is irrational: use float arrays",
    ),
    "rule": (
        lambda: NET.explain(X, lrp.Composite([lrp.Assign(lrp.Pass())])),
        "node 'a': Pass: Dense mixes several inputs in one output",
    ),
    "no preset": (lambda: lrp.composites.named(5), "expected a name, .*; got 5"),
    "no path": (lambda: lrp.load_onnx(5), "load_onnx: expected the path of a model, got int"),
    "lookup": (lambda: NET["b"], "no node 'b'; known are a"),
    "preset's name": (lambda: NET.explain(X, "zenit.epsilon_plus"), "no composite .*; did you mean 'zennit.epsilon_plus'"),
    "preset": (lambda: NET.explain(X, lrp.composites.zennit.epsilon_plus), "composite: expected a Composite, .*; got <f"),
    "entry alone": (lambda: lrp.Composite(lrp.Assign(lrp.Pass())), r"Composite: expected a list of entries lrp_ref"),
    "kind by name": (lambda: lrp.Assign(lrp.Pass(), "Dense"), "Assign: expected kind as a layer class, .*; got 'Dense'"),
    "name of a number": (lambda: lrp.Assign(lrp.Pass(), name=1), "Assign: expected name as a string, .*; got 1"),
    "broken position": (lambda: lrp.Assign(lrp.Pass(), position=1.5), "Assign: position is 'first', .*; got 1.5"),
    "at number": (lambda: NET.explain(X, EPS, at=5), "at: expected names of nodes and inputs, or 'all'; got 5"),
}


@pytest.mark.parametrize("case", [*GRAPHS.values(), *CALLS.values()], ids=[*GRAPHS, *CALLS])
def test_what_cannot_be_is_told_in_one_line(case: tuple[Any, str]) -> None:
    call, message = case
    with pytest.raises(lrp.LRPError, match=message) as told:
        call()
    assert "\n" not in str(told.value)
