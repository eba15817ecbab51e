"""Checks that prove a harness and nothing of LRP: does the candidate see the layer that it is asked about?"""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from typing import Any

import numpy as np

from lrp_conform.candidates.adapter import AdapterError, Candidate
from lrp_conform.cases import golden, model
from lrp_conform.cases.layer import Case
from lrp_conform.cases.numbers import float_array, tensor
from lrp_conform.cases.question import evaluate
from lrp_conform.running import ask
from lrp_conform.smoke.model_mistakes import arrays, close, difference, equal, explanations, far, layer_of
from lrp_conform.smoke.questions import LayerQuestion, Spec, bare_case, layers
from lrp_ref.algebra.rounding import UNIT_ROUNDOFF
from lrp_ref.arrays import LRPError

TRIES = 10  # cases that may prove that a feature is answered
FINE = {"float64": 38, "float32": 12}  # bits behind the point that an answer of this dtype must carry
LIKE = ((10, "bfloat16"), (14, "float16 or TF32"), (28, "float32"))


@dataclass(frozen=True)
class Finding:
    """What was checked; `ok` is None where it could not be, and `told` says why, or what is wrong."""

    name: str
    ok: bool | None
    told: str = ""


class Diagnosis(Exception):
    """The diagnosis, one line."""


class Declined(Exception):
    """The candidate does not answer, and says so."""


