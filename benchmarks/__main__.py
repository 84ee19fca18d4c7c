"""``python -m benchmarks [NAME ...]``: runs all benchmarks, or the named ones, and prints one table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure


@dataclass(frozen=True)
class Benchmark:
    """A benchmark; its module is imported only when it runs."""

    module: str
    measures: str
    limits: str


BENCHMARKS = {
    "ml": Benchmark(
        "benchmarks.ml",
        "ML.PREDICT over 1,000,000 rows, its memory, and the round trip of a small query",
        "0.9 of the runtime's own rate into a table, 0.5 in a CTE; +300 MB from 1,000,000 to 10,000,000 rows; "
        "+3 ms to bqemulator alone",
    ),
    "batch": Benchmark(
        "benchmarks.batch",
        "a Gemini batch of 100,000 requests to the stand-in model, from table to table and from JSONL to JSONL, and its memory",
        "60 s each; +200 MB from 10,000 to 100,000 requests",
    ),
    "checks": Benchmark(
        "benchmarks.checks",
        "the check of 200,000 requests: of a table in one query, and of a file of JSONL in bounded memory",
        "30 s each; 64 MB for the file",
    ),
    "load": Benchmark(
        "benchmarks.load",
        "the whole chain with 200 models, 2,000 messages and 1,000 running jobs",
        "each done once, with one event; at most 40 calls for a tick of the poller over the running jobs",
    ),
    "scale": Benchmark(
        "benchmarks.scale",
        "the poller and one instance of a function, against services that take as long as Google's: many ends, open items and "
        "messages, and cold starts",
        "5,000 ends a minute, 99 % of the events within 60 s, and one write of each item; 6 s and 150 MB for a tick over "
        "50,000 open items; 20 messages a second; a cold start in 2.8 times the time of an empty function",
    ),
    "pace": Benchmark(
        "benchmarks.pace",
        "how soon the poller starts the job of a settled drop, and publishes the event of a job that has ended",
        "at most 5 s and 10 s, compared with one look a minute",
    ),
    "commands": Benchmark(
        "benchmarks.commands",
        "the time of `modeldrop status`, `why`, `events` and `logs` on a local cloud",
        "1 s each",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run benchmarks and print their table; return 1 if a limit is exceeded, and 0 otherwise."""
    names = _parser().parse_args(arguments).names
    figures: list[Figure] = []
    for name in names or BENCHMARKS:
        figures += import_module(BENCHMARKS[name].module).measure()
    table = Table("benchmark", "measurement", "result", "compared with", "limit", "met")
    for figure in figures:
        met = {True: "yes", False: "NO", None: ""}[figure.meets_limit]
        table.add_row(figure.benchmark, figure.name, figure.value, figure.comparison, figure.limit, met)
    Console(width=None if sys.stdout.isatty() else 180).print(table)
    return int(any(figure.meets_limit is False for figure in figures))


def _parser() -> argparse.ArgumentParser:
    benchmarks = [f"  {name}: {each.measures}\n    limits: {each.limits}" for name, each in BENCHMARKS.items()]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Run benchmarks on a new local cloud and print one table. The exit code is 1 if a limit is exceeded.",
        epilog="\n".join(["benchmarks:", *benchmarks]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", type=_name, metavar="NAME", help="a benchmark (default: all)")
    return parser


def _name(text: str) -> str:
    if text not in BENCHMARKS:
        raise argparse.ArgumentTypeError(f"there is no benchmark {text}; there are: {', '.join(BENCHMARKS)}")
    return text


if __name__ == "__main__":
    sys.exit(main())
