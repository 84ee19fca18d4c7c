"""Replaces views and table functions over models by their queries, so that a statement uses the current models."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import sqlglot
from bqemulator.catalog.models import RoutineMeta
from bqemulator.catalog.repository import CatalogRepository
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.arguments import split_items
from localcloud.bigquery.ml.calls import Span
from localcloud.bigquery.ml.service import MachineLearning
from localcloud.bigquery.sql.reading.called import calls
from localcloud.bigquery.sql.reading.literals import plain_literals
from localcloud.bigquery.sql.reading.statement import TableName, mentioned_names, possible_tables, read_statement
from localcloud.bigquery.sql.reading.tokens import bracket_pairs, position, tokens
from localcloud.bigquery.sql.values.variables import replace_variables
from localcloud.bigquery.tables.routines import is_model_function


class ModelUses:
    """The views and table functions over models that the statements of one job use."""

    def __init__(
        self,
        catalog: CatalogRepository,
        learning: MachineLearning,
        columns_of: Callable[[exp.Table], frozenset[str]],
        *,
        project: str,
    ) -> None:
        """Look for views and functions.

        Args:
            catalog: The tables and routines.
            learning: BigQuery ML.
            columns_of: Returns the names of a table's columns in lower case.
            project: The project of names without one.
        """
        self._catalog = catalog
        self._learning = learning
        self._columns_of = columns_of
        self._project = project

    def inlined(self, sql: str) -> str:
        """Return a statement with the queries of views and table functions over models in their place.

        Raises:
            QueryError: A table function has another number of arguments.
        """
        return self._inline_views(self._inline_functions(sql))

    def are_in(self, sql: str, *, within: frozenset[TableName] = frozenset()) -> bool:
        """Return whether ``sql`` uses models, itself or in a view that is not in ``within``."""
        return self._learning.uses_models(sql) or any(
            self.are_in(query, within=within | {name})
            for name, query in self._mentioned_views(sql)
            if name not in within
        )

    def _inline_views(self, sql: str) -> str:
        """Replace views that use models by their queries, so that a query uses the current model."""
        views = {name: query for name, query in self._mentioned_views(sql) if self.are_in(query)}
        if not views:
            return sql
        tree = read_statement(sql, project=self._project).tree
        if tree is None:
            return sql
        tree = tree.copy()
        found = False
        for node in list(tree.find_all(exp.Table)):
            query = views.get(TableName(node.catalog or self._project, node.db, node.name))
            if query is None or isinstance(node.parent, exp.Create):
                continue
            body = sqlglot.parse_one(query, read="bigquery")
            if not isinstance(body, exp.Query):
                continue
            # In an argument of a table function, a query in brackets replaces TABLE name, without an alias.
            argument = isinstance(node.parent, exp.Predict)
            node.replace(body.subquery() if argument else body.subquery(node.alias or node.name))
            found = True
        return self._inline_views(tree.sql(dialect="bigquery")) if found else sql

    def _inline_functions(self, sql: str) -> str:
        """Replace calls of table functions that use models by their queries, with the arguments in them."""
        if "." not in sql or "(" not in sql:
            return sql
        found = tokens(sql)
        pairs = bracket_pairs(found)
        for called in reversed(list(calls(found))):
            routine = self._routine(called.parts)
            closing = pairs.get(called.last + 1)
            if routine is None or called.chained or closing is None:
                continue
            inside = Span(found[called.last + 1].end, found[closing].start)
            given = [f"({item.text_in(sql)})" for item in split_items(sql, inside)]
            names = [argument.name for argument in routine.arguments]
            if len(given) != len(names):
                raise QueryError(
                    f"Number of arguments does not match for table-valued function {'.'.join(called.parts)}: expected "
                    f"{len(names)}, got {len(given)} at {position(sql, called.start)}",
                    location="query",
                )
            body, used = replace_variables(
                plain_literals(routine.definition_body), {name.lower(): name for name in names}, self._columns_of
            )
            for place, name in used.items():
                value = given[names.index(name)]
                body = re.sub(rf"@{place}\b", lambda _, value=value: value, body)  # type: ignore[misc]
            sql = f"{sql[: called.start]}({body}){sql[found[closing].end :]}"
        return sql

    def _routine(self, parts: tuple[str, ...]) -> RoutineMeta | None:
        if len(parts) not in (2, 3):
            return None
        routine = self._catalog.get_routine(*(parts if len(parts) == 3 else (self._project, *parts)))
        return routine if routine is not None and is_model_function(routine) else None

    def _mentioned_views(self, sql: str) -> Iterator[tuple[TableName, str]]:
        for parts in mentioned_names(sql):
            for name in possible_tables(parts, self._project):
                meta = self._catalog.get_table(name.project, name.dataset, name.table)
                if meta is not None and meta.table_type == "VIEW" and meta.view_query:
                    yield name, plain_literals(meta.view_query)
