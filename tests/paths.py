"""Where the project's files are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EVENTS = ROOT / "tests" / "events"
SAMPLE_FUNCTIONS = ROOT / "tests" / "sample_functions"
