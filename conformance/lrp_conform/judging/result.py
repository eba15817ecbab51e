"""One verdict with its evidence, as a line of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lrp_conform.judging.verdict import FAILURES, VERDICTS, Judgement
from lrp_conform.wire.messages import decode, encode


@dataclass(frozen=True)
class CaseResult:
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

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes a result one of its kind in a run."""
        return self.candidate, self.dtype, self.device, self.case

    def record(self) -> dict[str, Any]:
        """The result as one line of results.ndjson: raw outputs included, so that it can be judged again."""
        j = self.judgement
        own: dict[str, Any] = {
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
        }
        return {**_words(own), "output": _raw(self.output)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> CaseResult:
        """The inverse of `record`; ValueError, KeyError or TypeError if it is none."""
        if record["verdict"] not in VERDICTS:
            raise ValueError(f"no verdict is called {record['verdict']!r}")
        numbers = {name: _number(record[name]) for name in ("tau", "tau_total", "tau_normwise", "effective_bits")}
        words = {name: record[name] for name in ("verdict", "dialect", "hint", "detail")}
        judged: dict[str, Any] = {**words, **numbers}
        own = {name: record[name] for name in ("case", "uid", "feature", "candidate", "version", "dtype", "device")}
        if not all(isinstance(text, str) for text in own.values()) or not isinstance(record["detail"], dict):
            raise TypeError("expected texts, and the detail as an object")
        output = None if record["output"] is None else decode(record["output"])
        return cls(
            **own,
            seconds=float(record["seconds"]),
            features=tuple(record["features"]),
            judgement=Judgement(**judged),
            deterministic=record["deterministic"],
            waiver=record["waiver"],
            output=output,
        )


def _raw(output: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if output is None:
        return None
    return {name: encode(output[name]) for name in ("y", "relevance", "nodes", "pattern") if name in output}


def _words(value: Any) -> Any:
    """What JSON has no number for, as the words of the golden files: "inf", "-inf", "nan"."""
    if isinstance(value, dict):
        return {name: _words(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_words(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
