"""How hard properties are tried: a few hundred examples each, or ten thousand.

`pytest tests/fuzz --hypothesis-profile=long` or the variable HYPOTHESIS_PROFILE=long choose the second.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# The machine that runs this may be busy with a whole cloud: no example fails for being slow.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def load() -> None:
    """Make the profiles known, and use the one that HYPOTHESIS_PROFILE names."""
    settings.register_profile("default", PATIENT, max_examples=300)
    settings.register_profile("long", PATIENT, max_examples=10_000)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
