"""Declares and assigns the variables of scripts, with the types that they are declared with.

https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language#declare
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from bqemulator.domain.errors import InvalidQueryError
from bqemulator.scripting.ast import DeclareStmt, IfStmt, SetStmt
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field
from localcloud.bigquery.queries.scripts.transactions import TransactionalScript
from localcloud.bigquery.queries.scripts.values import declared_field, inferred, is_inferred
from localcloud.bigquery.sql.checks.assigned_types import (
    elements_of,
    is_assignable,
    is_literal_assignable,
    literal_type,
    shown_type,
    type_name,
)
from localcloud.bigquery.sql.reading.tokens import parsed

_DUCKDB_TYPE = b"bqemu.duckdb_type"


class VariableScript(TransactionalScript):
    """An interpreter whose variables keep their types."""

    async def _exec_declare(self, stmt: DeclareStmt) -> None:
        is_typed = stmt.type_name.upper() not in ("", "ANY")
        value, kind = (None, "ANY") if stmt.default_expr is None else await self._evaluate(stmt.default_expr)
        if is_typed:
            value = await self._converted(stmt.default_expr or "NULL", value, kind, stmt.type_name)
        for name in stmt.names:
            self._frames.declare(name, stmt.type_name if is_typed else kind, value)

    async def _exec_set(self, stmt: SetStmt) -> None:
        for name in stmt.targets:
            self._type_of_variable(name)
        value, kind = await self._evaluate(stmt.source_expr)
        if len(stmt.targets) == 1:
            await self._set(stmt.targets[0], stmt.source_expr, value, kind)
            return
        values = list(value.values()) if isinstance(value, dict) else [value]
        if len(values) != len(stmt.targets):
            raise InvalidQueryError(
                f"Mismatched number of columns/variables in SET: {len(stmt.targets)} variables, {len(values)} values"
            )
        field = declared_field(kind)
        kinds: Sequence[Field | None] = (field or {}).get("fields") or [None] * len(values)
        for name, each, given in zip(stmt.targets, values, kinds, strict=True):
            self._check(stmt.source_expr, given, self._type_of_variable(name))
            self._frames.set(name, each)

    async def _set(self, name: str, expression: str, value: Any, kind: str) -> None:
        declared = self._type_of_variable(name)
        target = declared_field(declared)
        if isinstance(value, dict) and len(value) == 1 and target is not None and type_name(target) != "STRUCT":
            # SET (a) = (SELECT AS STRUCT b) has one target too.
            field = declared_field(kind)
            self._check(expression, field["fields"][0] if field and field.get("fields") else None, declared)
            value = next(iter(value.values()))
        elif declared != "ANY":
            value = await self._converted(expression, value, kind, declared)
        self._frames.set(name, value)

    def _store(self, name: str, shown: str, value: Any, kind: str) -> None:
        """Assign a value of a type to a variable. Raises ``QueryError`` if the variable has another type."""
        declared = self._type_of_variable(name)
        self._check(f"`{shown}`", declared_field(kind), declared)
        target = declared_field(declared)
        self._frames.set(name, value if target is None else _named(value, target))

    def _type_of_variable(self, name: str) -> str:
        """Return the type of a variable. Raises ``QueryError`` if it is not declared."""
        variable = self._frames.all_visible().get(name.lower())
        if variable is None:
            raise QueryError(f"Undeclared variable: {name}", location="query")
        return str(variable.type_name)

    async def _converted(self, expression: str, value: Any, kind: str, declared: str) -> Any:
        """Return the value of an expression in a declared type. Raises ``QueryError`` if it does not have the type."""
        target = declared_field(declared)
        if target is None:
            if not is_inferred(declared):
                raise QueryError(f"Type not found: {declared}", location="query")
            return value
        if value is None:
            self._check(expression, None, declared)
            return None
        self._check(expression, declared_field(kind), declared)
        if "(" in declared and not is_inferred(declared):
            return (await self._evaluate(f"CAST({expression} AS {declared})"))[0]
        return _named(value, target)

    def _check(self, expression: str, given: Field | None, declared: str) -> None:
        """Raise ``QueryError`` if an expression cannot be assigned to a declared type."""
        target = declared_field(declared)
        written = parsed(f"SELECT {expression}")
        value = written.expressions[0] if isinstance(written, exp.Select) and len(written.expressions) == 1 else None
        if target is not None and value is not None and not _may_be_assigned(value, given, target):
            raise QueryError(f"Cannot coerce expression {expression} to type {shown_type(target)}", location="query")

    async def _condition(self, expression: str) -> bool:
        """Return whether a condition is TRUE. Raises ``QueryError`` if it is not of type BOOL."""
        value, kind = await self._evaluate(expression)
        if value is not None or kind != "ANY":
            self._check(expression, declared_field(kind), "BOOL")
        return bool(value)

    async def _exec_if(self, stmt: IfStmt) -> None:
        for condition, body in stmt.branches:
            if await self._condition(condition):
                await self._run_block(body, frame_kind="block")
                return
        if stmt.else_body is not None:
            await self._run_block(stmt.else_body, frame_kind="block")

    async def _evaluate(self, expression: str) -> tuple[Any, str]:
        """Return the value of an expression, and its type as of a variable."""
        table = await self._run_query(f"SELECT {expression}")
        if table.num_rows == 0 or table.num_columns == 0:
            return None, "ANY"
        cell = table.column(0)[0]
        return _python_value(cell) if cell.is_valid else None, variable_type(table.schema.field(0))

    async def _eval_expr_scalar(self, expr: str) -> Any:
        return (await self._evaluate(expr))[0]

    def _assign(self, names: tuple[str, ...], table: pa.Table) -> None:
        """Assign the columns of a query with at most one row to variables."""
        if table.num_rows > 1:
            raise InvalidQueryError(f"EXECUTE IMMEDIATE INTO returned {table.num_rows} rows, but at most 1 is allowed")
        if table.num_columns != len(names):
            raise InvalidQueryError(
                f"EXECUTE IMMEDIATE INTO has {len(names)} variables, but the query returned {table.num_columns} columns"
            )
        for index, name in enumerate(names):
            column = table.schema.field(index)
            value = table.column(index)[0].as_py() if table.num_rows else None
            self._store(name, column.name, value, variable_type(column))


def _may_be_assigned(value: exp.Expr, given: Field | None, target: Field) -> bool:
    parts = elements_of(value, target)
    if parts is not None:
        return all(_may_be_assigned(written, None, each) for written, each in parts)
    kind = literal_type(value)
    if kind is not None:
        return is_literal_assignable(kind, target)
    return given is None or isinstance(value, (exp.Array, exp.Tuple, exp.Struct)) or is_assignable(given, target)


def _named(value: Any, target: Field) -> Any:
    """Return a value whose STRUCTs have the names of a type; they correspond by position."""
    if isinstance(value, list):
        return [_named(each, {**target, "mode": "NULLABLE"}) for each in value]
    fields = target.get("fields") or ()
    if isinstance(value, Mapping) and len(value) == len(fields):
        return {f["name"]: _named(each, f) for f, each in zip(fields, value.values(), strict=True)}
    return value


def variable_type(column: pa.Field) -> str:
    """Return the type of a column as of a variable."""
    kind = (column.metadata or {}).get(_DUCKDB_TYPE)
    return "ANY" if kind is None else inferred(kind.decode())


def _python_value(cell: pa.Scalar) -> Any:
    try:
        return cell.as_py()
    except ValueError:  # a STRUCT whose fields have no names
        return {f"_field_{index + 1}": cell[index].as_py() for index in range(len(cell.type))}
