"""Replaces views and functions over models by their queries, so that a statement uses the current models.

DuckDB has a view of the same columns without rows, and no macro of such a function. The calls of all table functions are
replaced, because they may have arguments of type TABLE and may call others that use models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlglot
from bqemulator.catalog.models import RoutineMeta
from bqemulator.catalog.repository import CatalogRepository
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.arguments import split_items
from localcloud.bigquery.ml.calls import Span
from localcloud.bigquery.ml.service import MachineLearning
from localcloud.bigquery.sql.reading.called import Called, calls
from localcloud.bigquery.sql.reading.literals import plain_literals
from localcloud.bigquery.sql.reading.statement import TableName, mentioned_names, possible_tables, read_statement
from localcloud.bigquery.sql.reading.tokens import bracket_pairs, position, tokens
from localcloud.bigquery.sql.values.variables import ColumnsOf, replace_variables
from localcloud.bigquery.tables.routines.macros import is_inlined, is_table_argument
from localcloud.bigquery.tables.routines.types import check_arguments

# The statements that define the view or table that is their child.
_DEFINITIONS = (exp.Create, exp.Drop, exp.Alter, exp.TruncateTable)
# Arguments of other types have the type that the caller gives them.
_COERCED = frozenset({"BOOL", "DATE", "DATETIME", "FLOAT64", "INT64", "NUMERIC", "STRING", "TIME", "TIMESTAMP"})


class ModelUses:
    """The views and functions over models that the statements of one job use."""

    def __init__(
        self,
        catalog: CatalogRepository,
        learning: MachineLearning,
        columns_of: ColumnsOf,
        parameter_types: Callable[[], Mapping[str, exp.DataType]],
        *,
        project: str,
    ) -> None:
        """Look for views and functions.

        Args:
            catalog: The tables and routines.
            learning: BigQuery ML.
            columns_of: Returns the names of a source's columns in lower case.
            parameter_types: Returns the types of the statement's parameters by their names.
            project: The project of names without one.
        """
        self._catalog = catalog
        self._learning = learning
        self._project = project
        self._columns_of = columns_of
        self._parameter_types = parameter_types

    def are_in(self, sql: str, *, within: frozenset[TableName] = frozenset()) -> bool:
        """Return whether ``sql`` uses models, itself or in a view or routine that is not in ``within``."""
        if self._learning.uses_models(sql):
            return True
        definitions = [*self._mentioned_views(sql), *self._mentioned_routines(sql)]
        return any(self.are_in(query, within=within | {name}) for name, query in definitions if name not in within)

    def are_replaced_in(self, sql: str) -> bool:
        """Return whether ``inlined`` changes ``sql``: it uses models, or a view or a call of a routine that is inlined."""
        if self.are_in(sql):
            return True
        routines = (self._routine(called.parts) for called in _called(sql))
        if any(routine is not None and self.is_inlined(routine) for routine in routines):
            return True
        return any(self.are_replaced_in(query) for _, query in self._mentioned_views(sql))

    def reach(self, sql: str, view: TableName, *, within: frozenset[TableName] = frozenset()) -> bool:
        """Return whether ``sql`` reads ``view``, itself or in a view or routine that is not in ``within``."""
        definitions = [*self._mentioned_views(sql), *self._mentioned_routines(sql)]
        return any(
            name == view or self.reach(query, view, within=within | {name})
            for name, query in definitions
            if name not in within
        )

    def inlined(self, sql: str) -> str:
        """Return a statement with the queries of views and routines that use models in place of their names.

        Raises:
            QueryError: A call of a routine has another number of arguments.
        """
        return self._without_views(self._without_routines(sql))

    # Views

    def _mentioned_views(self, sql: str) -> Iterator[tuple[TableName, str]]:
        for parts in mentioned_names(sql):
            for name in possible_tables(parts, self._project):
                meta = self._catalog.get_table(name.project, name.dataset, name.table)
                if meta is not None and meta.table_type == "VIEW" and meta.view_query:
                    yield name, plain_literals(meta.view_query)

    def _without_views(self, sql: str) -> str:
        views = {name: query for name, query in self._mentioned_views(sql) if self.are_replaced_in(query)}
        if not views:
            return sql
        tree = read_statement(sql, project=self._project).tree
        if tree is None:
            return sql
        tree = tree.copy()
        found = False
        for node in list(tree.find_all(exp.Table)):
            query = views.get(TableName(node.catalog or self._project, node.db, node.name))
            if query is None or isinstance(node.parent, _DEFINITIONS):
                continue
            body = sqlglot.parse_one(query, read="bigquery")
            if not isinstance(body, exp.Query):
                continue
            # In an argument of a table function, a query in brackets replaces TABLE name, without an alias.
            argument = isinstance(node.parent, exp.Predict)
            node.replace(body.subquery() if argument else body.subquery(node.alias or node.name))
            found = True
        return self.inlined(tree.sql(dialect="bigquery")) if found else sql

    # Routines

    def _routine(self, parts: tuple[str, ...]) -> RoutineMeta | None:
        if len(parts) not in (2, 3):
            return None
        return self._catalog.get_routine(*(parts if len(parts) == 3 else (self._project, *parts)))

    def _mentioned_routines(self, sql: str) -> Iterator[tuple[TableName, str]]:
        for called in _called(sql):
            routine = self._routine(called.parts)
            if routine is not None and routine.language == "SQL":
                name = TableName(routine.project_id, routine.dataset_id, f"{routine.routine_id}()")
                yield name, plain_literals(routine.definition_body)

    def _without_routines(self, sql: str) -> str:
        for called in reversed(_called(sql)):
            routine = self._routine(called.parts)
            if routine is not None and self.is_inlined(routine):
                sql = self.without_call(sql, called, routine)
        return sql

    def is_inlined(self, routine: RoutineMeta) -> bool:
        """Return whether the body of a routine replaces its calls."""
        if routine.language != "SQL" or routine.routine_type == "PROCEDURE":
            return False
        return is_inlined(routine) or self.are_in(plain_literals(routine.definition_body))

    def without_call(self, sql: str, called: Called, routine: RoutineMeta) -> str:
        """Return ``sql`` with the body of a routine in place of a call of it, and the arguments in the body.

        Raises:
            QueryError: The call has another number of arguments, or arguments of other types.
        """
        found = tokens(sql)
        closing = bracket_pairs(found).get(called.last + 1)
        if called.chained or closing is None:
            return sql
        inside = Span(found[called.last + 1].end, found[closing].start)
        given = [item.text_in(sql).strip() for item in split_items(sql, inside)]
        if len(given) != len(routine.arguments):
            kind = "function" if routine.routine_type == "SCALAR_FUNCTION" else "table-valued function"
            raise QueryError(
                f"Number of arguments does not match for {kind} {'.'.join(called.parts)}: expected "
                f"{len(routine.arguments)}, got {len(given)} at {position(sql, called.start)}",
                location="query",
            )
        check_arguments(routine, ".".join(called.parts), given, self._parameter_types())
        body = self._with_arguments(routine, given)
        return f"{sql[: called.start]}({self.inlined(body)}){sql[found[closing].end :]}"

    def _with_arguments(self, routine: RoutineMeta, given: list[str]) -> str:
        """Return the body of a routine with the values of its arguments in it."""
        names = [argument.name for argument in routine.arguments]
        kinds: list[Any] = [argument.data_type for argument in routine.arguments]
        tables = [(name, text) for name, kind, text in zip(names, kinds, given, strict=True) if is_table_argument(kind)]
        body, used = replace_variables(
            plain_literals(routine.definition_body), {name.lower(): name for name in names}, self._columns_of
        )
        for place, name in used.items():
            value = _coerced(given[names.index(name)], kinds[names.index(name)])
            body = re.sub(rf"@{place}\b", lambda _, value=value: value, body)  # type: ignore[misc]
        if not tables:
            return body
        listed = ", ".join(f"`{name}` AS ({_query(text)})" for name, text in tables)
        return f"WITH {listed} SELECT * FROM ({body})"


def _called(sql: str) -> list[Called]:
    return list(calls(tokens(sql))) if "." in sql and "(" in sql else []


def _coerced(argument: str, data_type: dict[str, Any] | None) -> str:
    """Return an argument with the scalar type that it is declared with."""
    kind = str((data_type or {}).get("typeKind", ""))
    return f"CAST({argument} AS {kind})" if kind in _COERCED else f"({argument})"


def _query(argument: str) -> str:
    """Return the query of an argument of type TABLE: ``TABLE t``, or a query in brackets."""
    table = re.fullmatch(r"TABLE\s+(.+)", argument, re.IGNORECASE | re.DOTALL)
    return argument if table is None else f"SELECT * FROM {table[1]}"
