"""Finds the fields of structs and of the elements of arrays in a statement, from its tables and literals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bqemulator.catalog.models import TableFieldSchema
from sqlglot import exp

from localcloud.bigquery.sql.reading.sources import name_of, sources_of, visible_sources


@dataclass(frozen=True)
class Shape:
    """The fields of a struct, of the elements of an array, or of a row.

    Attributes:
        names: The names as written, in order.
        fields: Their shapes by names in lower case; None for a value that is not a struct, or is not known.
    """

    names: tuple[str, ...] = ()
    fields: Mapping[str, Shape] | None = None

    @classmethod
    def of(cls, fields: tuple[TableFieldSchema, ...]) -> Shape:
        """Return the shape of columns or fields of the catalog."""
        inner = {field.name.lower(): Shape.of(tuple(field.fields)) if field.fields else Shape() for field in fields}
        return cls(tuple(field.name for field in fields), inner)


# Expressions with the type of their first argument, of its elements, or of an array of it.
_OF_ITS_FIRST_ARGUMENT = (
    exp.AnyValue,
    exp.ArgMax,
    exp.ArgMin,
    exp.ArrayAgg,
    exp.ArrayConcatAgg,
    exp.ArrayFilter,
    exp.ArrayFirst,
    exp.ArrayLast,
    exp.ArrayReverse,
    exp.ArraySlice,
    exp.Bracket,
    exp.FirstValue,
    exp.HavingMax,
    exp.IgnoreNulls,
    exp.Lag,
    exp.LastValue,
    exp.Lead,
    exp.Limit,
    exp.NthValue,
    exp.Nullif,
    exp.Order,
    exp.Paren,
    exp.RespectNulls,
    exp.SafeFunc,
    exp.Window,
)

TableShape = Callable[[exp.Table], Shape | None]
"""Returns the shape of a row of a table, or None if the table does not exist."""


class Shapes:
    """The shapes of the parts of one statement."""

    def __init__(self, table_shape: TableShape, parameters: Mapping[str, Shape] | None = None) -> None:
        """Create it with a function for tables, and with the shapes of the parameters of a function, by names in lower case."""
        self._table_shape = table_shape
        self._parameters = parameters or {}
        self._followed: list[exp.CTE] = []

    def of_element(self, node: exp.Unnest) -> Shape | None:
        """Return the shape of the elements of an UNNEST, or None if it is not known."""
        return self._of_value(node.expressions[0], node)

    def of_struct(self, value: exp.Expr, place: exp.Expr) -> Shape | None:
        """Return the shape of an expression at a place of the statement, or None if it is not known."""
        return self._of_value(value, place)

    def source_of(self, column: exp.Column) -> exp.Expr | None:
        """Return the source of a column whose name does not start with that of a source; None if it is not known."""
        first = column.parts[0].name.lower()
        for source in visible_sources(column):
            row = self._of_row(source)
            if name_of(source) == first:
                return None
            if row is not None and row.fields is not None and first in row.fields:
                return source
        return None

    def _of_value(self, value: exp.Expr, place: exp.Expr) -> Shape | None:
        match value:
            case exp.Cast():
                return _of_type(value.to)
            case exp.Struct():
                return self._of_struct(value, place)
            case exp.Column():
                return self._of_path([part.name.lower() for part in value.parts], place)
            case exp.Identifier():
                return self._of_path([value.name.lower()], place)
            case exp.Dot():
                return _within(self._of_value(value.this, place), [value.name.lower()])
            case exp.Array() if value.expressions and isinstance(value.expressions[0], exp.Query):
                return self._of_values(value.expressions[0])
            case exp.Subquery():
                return self._of_values(value.this)
        known = (self._of_value(each, place) for each in _same_type(value))
        return next((shape for shape in known if shape is not None and shape.fields is not None), None)

    def _of_struct(self, value: exp.Struct, place: exp.Expr) -> Shape | None:
        named = {
            each.this.name if isinstance(each, exp.PropertyEQ) else each.alias_or_name: each
            for each in value.expressions
        }
        inner = {
            name.lower(): self._of_value(each.expression if isinstance(each, exp.PropertyEQ) else each.unalias(), place)
            or Shape()
            for name, each in named.items()
        }
        return Shape(tuple(named), inner) if all(named) else None

    def _of_values(self, query: exp.Expr) -> Shape | None:
        """Return the shape of the values of a query with one column, or of a SELECT AS STRUCT."""
        first = query
        while isinstance(first, (exp.SetOperation, exp.Subquery)):
            first = first.this
        if isinstance(first, exp.Select) and first.args.get("kind") != "STRUCT" and len(first.expressions) == 1:
            value = first.expressions[0].unalias()
            return self._of_value(value, value)
        return self._of_query(query)

    def _of_path(self, parts: list[str], place: exp.Expr) -> Shape | None:
        for source in visible_sources(place):
            row = self._of_row(source)
            is_column = row is not None and row.fields is not None and parts[0] in row.fields
            if name_of(source) == parts[0] and (len(parts) > 1 or isinstance(source, exp.Unnest) or not is_column):
                return _within(row, parts[1:])
            if is_column:
                return _within(row, parts)
        return _within(self._parameters.get(parts[0]), parts[1:])

    def _of_row(self, source: exp.Expr) -> Shape | None:
        match source:
            case exp.Unnest():
                return self.of_element(source)
            case exp.Subquery():
                return self._of_query(source.this)
            case exp.Table() if source.db:
                return self._table_shape(source)
            case exp.Table():
                named = (cte for cte in source.root().find_all(exp.CTE) if cte.alias.lower() == source.name.lower())
                cte = next(named, None)
                return None if cte is None else self._of_named_query(cte)
        return None

    def _of_named_query(self, cte: exp.CTE) -> Shape | None:
        """Return the shape of a query of a WITH clause; None if its shape depends on itself."""
        if any(each is cte for each in self._followed):
            return None
        self._followed.append(cte)
        try:
            return self._of_query(cte.this)
        finally:
            self._followed.pop()

    def _of_query(self, query: exp.Expr) -> Shape | None:
        while isinstance(query, (exp.SetOperation, exp.Subquery)):
            query = query.this
        if not isinstance(query, exp.Select):
            return None
        names: dict[str, Shape] = {}
        for projection in query.expressions:
            if projection.is_star:
                table = projection.table.lower() if isinstance(projection, exp.Column) else ""
                for source in sources_of(query):
                    row = self._of_row(source) if table in ("", name_of(source)) else None
                    names |= {} if row is None else {name: (row.fields or {})[name.lower()] for name in row.names}
            elif projection.alias_or_name:
                value = projection.unalias()
                names[projection.alias_or_name] = self._of_value(value, value) or Shape()
        return Shape(tuple(names), {name.lower(): shape for name, shape in names.items()})


def _same_type(value: exp.Expr) -> list[exp.Expr]:
    """Return the parts of an expression that have its type, or the type of its elements or of an array of them."""
    match value:
        case exp.Array() | exp.Distinct():
            return value.expressions
        case exp.If():
            return [value.args["true"], *filter(None, [value.args.get("false")])]
        case exp.Case():
            return [*(each.args["true"] for each in value.args["ifs"]), *filter(None, [value.args.get("default")])]
        case exp.Coalesce() | exp.ArrayConcat():
            return [value.this, *value.expressions]
    return [value.this] if isinstance(value, _OF_ITS_FIRST_ARGUMENT) else []


def _within(row: Shape | None, parts: list[str]) -> Shape | None:
    for part in parts:
        row = None if row is None or row.fields is None else row.fields.get(part)
    return row


def shape_of(kind: str) -> Shape:
    """Return the shape of a value of a GoogleSQL type, or of the elements of an array of that type."""
    return _of_type(exp.DataType.build(kind, dialect="bigquery"))


def _of_type(kind: exp.DataType) -> Shape:
    """Return the shape of a value of a type, or of the elements of an array of that type."""
    if kind.this == exp.DType.ARRAY and kind.expressions:
        return _of_type(kind.expressions[0])
    fields = [each for each in kind.expressions if isinstance(each, exp.ColumnDef)]
    if not fields:
        return Shape()
    inner = {field.name.lower(): _of_type(field.kind) if field.kind else Shape() for field in fields}
    return Shape(tuple(field.name for field in fields), inner)
