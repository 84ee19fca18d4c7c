"""Held to what others have written down: schemas, API descriptions, grammars. Properties are tried as hard as in tests/fuzz."""

from __future__ import annotations

from tests.fuzz import profiles

profiles.load()
