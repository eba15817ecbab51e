"""The self-test's mutants around the formulas: bounds a little too wide or too narrow, goldens with one unit flipped,
and candidates that misbehave as processes.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lrp_conform.candidates.sources import CandidateSource, load
from lrp_conform.cases import golden
from lrp_conform.cases.layer import Case
from lrp_conform.cases.numbers import exact_array, parse, write
from lrp_conform.cases.question import answer
from lrp_conform.judging.layer import judge
from lrp_conform.judging.verdict import PASSES
from lrp_conform.running import runner
from lrp_conform.wire.harness import Limits

UNIT = {"float64": Fraction(1, 2**53), "float32": Fraction(1, 2**24), "float16": Fraction(1, 2**11)}
TINY = {"float64": Fraction(1, 2**1074), "float32": Fraction(1, 2**149), "float16": Fraction(1, 2**24)}
INSIDE, OUTSIDE = Fraction(1, 2), Fraction(3, 2)  # places in units of the bound: a bound half or twice as wide is noticed
Output = dict[str, Any]


# Bounds ---------------------------------------------------------------------------------------------------------------


def written_bound(case: Case, dtype: str, name: str, index: tuple[int, ...]) -> Fraction | None:
    """The bound of one element as golden/README.md writes it, in rationals; None where it says nothing.

    Written a second time on purpose: the judge's own text must agree with it.
    """
    u, eta, stored = UNIT[dtype], TINY[dtype], case.data["gauges"]
    m, n, kappa = stored["fan_in"], stored["fan_out"], parse(stored["kappa"])
    rho = _gamma(m + 3, u) * kappa + 2 * u
    if rho >= 1:
        return None
    G, H, S = (Fraction(str(exact_array(stored[k][name])[index])) for k in ("G", "H", "S"))
    first = ((1 + _gamma(n + 4, u)) * (1 + u) - 1 + 2 * u) * G
    return (first + _gamma(m + 3, u) * H) / (1 - rho) + eta * S + Fraction(case.radius)


def _gamma(k: int, u: Fraction) -> Fraction:
    return k * u / (1 - k * u)


def edges(cases: list[Case], dtypes: tuple[str, ...], right: Any) -> Iterator[tuple[bool, str]]:
    """Answers just inside and just outside the bound of one element; what is accepted or rejected wrongly is told.

    A bound divided by 100, or four times as wide, is noticed on every one of them.
    """
    for whole_case in cases:
        case = Case({**whole_case.data, "conservation": None}, whole_case.group)  # the total has a bound of its own
        for dtype in dtypes:
            if dtype not in case.data["representable_in"] or case.is_pattern:
                continue
            whole = right(case.question, dtype)
            for factor, accepted in ((INSIDE, True), (OUTSIDE, False)):
                moved = _moved(case, dtype, whole, factor)
                if moved is not None:
                    said = judge(case, moved, dtype).verdict
                    text = f"{case.id} at {dtype}: {said} at {float(factor):g} times the bound"
                    yield (said in PASSES) == accepted or said == "indeterminate", text


def _moved(case: Case, dtype: str, whole: Output, factor: Fraction) -> Output | None:
    """The answer with its most telling element moved to `factor` bounds from the truth; None where the format is too coarse."""
    name = case.answers[0]
    gauge = case.gauge["G"][name]
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(gauge)), gauge.shape))
    bound = written_bound(case, dtype, name, index)
    want = Fraction(case.expected_floats[name][index]) if case.radius else Fraction(str(case.expected[name][index]))
    if bound is None or bound == 0:
        return None
    place = np.dtype(dtype).type(float(want + factor * bound))
    off = abs(Fraction(float(place)) - want) / bound if np.isfinite(place) else Fraction(0)
    if abs(off - factor) > Fraction(1, 4):
        return None
    relevance = [r.copy() for r in whole["relevance"]]
    relevance[0][index] = place
    return {**whole, "relevance": relevance}


# Goldens --------------------------------------------------------------------------------------------------------------


def flipped(case: Case) -> Case:
    """The case with one number of its expected relevance one unit off in the last place."""
    data = deepcopy(case.data)
    tensor = next(iter(data["expected"]["relevance"].values()))
    at = _flips(case)
    value = parse(tensor["data"][at])
    if case.radius:
        tensor["data"][at] = write(float(np.nextafter(float(value), math.copysign(math.inf, value))))
    else:
        tensor["data"][at] = write(Fraction(value.numerator + 1, value.denominator))
    return Case(data, case.group, case.notes)


def _flips(case: Case) -> int:
    """Which number: the first; with a radius the largest, for a unit of a smaller one may be less than the radius of all."""
    return int(np.argmax(abs(case.expected[case.answers[0]]))) if case.radius else 0


def golden_mutants(cases: list[Case]) -> Iterator[tuple[bool, str]]:
    """Goldens with one unit flipped: the reader refuses the file, and the reference contradicts the case."""
    for case in cases:
        wrong = flipped(case)
        text = json.dumps({"schema": 1, "group": case.group, "notes": case.notes, "cases": [wrong.data]})
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "wrong.json"
            path.write_text(text, encoding="utf-8")
            try:
                golden.load_file(path)
                yield False, f"{case.id} with a unit flipped is read as if nothing were wrong"
            except golden.GoldenError:
                yield True, ""
        if not case.is_pattern:
            yield not _agrees(wrong), f"{case.id} with a unit flipped is what the reference says"


def _agrees(case: Case) -> bool:
    at = _flips(case)
    found, want = answer(case.question).relevance[0].flat[at], case.expected[case.answers[0]].flat[at]
    return bool(abs(found - want) <= case.radius) if case.radius else bool(found == want)


# Processes ------------------------------------------------------------------------------------------------------------

HEAD = """
import os, sys, time
import numpy as np

