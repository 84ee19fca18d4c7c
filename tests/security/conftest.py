"""Fixtures of other folders that tests of attacks use."""

from __future__ import annotations

from tests.unit.shared.conftest import local_services, world

__all__ = ["local_services", "world"]
