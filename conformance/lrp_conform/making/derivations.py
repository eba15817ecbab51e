"""Every derivation of a relevance, asked the same question: exact ones must agree with `==`, floats within their bound."""

import importlib
import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lrp_conform.cases import entries
from lrp_conform.cases.layer import WAYS
from lrp_conform.cases.numbers import exact_array, float_array, floats, rational, tensor
from lrp_conform.cases.operators import OPERATORS
from lrp_conform.cases.question import Answer, Question, evaluate, pose, propagated
from lrp_conform.judging.layer import ratio
from lrp_conform.judging.verdict import Target
from lrp_ref.algebra.rounding import allowed_forward
from lrp_ref.arrays import LRPError, absolute
from lrp_ref.propagation.gauges import allowed, gauges
from lrp_ref.propagation.settle import Problem, output
from lrp_ref.propagation.shares import Share, as_tuple, normalized

Json = dict[str, Any]
Values = tuple[list[int], list[Fraction]]  # a shape, and the elements in row-major order
Account = dict[str, Values] | str  # what a derivation says of every quantity, or why it says nothing
TESTS = Path(__file__).resolve().parents[3] / "tests"
COLUMNS = ("bias", "stabilizer", "dropped")


class CertificateError(RuntimeError):
    """A golden value that two derivations do not agree on."""


class NoSourceTree(RuntimeError):
    """The second oracle lives with the tests, which a wheel has not."""


@dataclass(frozen=True)
class Disagreement:
    """The first quantity, and its first element, on which derivations differ; `said` holds what each of them says there."""

    about: str
    index: tuple[int, ...] | None
    said: dict[str, str]

    @property
    def signature(self) -> tuple[str, frozenset[frozenset[str]]]:
        """What stays the same while the question shrinks: the quantity of any input, and who agrees with whom."""
        camps = (frozenset(n for n, said in self.said.items() if said == each) for each in self.said.values())
        return re.sub(r" of x\d+", " of x", self.about), frozenset(camps)

    @property
    def place(self) -> str:
        """The quantity and the index."""
        return self.about + ("" if self.index is None else str(list(self.index)))

    def __str__(self) -> str:
        return f"{self.place}: " + ", ".join(f"{name} {said}" for name, said in self.said.items())


def from_tests(module: str) -> Any:
    """A module beside the tests: the second oracle, or the strategies. Raises NoSourceTree in a wheel."""
    if not (TESTS / "oracle").is_dir():
        raise NoSourceTree("this needs a source checkout: tests/oracle is not part of the wheel")
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    return importlib.import_module(module)


ROOT = "meets an irrational root"


# In rationals -------------------------------------------------------------------------------------------------------


def disagreements(question: Question) -> tuple[bool, Disagreement | None]:
    """Whether any exact derivation answers, and where they differ, or what is wrong with the sum of their ledger."""
    accounts = {name: _account(derive, question) for name, derive in derivations(question).items()}
    if ROOT in accounts.values():  # which a derivation may take early, or not at all where nothing arrives
        return False, None
    answered = any(not isinstance(account, str) for account in accounts.values())
    return answered, _silence(accounts) or _difference(accounts) or _imbalance(question, accounts)


def derivations(question: Question) -> dict[str, Callable[[Question], Account]]:
    """The derivations that apply to a question, by name. Raises NoSourceTree where there is no second oracle."""
    rule = question.rule
    found = {
        "structured": _by("structured"),
        "explicit": _by("explicit"),
        "second oracle": _by_loops(from_tests("oracle").explain),
    }
    if rule["stabilizer"]["kind"] == "abs_share" and inseparable(rule["rule"]):
        del found["structured"]
    if len(question.node["inputs"]) > 1 and {"min", "max"} & {v for v in rule.values() if isinstance(v, str)}:
        del found["second oracle"]  # which reads the bounds of one input
    return found


class Plainest:
    """The chooser of the plainest question there is."""

    exact, wide, refused = True, False, frozenset[str]()

    def choice(self, axis: str, values: Any, more: Any = ()) -> Any:
        return values[0]

    def tensor(self, name: str, shape: tuple[int, ...], among: Any = None) -> Json:
        return {"shape": list(shape), "data": [(among or ("1",))[0]] * math.prod(shape)}