INFO = {"name": "mutant", "version": "0", "dtypes": ["float64"],
        "features": ["op.dense", "rule.epsilon", "bias.absorb", "stabilizer.signed_add"]}
calls = []

def run(case):
    calls.append(1)
"""
BODY = """
    layer, rule = case["nodes"][0], case["rules"]["layer"]
    W, b, x, R = layer["params"]["weight"], layer["params"].get("bias", 0), case["x"], case["relevance"]
    y = x @ W.T + b
    s = R / (y + rule["stabilizer"]["epsilon"] * np.where(y >= 0, 1, -1))
    return {"y": y, "relevance": x * (s @ W)}
"""
PROCESSES: dict[str, tuple[str, set[str]]] = {  # what it does, and every verdict it must get
    "prints to stdout": ("os.write(1, b'{}\\n'); print('{}')", {"exact"}),
    "crashes at its fifth call": ("len(calls) == 5 and os._exit(3)", {"exact"}),
    "crashes on samples of two": ("len(case['x']) == 2 and os.abort()", {"exact", "crash"}),
    "exits": ("sys.exit(0)", {"crash"}),
    "hangs": ("time.sleep(99)", {"timeout"}),
    "leaves a child behind": ("os.fork() or time.sleep(99)", {"exact"}),
}


def process_mutants(cases: list[Case]) -> Iterator[tuple[bool, str]]:
    """Candidates in processes of their own: each must get its verdicts, and no other case may suffer."""
    chosen = [c for c in cases if c.id.startswith("dense.epsilon.exact-0") and c.rule["bias"] == "absorb"][:6]
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (line, wanted)) in enumerate(PROCESSES.items()):
            path = Path(folder) / f"mutant{number}.py"
            path.write_text(f"{HEAD}    {line}\n{BODY}", encoding="utf-8")
            asked = chosen[:1] if name == "hangs" else chosen
            (candidate,) = load(CandidateSource(str(path), limits=Limits(timeout=1.0)))
            try:
                said = {r.verdict for r in runner.run(candidate, asked, ("float64",))}
            finally:
                candidate.close()
            yield said == wanted, f"{name}: {', '.join(sorted(said))}"
