"""Whatever a public function returns can be pickled, copied and sent to another process, with what it computes lazily."""

import copy
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, is_dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cloudpickle
import networks
import numpy as np
import onnx_models
import pytest

import lrp_ref as lrp
from lrp_ref.streaming.identity import digest

RULES = lrp.Composite(
    [
        lrp.Assign(lrp.Pass(), (lrp.Activation, lrp.MaxPool, lrp.Flatten, lrp.Concat, lrp.BatchNorm)),
        lrp.Assign(lrp.Epsilon(0.25)),
    ]
)
ONE = lrp.Dense(lrp.exact([["1/2", -1, 2], [3, "1/4", -1]]), lrp.exact([-1, "1/2"]))
X, R = lrp.exact([[1, 2, -1], ["1/2", -2, 1]]), lrp.exact([[1, -1], [2, "1/2"]])


def in_float(dtype: type) -> Callable[[Any], Any]:
    return lambda a: a.astype(dtype)


def strict(a: Any) -> Any:
    """In array-api-strict, a namespace beside NumPy."""
    return pytest.importorskip("array_api_strict").asarray(a.astype(np.float64))


def torched(a: Any) -> Any:
    return pytest.importorskip("torch", reason="torch is not installed").asarray(a.astype(np.float32))


ARITHMETICS: dict[str, Callable[[Any], Any]] = {
    "exact": lambda a: a,
    "float64": in_float(np.float64),
    "float32": in_float(np.float32),
    "float16": in_float(np.float16),
    "array-api-strict": strict,
    "torch": torched,
}
WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "the oldest protocol": lambda value: pickle.loads(pickle.dumps(value, protocol=0)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "cloudpickle": lambda value: pickle.loads(cloudpickle.dumps(value)),
}


def propagated(arithmetic: str) -> lrp.Result:
    cast = ARITHMETICS[arithmetic]
    layer = lrp.Dense(cast(ONE.weight), cast(ONE.bias))
    return lrp.propagate(layer, cast(X), cast(R), lrp.Epsilon(0.25))


def explained(arithmetic: str, **options: Any) -> lrp.Explanation:
    cast = ARITHMETICS[arithmetic]
    return networks.residual(cast).explain(cast(networks.image()), RULES, **options)


def same(a: Any, b: Any) -> bool:
    """Equal in type, shape and every value, through everything that holds values."""
    if hasattr(a, "shape") and hasattr(a, "dtype"):
        return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all() if a.size else True)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[name], b[name]) for name in a)
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if is_dataclass(a) and type(a).__eq__ is object.__eq__:
        held = [f.name for f in fields(a) if not callable(getattr(a, f.name))]
        return type(a) is type(b) and all(same(getattr(a, name), getattr(b, name)) for name in held)
    return bool(a == b)


def account(ledger: Any) -> dict[str, Any]:
    """Everything that a ledger tells, and that it balances."""
    ledger.check()
    told = {name: getattr(ledger, name) for name in ("bias", "stabilizer", "dropped", "rho", "nodes") if hasattr(ledger, name)}
    return {
        **told,
        "tolerance": ledger.tolerance,
        "totals": ledger.totals(),
        "imbalance": ledger.imbalance(),
        "text": str(ledger),
    }


@pytest.mark.parametrize("arithmetic", [name for name in ARITHMETICS if name != "array-api-strict"])
@pytest.mark.parametrize("way", WAYS)
def test_a_result_comes_back_with_its_account(way: str, arithmetic: str) -> None:
    found = propagated(arithmetic)
    back = WAYS[way](found)
    assert same(back.relevance, found.relevance)
    assert same(account(back.ledger), account(found.ledger))
    assert (repr(back), str(back)) == (repr(found), str(found))


@pytest.mark.parametrize("arithmetic", ["exact", "float64", "float32", "torch"])
@pytest.mark.parametrize("options", [{}, {"account": True, "at": "all"}], ids=["lazy", "kept"])
def test_an_explanation_comes_back_with_its_account(arithmetic: str, options: dict[str, Any]) -> None:
    found = explained(arithmetic, **options)
    back = WAYS["pickle"](found)
    assert all(same(getattr(back, name), getattr(found, name)) for name in ("relevance", "output", "at"))
    assert same(account(back.ledger), account(found.ledger))
    assert back.ledger.rows() == found.ledger.rows()
    assert {name: account(ledger).keys() for name, ledger in back.ledgers.items()}.keys() == found.ledgers.keys()
    assert all(same(account(back.ledgers[name]), account(ledger)) for name, ledger in found.ledgers.items())
    assert str(back) == str(found)


def test_what_came_back_is_pickled_and_replaced_like_any_other() -> None:
    back = WAYS["pickle"](WAYS["pickle"](propagated("exact").ledger))
    assert same(account(replace(back)), account(propagated("exact").ledger))


