"""Reads the arguments of the calls of ML functions in a GoogleSQL statement."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from sqlglot import exp

from localcloud.bigquery.base.connections import Connections, check_location, connection_name
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.session import Column, Session
from localcloud.bigquery.ml.calls import Argument, Call, Span, find_common_tables
from localcloud.bigquery.ml.features.vectors import SEARCH
from localcloud.bigquery.ml.generating.embeddings import EMBEDDING_FUNCTIONS
from localcloud.bigquery.ml.generating.generated import TABLE_FUNCTIONS
from localcloud.bigquery.ml.generating.generation import DEFAULT_ENDPOINT
from localcloud.bigquery.ml.models.catalog import Model, ModelCatalog
from localcloud.bigquery.ml.models.options import Expression, OptionValue, parse_value
from localcloud.bigquery.ml.models.remote import check_endpoint, model_name
from localcloud.bigquery.ml.models.statements import resolve_model
from localcloud.bigquery.ml.predicting.prediction import PREDICT_OPTIONS, quoted
from localcloud.bigquery.ml.surroundings import is_correlated
from localcloud.bigquery.sql.reading.tokens import Cursor, position, syntax_error
from localcloud.gemini.models import ModelTable

_UNRECOGNIZED = re.compile(r"Unrecognized name: (?P<name>\w+)(?P<place>.*)", re.DOTALL)
_POSITION = re.compile(r" at \[(?P<line>\d+):(?P<column>\d+)\]$")
PREDICT, IMPORTANCE = "ML.PREDICT", "ML.FEATURE_IMPORTANCE"
TABLE_VALUED = frozenset({PREDICT, IMPORTANCE, SEARCH, *TABLE_FUNCTIONS, *EMBEDDING_FUNCTIONS})


class CallArguments:
    """Reads the arguments of the calls in one statement."""

    def __init__(
        self,
        sql: str,
        session: Session,
        rewrite: Callable[[Span], str],
        *,
        models: ModelCatalog,
        connections: Connections,
        served: ModelTable,
    ) -> None:
        """Create a reader.

        Args:
            sql: The statement.
            session: The job that runs the statement.
            rewrite: Returns a part of the statement without ML functions and object tables.
            models: The existing models.
            connections: The connections that a call may name.
            served: The models that Vertex AI serves.
        """
        self._sql = sql
        self._session = session
        self._rewrite = rewrite
        self._models = models
        self._connections = connections
        self._served = served
        self._tables = find_common_tables(sql)

    def model(self, call: Call) -> Model:
        """Return the model that the first argument names.

        Raises:
            QueryError: The argument does not name a model, or the model does not exist.
        """
        first = call.arguments[0]
        cursor = Cursor(self._sql, first.first, first.last)
        if not cursor.take_words("MODEL"):
            raise self.invalid(call, "its first argument must be MODEL and a model's name.")
        parts, name = cursor.take_path()
        if cursor.peek() is not None:
            raise cursor.expected('")" or ","')
        reference = resolve_model(
            parts,
            project=self._session.project,
            default_dataset=self._session.default_dataset,
            where=position(self._sql, name.start),
        )
        return self._models.require(reference)

    def query(self, call: Call, argument: Argument) -> str:
        """Return the query of an argument: a query in brackets, or TABLE and a table's name."""
        cursor = Cursor(self._sql, argument.first, argument.last)
        first = cursor.peek()
        if first is not None and first.is_symbol("("):
            inside = Span(*cursor.skip_group())
            if cursor.peek() is not None:
                raise cursor.expected('")" or ","')
            return self._rewrite(inside)
        if cursor.take_words("TABLE"):
            start = cursor.peek()
            cursor.take_path()
            if cursor.peek() is not None or start is None:
                raise cursor.expected('")" or ","')
            return f"SELECT * FROM {self._rewrite(Span(start.start, argument.span.end))}"
        if first is not None and first.is_word("SELECT", "WITH"):
            raise syntax_error(
                self._sql,
                "Each subquery argument for table-valued function calls must be enclosed in parentheses. To fix this, "
                f"replace {first.text.upper()}... with ({first.text.upper()}...)",
                first.start,
            )
        raise self.invalid(call, "its second argument must be TABLE and a table's name, or a query in brackets.")

    def named_arguments(self, call: Call, positional: tuple[str, ...]) -> dict[str, Argument]:
        """Return the arguments by their names in lower case.

        Args:
            call: The call.
            positional: The names of the arguments that may come without a name, in order.

        Raises:
            QueryError: There are more arguments without a name, or one comes twice.
        """
        found: dict[str, Argument] = {}
        for index, argument in enumerate(call.arguments):
            cursor = Cursor(self._sql, argument.first, argument.last)
            name, arrow = cursor.peek(), cursor.peek(1)
            if name is not None and arrow is not None and arrow.is_symbol("=>"):
                value = cursor.peek(2)
                if value is None:
                    raise cursor.expected("an expression")
                key = name.text.lower()
                argument = Argument(argument.first + 2, argument.last, Span(value.start, argument.span.end))
            elif index < len(positional):
                key = positional[index]
            else:
                raise self.invalid(call, f"its argument {index + 1} must have a name.")
            if key in found:
                raise self.invalid(call, f"the argument {key} comes twice.")
            found[key] = argument
        return found

    def options(self, call: Call, argument: Argument) -> dict[str, OptionValue]:
        """Return the values of a STRUCT of options, by their names in lower case.

        Raises:
            QueryError: The argument is not a STRUCT, or a field has no name.
        """
        cursor = Cursor(self._sql, argument.first, argument.last)
        if not cursor.take_words("STRUCT"):
            raise self.invalid(call, "its third argument must be a STRUCT.")
        return {name.lower(): self.evaluate(value) for name, value in take_struct_fields(cursor)}

    def check_options(self, call: Call, argument: Argument, model: Model) -> None:
        """Reject all options: they are for models that BigQuery trained, not for imported ones."""
        cursor = Cursor(self._sql, argument.first, argument.last)
        if not cursor.take_words("STRUCT"):
            raise self.invalid(call, "its third argument must be a STRUCT of options.")
        for name, _ in take_struct_fields(cursor):
            if name.lower() not in PREDICT_OPTIONS:
                raise self.invalid(call, f"unknown option {name}.")
            raise self.invalid(call, f"option {name} is not supported for the imported model {model.reference}.")

    def remote_call(self, call: Call) -> tuple[str, str, dict[str, OptionValue]]:
        """Return the name of a remote model, the GoogleSQL of the input, and the options of a call."""
        if not 2 <= len(call.arguments) <= 3:
            raise self.invalid(call, "it takes a model, a table or a query, and a STRUCT.")
        model = self.model(call)
        if model.endpoint is None:
            raise self.invalid(call, f"model {model.reference} is not a remote model.")
        check_endpoint(model.endpoint, self._served)
        query = self.query(call, call.arguments[1])
        options = self.options(call, call.arguments[2]) if len(call.arguments) == 3 else {}
        return model_name(model.endpoint), query, options

    def endpoint(self, options: dict[str, OptionValue]) -> str:
        """Take the connection and the endpoint from the arguments of a scalar function; return the name of the model.

        Raises:
            QueryError: The connection does not exist there, or the endpoint is not served.
        """
        connection = options.pop("connection_id", None)
        if connection is not None:
            name = connection_name(str(connection), self._session.project, self._session.location)
            self._connections.require(name)
            check_location(name, self._session.location, "the query")
        endpoint = str(options.pop("endpoint", None) or DEFAULT_ENDPOINT)
        check_endpoint(endpoint, self._served)
        return model_name(endpoint)

    def evaluate(self, span: Span) -> OptionValue:
        """Return the value of an argument that is the same for all rows."""
        text = span.text_in(self._sql)
        value = parse_value(re.sub(r"^JSON\s+(?=['\"r])", "", text, flags=re.IGNORECASE))
        if not isinstance(value, Expression):
            return value
        bound = self._session.bind(self._session.translate(f"SELECT {value.sql}"))
        row = self._session.connection.execute(*bound).fetchone()
        return None if row is None else row[0]

    def describe(self, call: Call, query: str) -> list[Column]:
        """Return the columns of the query of an argument. Raises ``QueryError``."""
        described = self.with_tables(query, call.span.start)
        try:
            return self._session.describe(described)
        except QueryError as error:
            error.message = self._placed(error.message, described, query, call)
            self._reject_correlated(call, error)
            raise

    def _reject_correlated(self, call: Call, error: QueryError) -> None:
        """Name the limit if an argument names a table, or a column of one, around the call."""
        unknown = _UNRECOGNIZED.match(error.message)
        if unknown is None or not is_correlated(self._sql, call.span, unknown["name"], self._columns_of):
            return
        raise QueryError(
            f"Correlated arguments of {call.name} are not supported by the local BigQuery: {unknown['name']} is "
            f"outside of the argument{unknown['place']}. Join the result of one call over all rows.",
            reason="notImplemented",
            location="query",
        ) from error

    def _columns_of(self, source: exp.Expr) -> list[str]:
        try:
            described = self._session.describe(exp.select("*").from_(source.copy()).sql(dialect="bigquery"))
        except QueryError:
            return []
        return [column.name.lower() for column in described]

    def _placed(self, message: str, described: str, query: str, call: Call) -> str:
        """Return a message with its position in the statement, in place of that in the query of an argument."""
        found = _POSITION.search(message)
        if found is None:
            return message
        lines = described.splitlines(keepends=True)
        at = sum(map(len, lines[: int(found["line"]) - 1])) + int(found["column"]) - 1 - described.rfind(query)
        start = self._sql.find(query, call.span.start)
        is_inside = start >= 0 and 0 <= at <= len(query)
        return message[: found.start()] + (f" at {position(self._sql, start + at)}" if is_inside else "")

    def with_tables(self, query: str, offset: int) -> str:
        """Return a query, preceded by the common table expressions that are in scope at ``offset``."""
        visible = [
            t
            for t in self._tables
            if t.visible.start <= offset < t.visible.end and not t.query.start <= offset < t.query.end
        ]
        if not visible:
            return query
        recursive = "RECURSIVE " if any(table.recursive for table in visible) else ""
        tables = ", ".join(f"{quoted(table.name)} AS ({self._rewrite(table.query)})" for table in visible)
        return f"WITH {recursive}{tables} SELECT * FROM ({query})"

    def invalid(self, call: Call, reason: str) -> QueryError:
        """Return the error of a call that is not valid, in BigQuery's form."""
        where = position(self._sql, call.span.start)
        head = (
            f"Invalid table-valued function {call.name}\n"
            if call.name in TABLE_VALUED
            else f"Invalid call of {call.name}: "
        )
        return QueryError(f"{head}{reason[0].upper()}{reason[1:]} at {where}", location="query")


def split_items(sql: str, inside: Span) -> Iterator[Span]:
    """Yield the items of a comma-separated list.

    Args:
        sql: The whole text.
        inside: The text between the brackets of the list.
    """
    cursor = Cursor(sql)
    while (token := cursor.peek()) and token.start < inside.start:
        cursor.take()
    start, end = inside.start, inside.start
    while (token := cursor.peek()) and token.start < inside.end:
        if token.is_symbol(","):
            yield Span(start, end)
            cursor.take()
            start = end = token.end
        elif token.is_symbol("(", "[", "{"):
            cursor.skip_group()
            end = cursor.all[cursor.index - 1].end
        else:
            end = cursor.take().end
    if end > start:
        yield Span(start, end)


def take_struct_fields(cursor: Cursor) -> list[tuple[str, Span]]:
    """Take the fields of a STRUCT, after the word STRUCT; return their names and values.

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
