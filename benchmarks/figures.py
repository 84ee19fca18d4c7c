"""The results of benchmarks, and their measurement as medians of alternating runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    benchmark: str
    name: str
    value: str
    comparison: str
    """Another measurement of the same run."""
    limit: str
    meets_limit: bool | None
    """Whether the value meets the limit; None if there is no limit."""


def median_seconds(functions: Mapping[str, Callable[[], None]], runs: int, *, warm_up: int = 1) -> dict[str, float]:
    """Measure functions by turns.

    Args:
        functions: The functions by name.
        runs: How often to measure each of them.
        warm_up: How often to run each of them before.

    Returns:
        The median seconds of each function.
    """
    for _ in range(warm_up):
        for run in functions.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(runs):
        for name, run in functions.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(taken) for name, taken in seconds.items()}
