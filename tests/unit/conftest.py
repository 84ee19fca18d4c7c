"""Pure parts, each by itself. Properties are tried as hard as in tests/fuzz."""

from __future__ import annotations

from tests.fuzz import profiles

profiles.load()
