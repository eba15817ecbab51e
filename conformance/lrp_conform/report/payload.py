"""The data of the page: every case once, every result as a short record, raw answers where they are not bit for bit right.

Keys are short because there are tens of thousands of records; `page/data.js` reads them. Texts are numbered and kept once.
"""

from __future__ import annotations

import json
from typing import Any, TypeGuard

import numpy as np

from lrp_conform.cases.golden import AnyCase
from lrp_conform.cases.layer import Case
from lrp_conform.cases.network import NetworkCase
from lrp_conform.cases.profiles import PROFILES
from lrp_conform.diagnosis.repro import repro
from lrp_conform.judging import judge
from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import VERDICTS, Target
from lrp_conform.report import formulas
from lrp_conform.report.gather import KINDS, Evidence, System
from lrp_conform.report.show_network import described, layer
from lrp_conform.report.text import LONGEST, short
from lrp_conform.report.text import evidence as evidence_of
from lrp_ref.text.printable import printable

MOST = 4096  # elements of an answer that are worth a picture
LONGEST_CODE = 100_000  # characters of a reproduction


class Texts:
    """Texts by number, each kept once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, text: object, longest: int = LONGEST) -> int:
        return self._numbers.setdefault(printable(text, longest), len(self._numbers))

    def all(self) -> list[str]:
        return list(self._numbers)


def payload(evidence: Evidence) -> dict[str, Any]:
    """Everything the page shows, as plain data."""
    texts = Texts()
    ids = sorted({r.case for r in evidence.results})
    number = {id: k for k, id in enumerate(ids)}
    unknown = {r.case: r for r in evidence.results if evidence.case(r) is None}
    return {
        "verdicts": list(VERDICTS),
        "kinds": [kind._asdict() for kind in KINDS],
        "profiles": {p.name: [number[c.id] for c in p.cases(evidence.cases.values()) if c.id in number] for p in PROFILES},
        "cases": [_case(evidence.cases[id]) if id not in unknown else _stub(unknown[id]) for id in ids],
        "notes": _notes(evidence, ids),
        "systems": [
            {
                **{name: short(value) for name, value in system._asdict().items()},
                "results": [_result(evidence, system, r, number[r.case], texts) for r in found.values()],
            }
            for system, found in evidence.by_system.items()
        ],
        "texts": texts.all(),
    }


def embedded(data: dict[str, Any]) -> str:
    """JSON that may stand inside a script element: no tag, no comment and no line separator can end it early."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _tensor(data: dict[str, Any]) -> dict[str, Any]:
    return {"s": data["shape"], "d": " ".join(data["data"])}


def _tensors(given: Any) -> Any:
    """The same object with every tensor in it written shorter."""
    if isinstance(given, dict):
        return _tensor(given) if given.keys() == {"shape", "data"} else {name: _tensors(value) for name, value in given.items()}
    return given


def _case(case: AnyCase) -> dict[str, Any]:
    data = case.data
    said = {name: data[name] for name in ("status", "flags", "comment", "references", "exact_in")}
    tensors = {name: _tensors(data[name]) for name in ("inputs", "expected")}
    common = {"id": case.id, "uid": case.uid, "feature": case.feature, **said, **tensors}
    return {**common, **(_network(case) if isinstance(case, NetworkCase) else _layer(case))}


def _network(case: NetworkCase) -> dict[str, Any]:
    """Per node what it is, what it reads, its rule and its tensors."""
    nodes, rules = case.data["model"]["nodes"], case.data["rules"]
    return {
        "network": [
            {
                **{key: node[key] for key in ("name", "inputs")},
                "layer": layer(node),
                "rule": described(rules[node["name"]]),
                "params": _tensors(node["params"]),
            }
            for node in nodes
        ]
    }


