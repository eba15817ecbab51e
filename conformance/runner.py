"""Cases to a candidate, answers to the judge, results as they come."""

import math
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from copy import deepcopy
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import combinations
from typing import Any

import numpy as np

from conformance import judge
from conformance.adapter import Candidate, Waiver
from conformance.builders import Unsupported
from conformance.case import Case
from conformance.deviations import apply
from conformance.judge import FAILURES, PASSES, Explanation, Judgement
from lrp_ref.gauges import UNIT_ROUNDOFF

Array = Any
UNJUDGED = ("unsupported", "unsupported-undeclared", "indeterminate", "not-run")  # verdicts that say nothing of the answer
REPEATED = 3  # cases a group asks twice, to see whether answers repeat


class NotComposable(Exception):
    """A case that one-hot answers cannot be composed to: nothing is known of the candidate."""


class InvalidAnswer(Exception):
    """A one-hot answer that cannot be added to the others."""


@dataclass(frozen=True)
class Result:
    """One verdict: case, candidate, version, dtype, device, features, and the evidence."""

    case: str
    uid: str
    feature: str
    candidate: str
    version: str
    dtype: str
    device: str
    features: tuple[str, ...]
    judgement: Judgement
    seconds: float
    deterministic: bool | None = None
    waiver: str | None = None
    output: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)

    @property
    def verdict(self) -> str:
        return self.judgement.verdict

    @property
    def fails(self) -> bool:
        return self.verdict in FAILURES and self.waiver is None

    def record(self) -> dict[str, Any]:
        """The result as one line of results.ndjson: raw outputs included, so that it can be judged again."""
        j = self.judgement
        return {
            "case": self.case,
            "uid": self.uid,
            "feature": self.feature,
            "candidate": self.candidate,
            "version": self.version,
            "dtype": self.dtype,
            "device": self.device,
            "features": list(self.features),
            "verdict": j.verdict,
            "dialect": j.dialect,
            "hint": j.hint,
            "tau": j.tau,
            "tau_total": j.tau_total,
            "tau_normwise": j.tau_normwise,
            "effective_bits": j.effective_bits,
            "detail": j.detail,
            "waiver": self.waiver,
            "deterministic": self.deterministic,
            "seconds": round(self.seconds, 6),
            "output": _raw(self.output),
        }


