"""What benchmarks give, and how they take it: alternating runs, medians, limits."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    benchmark: str
    what: str
    value: str
    against: str
    """What it is compared with, in the same run."""
    limit: str
    holds: bool | None
    """Whether the limit is kept; None if there is none."""


def medians(ways: Mapping[str, Callable[[], None]], runs: int, *, warm_up: int = 1) -> dict[str, float]:
    """Run every way ``runs`` times, taking turns, and return the median seconds of each."""
    for _ in range(warm_up):
        for run in ways.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(taken) for name, taken in seconds.items()}
