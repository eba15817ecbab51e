"""How many examples a law is tried on: few by default, all of them with HYPOTHESIS_PROFILE=full; in CI the same every time."""

import os

from hypothesis import HealthCheck, settings

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
ALIKE = {"derandomize": True, "database": None} if os.environ.get("CI") else {}
for name in ("quick", "full"):
    settings.register_profile(name, deadline=None, suppress_health_check=list(HealthCheck), **ALIKE)
settings.load_profile(PROFILE)


def examples(quick: int, full: int) -> settings:
    """The settings of a law that is worth this many examples."""
    return settings(max_examples=full if PROFILE == "full" else quick)