def _raw(output: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if output is None:
        return None
    out: dict[str, Any] = {}
    for name in ("y", "relevance", "pattern"):
        given = output.get(name)
        arrays: list[Any] = list(given) if isinstance(given, list | tuple) else [given]
        if all(isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in arrays):
            out[name] = [{"shape": list(a.shape), "data": [float(v).hex() for v in a.reshape(-1)]} for a in arrays]
    return out


def run(
    candidate: Candidate,
    cases: Iterable[Case],
    dtypes: Iterable[str],
    device: str = "cpu",
    progress: Callable[[int], None] = lambda n: None,
) -> Iterator[Result]:
    """Judge every case at every dtype, feature by feature.

    A dialect is a matter of one rule, layer, bias mode and kind of stabiliser: it needs all of their cases.
    """
    groups: dict[tuple[str, ...], list[Case]] = {}
    for dtype in dtypes:
        for case in cases:
            asked_for = (case.rule.get("bias", ""), case.rule.get("stabilizer", {}).get("kind", ""))
            groups.setdefault((dtype, case.feature, *asked_for), []).append(case)
    alive = False
    for (dtype, *_), members in groups.items():
        results = []
        for case in members:
            result = _ask(candidate, case, dtype, device, progress)
            alive = alive or result.output is not None
            if result.verdict == "not-run" and alive:  # a library that answered before is there: the import is its own
                result = replace(result, judgement=result.judgement.replace(verdict="error"))
            results.append(result)
        for k in reversed(range(min(REPEATED, len(members)))):  # asked again in another order, after all the others
            results[k] = _repeated(candidate, members[k], results[k])
        yield from resolve(results, members, candidate.one_hot)


def _repeated(candidate: Candidate, case: Case, result: Result) -> Result:
    """The result after a second call, which should give the same answer."""
    if result.output is None:
        return result
    same = _same(result.output, _answer(candidate, case, result.dtype, result.device)[1])
    hint = result.judgement.hint if same else "nondeterministic: a second call gave another answer"
    return replace(result, deterministic=same, judgement=result.judgement.replace(hint=hint))


def _ask(candidate: Candidate, case: Case, dtype: str, device: str, progress: Callable[[int], None]) -> Result:
    start = time.perf_counter()
    judgement, output = _judged(candidate, case, dtype, device)
    progress(1)
    return Result(
        case.id,
        case.uid,
        case.feature,
        candidate.name,
        candidate.version,
        dtype,
        device,
        tuple(sorted(case.features)),
        judgement,
        time.perf_counter() - start,
        waiver=_waived(candidate.waivers, case.id, dtype),
        output=output,
    )


def _waived(waivers: Iterable[Waiver], case: str, dtype: str) -> str | None:
    return next((w.reason for w in waivers if fnmatchcase(case, w.case) and fnmatchcase(dtype, w.dtype)), None)


def _judged(candidate: Candidate, case: Case, dtype: str, device: str) -> tuple[Judgement, Mapping[str, Any] | None]:
    missing = sorted(case.features - candidate.features)
    if missing:
        return Judgement("unsupported", detail={"why": "does not declare " + ", ".join(missing)}), None
    if dtype not in case.data["representable_in"]:
        return Judgement("indeterminate", detail={"why": f"the data do not fit into {dtype}"}), None
    failure, output = _answer(candidate, case, dtype, device)
    if failure is not None:
        return failure, None
    assert output is not None
    return judge.judge(case, dict(output), dtype, composed=candidate.one_hot), output


def _answer(candidate: Candidate, case: Case, dtype: str, device: str) -> tuple[Judgement | None, Mapping[str, Any] | None]:
    """The candidate's output, or the verdict on why there is none."""
    try:
        # stdout belongs to the report: what a library prints goes to stderr
        with warnings.catch_warnings(), np.errstate(all="ignore"), redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            asked = case.adapter_case(dtype, device)
            output = compose(candidate.run, asked) if candidate.one_hot else candidate.run(asked)
    except (SystemExit, GeneratorExit) as stop:
        return Judgement("crash", detail={"why": f"{type(stop).__name__}: the candidate tried to end the process"}), None
    except Unsupported as why:
        return Judgement("unsupported-undeclared", detail={"why": str(why)}), None
    except NotComposable as why:
        verdict = "indeterminate" if judge.zero_is_expected(case, dtype) else "forward-mismatch"
        return Judgement(verdict, detail={"why": str(why)}), None
    except InvalidAnswer as why:
        return Judgement("invalid-output", detail={"why": str(why)}), None
    except ImportError as missing:
        return Judgement("not-run", detail={"why": str(missing)}), None
    except Exception as error:
        return Judgement("error", detail={"why": f"{type(error).__name__}: {error}".split("\n")[0][:300]}), None
    if not isinstance(output, Mapping):
        return Judgement("invalid-output", detail={"why": f"expected a dict, got {type(output).__name__}"}), None
    if "unsupported" in output:
        return Judgement("unsupported-undeclared", detail={"why": str(output["unsupported"])}), None
    return None, {name: _own(given) for name, given in output.items()}


def _own(given: Any) -> Any:
    """A copy of what a candidate returned, which may be a buffer that its next call writes to."""
    if isinstance(given, list | tuple):
        return [_own(part) for part in given]
    return given.copy() if isinstance(given, np.ndarray) else given


def compose(run_one: Callable[[dict[str, Any]], Mapping[str, Any]], asked: dict[str, Any]) -> Mapping[str, Any]:
    """An arbitrary relevance from one-hot answers, which is possible because relevance is linear in R for fixed x.

    R_in = sum_j (R_j / y_j) attribution(target = j), sample by sample, added up in float64 and rounded once.
    """
    several = isinstance(asked["x"], list)
    xs = asked["x"] if several else [asked["x"]]
    ys: list[Array] = []
    parts: list[list[Array]] = []
    for n in range(xs[0].shape[0]):
        single = [x[n : n + 1] for x in xs]
        base = {k: v for k, v in asked.items() if k != "relevance"} | {"x": single if several else single[0]}
        wanted = asked["relevance"][n].reshape(-1).astype(np.float64)
        total: list[Array] = [np.zeros(x.shape, np.float64) for x in single]
        y: Array = None
        for j in range(wanted.size):
            if wanted[j] == 0 and y is not None:
                continue
            answer = run_one(deepcopy({**base, "target": j}))
            if isinstance(answer, Mapping) and "unsupported" in answer:
                return answer
            y, given = _one_hot(answer, single, wanted.size, asked["dtype"])
            logit = float(y.reshape(-1)[j])
            if logit == 0 and wanted[j] != 0:
                raise NotComposable(f"relevance at output {j}, which is 0, cannot be composed from one-hot answers")
            if wanted[j] != 0:
                total = [t + wanted[j] / logit * g.astype(np.float64) for t, g in zip(total, given, strict=True)]
        ys.append(y)
        parts.append(total)
    joined = [np.concatenate([p[k] for p in parts]).astype(asked["dtype"]) for k in range(len(xs))]
    return {"y": np.concatenate(ys), "relevance": joined if several else joined[0]}


def _one_hot(answer: Any, xs: list[Array], outputs: int, dtype: str) -> tuple[Array, list[Array]]:
    """y and the relevances of one one-hot answer, in the shapes and the dtype that were asked for."""
    if not isinstance(answer, Mapping):
        raise InvalidAnswer(f"expected a dict, got {type(answer).__name__}")
    given = answer.get("relevance")
    arrays = list(given) if isinstance(given, list | tuple) else [given]
    for name, array, shape in [
        ("y", answer.get("y"), None),
        *(("relevance", a, x.shape) for a, x in zip(arrays, xs, strict=False)),
    ]:
        if not isinstance(array, np.ndarray) or str(array.dtype) != dtype:
            raise InvalidAnswer(f"{name}: expected an ndarray of {dtype}, got {getattr(array, 'dtype', type(array).__name__)}")
        if (shape is not None and array.shape != shape) or (shape is None and array.size != outputs):
            raise InvalidAnswer(f"{name}: expected shape {shape or f'of {outputs} outputs'}, got {array.shape}")
    if len(arrays) != len(xs):
        raise InvalidAnswer(f"expected {len(xs)} relevances, got {len(arrays)}")
    return np.array(answer["y"]), arrays


def _same(first: Mapping[str, Any], second: Mapping[str, Any] | None) -> bool:
    key = "pattern" if "pattern" in first else "relevance"
    a, b = first.get(key), (second or {}).get(key)
    arrays = (a, b) if isinstance(a, list | tuple) else ([a], [b])
    try:
        return all(np.array_equal(p, q, equal_nan=True) for p, q in zip(*arrays, strict=True))
    except (TypeError, ValueError):
        return True  # what is no array is judged as such


def resolve(results: list[Result], cases: list[Case], composed: bool = False) -> list[Result]:
    """Name the dialect of one feature: the deviation that reproduces every answer outside the reference, or say what is near.

    A dialect must explain all of the feature's failures and contradict none of its passes.
    """
    by_id = {case.id: case for case in cases}
    failing = [r for r in results if r.judgement.needs_explanation and r.output is not None]
    own: dict[str, list[Explanation]] = {}
    hypotheses: dict[tuple[str, ...], Explanation] = {}
    for r in failing:
        known = _explain(by_id[r.case], r, composed, list(hypotheses)) if hypotheses else []
        own[r.case] = known or _explain(by_id[r.case], r, composed)
        hypotheses |= {e.names: e for e in own[r.case]}
    passing = [r for r in results if r.verdict in PASSES]

    def holds(e: Explanation) -> bool:
        return not any(_refutes(by_id[r.case], r, e, composed, applies=True) for r in failing) and not any(
            _refutes(by_id[r.case], r, e, composed, applies=False) for r in passing
        )

    fitting = [e for e in hypotheses.values() if holds(e)]
    if not fitting:  # one case may show one half of a dialect, another case the other
        unions = (judge.union(a, b) for a, b in combinations(hypotheses.values(), 2))
        fitting = [e for e in {e.names: e for e in unions}.values() if holds(e)]
    common = _first(fitting)
    return [_named(r, common, own.get(r.case)) for r in results]


def _explain(case: Case, result: Result, composed: bool, only: list[tuple[str, ...]] | None = None) -> list[Explanation]:
    """The deviations that reproduce the result's raw output; `only` these, or all of them."""
    assert result.output is not None
    found = judge.relevances(case, dict(result.output))
    return judge.explanations(case, found, result.dtype, composed, only)


def _refutes(case: Case, result: Result, explanation: Explanation, composed: bool, applies: bool) -> bool:
    """Whether a result speaks against a deviation; where the deviation says nothing, only if it `applies` must hold."""
    question = None if case.is_pattern else apply(explanation.names, case.question)
    if question is None or result.output is None:
        return applies
    found = judge.relevances(case, dict(result.output))
    return judge.reproduces(case, found, result.dtype, question, composed) > 1


def _first(found: list[Explanation]) -> Explanation | None:
    """Conventions before mistakes, single before paired, in the order of the table."""
    return min(found, key=lambda e: (e.mistake, len(e.names)), default=None)


def _named(r: Result, common: Explanation | None, own: list[Explanation] | None) -> Result:
    if own is None:
        return r
    if common is not None and not common.mistake:
        here = _first([e for e in own if set(e.names) <= set(common.names)]) or common
        return replace(r, judgement=r.judgement.replace(verdict="dialect", dialect=here.name, hint=here.title))
    nearest = common or _first(own)
    if nearest is None and (r.judgement.tau_normwise or 2.0) <= 1:
        return replace(
            r,
            judgement=r.judgement.replace(
                verdict="normwise", hint="within the bound of its norm only, as fast convolutions are"
            ),
        )
    hint = f"{nearest.title} ({nearest.name})" if nearest else _unexplained(r)
    return replace(r, judgement=r.judgement.replace(hint=hint))


def _unexplained(r: Result) -> str:
    """What can be said of an answer that no deviation reproduces: how many bits it has."""
    bits, own = r.judgement.effective_bits or 0.0, -math.log2(UNIT_ROUNDOFF[r.dtype])
    few = f"; behaves like {bits:.0f} bits, lower precision inside?" if 7 <= bits < own - 6 else ""
    return "no known deviation reproduces it" + few


def check_waivers(candidate: Candidate, results: list[Result], complete: bool) -> list[str]:
    """Waivers that match nothing, or only cases that pass now: errors, so that the list stays honest."""
    problems = []
    for w in candidate.waivers:
        matched = [r for r in results if fnmatchcase(r.case, w.case) and fnmatchcase(r.dtype, w.dtype)]
        if not matched and complete:
            problems.append(f"waiver {w.case!r} matches no case")
        judged = [r for r in matched if r.verdict not in UNJUDGED]
        if judged and not any(r.verdict in FAILURES for r in judged):
            problems.append(f"waiver {w.case!r} is no longer needed: every case it matches passes")
    return problems


def counts(results: Iterable[Result]) -> Counter[str]:
    return Counter(r.verdict for r in results)
