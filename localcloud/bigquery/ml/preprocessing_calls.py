"""Replaces the calls of functions that prepare features by GoogleSQL expressions."""

from __future__ import annotations

import re
from collections.abc import Callable

import duckdb

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.arguments import CallArguments, take_struct_fields
from localcloud.bigquery.ml.calls import Argument, Call, Span
from localcloud.bigquery.ml.features.preprocessing import ANALYTIC, SCALAR, Preprocessing, crossed, expanded
from localcloud.bigquery.ml.models.options import OptionValue, parse_value
from localcloud.bigquery.ml.predicting.functions import Functions
from localcloud.bigquery.sql.reading.tokens import Cursor

_OF_STRUCTS = {"ML.FEATURE_CROSS": crossed, "ML.POLYNOMIAL_EXPAND": expanded}
PREPROCESSING = frozenset({*SCALAR, *ANALYTIC, *_OF_STRUCTS})
_OVER = re.compile(r"\s*OVER\s*\(\s*\)", re.IGNORECASE)


def whole_span(sql: str, call: Call) -> Span:
    """Return the text of a call, with the OVER () of a function over all rows."""
    over = _OVER.match(sql, call.span.end) if call.name in ANALYTIC else None
    return call.span if over is None else Span(call.span.start, over.end())


class PreprocessingCalls:
    """The calls in one statement."""

    def __init__(
        self,
        sql: str,
        arguments: CallArguments,
        rewrite: Callable[[Span], str],
        functions: Functions,
        connection: duckdb.DuckDBPyConnection,
    ) -> None:
        """Replace calls in ``sql``.

        Args:
            sql: The statement.
            arguments: Reads the arguments of its calls.
            rewrite: Returns a part of the statement without ML functions.
            functions: The registered functions of DuckDB.
            connection: The connection of the job.
        """
        self._sql = sql
        self._arguments = arguments
        self._rewrite = rewrite
        self._functions = functions
        self._connection = connection

    def expression(self, call: Call) -> str:
        """Return the GoogleSQL that replaces a call.

        Raises:
            QueryError: The call has another number of arguments, or one of them is not valid.
        """
        if call.name in _OF_STRUCTS:
            return self._of_struct(call)
        found = SCALAR.get(call.name) or ANALYTIC[call.name]
        self._check(call, found)
        given = [self._rewrite(argument.span) for argument in call.arguments]
        texts = [*given, *found.defaults[len(given) - found.least :]]
        if found.function is not None:
            function = found.function
            self._functions.register(
                self._connection, function.name, function.values, list(function.parameters), function.returns
            )
        if not found.analytic:
            return found.sql(*texts)
        constants: list[OptionValue] = [self._arguments.evaluate(argument.span) for argument in call.arguments[1:]]
        constants += [parse_value(text) for text in texts[len(given) :]]
        return f"({found.sql(texts[0], *constants)})"

    def _check(self, call: Call, found: Preprocessing) -> None:
        most = found.least + len(found.defaults)
        if not found.least <= len(call.arguments) <= most:
            wanted = str(most) if most == found.least else f"{found.least} to {most}"
            raise self._arguments.invalid(call, f"it takes {wanted} arguments.")
        if found.analytic and whole_span(self._sql, call) == call.span:
            raise self._arguments.invalid(call, "it needs an empty OVER ().")

    def _of_struct(self, call: Call) -> str:
        if not 1 <= len(call.arguments) <= 2:
            raise self._arguments.invalid(call, "it takes a STRUCT and a degree.")
        degree = self._arguments.evaluate(call.arguments[1].span) if len(call.arguments) == 2 else 2
        fields = self._fields(call, call.arguments[0])
        names = [name for name, _ in fields]
        return _OF_STRUCTS[call.name](names, [self._rewrite(value) for _, value in fields], degree)  # type: ignore[arg-type]

    def _fields(self, call: Call, argument: Argument) -> list[tuple[str, Span]]:
        cursor = Cursor(self._sql, argument.first, argument.last)
        if not cursor.take_words("STRUCT"):
            raise QueryError(
                f"{call.name} is only supported over STRUCT(value AS name, ...) by the local BigQuery",
                reason="notImplemented",
                location="query",
            )
        return take_struct_fields(cursor)
