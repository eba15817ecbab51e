"""Where a value has a name, the name will do: dialects, composites, rules; an unknown one is told with the nearest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lrp_ref as lrp
from lrp_conform.candidates import adapter
from lrp_conform.candidates.adapter import AdapterError
from lrp_conform.candidates.sources import CandidateSource, load
from lrp_ref.composites import presets

LAYER = lrp.Dense(np.array([[1.0, -1.0], [2.0, 1.0]]), np.array([-1.0, 0.5]))
X, R = np.array([1.0, 1.0]), np.array([-1.0, 2.0])
NET = lrp.Network([lrp.Node("dense", LAYER)])
ASKED: list[Callable[..., Any]] = [lrp.propagate, lrp.messages, lrp.bounds]


@pytest.mark.parametrize("function", ASKED, ids=lambda f: f.__name__)
def test_a_dialect_is_given_by_name(function: Callable[..., Any]) -> None:
    named, value = (function(LAYER, X, R, lrp.AlphaBeta(1, 0), dialect=d) for d in ("captum-0.9", lrp.DIALECTS["captum-0.9"]))
    assert repr(named) == repr(value)
    with pytest.raises(lrp.LRPError, match=r"no dialect 'captum-9'; did you mean 'captum-0.9'\? known are "):
        function(LAYER, X, R, lrp.AlphaBeta(1, 0), dialect="captum-9")


def test_a_composite_is_given_by_name(tmp_path: Path) -> None:
    name = "zennit.epsilon_plus(epsilon=0.5)"
    value = NET.explain(X[None], lrp.composites.zennit.epsilon_plus(epsilon=0.5)).relevance
    assert np.array_equal(NET.explain(X[None], name).relevance, value)
    many = lrp.explain_many(NET, [X], name, out=tmp_path / "out")
    assert np.array_equal(many[0], value[0])
    with pytest.raises(lrp.LRPError, match=r"did you mean 'zennit.epsilon_plus'"):
        lrp.explain_many(NET, [X], "zenit.epsilon_plus", out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_rule_has_both_of_its_names() -> None:
    assert presets.rule("alpha-beta") == presets.rule("AlphaBeta") == lrp.AlphaBeta()
    assert presets.rule("alpha-beta(2, 1)") == lrp.AlphaBeta(2, 1)
    with pytest.raises(lrp.LRPError, match=r"no rule 'Epsilonn'; did you mean 'Epsilon'\? known are Zero, "):
        presets.rule("Epsilonn")
    with pytest.raises(lrp.LRPError, match=r"such as Epsilon\(1e-3\) or Pass; got "):
        presets.rule("alpha-bet a")


@pytest.mark.parametrize("how", [adapter.load, lambda name: load(CandidateSource(name))], ids=["here", "in its process"])
def test_a_library_that_an_adapter_lacks_is_no_missing_adapter(how: Callable[[str], Any], tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import nosuchlib\n", encoding="utf-8")
    with pytest.raises(AdapterError, match=r"mine.py: cannot be imported: No module named 'nosuchlib'; install it in this "):
        how(str(path))
    with pytest.raises(AdapterError, match=r"^zennitt: no candidate of that name .* did you mean 'zennit'\?; give a path or"):
        how("zennitt")
    with pytest.raises(AdapterError, match=r"^no.where: no candidate of that name"):
        how("no.where")