def test_pickling_computes_the_account_of_a_network_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from lrp_ref.network import explain

    runs: list[int] = []
    plain = explain.repeated
    monkeypatch.setattr(explain, "repeated", lambda *args: runs.append(1) or plain(*args))
    for arithmetic in ("exact", "float64"):
        runs.clear()
        found = explained(arithmetic)
        assert not runs
        pickle.dumps(found)
        pickle.dumps(found)
        assert len(runs) == 1


def test_the_tolerance_of_a_network_is_zero_where_arithmetic_is_exact() -> None:
    assert list(explained("exact").ledger.tolerance) == [0, 0]


def answer(arithmetic: str) -> tuple[Any, ...]:
    """What another process computes and hands back."""
    return propagated(arithmetic), explained(arithmetic), networks.residual(ARITHMETICS[arithmetic]), RULES


def told(found: lrp.Explanation) -> str:
    """What another process reads from an explanation that it is given."""
    found.ledger.check()
    return str(found)


def test_results_go_to_another_process_and_come_from_there() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for arithmetic in ("exact", "float32"):
            result, found, net, composite = pool.submit(answer, arithmetic).result()
            assert same(account(result.ledger), account(propagated(arithmetic).ledger))
            assert str(found) == str(explained(arithmetic))
            assert (net, composite) == (networks.residual(ARITHMETICS[arithmetic]), RULES)
            assert pool.submit(told, explained(arithmetic)).result() == str(found)


def plain() -> lrp.Network:
    """A network whose patterns can be fitted."""
    return lrp.Network(
        [lrp.Node("dense", lrp.Dense(np.asarray([[1.0, -1.0], [2.0, 1.0]]))), lrp.Node("relu", lrp.Activation())]
    )


def fitted() -> dict[str, Any]:
    return lrp.fit_patterns(plain(), [np.asarray([[1.0, 2.0], [0.5, -1.0]])])


RETURNED: dict[str, Callable[[], Any]] = {
    "bounds": lambda: lrp.bounds(ONE, X, R, lrp.Epsilon(0.25)),
    "exact": lambda: lrp.exact([1, 2]),
    "bounds of a network": lambda: explained("float64", bounds="float32").bounds,
    "account of a node": lambda: explained("float64").ledger.nodes["dense"],
    "messages": lambda: lrp.messages(ONE, X, R, lrp.Zero()),
    "fit_patterns": fitted,
    "pattern_statistics": lambda: lrp.pattern_statistics(np.ones((2, 3)), np.eye(3)),
    "a transformed network": lambda: lrp.transforms.merge_batch_norm(networks.residual(networks.float64)),
    "a composite of patterns": lambda: lrp.composites.patterns.pattern_net(plain(), fitted()),
}


@pytest.mark.parametrize("name", RETURNED)
def test_what_a_public_function_returns_comes_back(name: str) -> None:
    found = RETURNED[name]()
    back = WAYS["pickle"](found)
    assert type(back) is type(found)
    assert repr(back) == repr(found)
    assert digest(back) == digest(found)


def values() -> Iterator[tuple[str, Any]]:
    """The values behind the public names: themselves, or each one of a table."""
    for name in lrp.__all__:
        value = getattr(lrp, name)
        yield from ((f"{name}[{key!r}]", one) for key, one in value.items()) if hasattr(value, "items") else [(name, value)]


@pytest.mark.parametrize(("name", "value"), [*values()], ids=[name for name, _ in values()])
def test_every_public_name_is_pickled(name: str, value: Any) -> None:
    assert WAYS["pickle"](value) == value, name


@pytest.mark.parametrize("table", [lrp.RULES, lrp.DIALECTS, lrp.composites.PRESETS], ids=["rules", "dialects", "presets"])
@pytest.mark.parametrize("way", WAYS)
def test_a_public_table_is_pickled_and_copied(table: Any, way: str) -> None:
    assert dict(WAYS[way](table)) == dict(table)


@pytest.mark.parametrize("table", [lrp.DIALECTS, lrp.composites.PRESETS], ids=["dialects", "presets"])
def test_nobody_changes_a_public_table(table: Any) -> None:
    with pytest.raises(TypeError, match="does not support item assignment"):
        table["mine"] = None


@pytest.mark.parametrize("preset", lrp.composites.PRESETS.values(), ids=str)
def test_every_preset_is_pickled(preset: Any) -> None:
    numbers = {"low": -1, "high": 1, "alpha": 2, "beta": 1, "idx": 1}
    composite = preset(**{name: numbers[name] for name in preset.required})
    assert WAYS["pickle"](composite) == composite


def test_what_is_read_from_files_comes_back(tmp_path: Path) -> None:
    net = onnx_models.load(onnx_models.single("Gemm", (3,), onnx_models.array(0, 3, 2)), tmp_path)
    assert WAYS["pickle"](net) == net
    images = onnx_models.array(1, 3, 3)
    done = lrp.explain_many(net, images, lrp.Composite([lrp.Assign(lrp.Epsilon())]), out=tmp_path / "out")
    back = WAYS["pickle"](done)
    assert repr(back) == repr(done)
    assert same(back[2], done[2])