@dataclass
class Smoke:
    """The checks of one candidate."""

    candidate: Candidate
    in_process: bool = False

    @cached_property
    def cases(self) -> list[Case]:
        """What the candidate can be asked, simple things first."""
        able = [c for c in golden.load() if c.features <= self.candidate.features]
        return sorted(able, key=lambda c: (len(c.features), len(c.data["inputs"][c.node["inputs"][0]]["data"])))

    def rules(self, op: str) -> list[Spec]:
        """Rule entries under which the candidate can be asked about a layer of this kind; those without tensors."""
        found = [c.rule for c in self.cases if c.node["op"] == op and not c.is_pattern]
        return [r for r in found if not any(isinstance(v, list | dict) for k, v in r.items() if k != "stabilizer")]

    def question_about(self, layer: LayerQuestion, bits: int = 0) -> Case | None:
        """The question about a layer under the first rule that the candidate declares; None if there is none."""
        for rule in self.rules(layer.op):
            wide = {**rule, "low": "-8", "high": "8"} if rule.get("low", "min") != "min" else rule
            question = layer.question(wide, bits)
            features = frozenset(model.features([question.node], {"layer": wide}, question.inputs))
            if features <= self.candidate.features:
                with suppress(LRPError):  # not under this rule
                    evaluate(question, "float64")
                    return bare_case(question, features)
        return None

    def ask(self, case: Case, dtype: str) -> Mapping[str, Any]:
        """The answer; `Diagnosis` if there is none."""
        failure, output = ask.answer(self.candidate, case, dtype, self.candidate.devices[0])
        if failure is not None:
            why = str(failure.detail.get("why", failure.verdict))
            if failure.missing:
                raise AdapterError(f"{self.candidate.name} was not run: {why}")
            if failure.verdict in ("unsupported-undeclared", "indeterminate"):
                raise Declined(f"declined: {why}")
            if "expected one line of JSON" in why:
                why += ": does the program print to its standard output, which belongs to the protocol?"
            raise Diagnosis(f"no answer: {why}")
        assert output is not None
        return output

    def checks(self) -> Iterator[Finding]:
        """Every check that the candidate's features allow, layers first."""
        asked: dict[str, list[tuple[LayerQuestion, Case]]] = {}
        for layer in layers():
            case = self.question_about(layer)
            if case is not None:
                asked.setdefault(layer.name, []).append((layer, case))
        if not asked:
            yield Finding("layers", None, "declares no layer that these checks know")
            return
        sound = []
        for name, pairs in asked.items():
            check = _check(f"y of {name}", partial(self.forward, [case for _, case in pairs]))
            sound += [name] if check.ok else []
            yield check
        for name in sound:
            layer, case = asked[name][0]
            yield _check(f"relevance of {name}", partial(self.relevance, case))
            yield _check(f"precision of {name}", partial(self.precision, layer))
        if not sound:
            yield Finding("the rest", None, "only once a layer gives its y")
            return
        others = [asked[name][0][1] for name in sound]
        yield _check("the same question again", partial(self.again, others))
        for told, work in (("input unchanged", self.unchanged), ("fresh arrays", self.fresh)):
            if self.in_process:
                yield _check(told, partial(work, others[0]))
            else:
                yield Finding(told, None, "only with --in-process")
        yield _check("prints", partial(self.prints, others[0]))
        yield self.answered()

    def forward(self, cases: list[Case]) -> None:
        """y is that of the layer: shape, dtype, values; or the mistake that gives it."""
        declined: Declined | None = None
        answered = False
        for case, dtype in product(cases, self.candidate.dtypes):
            try:
                self._forward(case, dtype)
                answered = True
            except Declined as why:
                declined = why
            except Diagnosis as wrong:
                raise Diagnosis(f"{wrong} (x {case.question.inputs[case.node['inputs'][0]]['shape']}, {dtype})") from None
        if declined is not None and not answered:
            raise declined

    def _forward(self, case: Case, dtype: str) -> None:
        y = self.ask(case, dtype).get("y")
        right = layer_of(case.question).y
        if not isinstance(y, np.ndarray):
            raise Diagnosis(f"y: expected an array, got {type(y).__name__}")
        off = 64 * UNIT_ROUNDOFF[dtype] * float(np.abs(right).max())
        if not close(right, y, off):
            mistake = next(explanations(case.question, y, off), None)
            raise Diagnosis(mistake or f"{difference(right, y)}; no mistake that is known here gives this y")
        if str(y.dtype) != dtype:
            raise Diagnosis(f"y is {y.dtype}; asked for {dtype}")

    def relevance(self, case: Case) -> None:
        """Relevance has the shapes of the inputs, in their order, and that of a sample stays in it."""
        dtype = self.candidate.dtypes[0]
        xs = [case.question.inputs[name]["shape"] for name in case.node["inputs"]]
        right = [np.asarray(r) for r in evaluate(case.question, "float64")[1]]
        found = self._relevances(case, dtype)
        if len(xs) > 1 and xs[0] == xs[1] and not self.candidate.one_hot:
            straight, swapped = (sum(far(a, b) for a, b in zip(right, f, strict=True)) for f in (found, found[::-1]))
            if swapped < straight:
                raise Diagnosis("relevances come in the reverse order of the inputs")
        for part in (0, None):  # relevance at one sample, and none at all
            given = float_array(case.question.inputs["relevance"], "float64")
            given[slice(None) if part is None else slice(1, None)] = 0
            question = case.question.replace(inputs={**case.question.inputs, "relevance": tensor(given)})
            found = self._relevances(bare_case(question, case.features), dtype)
            if part is None and any(np.any(r != 0) for r in found):
                raise Diagnosis("relevance comes out although none arrives: the relevance that arrives is not used")
            if part == 0 and any(np.any(r[1:] != 0) for r in found):
                lost = all(not np.any(r[:1]) for r in found)
                order = "the samples of relevance are in reverse order"
                raise Diagnosis(order if lost else "relevance of one sample reaches another")

    def _relevances(self, case: Case, dtype: str) -> list[Any]:
        given = self.ask(case, dtype).get("relevance")
        found: list[Any] = list(given) if isinstance(given, list | tuple) else [given]
        self._shapes(case, found)
        wrong = [str(r.dtype) for r in found if str(r.dtype) != dtype]
        if wrong:
            raise Diagnosis(f"relevance is {wrong[0]}; asked for {dtype}")
        return [np.nan_to_num(r) for r in found]  # a division by 0 is a matter of the rule

    def _shapes(self, case: Case, found: list[Any]) -> None:
        expected = [tuple(case.question.inputs[name]["shape"]) for name in case.node["inputs"]]
        shapes = [np.shape(r) if isinstance(r, np.ndarray) else type(r).__name__ for r in found]
        if shapes == expected:
            return
        hint = ""
        if shapes == expected[::-1]:
            hint = ": the inputs are in reverse order"
        elif shapes == [s[::-1] for s in expected]:
            hint = ": it is transposed"
        elif shapes == [s[1:] for s in expected]:
            hint = ": the batch axis is lost"
        elif shapes == [tuple(case.question.inputs["relevance"]["shape"])]:
            hint = ": that is the shape of y"
        raise Diagnosis(f"relevance has shape {', '.join(map(str, shapes))}; expected {', '.join(map(str, expected))}{hint}")

    def precision(self, layer: LayerQuestion) -> None:
        """y has the bits of its dtype, on data that need them."""
        for dtype in FINE.keys() & set(self.candidate.dtypes):
            case = self.question_about(layer, FINE[dtype])
            if case is None:
                continue
            y, right = self.ask(case, dtype)["y"], layer_of(case.question).y
            error = far(right, y) / float(np.abs(right).max())
            bits = math.inf if error == 0 else -math.log2(error)
            own = -math.log2(UNIT_ROUNDOFF[dtype])
            if bits < own - 6:
                like = next((name for most, name in LIKE if bits <= most), "lower precision")
                raise Diagnosis(f"y has {bits:.0f} bits where {dtype} has {own:.0f}: computed in {like}?")

    def again(self, cases: list[Case]) -> None:
        """Equal answers, also after other questions."""
        dtype, case = self.candidate.dtypes[0], cases[0]
        first = deepcopy(self.ask(case, dtype))
        for between in cases:
            self.ask(between, dtype)
            second = self.ask(case, dtype)
            for name in ("y", "relevance"):
                if not equal(first.get(name), second.get(name)):
                    after = "" if between is case else f", after one about {between.node['op']}"
                    raise Diagnosis(f"another {name} at the second call{after}: something is kept between calls, or random")

    def unchanged(self, case: Case) -> None:
        """What is handed over is left as it was."""
        asked, before = self._handed(case)
        self._run(asked)
        changed = [name for name in before if not equal(asked.get(name), before[name])]
        if changed:
            raise Diagnosis(f"writes to its argument: {', '.join(changed)}")

    def fresh(self, case: Case) -> None:
        """What is returned shares no memory with what was handed over, nor with the answer before."""
        asked, _ = self._handed(case)
        first, second = self._run(asked), self._run(self._handed(case)[0])
        given = [*arrays(asked)]
        for name in ("y", "relevance"):
            for array in arrays(first.get(name)):
                if any(np.shares_memory(array, other) for other in given):
                    raise Diagnosis(f"{name} is a view of what was handed over: return a copy")
                if any(np.shares_memory(array, other) for other in arrays(second)):
                    raise Diagnosis(f"{name} is a buffer that the next call writes to: return a copy")

    def _handed(self, case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
        asked = case.adapter_case(self.candidate.dtypes[0], self.candidate.devices[0])
        if self.candidate.one_hot:
            asked = {**asked, "x": asked["x"][:1], "target": 0}
            del asked["relevance"]
        return asked, deepcopy(asked)

    def _run(self, asked: dict[str, Any]) -> Mapping[str, Any]:
        try:
            with redirect_stdout(io.StringIO()):
                output = self.candidate.run(asked)
        except Exception as error:
            raise Diagnosis(f"no answer: {type(error).__name__}: {error}") from None
        return output if isinstance(output, Mapping) else {}

    def prints(self, case: Case) -> str:
        """Whatever is printed, answers arrive."""
        with redirect_stderr(io.StringIO()) as heard:  # where ask.answer sends what is printed in this process
            self.ask(case, self.candidate.dtypes[0])
        return "harmless, it goes to standard error" if heard.getvalue() else ""

    def answered(self) -> Finding:
        """Every declared feature is answered in some case."""
        known: dict[str, str] = {}
        missing: list[str] = []
        for feature in sorted(self.candidate.features):
            tried = _various(c for c in self.cases if feature in c.features and _dtype(self.candidate, c))[:TRIES]
            for case in tried:
                if case.id not in known:
                    known[case.id] = _check("", partial(self.ask, case, str(_dtype(self.candidate, case)))).told
                if not known[case.id]:
                    break
            else:
                missing += [f"{feature} ({tried[0].id}: {known[tried[0].id]})"] if tried else []
        told = "; ".join([*missing[:3], *(["..."] if missing[3:] else [])])
        return Finding("declared features", not missing, f"declared, and not answered: {told}" if missing else "")


def _various(cases: Iterable[Case]) -> list[Case]:
    """The first case of every kind of layer, then the second ones, and so on."""
    seen: Counter[str] = Counter()
    rounds = []
    for case in cases:
        seen[case.node["op"]] += 1
        rounds.append((seen[case.node["op"]], case))
    return [case for _, case in sorted(rounds, key=lambda found: found[0])]


def smoke(candidate: Candidate, in_process: bool = False) -> Iterator[Finding]:
    """Every check that the candidate's features allow."""
    yield from Smoke(candidate, in_process).checks()


def _check(name: str, work: Callable[[], object]) -> Finding:
    try:
        told = work()
    except Declined as declined:
        return Finding(name, None, " ".join(str(declined).split()))
    except Diagnosis as wrong:
        return Finding(name, False, " ".join(str(wrong).split()))
    return Finding(name, True, told if isinstance(told, str) else "")


def _dtype(candidate: Candidate, case: Case) -> str | None:
    return next((d for d in candidate.dtypes if d in case.data["representable_in"]), None)
