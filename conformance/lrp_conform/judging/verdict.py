"""What a verdict is: the words, the judgement with its evidence, and what an answer is held against."""

from dataclasses import dataclass, field, replace
from typing import Any

Array = Any

# Verdicts, best first; the two lists that decide an exit status.
VERDICTS = (
    "exact", "conformant", "normwise", "dialect", "indeterminate", "nonconformant", "forward-mismatch", "invalid-output",
    "unsupported", "unsupported-undeclared", "error", "crash", "timeout", "not-run",
)  # fmt: skip
PASSES = ("exact", "conformant")
FAILURES = ("nonconformant", "forward-mismatch", "invalid-output", "error", "crash", "timeout")


@dataclass(frozen=True)
class Judgement:
    """A verdict and its evidence. tau is the largest error in units of its bound, tau_total that of a sample's total,
    tau_normwise the largest error of a sample in units of the sample's largest bound.
    """

    verdict: str
    tau: float | None = None
    tau_total: float | None = None
    tau_normwise: float | None = None
    effective_bits: float | None = None
    dialect: str | None = None
    hint: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def missing(self) -> bool:
        """Whether the candidate's library is not installed."""
        return self.verdict == "not-run" and bool(self.detail.get("missing"))

    @property
    def needs_explanation(self) -> bool:
        return self.verdict == "nonconformant"

    def replace(self, **changes: Any) -> "Judgement":
        return replace(self, **changes)


@dataclass(frozen=True, eq=False)
class Target:
    """What an answer is held against: expected values and bounds per input, in one order."""

    expected: tuple[Array, ...]
    bound: tuple[Array, ...]