@cache
def inseparable(name: str) -> bool:
    """Whether contributions of the rule are sums of products: their absolute values, and so `abs_share`, have no structure."""
    row = next(row for row in OPERATORS.values() if row.rational and entries.fits(name, row))
    node, inputs = row.drawn(Plainest())
    blank = Question(node, {}, {**inputs, "relevance": tensor(exact_array({"shape": [1], "data": ["1"]}))})
    layer, x, _ = blank.arrays(exact_array)
    affine = layer.affine(*as_tuple(x))
    rule = entries.drawn(name, Plainest(), row, [tuple(a.shape) for a in affine.inputs], ("abs_share",))
    asked = replace(blank, rule=rule, inputs={**inputs, "relevance": tensor(affine.y)})
    try:
        list(normalized(pose(asked, exact_array)))
    except LRPError:
        return True
    return False


def _account(derive: Callable[[Question], Account], question: Question) -> Account:
    try:
        return derive(question)
    except ValueError as refusal:
        return ROOT if "is not rational" in str(refusal) else "refuses"
    except Exception as error:  # a crash is a finding too
        return f"crashes with {_reason(error)}"


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _by(representation: str) -> Callable[[Question], Account]:
    def derive(question: Question) -> Account:
        layer, x, _ = question.arrays(exact_array)
        received, ledger = propagated(question, exact_array, representation)
        named = dict(zip(_relevances(question), received, strict=True))
        arrays = {"y": output(layer, *as_tuple(x)), **named, **{f"ledger {c}": getattr(ledger, c) for c in COLUMNS}}
        return {name: (list(a.shape), [rational(v) for v in a.reshape(-1)]) for name, a in arrays.items()}

    return derive


def _by_loops(explain: Callable[[Json], Json]) -> Callable[[Question], Account]:
    def derive(question: Question) -> Account:
        node = question.node
        said = explain({"model": {"nodes": [node]}, "rules": {node["name"]: question.rule}, "inputs": question.inputs})
        tensors = {name: said["relevance"][key] for name, key in zip(_relevances(question), node["inputs"], strict=True)}
        tensors |= {f"ledger {c}": said["ledger"][c] for c in COLUMNS}
        if said["y"] is not None:
            tensors["y"] = said["y"]
        return {name: (list(t["shape"]), list(t["data"])) for name, t in tensors.items()}

    return derive


def _relevances(question: Question) -> list[str]:
    return [f"relevance of {name}" for name in question.node["inputs"]]


def _silence(accounts: dict[str, Account]) -> Disagreement | None:
    """Some refuse what others answer, or one crashes."""
    silent = {name: account for name, account in accounts.items() if isinstance(account, str)}
    if not silent or (len(silent) == len(accounts) and set(silent.values()) == {"refuses"}):
        return None
    return Disagreement("an answer", None, {name: silent.get(name, "answers") for name in accounts})


def _difference(accounts: dict[str, Account]) -> Disagreement | None:
    tables = {name: account for name, account in accounts.items() if not isinstance(account, str)}
    for quantity in next(iter(tables.values()), {}):
        given = {name: table[quantity] for name, table in tables.items() if quantity in table}
        shapes = {name: str(tuple(shape)) for name, (shape, _) in given.items()}
        if len(set(shapes.values())) > 1:
            return Disagreement(f"shape of {quantity}", None, shapes)
        (shape, first), *others = given.values()
        wrong = [k for k, v in enumerate(first) if any(data[k] != v for _, data in others)]
        if wrong:
            index = tuple(int(i) for i in np.unravel_index(wrong[0], shape))
            return Disagreement(quantity, index, {name: str(data[wrong[0]]) for name, (_, data) in given.items()})
    return None


def _imbalance(question: Question, accounts: dict[str, Account]) -> Disagreement | None:
    """The audit identity, sample by sample, on what all derivations agree on: nothing of relevance is lost."""
    agreed = next(iter(accounts.values()))
    if isinstance(agreed, str):
        return None
    arriving = exact_array(question.inputs["relevance"], Fraction)
    for n, arrived in enumerate(arriving.reshape(len(arriving), -1).sum(axis=1)):
        spent = sum(v for name, values in agreed.items() if name != "y" for v in _sample(values, n))
        if spent != arrived:
            said = {"arrived": str(arrived), "received, bias, stabilizer and dropped": str(spent)}
            return Disagreement("ledger of sample", (n,), said)
    return None


def _sample(values: Values, n: int) -> list[Fraction]:
    shape, data = values
    size = math.prod(shape[1:])
    return data[n * size : (n + 1) * size]


# In floats ----------------------------------------------------------------------------------------------------------


def rounded(question: Question, dtype: str) -> Question:
    """The question with every tensor rounded to `dtype`."""

    def fitted(t: Json) -> Json:
        return tensor(float_array(t, dtype).astype(np.float64))

    indices = question.node["inputs"] if question.node["op"] == "embedding" else ()
    node = {**question.node, "params": {name: fitted(t) for name, t in question.node["params"].items()}}
    inputs = {name: t if name in indices else fitted(t) for name, t in question.inputs.items()}
    rule = {name: fitted(v) if isinstance(v, dict) and "data" in v else v for name, v in question.rule.items()}
    return replace(question, node=node, inputs=inputs, rule=rule)


