"""Properties that must hold for whatever comes in."""

from __future__ import annotations

from tests.fuzz import profiles

profiles.load()
