"""How many examples a law is tried on, and cases a sweep goes through: few by default, all with HYPOTHESIS_PROFILE=full."""

import os
from collections.abc import Sequence
from typing import TypeVar

from hypothesis import HealthCheck, settings

T = TypeVar("T")
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
ALIKE = {"derandomize": True, "database": None} if os.environ.get("CI") else {}
for name in ("quick", "full"):
    settings.register_profile(name, deadline=None, suppress_health_check=list(HealthCheck), **ALIKE)
settings.load_profile(PROFILE)


def examples(quick: int, full: int) -> settings:
    """The settings of a law that is worth this many examples."""
    return settings(max_examples=full if PROFILE == "full" else quick)


def sweep(cases: Sequence[T], step: int, first: int = 0) -> Sequence[T]:
    """What a long sweep goes through: every `step`-th of the cases, or with HYPOTHESIS_PROFILE=full all of them."""
    return cases if PROFILE == "full" else cases[first % step :: step]
