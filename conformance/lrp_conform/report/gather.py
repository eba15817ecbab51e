"""The runs of a report as one body of evidence: who was judged, on what, and the counts of every cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from lrp_conform.cases import golden
from lrp_conform.cases.golden import AnyCase
from lrp_conform.cases.profiles import PROFILES
from lrp_conform.judging.result import CaseResult
from lrp_conform.running.folder import ReportError, Run


class VerdictKind(NamedTuple):
    """Verdicts that are counted together: a slug, a symbol and a word, so that colour never stands alone."""

    name: str
    symbol: str
    word: str
    verdicts: tuple[str, ...]


KINDS = (
    VerdictKind("exact", "=", "exact", ("exact",)),
    VerdictKind("conformant", "≈", "conformant", ("conformant",)),
    VerdictKind("normwise", "∼", "normwise", ("normwise",)),
    VerdictKind("dialect", "◆", "dialect", ("dialect",)),
    VerdictKind("wrong", "✕", "wrong", ("nonconformant", "forward-mismatch", "invalid-output")),
    VerdictKind("broken", "!", "no answer", ("error", "crash", "timeout", "not-run")),
    VerdictKind("indeterminate", "?", "indeterminate", ("indeterminate",)),
    VerdictKind("declined", "⊘", "declined", ("unsupported-undeclared",)),
    VerdictKind("unsupported", "–", "not asked", ("unsupported",)),
)
KIND_OF = {verdict: kind for kind in KINDS for verdict in kind.verdicts}
PASSING = ("exact", "conformant")


class System(NamedTuple):
    """What a column of the matrix stands for."""

    candidate: str
    version: str
    dtype: str
    device: str

    @property
    def label(self) -> str:
        return f"{self.candidate} {self.version}"


@dataclass(frozen=True)
class Origin:
    """Where a run comes from."""

    candidates: tuple[tuple[str, str], ...]
    one_hot: frozenset[tuple[str, str]]
    suite: str
    edition: str
    golden: str
    started: str
    finished: bool
    shard: str | None
    machine: str
    packages: str


@dataclass(frozen=True)
class Cell:
    """Answers of one system to one set of cases, by kind. What is missing from `size` was not part of the run."""

    size: int
    counts: Mapping[str, int]
    waived: int = 0

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def asked(self) -> int:
        return self.total - self.counts.get("unsupported", 0)

    @property
    def passed(self) -> int:
        return sum(self.counts.get(name, 0) for name in PASSING)

    @property
    def missing(self) -> int:
        return self.size - self.total

    @property
    def parts(self) -> list[tuple[VerdictKind, int]]:
        """The kinds that occur, in their order, with their counts."""
        return [(kind, self.counts[kind.name]) for kind in KINDS if self.counts.get(kind.name)]

    @property
    def words(self) -> str:
        """The cell as a sentence: for a screen reader, and for a page without colour."""
        said = [f"{n} {kind.word}" for kind, n in self.parts]
        said += [f"{self.waived} of them waived"] if self.waived else []
        said += [f"{self.missing} not in this run"] if self.missing else []
        return f"{', '.join(said) or 'nothing'}; of {self.size}"


@dataclass(frozen=True)
class TableRow:
    """One line of a table: a feature or a profile, its size, and one cell per system."""

    name: str
    title: str
    size: int
    cells: tuple[Cell, ...]

    @property
    def asked(self) -> bool:
        return any(cell.asked for cell in self.cells)


@dataclass(frozen=True)
class Evidence:
    """Every result of some runs, by system and case, beside the golden cases they answer."""

    origins: list[Origin]
    cases: dict[str, AnyCase]
    systems: list[System]
    by_system: dict[System, dict[str, CaseResult]]

    @property
    def results(self) -> list[CaseResult]:
        return [r for found in self.by_system.values() for r in found.values()]

    @cached_property
    def candidates(self) -> dict[tuple[str, str], list[System]]:
        """The systems of every (candidate, version)."""
        out: dict[tuple[str, str], list[System]] = {}
        for system in self.systems:
            out.setdefault((system.candidate, system.version), []).append(system)
        return out

    @cached_property
    def sizes(self) -> dict[str, set[str]]:
        """Per feature the ids of its cases, those of an unknown golden edition included."""
        out: dict[str, set[str]] = {}
        for case in self.cases.values():
            out.setdefault(case.feature, set()).add(case.id)
        for r in self.results:
            if r.case not in self.cases:
                out.setdefault(r.feature, set()).add(r.case)
        return out

    def composed(self, system: System) -> bool:
        """Whether a system's relevances were composed from one-hot answers."""
        return any((system.candidate, system.version) in each.one_hot for each in self.origins)

    def case(self, result: CaseResult) -> AnyCase | None:
        """The golden case that a result answers; None if this golden set has another of that name, or none."""
        found = self.cases.get(result.case)
        return found if found is not None and found.uid == result.uid else None

    def features(self) -> list[TableRow]:
        """One row per feature, a rule on a layer: the features of a layer together, larger layers first."""
        weight = Counter[str]()
        for name, ids in self.sizes.items():
            weight[layer_of(name)] += len(ids)
        order = sorted(self.sizes, key=lambda name: (-weight[layer_of(name)], layer_of(name), name))
        return [self._row(name, name, self.sizes[name]) for name in order]

    def profiles(self) -> list[TableRow]:
        """One row per profile."""
        ids = {p: {c.id for c in p.cases(self.cases.values())} for p in PROFILES}
        return [self._row(p.name, p.title, chosen) for p, chosen in ids.items() if chosen]

    def totals(self) -> TableRow:
        """Every result of every system."""
        everything = set().union(*self.sizes.values()) if self.sizes else set()
        return self._row("all", "Every case", everything)

    def _row(self, name: str, title: str, ids: set[str]) -> TableRow:
        cells = tuple(_cell(ids, self.by_system[system]) for system in self.systems)
        return TableRow(name, title, len(ids), cells)


