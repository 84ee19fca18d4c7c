"""Errors on their way from a Python function through DuckDB to a client.

DuckDB hands on an exception of a function as text only, wrapped in words of its own, so what a client is to read is
marked in it.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable

import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError

_MARKED = re.compile(r"\N{LEFT WHITE SQUARE BRACKET}(\{.*?\})\N{RIGHT WHITE SQUARE BRACKET}", re.DOTALL)


class FunctionError(Exception):
    """A ``QueryError`` on its way through DuckDB."""

    def __init__(self, error: QueryError) -> None:
        told = json.dumps({"message": error.message, "reason": error.reason})
        super().__init__(f"\N{LEFT WHITE SQUARE BRACKET}{told}\N{RIGHT WHITE SQUARE BRACKET}")


def function_error(text: str) -> QueryError | None:
    """Return the error that a function raised, from the text of DuckDB's error, or None if it is another's."""
    match = _MARKED.search(text)
    if match is None:
        return None
    told = json.loads(match[1])
    return QueryError(told["message"], reason=told["reason"], location="query")


def raising(function: Callable[..., pa.Array], parameters: int) -> Callable[..., pa.Array]:
    """Return a function of so many parameters whose ``QueryError`` survives DuckDB."""

    def call(*columns: pa.Array) -> pa.Array:
        try:
            return function(*columns)
        except QueryError as error:
            raise FunctionError(error) from error
        except Exception as error:
            # Without a mark DuckDB would tell the client of files and lines of this process.
            raise FunctionError(QueryError(f"{type(error).__name__}: {error}", reason="jobInternalError")) from error

    # DuckDB counts the parameters that a function declares.
    declared = [inspect.Parameter(f"column{i}", inspect.Parameter.POSITIONAL_ONLY) for i in range(parameters)]
    call.__signature__ = inspect.Signature(declared)  # type: ignore[attr-defined]
    return call
