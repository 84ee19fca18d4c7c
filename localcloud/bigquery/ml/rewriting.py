"""A statement of GoogleSQL with its ML functions put into other words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from localcloud.bigquery.errors import QueryError
from localcloud.bigquery.ml.calls import Argument, Call, Span, common_tables, find_calls
from localcloud.bigquery.ml.catalog import Model, ModelCatalog
from localcloud.bigquery.ml.functions import Functions
from localcloud.bigquery.ml.lexer import Cursor, position, syntax_error
from localcloud.bigquery.ml.prediction import PREDICT_OPTIONS, Prediction, prepare, quoted
from localcloud.bigquery.ml.statements import resolve_model

if TYPE_CHECKING:
    from localcloud.bigquery.session import Column, Session

_MENTIONED = re.compile(r"\b(?:ML|AI)\s*\.\s*[A-Z_]+\s*\(", re.IGNORECASE)
REWRITTEN = frozenset({"ML.PREDICT"})


def mentions_functions(sql: str) -> bool:
    """Tell whether ``sql`` may hold an ML function, by a quick look."""
    return _MENTIONED.search(sql) is not None


class Rewriter:
    """Rewrites one statement."""

    def __init__(self, sql: str, session: Session, models: ModelCatalog, functions: Functions) -> None:
        self.sql = sql
        self.session = session
        self._models = models
        self._functions = functions
        self._tables = common_tables(sql)
        self._known: dict[Span, str] = {}

    def rewritten(self) -> str:
        """Return the whole statement without ML functions. Raises ``QueryError``."""
        return self._piece(Span(0, len(self.sql)))

    def _piece(self, span: Span) -> str:
        """Return a piece of the statement without ML functions."""
        if span not in self._known:
            parts, at = [], span.start
            for call in find_calls(self.sql, REWRITTEN, span):
                parts += [self.sql[at : call.span.start], self._call(call)]
                at = call.span.end
            self._known[span] = "".join([*parts, self.sql[at : span.end]])
        return self._known[span]

    def _call(self, call: Call) -> str:
        prediction, _ = self.prediction(call)
        return prediction.sql(self._functions.register_model(self.session.connection, prediction.model))

    def prediction(self, call: Call) -> tuple[Prediction, list[Column]]:
        """Return an ML.PREDICT with its model found and its input checked, and the columns of its input.

        Raises:
            QueryError: The model is missing, or the input does not fit it.
        """
        if not 2 <= len(call.arguments) <= 3:
            raise self._invalid(call, "it takes a model, a table or a query, and optionally a STRUCT.")
        model = self._model(call)
        query = self._query(call, call.arguments[1])
        if len(call.arguments) == 3:
            self._check_options(call, call.arguments[2], model)
        columns = self.session.describe(self.with_tables(query, call.span.start))
        return prepare(model, query, columns, sql=self.sql, offset=call.span.start), columns

    def with_tables(self, query: str, offset: int) -> str:
        """Return a query with the common table expressions before it that are seen at ``offset``."""
        visible = [
            t
            for t in self._tables
            if t.visible.start <= offset < t.visible.end and not t.query.start <= offset < t.query.end
        ]
        if not visible:
            return query
        recursive = "RECURSIVE " if any(table.recursive for table in visible) else ""
        tables = ", ".join(f"{quoted(table.name)} AS ({self._piece(table.query)})" for table in visible)
        return f"WITH {recursive}{tables} SELECT * FROM ({query})"

    def _model(self, call: Call) -> Model:
        first = call.arguments[0]
        cursor = Cursor(self.sql, first.first, first.last)
        if not cursor.take_words("MODEL"):
            raise self._invalid(call, "its first argument must be MODEL and a model's name.")
        parts, name = cursor.take_path()
        if cursor.peek() is not None:
            raise cursor.expected('")" or ","')
        reference = resolve_model(
            parts,
            project=self.session.project,
            default_dataset=self.session.default_dataset,
            where=position(self.sql, name.start),
        )
        return self._models.require(reference)

    def _query(self, call: Call, argument: Argument) -> str:
        """Return the query of a table argument, in whichever form it is given."""
        cursor = Cursor(self.sql, argument.first, argument.last)
        first = cursor.peek()
        if first is not None and first.is_symbol("("):
            inside = Span(*cursor.skip_group())
            if cursor.peek() is not None:
                raise cursor.expected('")" or ","')
            return self._piece(inside)
        if cursor.take_words("TABLE"):
            start = cursor.peek()
            cursor.take_path()
            if cursor.peek() is not None or start is None:
                raise cursor.expected('")" or ","')
            return f"SELECT * FROM {self.sql[start.start : argument.span.end]}"
        if first is not None and first.is_word("SELECT", "WITH"):
            raise syntax_error(
                self.sql,
                "Each subquery argument for table-valued function calls must be enclosed in parentheses. To fix this, "
                f"replace {first.text.upper()}... with ({first.text.upper()}...)",
                first.start,
            )
        raise self._invalid(call, "its second argument must be TABLE and a table's name, or a query in brackets.")

    def _check_options(self, call: Call, argument: Argument, model: Model) -> None:
        """Check the STRUCT of options.

        ``threshold``, ``keep_original_columns`` and ``trial_id`` are of models that BigQuery trained itself.
        """
        cursor = Cursor(self.sql, argument.first, argument.last)
        if not cursor.take_words("STRUCT"):
            raise self._invalid(call, "its third argument must be a STRUCT of options.")
        for name, _ in struct_fields(cursor):
            if name.lower() not in PREDICT_OPTIONS:
                raise self._invalid(call, f"unknown option {name}.")
            raise self._invalid(call, f"option {name} is not supported for the imported model {model.reference}.")

    def _invalid(self, call: Call, why: str) -> QueryError:
        where = position(self.sql, call.span.start)
        return QueryError(
            f"Invalid table-valued function {call.name}\n{why[0].upper()}{why[1:]} at {where}", location="query"
        )


def struct_fields(cursor: Cursor) -> list[tuple[str, Span]]:
    """Return the names and values of a STRUCT whose fields are all named, from behind the word STRUCT.

    Raises:
        QueryError: A field has no name.
    """
    cursor.expect_symbol("(")
    fields: list[tuple[str, Span]] = []
    if cursor.take_symbol(")"):
        return fields
    while True:
        start = cursor.peek()
        value_end = None
        while (token := cursor.peek()) and not token.is_symbol(",", ")"):
            following = cursor.peek(2)
            if token.is_word("AS") and (following is None or following.is_symbol(",", ")")):
                break
            if token.is_symbol("(", "["):
                cursor.skip_group()
            else:
                cursor.take()
            value_end = cursor.all[cursor.index - 1].end
        if start is None or value_end is None:
            raise cursor.expected("an expression")
        cursor.expect_word("AS")
        fields.append((cursor.take().text, Span(start.start, value_end)))
        if not cursor.take_symbol(","):
            cursor.expect_symbol(")")
            return fields
