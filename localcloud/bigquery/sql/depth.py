"""How deeply a query may be nested: sqlglot goes down one level of a query by some twenty calls in Python."""

from __future__ import annotations

import re
import sys
import threading

import duckdb
import pyarrow as pa
from bqemulator.domain.errors import DomainError

from localcloud.bigquery.base.errors import QueryError

# Two hundred levels or so; more cost a minute and more. Calls by way of C code take about half a kilobyte of the stack, of
# which this leaves plenty, and what no call reaches is never given to a thread by the system.
_CALLS = 4_000
_STACK_BYTES = 64 * 2**20
_TOO_DEEP = re.compile(
    "maximum recursion depth exceeded|[Mm]ax(?:imum)? expression depth|^Recursion level in ArrowSchema"
)


def allow_depth() -> None:
    """Let the threads that are begun from now on go that deep, and none deeper, whatever a library has allowed before."""
    sys.setrecursionlimit(_CALLS)
    threading.stack_size(max(_STACK_BYTES, threading.stack_size()))


def too_deep(error: BaseException) -> QueryError | None:
    """Return what a client is told where ``error`` means that the query is nested too deeply, or None.

    bqemulator hands on the text of some exceptions only.
    """
    told = isinstance(error, (DomainError, duckdb.Error, pa.ArrowException)) and _TOO_DEEP.search(str(error))
    if not told and not isinstance(error, RecursionError):
        return None
    return QueryError(
        "Query is too complex: out of stack space due to deeply nested query expression during query resolution",
        location="query",
    )
