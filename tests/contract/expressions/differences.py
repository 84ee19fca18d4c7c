"""The expressions whose answer differs from that of Google's evaluator, and why."""

from __future__ import annotations

DIFFERENCES: dict[str, str] = {}
