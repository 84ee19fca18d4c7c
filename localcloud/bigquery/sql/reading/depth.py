"""Limits how deeply a query may be nested: sqlglot makes about twenty nested Python calls per level of a query."""

from __future__ import annotations

import re
import sys
import threading

import duckdb
import pyarrow as pa
from bqemulator.domain.errors import DomainError

from localcloud.bigquery.base.errors import QueryError

# About two hundred levels; deeper queries take a minute or more. Calls through C code take about half a kilobyte of stack
# each, so the stack size is more than enough. The system allocates only the part of a stack that a thread uses.
_CALLS = 4_000
_STACK_BYTES = 64 * 2**20
_TOO_DEEP = re.compile(
    "maximum recursion depth exceeded|[Mm]ax(?:imum)? expression depth|^Recursion level in ArrowSchema"
)


def allow_depth() -> None:
    """Set the stack size of threads that start from now on, and the recursion limit."""
    threading.stack_size(max(_STACK_BYTES, threading.stack_size()))
    limit_depth()


def limit_depth() -> None:
    """Set the recursion limit of the process again. Libraries change it: importing bigframes raises it to ten million."""
    sys.setrecursionlimit(_CALLS)


def too_deep(error: BaseException) -> QueryError | None:
    """Return BigQuery's error if ``error`` means that the query is nested too deeply, else None.

    bqemulator keeps only the text of some exceptions, so the text is searched too.
    """
    described = isinstance(error, (DomainError, duckdb.Error, pa.ArrowException)) and _TOO_DEEP.search(str(error))
    if not described and not isinstance(error, RecursionError):
        return None
    return QueryError(
        "Query is too complex: out of stack space due to deeply nested query expression during query resolution",
        location="query",
    )