def layer_of(feature: str) -> str:
    """The layer of a feature: "conv" of "gamma on conv"."""
    return feature.rpartition(" on ")[2]


def _cell(ids: set[str], results: Mapping[str, CaseResult]) -> Cell:
    chosen = [results[id] for id in ids if id in results]
    waived = sum(1 for r in chosen if r.waiver is not None and KIND_OF[r.verdict].name in ("wrong", "broken"))
    return Cell(len(ids), Counter(KIND_OF[r.verdict].name for r in chosen), waived)


def gather(runs: Iterable[Run], cases: Iterable[AnyCase] | None = None) -> Evidence:
    """The evidence of some runs; ReportError where two of them answer the same case for the same system."""
    runs = list(runs)
    origins = [origin(run.about) for run in runs]
    by_system: dict[System, dict[str, CaseResult]] = {}
    for run in runs:
        for r in run.results:
            found = by_system.setdefault(System(r.candidate, r.version, r.dtype, r.device), {})
            if r.case in found:
                raise ReportError(
                    f"{r.candidate} {r.version} answers {r.case} at {r.dtype} on {r.device} twice: give each run once"
                )
            found[r.case] = r
    known = golden.load_all() if cases is None else cases
    fresh = (case for run in runs for case in run.fresh)
    return Evidence(origins, {case.id: case for case in (*known, *fresh)}, list(by_system), by_system)


def origin(about: Mapping[str, Any]) -> Origin:
    """Where a run comes from, as `run.json` says; ReportError if that says something else."""
    try:
        environment = about["environment"]
        found = Origin(
            candidates=tuple((str(c["name"]), str(c["version"])) for c in about["candidates"]),
            one_hot=frozenset(
                (str(c["name"]), str(c["version"])) for c in about["candidates"] if c["relevance_init"] == "one-hot"
            ),
            **{name: str(about[name]) for name in ("suite", "edition", "golden", "started")},
            finished=about["finished"] is not None,
            shard=None if about["shard"] is None else str(about["shard"]),
            machine=f"Python {environment['python']}, {environment['platform']}, {environment['cores']} cores",
            packages=", ".join(f"{name} {version}" for name, version in environment["packages"].items()),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ReportError(f"run.json: not what `lrp-conform run` writes: {type(error).__name__} {error}"[:200]) from None
    return found
