"""Replaces the calls of functions that prepare features by GoogleSQL expressions."""

from __future__ import annotations

import re

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.arguments import take_struct_fields
from localcloud.bigquery.ml.calls import Argument, Call, Span
from localcloud.bigquery.ml.features.preprocessing import ANALYTIC, SCALAR, Preprocessing, crossed, expanded
from localcloud.bigquery.ml.models.options import OptionValue, parse_value
from localcloud.bigquery.ml.replacing.context import CallContext
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

    def __init__(self, context: CallContext) -> None:
        """Replace calls in the statement of ``context``."""
        self._context = context

    def expression(self, call: Call) -> str:
        """Return the GoogleSQL that replaces a call.

        Raises:
            QueryError: The call has another number of arguments, or one of them is not valid.
        """
        if call.name in _OF_STRUCTS:
            return self._of_struct(call)
        found = SCALAR.get(call.name) or ANALYTIC[call.name]
        self._check(call, found)
        given = [self._context.rewrite(argument.span) for argument in call.arguments]
        texts = [*given, *found.defaults[len(given) - found.least :]]
        if found.function is not None:
            function = found.function
            self._context.register(function.name, function.values, list(function.parameters), function.returns)
        if not found.analytic:
            return found.sql(*texts)
        constants: list[OptionValue] = [
            self._context.arguments.evaluate(argument.span) for argument in call.arguments[1:]
        ]
        constants += [parse_value(text) for text in texts[len(given) :]]
        return f"({found.sql(texts[0], *constants)})"

    def _check(self, call: Call, found: Preprocessing) -> None:
        most = found.least + len(found.defaults)
        if not found.least <= len(call.arguments) <= most:
            wanted = str(most) if most == found.least else f"{found.least} to {most}"
            raise self._context.arguments.invalid(call, f"it takes {wanted} arguments.")
        if found.analytic and whole_span(self._context.sql, call) == call.span:
            raise self._context.arguments.invalid(call, "it needs an empty OVER ().")

    def _of_struct(self, call: Call) -> str:
        if not 1 <= len(call.arguments) <= 2:
            raise self._context.arguments.invalid(call, "it takes a STRUCT and a degree.")
        degree = self._context.arguments.evaluate(call.arguments[1].span) if len(call.arguments) == 2 else 2
        fields = self._fields(call, call.arguments[0])
        names = [name for name, _ in fields]
        return _OF_STRUCTS[call.name](names, [self._context.rewrite(value) for _, value in fields], degree)  # type: ignore[arg-type]

    def _fields(self, call: Call, argument: Argument) -> list[tuple[str, Span]]:
        cursor = Cursor(self._context.sql, argument.first, argument.last)
        if not cursor.take_words("STRUCT"):
            raise QueryError(
                f"{call.name} is only supported over STRUCT(value AS name, ...) by the local BigQuery",
                reason="notImplemented",
                location="query",
            )
        return take_struct_fields(cursor)