def _layer(case: Case) -> dict[str, Any]:
    data = case.data
    return {
        "formula": formulas.key(case.rule),
        "op": case.node["op"],
        "attrs": case.node["attrs"],
        "params": _tensors(case.node["params"]),
        "rule": _tensors(case.rule),
        "ledger": _tensors(data["ledger"]),
        "dialects": {name: _tensors(answers) for name, answers in data["dialects"].items()},
    }


def _stub(result: CaseResult) -> dict[str, Any]:
    """What is known of a case that the installed golden set does not hold."""
    return {"id": short(result.case), "uid": short(result.uid), "feature": short(result.feature)}


def _notes(evidence: Evidence, ids: list[str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for id in ids:
        if id in evidence.cases:
            case = evidence.cases[id]
            out |= {flag: case.notes[flag] for flag in case.data["flags"] if flag in case.notes}
    return out


def _result(evidence: Evidence, system: System, r: CaseResult, number: int, texts: Texts) -> dict[str, Any]:
    """One record; what is not known is left out."""
    j, case = r.judgement, evidence.case(r)
    record: dict[str, Any] = {"c": number, "v": VERDICTS.index(r.verdict)}
    if j.tau is not None and r.verdict != "exact":
        record["t"] = _short(j.tau)
    if j.tau_total is not None and j.tau_total > 0:
        record["o"] = _short(j.tau_total)
    if j.effective_bits is not None:
        record["b"] = _short(j.effective_bits)
    if j.dialect is not None:
        record["n"] = texts(j.dialect)
    if j.hint:
        record["h"] = texts(j.hint)
    if j.detail:
        record["e"] = texts(evidence_of(r))
    if r.waiver is not None:
        record["w"] = texts(r.waiver)
    if r.deterministic is False:
        record["u"] = 1
    if case is not None and r.output is not None and r.verdict != "exact":
        found, target = judge.answer_and_target(case, r.output, r.dtype, evidence.composed(system))
        record["a"] = _answer(case, r, found, target)
        if all(map(_numeric, found)):
            record["p"] = texts(repro(case, r), LONGEST_CODE)
    return record


def _answer(case: AnyCase, r: CaseResult, found: list[Any], target: Target | None) -> dict[str, Any]:
    """The answer element by element, and its error in units of the bound where there is one."""
    assert r.output is not None
    out: dict[str, Any] = {}
    for k, got in enumerate(found):
        if not _numeric(got):
            continue
        name = case.answers[k] if k < len(case.answers) else str(k)
        out[name] = {"s": list(got.shape), "d": " ".join(map(_shortest, got.reshape(-1)))}
        if target is not None and str(got.dtype) == r.dtype and got.shape == target.expected[k].shape:
            out[name]["e"] = " ".join(map(_two, _errors(got, target.expected[k], target.bound[k])))
    y = r.output.get("y")
    if r.verdict == "forward-mismatch" and _numeric(y):
        out["y"] = {"s": list(y.shape), "d": " ".join(map(_shortest, y.reshape(-1)))}
    return out


def _numeric(given: Any) -> TypeGuard[np.ndarray]:
    """Whether a part of an answer is an array of real numbers that can be shown; a wrong answer may be anything."""
    return isinstance(given, np.ndarray) and given.dtype.kind in "fiu" and given.size <= MOST


def _errors(got: np.ndarray, want: np.ndarray, bound: np.ndarray) -> list[float]:
    """Signed errors in units of their bound."""
    with np.errstate(all="ignore"):
        error = got.astype(np.float64) - want
        return list(np.where(error == 0, 0.0, np.where(np.isinf(bound), 0.0, error / bound)).reshape(-1))


def _shortest(value: np.generic) -> str:
    """The shortest decimal that reads back as the same number in its own format."""
    text = str(value)
    return text.removesuffix(".0")


def _two(value: float) -> str:
    return f"{value:.2g}"


def _short(value: float) -> float | str:
    """Three digits; JSON has no number for what is not finite."""
    return float(f"{value:.3g}") if np.isfinite(value) else str(value)
