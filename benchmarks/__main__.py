"""`python -m benchmarks [NAME ...]`: measures all, or the named ones, and prints one table; 1 if a limit is broken."""

from __future__ import annotations

import sys
from importlib import import_module

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure

BENCHMARKS = {"ml": "benchmarks.ml", "load": "benchmarks.load"}


def main(names: list[str]) -> int:
    """Measure and print; return the process's exit code."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"there is no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for name in names or BENCHMARKS:
        figures += import_module(BENCHMARKS[name]).measure()
    table = Table("benchmark", "what", "figure", "against", "limit", "kept")
    for figure in figures:
        kept = {True: "yes", False: "NO", None: ""}[figure.holds]
        table.add_row(figure.benchmark, figure.what, figure.value, figure.against, figure.limit, kept)
    Console(width=None if sys.stdout.isatty() else 180).print(table)
    return int(any(figure.holds is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