def excess(question: Question, dtype: str, fits: Callable[[Question, Answer], bool]) -> tuple[bool, Disagreement | None]:
    """Whether the bound speaks about what users get at `dtype`, in every way, and if so where that is outside of it.

    `fits` says whether the format has room for the question. The bound does not speak where rounding turns an exact
    zero into something of either sign, for a rule or a stabiliser then divides by it or takes another branch. What the
    plain text rounds to is looked at; of kernels, which keep it to themselves, nothing is asked where it could happen.
    """
    try:
        problem = pose(question, exact_array)
        shares = list(normalized(problem))
        found = gauges(problem, shares)
    except ValueError:  # the rounded question has a root that is not rational, or nothing is known of its stabiliser
        return False, None
    received, ledger = propagated(question, exact_array)
    exact = Answer(received, problem.affine.y, ledger, found)
    if not fits(question, exact):
        return False, None
    signs, certain, spoke = list(_signs(problem, shares)), _certain(problem, shares), False
    for way in WAYS:
        try:
            with np.errstate(all="ignore"):
                twin = pose(question, lambda data: float_array(data, dtype), way.representation)
                rounded_signs = list(_signs(twin, list(normalized(twin))))
            y, got = evaluate(question, dtype, way)
        except Exception as error:
            said = {dtype: f"crashes with {_reason(error)}", "exact": "answers"}
            return True, Disagreement("an answer in floats", None, said)
        if not all(map(np.array_equal, signs, rounded_signs)) or (way.fast and not certain):
            continue
        spoke, wrong = True, _outside(question, exact, (*got, y), dtype)
        if wrong is not None:
            return True, wrong
    return spoke, None


def _outside(question: Question, exact: Answer, got: tuple[Any, ...], dtype: str) -> Disagreement | None:
    """The first of relevance, totals and y, as `got` at `dtype`, that is outside its bound."""
    g, received = exact.gauges, exact.relevance
    totals = np.asarray([_total([a[n] for a in got[:-1]]) for n in range(got[0].shape[0])])
    size = sum(floats(s).reshape(s.shape[0], -1).sum(axis=-1) for s in g.S)
    bounds = (
        *g.allowed(dtype),
        allowed(floats(g.total_G), floats(g.total_H), size, g.fan_in, g.fan_out, float(g.kappa), dtype),
        allowed_forward(floats(g.Y), g.fan_in, dtype),
    )
    summed = sum(r.reshape(r.shape[0], -1).sum(axis=-1) for r in received)
    want = tuple(floats(a) for a in (*received, summed, exact.y))
    found = [np.where(np.isnan(a), np.inf, a.astype(np.float64)) for a in (*got[:-1], totals, got[-1])]
    tau, (k, at) = ratio(found, Target(want, bounds))
    if tau <= 1:
        return None
    about = [*_relevances(question), "total of sample", "y"][k]
    said = {dtype: repr(float(found[k][at])), "exact": repr(float(want[k][at])), "error in units of its bound": f"{tau:.3g}"}
    return Disagreement(f"{about} in floats", at, said)


def _total(arrays: list[Any]) -> float:
    """The sum of what one sample received, rounded once; infinite where it is no number."""
    values = np.concatenate([a.reshape(-1) for a in arrays]).astype(np.float64)
    return math.fsum(values) if np.isfinite(values).all() else math.inf


def _signs(problem: Problem, shares: list[Share]) -> Iterator[Any]:
    """Every sign that a rule or a stabiliser may look at."""
    watched = [a for share in shares for a in (share.d, share.active * share.stabilized)]
    for a in (*watched, (problem.weights * problem.inputs).rows() + 0 * problem.flat(problem.arrived)):
        yield np.asarray([int(v > 0) - int(v < 0) for v in a.reshape(-1)])


def _certain(problem: Problem, shares: list[Share]) -> bool:
    """Whether no sum that a rule or a stabiliser looks at is 0 though its terms are not: its sign is that of any rounding."""
    z, b, zero = problem.weights * problem.inputs, problem.affine.bias, 0 * problem.arrived
    forward = z.gauge().rows() + zero
    sums = [(z.rows() + zero, forward), (problem.affine.y, forward + absolute(b))]
    for share in shares:
        size = share.part.n.gauge().rows() + absolute(share.part.c) + zero
        sums += [(share.d, size), (share.stabilized, size)]
    return not any(((a == 0) & (size != 0)).any() for a, size in sums)
