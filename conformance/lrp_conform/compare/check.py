"""One judgement: an array of the library beside the reference's, element by element within a bound."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lrp_ref.algebra.rounding import LARGEST, UNIT_ROUNDOFF
from lrp_ref.arrays import Array

VACUOUS = 0.1  # of the largest relevance: a larger bound proves nothing
VERDICTS = ("agrees", "close", "unproved", "deviates")


@dataclass(frozen=True)
class ValueCheck:
    """What `nodes` handed to `value`, judged.

    verdict: "agrees" (every error within its bound), "deviates" (some error is not), "unproved" (every error is, but the
    bound exceeds a tenth of the relevance), "close" (unproved, and within the tolerance asked for). tau: the largest error
    in units of its bound. largest: the largest |R|; worst: the largest error. error, allowed, index, got, expected: of the
    element that decides. bits: -log2 of the largest error relative to the work behind it. hint: what the library does
    instead, where it is known.
    """

    value: str
    nodes: tuple[str, ...]
    verdict: str
    tau: float
    largest: float
    worst: float
    error: float
    allowed: float
    index: tuple[int, ...]
    got: float
    expected: float
    bits: float
    hint: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON has no infinity: a bound that is infinite is null."""
        numbers = asdict(self)
        return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in numbers.items()}

    def line(self) -> str:
        """The evidence in one line."""
        at = "".join(f"[{i}]" for i in self.index)
        allowed = f"allowed {self.allowed:.2g}" if math.isfinite(self.allowed) else "no bound"
        return f"{self.value}{at} = {self.got:.9g}, expected {self.expected:.9g}, |error| {self.error:.2g}, {allowed}"


def check(
    value: str, nodes: tuple[str, ...], got: Array, want: Array, bound: Array, dtype: str, *, work: Array, close: float = 0
) -> ValueCheck:
    """`got`, of `dtype`, beside `want` in float64, whose honest results lie within `bound`; `work` is what they are sums of."""
    found = got.astype(np.float64)
    error = np.abs(found - want)
    allowed = np.where(bound < LARGEST / 10, bound, np.inf)  # a sum of what is capped is no bound either
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        each = np.where(error == 0, 0.0, np.where(np.isinf(allowed), 0.0, error / allowed))
    tau, largest = float(each.max(initial=0)), float(np.abs(want).max(initial=0))
    where = int(np.argmax(each if tau > 0 else error)) if error.size else 0
    at = tuple(int(i) for i in np.unravel_index(where, error.shape)) if error.size else ()
    worst = float(error.max(initial=0))
    if tau > 1:
        verdict = "deviates"
    elif float(allowed.max(initial=0)) <= VACUOUS * largest or (worst == 0 and largest == 0):
        verdict = "agrees"
    else:
        verdict = "close" if worst <= close * largest else "unproved"
    off, may, is_, be = (float(a[at]) if at else 0.0 for a in (error, allowed, found, want))
    return ValueCheck(value, nodes, verdict, tau, largest, worst, off, may, at, is_, be, _bits(error, work, dtype))


def agrees(got: Array, want: Array, bound: Array) -> bool:
    """Whether every element lies within a bound that proves something."""
    return check("", (), got, want, bound, "float64", work=want).verdict == "agrees"


def _bits(error: Array, work: Array, dtype: str) -> float:
    """ "Behaves like so many bits"; the format's own where nothing is off."""
    own = -math.log2(UNIT_ROUNDOFF[dtype])
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(work > 0, error / work, np.where(error > 0, 1.0, 0.0))
    worst = float(relative.max(initial=0))
    return own if worst == 0 else round(max(0.0, min(own, -math.log2(worst))), 1)
