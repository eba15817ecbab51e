"""Candidates of a few lines, and the cases they are asked."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from lrp_conform.candidates.adapter import Candidate, Waiver
from lrp_conform.cases import golden
from lrp_conform.cases.layer import Case
from lrp_conform.judging.result import CaseResult
from lrp_conform.running import runner

EVERY = golden.load_all()  # networks too
ASKED = EVERY
ALL = [case for case in EVERY if isinstance(case, Case)]
Output = dict[str, Any]
Asked = dict[str, Any]
DTYPES = ("float64", "float32")
DENSE = {"op.dense", "rule.epsilon", "stabilizer.signed_add", "bias.absorb", "bias.ignore"}


def epsilon(asked: Asked, smaller: float = 1, power: int = 1) -> Output:
    """The epsilon rule on a dense layer, as a user would write it."""
    node, rule = asked["nodes"][0], asked["rules"]["layer"]
    w, x, b = node["params"]["weight"], asked["x"], node["params"]["bias"]
    y = x @ w.T + b
    d = y if rule["bias"] == "absorb" else x @ w.T
    eps = w.dtype.type(rule["stabilizer"]["epsilon"] / smaller)
    return {"y": y, "relevance": x * ((asked["relevance"] ** power / np.where(d < 0, d - eps, d + eps)) @ w)}


def candidate(
    run: Callable[[Asked], Any], features: Iterable[str] = DENSE, one_hot: bool = False, waivers: tuple[Waiver, ...] = ()
) -> Candidate:
    return Candidate("inline", "1", frozenset(features), DTYPES, ("cpu",), one_hot, run, waivers)


def cases(*prefixes: str) -> list[Case]:
    found = [case for case in ALL if case.id.startswith(prefixes)]
    assert found
    return found


EPSILON = [c for c in cases("dense.epsilon.") if "float32" in c.data["representable_in"]]


def results(one: Candidate, chosen: list[Case] = EPSILON, dtypes: tuple[str, ...] = DTYPES) -> list[CaseResult]:
    return list(runner.run(one, chosen, dtypes))


def verdicts(*args: Any) -> set[str]:
    return {r.verdict for r in results(*args)}
