"""Passes a ``QueryError`` from a Python function through DuckDB to the client.

DuckDB keeps only the text of a function's exception and adds its own words, so the text contains the error between marks.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable

import duckdb
import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError

_MARKED = re.compile(r"\N{LEFT WHITE SQUARE BRACKET}(\{.*?\})\N{RIGHT WHITE SQUARE BRACKET}", re.DOTALL)


class FunctionError(Exception):
    """An exception whose text contains a ``QueryError``."""

    def __init__(self, error: QueryError) -> None:
        """Encode ``error``."""
        encoded = json.dumps({"message": error.message, "reason": error.reason})
        super().__init__(f"\N{LEFT WHITE SQUARE BRACKET}{encoded}\N{RIGHT WHITE SQUARE BRACKET}")


def function_error(text: str) -> QueryError | None:
    """Return the ``QueryError`` in the text of DuckDB's error, or None if a function did not raise it."""
    match = _MARKED.search(text)
    if match is None:
        return None
    error = json.loads(match[1])
    return QueryError(error["message"], reason=error["reason"], location="query")


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register ``bqemu_fail``, which the macros call to fail.

    DuckDB's own ``error`` has side effects, so DuckDB's TRY, which carries out the prefix SAFE, refuses it.
    """
    connection.create_function("bqemu_fail", _fail, ["VARCHAR"], '"NULL"')


def _fail(message: str) -> None:
    raise FunctionError(QueryError(message))


def raising(function: Callable[..., pa.Array], parameters: int) -> Callable[..., pa.Array]:
    """Return ``function`` with this number of parameters and with exceptions that pass through DuckDB."""

    def call(*columns: pa.Array) -> pa.Array:
        try:
            return function(*columns)
        except QueryError as error:
            raise FunctionError(error) from error
        except Exception as error:
            # Without a mark, the client would get DuckDB's text with files and lines of this process.
            raise FunctionError(QueryError(f"{type(error).__name__}: {error}", reason="jobInternalError")) from error

    # DuckDB counts the parameters in the signature of the function.
    declared = [inspect.Parameter(f"column{i}", inspect.Parameter.POSITIONAL_ONLY) for i in range(parameters)]
    call.__signature__ = inspect.Signature(declared)  # type: ignore[attr-defined]
    return call
