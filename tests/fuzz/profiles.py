"""How many examples Hypothesis tries of each property: thirty that are always the same, or ten thousand random ones.

`pytest --hypothesis-profile=long` or the variable HYPOTHESIS_PROFILE=long chooses the second.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# The machine that runs this may be busy with a whole cloud: no example fails for being slow.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def load() -> None:
    """Register the profiles, and use the one that HYPOTHESIS_PROFILE names."""
    settings.register_profile("default", PATIENT, max_examples=30, derandomize=True)
    settings.register_profile("long", PATIENT, max_examples=10_000, print_blob=True)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
