"""The suite proves itself: correct evaluations are never rejected, and every mutant is caught."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from lrp_conform.candidates.adapter import Candidate
from lrp_conform.cases.layer import WAYS, Case
from lrp_conform.cases.profiles import PROFILES
from lrp_conform.cases.question import DEFAULT, Question, Way, evaluate
from lrp_conform.judging.deviations import BY_NAME, Deviation, applicable
from lrp_conform.judging.layer import judge
from lrp_conform.judging.verdict import PASSES
from lrp_conform.proof import honest, worlds
from lrp_conform.running.runner import run

DTYPES = ("float64", "float32", "float16")
SAMPLE = 2  # cases of every profile on which a mutant is run at every dtype
GOLDEN_STEP = 8  # every eighth golden has a unit flipped
Output = dict[str, Any]


def correct(question: Question, dtype: str, way: Way = DEFAULT) -> Output:
    """What users of the reference get in floating point: a correct candidate, or a mutant for a deviating question."""
    y, relevance = evaluate(question, dtype, way)
    return {"y": y, "relevance": [np.asarray(r, dtype=dtype) for r in relevance]}


def self_check(cases: list[Case]) -> str | None:
    """Judge two built-in candidates, one right and one wrong; what is misjudged, or None. Runs before anything else."""
    by_id = {case.id: case for case in cases}
    for name in ("v0.alpha2-beta1", "dense.alpha-beta.exact-01", "dense.epsilon.generic-01"):
        case = by_id[name]
        for dtype in ("float64", "float32"):
            right = correct(case.question, dtype)
            if judge(case, right, dtype).verdict not in PASSES:
                return f"a correct answer to {name} at {dtype} is rejected"
            wrong = {**right, "relevance": [r + np.abs(r).max() * 2.0**-9 for r in right["relevance"]]}
            if judge(case, wrong, dtype).verdict in PASSES:
                return f"a wrong answer to {name} at {dtype} is accepted"
    return None


@dataclass
class Proof:
    """What the self-test found."""

    judged: dict[str, int] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)
    tau: dict[str, float] = field(default_factory=dict)
    tau_total: dict[str, float] = field(default_factory=dict)
    power: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)  # deviation -> dtype -> (told apart, asked)
    missed: list[str] = field(default_factory=list)
    mutants: int = 0
    profiles: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)  # profile -> dtype -> deviations likewise
    world: dict[str, int] = field(default_factory=dict)  # kind of mutant around the formulas -> how many

    @property
    def passed(self) -> bool:
        return not self.rejected and not self.missed

    def print(self, out: Console) -> None:
        out.print("stable family: correct evaluations in every summation order and plan")
        for dtype, n in self.judged.items():
            out.print(f"  {dtype}: {n} answers, largest tau {self.tau[dtype]:.3f}, of a total {self.tau_total[dtype]:.3f}")
        out.print(f"  rejected: {len(self.rejected)}" + "".join(f"\n    {text}" for text in self.rejected[:10]))
        out.print("power: cases certain to catch a deviation, however it is evaluated, of the cases it applies to")
        grid = Table(box=None)
        grid.add_column("deviation")
        for dtype in DTYPES:
            grid.add_column(dtype, justify="right")
        for name, row in self.power.items():
            grid.add_row(name, *(f"{row[d][0]} / {row[d][1]}" if d in row else "" for d in DTYPES))
        out.print(grid)
        out.print("profiles: deviations that some case of the profile is certain to catch, of those that apply to one")
        grid = Table(box=None)
        grid.add_column("profile")
        for dtype in DTYPES:
            grid.add_column(dtype, justify="right")
        for name, row in self.profiles.items():
            grid.add_row(name, *(f"{row[d][0]} / {row[d][1]}" for d in DTYPES))
        out.print(grid)
        for name, n in self.world.items():
            out.print(f"{name}: {n}")
        out.print(
            f"mutants: {self.mutants}, missed: {len(self.missed)}" + "".join(f"\n    {text}" for text in self.missed[:20])
        )


def selftest(cases: list[Case], advance: Callable[[int], None] = lambda n: None) -> Proof:
    """The stable family on every case and dtype; every deviation and every structural mutant."""
    proof = Proof()
    stable_family(cases, proof, advance)
    formula_mutants(cases, proof, advance)
    structural_mutants(cases, proof)
    world_mutants(cases, proof)
    return proof


def stable_family(cases: list[Case], proof: Proof, advance: Callable[[int], None] = lambda n: None) -> None:
    """Judge every member of the family: a rejection is a hole in the theorem."""
    for dtype in DTYPES:
        proof.judged[dtype], proof.tau[dtype], proof.tau_total[dtype] = 0, 0.0, 0.0
        for case in cases:
            advance(1)
            if dtype not in case.data["representable_in"] or case.is_pattern:
                continue
            with np.errstate(all="ignore"):
                members = honest.family(case, dtype) if honest.plain(case) else []
                members += [(f"reference, {way}", correct(case.question, dtype, way)) for way in WAYS]
            for name, output in members:
                found = judge(case, output, dtype)
                proof.judged[dtype] += 1
                if found.verdict not in (*PASSES, "indeterminate"):
                    proof.rejected.append(f"{case.id} {dtype} {name}: {found.verdict}, tau {found.tau}")
                elif found.tau is not None:
                    proof.tau[dtype] = max(proof.tau[dtype], found.tau)
                    proof.tau_total[dtype] = max(proof.tau_total[dtype], found.tau_total or 0.0)


def formula_mutants(cases: list[Case], proof: Proof, advance: Callable[[int], None] = lambda n: None) -> None:
    """Every stored deviation as a candidate: the golden says which cases tell it apart, and the judge must agree."""
    for name, deviation in BY_NAME.items():
        advance(1)
        if not deviation.stored:
            continue
        told: dict[str, list[Case]] = {d: [] for d in DTYPES}
        asked = dict.fromkeys(DTYPES, 0)
        for case in cases:
            if case.is_pattern or not case.data["discriminates"] or deviation.change(case.question) is None:
                continue
            seen = False
            for dtype in reversed(DTYPES):  # coarse to fine: what float16 tells apart, float64 does
                if dtype in case.data["representable_in"]:
                    asked[dtype] += 1
                    seen = seen or name in case.data["discriminates"].get(dtype, ())
                    if seen:
                        told[dtype].append(case)
        proof.power[name] = {d: (len(told[d]), asked[d]) for d in DTYPES if asked[d]}
        proof.mutants += 1
        if not told["float64"]:
            proof.missed.append(f"{name}: no case tells it apart")
        for dtype in DTYPES:
            for case in {c.id: c for profile in PROFILES for c in profile.cases(told[dtype])[:SAMPLE]}.values():
                _must_be_caught(deviation, case, dtype, proof)
    for profile in PROFILES:
        if members := profile.cases(cases):
            proof.profiles[profile.name] = _power(members)


def _power(cases: list[Case]) -> dict[str, tuple[int, int]]:
    """Per dtype, how many deviations some case is certain to catch, of those that apply to a case."""
    applying: dict[str, set[str]] = {d: set() for d in DTYPES}
    caught: dict[str, set[str]] = {d: set() for d in DTYPES}
    for case in cases:
        named = case.data["discriminates"]
        if case.is_pattern or not named:
            continue
        apply = {d.name for d, _ in applicable(case.question) if d.stored}
        for k, dtype in enumerate(DTYPES):
            if dtype in case.data["representable_in"]:
                applying[dtype] |= apply
                caught[dtype] |= {name for coarser in DTYPES[k:] for name in named.get(coarser, ())}
    return {d: (len(caught[d] & applying[d]), len(applying[d])) for d in DTYPES}


def _must_be_caught(deviation: Deviation, case: Case, dtype: str, proof: Proof) -> None:
    changed = deviation.change(case.question)
    assert changed is not None
    output = correct(changed, dtype)
    output["y"] = correct(case.question, dtype)["y"]
    found = judge(case, output, dtype)
    if found.verdict in (*PASSES, "indeterminate"):
        proof.missed.append(f"{deviation.name} on {case.id} at {dtype}: {found.verdict}, tau {found.tau}")


# Structural mutants: what goes wrong around a formula ------------------------------------------------------------------


def _with(change: Callable[[np.ndarray], Any]) -> Callable[[dict[str, Any], Output], Any]:
    return lambda asked, right: {**right, "relevance": [change(r) for r in right["relevance"]]}


def _raise(asked: dict[str, Any], right: Output) -> Any:
    raise RuntimeError("out of order")


class _Stale:
    """Answers every question with the first answer."""

    first: Output | None = None

    def __call__(self, asked: dict[str, Any], right: Output) -> Any:
        self.first = self.first or right
        return self.first


class _Unsteady:
    """Every other answer is off by one unit in the last place of a half."""

    calls = 0

    def __call__(self, asked: dict[str, Any], right: Output) -> Any:
        self.calls += 1
        return right if self.calls % 2 else _with(lambda r: r * r.dtype.type(1 + 2.0**-9))(asked, right)


STRUCTURAL: dict[str, Callable[[], Callable[[dict[str, Any], Output], Any]]] = {
    "returns NaN": lambda: _with(lambda r: r * np.nan),
    "returns infinity": lambda: _with(lambda r: r + np.inf),
    "returns another dtype": lambda: _with(lambda r: r.astype(np.float32 if r.dtype == np.float64 else np.float64)),
    "returns another shape": lambda: _with(lambda r: r.reshape(-1)),
    "drops the batch axis": lambda: _with(lambda r: r[0]),
    "returns a list": lambda: _with(lambda r: r.tolist()),
    "returns nothing": lambda: lambda asked, right: None,
    "raises": lambda: _raise,
    "claims but declines": lambda: lambda asked, right: {"unsupported": "not today"},
    "another model": lambda: lambda asked, right: {**right, "y": right["y"] + right["y"].dtype.type(1)},
    "forgets y": lambda: lambda asked, right: {"relevance": right["relevance"]},
    "a stale cache": _Stale,
    "nondeterministic": _Unsteady,
    "half precision inside": lambda: _with(lambda r: r.astype(np.float16).astype(r.dtype)),
    "bfloat16 inside": lambda: _with(lambda r: _truncated(r, 8)),
    "relevance of the last sample for all": lambda: _with(lambda r: np.broadcast_to(r[-1:], r.shape).copy()),
    "one element swapped with its neighbour": lambda: _with(lambda r: np.roll(r, 1, axis=-1)),
}


def _truncated(r: np.ndarray, bits: int) -> np.ndarray:
    mantissa, exponent = np.frexp(r)
    rounded: np.ndarray = np.ldexp(np.round(mantissa * 2.0**bits) / 2.0**bits, exponent).astype(r.dtype)
    return rounded


def structural_mutants(cases: list[Case], proof: Proof) -> None:
    """Run every structural mutant through the runner, on cases of two samples with generic data."""
    chosen = [
        c
        for c in cases
        if c.id.startswith(("dense.alpha-beta.generic", "dense.epsilon.exact-0", "classic.two-samples", "conv.z-plus.exact"))
    ]
    by_input = {_key(case.adapter_case(d)): (case, d) for case in chosen for d in ("float64", "float32")}
    features = frozenset(f for case in chosen for f in case.features)
    for name, make in STRUCTURAL.items():
        spoil = make()

        def respond(asked: dict[str, Any], spoil: Any = spoil) -> Mapping[str, Any]:
            case, dtype = by_input[_key(asked)]
            return spoil(asked, correct(case.question, dtype))  # type: ignore[no-any-return]

        mutant = Candidate(name, "0", features, DTYPES, ("cpu",), False, respond)
        results = list(run(mutant, chosen, ("float64", "float32")))
        caught = any(r.verdict not in (*PASSES, "indeterminate", "unsupported") or r.deterministic is False for r in results)
        proof.mutants += 1
        if not caught:
            proof.missed.append(f"structural mutant: {name}")


def _key(asked: dict[str, Any]) -> tuple[Any, ...]:
    """What a candidate sees of a case."""
    weight = asked["nodes"][0]["params"]["weight"]
    return (asked["dtype"], asked["x"].tobytes(), weight.tobytes(), asked["relevance"].tobytes(), str(asked["rules"]))


def world_mutants(cases: list[Case], proof: Proof) -> None:
    """Bounds, goldens and processes that are a little off."""
    for name, said in (
        ("answers half a bound inside and outside of one", worlds.edges(cases, DTYPES, correct)),
        ("goldens with one unit flipped", worlds.golden_mutants(cases[::GOLDEN_STEP])),
        ("processes that misbehave", worlds.process_mutants(cases)),
    ):
        told = list(said)
        proof.world[name] = len(told)
        proof.missed += [f"{name}: {text}" for right, text in told if not right]
