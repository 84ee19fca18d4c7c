"""Replaces the calls of functions over vectors."""

from __future__ import annotations

from localcloud.bigquery.base.session import Column
from localcloud.bigquery.ml.calls import QUERY_VALUE, Call
from localcloud.bigquery.ml.features.vectors import (
    DEFAULT_TYPE,
    DISTANCE_FUNCTION,
    DISTANCE_PARAMETERS,
    distance_sql,
    distances,
    prepare_search,
)
from localcloud.bigquery.ml.predicting.prediction import string_literal
from localcloud.bigquery.ml.replacing.context import CallContext


class VectorCalls:
    """The calls in one statement."""

    def __init__(self, context: CallContext) -> None:
        """Replace calls in the statement of ``context``."""
        self._context = context

    def distance(self, call: Call) -> str:
        """Return the expression of a call of ``ML.DISTANCE``. Raises ``QueryError`` if it is not valid."""
        if not 2 <= len(call.arguments) <= 3:
            raise self._context.arguments.invalid(call, "it takes two vectors and a type of distance.")
        first, second, *rest = (self._context.rewrite(argument.span) for argument in call.arguments)
        kind = rest[0] if rest else string_literal(DEFAULT_TYPE)
        return distance_sql(self._register_distance(), first, second, kind)

    def search(self, call: Call) -> str:
        """Return the subquery of a call of ``VECTOR_SEARCH``. Raises ``QueryError`` if it is not valid."""
        given = self._context.arguments.named_arguments(
            call, ("base", "column_to_search", "query", "query_column_to_search")
        )
        base, column, query = (given.pop(name, None) for name in ("base", "column_to_search", "query"))
        if base is None or column is None or query is None or "query_value" in given:
            raise self._context.arguments.invalid(
                call,
                "it takes a table, a column, and a table or a query of the vectors to search for, or query_value.",
            )
        options = {name: self._context.arguments.evaluate(argument.span) for name, argument in given.items()}
        wanted = self._described(call, self._context.arguments.query(call, query))
        search = prepare_search(
            self._described(call, self._context.arguments.query(call, base)),
            str(self._context.arguments.evaluate(column.span)),
            wanted,
            options,
            single=[each.name for each in wanted[1]] == [QUERY_VALUE],
        )
        return search.sql(self._register_distance())

    def _described(self, call: Call, query: str) -> tuple[str, list[Column]]:
        return query, self._context.arguments.describe(call, query)

    def _register_distance(self) -> str:
        return self._context.register(DISTANCE_FUNCTION, distances, list(DISTANCE_PARAMETERS), "DOUBLE")
