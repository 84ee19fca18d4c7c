"""Rejects INSERT, UPDATE and MERGE of values whose types do not fit their columns; DuckDB would convert them.

https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import duckdb
from bqemulator.catalog.models import TableMeta
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.checks.assigned_types import (
    elements_of,
    is_assignable,
    is_literal_assignable,
    literal_type,
    shown_type,
)
from localcloud.bigquery.sql.values.parameters import PARAMETER_PREFIX
from localcloud.bigquery.tables.columns.field_settings import rest_fields

# Literals of these take the types of their targets.
_WRITTEN_OUT = (exp.Array, exp.Tuple, exp.Struct)
_INSERTED = "Value has type {given} which cannot be inserted into column {name}, which has type {wanted}"
_SELECTED = (
    "Query column {number} has type {given} which cannot be inserted into column {name}, which has type {wanted}"
)
_ASSIGNED = "Value of type {given} cannot be assigned to {name}, which has type {wanted}"


@dataclass(frozen=True)
class Value:
    """A value and the column or field that gets it.

    Attributes:
        written: The expression.
        name: The name of the column, or the path of the field.
        target: The REST field of the column.
    """

    written: exp.Expr
    name: str
    target: Field


def check_values(tree: exp.Insert | exp.Merge | exp.Update, table: TableMeta, statements: Statements) -> None:
    """Check the values that a statement writes. Raises ``QueryError`` if one has another type than its column."""
    columns = rest_fields(table)
    if isinstance(tree, exp.Insert):
        _check_insert(tree, columns, statements)
    elif isinstance(tree, exp.Update):
        joined = tree.args.get("from_")
        source = f"FROM {tree.this.sql(dialect='bigquery')}" + (
            f", {joined.this.sql(dialect='bigquery')}" if joined is not None else ""
        )
        _check(_assigned(tree, tree.this.alias_or_name, columns), _ASSIGNED, source, statements)
    else:
        _check_merge(tree, columns, statements)


def _check_insert(insert: exp.Insert, columns: Sequence[Field], statements: Statements) -> None:
    if isinstance(insert.this, exp.Schema):
        columns = [_column(columns, each.name) for each in insert.this.expressions]
    rows = insert.expression
    if isinstance(rows, exp.Values):
        values = [
            Value(written, column["name"], column)
            for row in rows.expressions
            if isinstance(row, exp.Tuple) and len(row.expressions) == len(columns)
            for written, column in zip(row.expressions, columns, strict=True)
            if column
        ]
        _check(values, _INSERTED, "", statements)
    elif isinstance(rows, exp.Query):
        _check_query(rows, columns, statements)


def _check_query(query: exp.Query, columns: Sequence[Field], statements: Statements) -> None:
    types = _described(query.sql(dialect="bigquery"), statements)
    select = query
    while isinstance(select, (exp.SetOperation, exp.Subquery)):
        select = select.this
    written = select.expressions if isinstance(select, exp.Select) and len(select.expressions) == len(types) else None
    for number, (given, column) in enumerate(zip(types, columns, strict=False)):
        projection = None if written is None else written[number].unalias()
        is_open = isinstance(projection, _WRITTEN_OUT) or (projection is not None and _type_of(projection) == "")
        if column and not is_open and not is_assignable(given, column):
            raise _mismatch(_SELECTED, shown_type(given), column["name"], column, number + 1)


def _check_merge(merge: exp.Merge, columns: Sequence[Field], statements: Statements) -> None:
    target, source = merge.this, merge.args["using"].sql(dialect="bigquery")
    assigned: list[Value] = []
    inserted: list[Value] = []
    for when in merge.find_all(exp.When):
        then = when.args.get("then")
        if isinstance(then, exp.Update):
            assigned += _assigned(then, target.alias_or_name, columns)
        elif (
            isinstance(then, exp.Insert) and isinstance(then.this, exp.Tuple) and isinstance(then.expression, exp.Tuple)
        ):
            names = [each.name for each in then.this.expressions]
            for name, written in zip(names, then.expression.expressions, strict=False):
                column = _column(columns, name)
                inserted += [Value(written, column["name"], column)] if column else []
    _check(assigned, _ASSIGNED, f"FROM {target.sql(dialect='bigquery')}, {source}", statements)
    _check(inserted, _INSERTED, f"FROM {source}", statements)


def _assigned(update: exp.Update, table: str, columns: Sequence[Field]) -> Iterator[Value]:
    """Yield the values of SET with the columns and fields that they are assigned to."""
    for assignment in update.expressions:
        if not isinstance(assignment.this, (exp.Column, exp.Dot)):
            continue
        names = [part.name for part in assignment.this.parts]
        if len(names) > 1 and names[0].lower() == table.lower() and _column(columns, names[1]):
            names = names[1:]
        target: Field = {"fields": columns}
        for name in names:
            target = _column(target.get("fields") or (), name)
        if target:
            yield Value(assignment.expression, ".".join(names), target)


def _column(columns: Sequence[Field], name: str) -> Field:
    """Return a column by its name; an empty field if there is none, which the statement itself reports."""
    return next((each for each in columns if each["name"].lower() == name.lower()), {})


def _check(values: Iterable[Value], message: str, source: str, statements: Statements) -> None:
    computed: dict[str, list[Value]] = {}
    for value in values:
        _sort(value, message, computed)
    if not computed:
        return
    types = _described(f"SELECT {', '.join(computed)} {source}", statements)
    if len(types) != len(computed):
        return
    for given, places in zip(types, computed.values(), strict=True):
        for value in places:
            if not is_assignable(given, value.target):
                raise _mismatch(message, shown_type(given), value.name, value.target)


def _sort(value: Value, message: str, computed: dict[str, list[Value]]) -> None:
    """Check a literal; add any other value to ``computed`` by its text."""
    parts = elements_of(value.written, value.target)
    if parts is not None:
        for written, target in parts:
            _sort(Value(written, value.name, target), message, computed)
        return
    kind = _type_of(value.written)
    if kind is None:
        if not _is_default(value.written) and not isinstance(value.written, _WRITTEN_OUT):
            computed.setdefault(value.written.sql(dialect="bigquery"), []).append(value)
    elif not is_literal_assignable(kind, value.target):
        raise _mismatch(message, kind, value.name, value.target)


def _type_of(value: exp.Expr) -> str | None:
    """Return the type of a literal as ``literal_type`` does; None for a variable, which is not coerced like a parameter."""
    if isinstance(value, exp.Parameter) and not value.name.startswith(PARAMETER_PREFIX):
        return None
    return literal_type(value)


def _described(query: str, statements: Statements) -> list[Field]:
    """Return the columns of a query; none if it uses models, or is not valid, which the statement itself reports."""
    if not statements.model_uses.are_in(query):
        # The engine does not read the type of a STRUCT without names, whose fields correspond by position anyway.
        with suppress(QueryError, duckdb.Error):
            return [column.field for column in statements.describe(query)]
    return []


def _is_default(value: exp.Expr) -> bool:
    return isinstance(value, exp.Column) and value.sql() == "DEFAULT"


def _mismatch(message: str, given: str, name: str, target: Field, number: int = 0) -> QueryError:
    text = message.format(given=given, name=name, wanted=shown_type(target), number=number)
    return QueryError(text, location="query")
