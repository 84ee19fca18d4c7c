"""Finds the tables and routines that a statement reads, also those behind views, table functions and functions.

BigQuery lists them in ``referencedTables`` and ``referencedRoutines`` of a job or dry run. Its description of these fields
(https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobStatistics2) does not mention views. Clients find the
tables behind a view there, and do not always find the view. This module lists both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from bqemulator.api.dependencies import AppContext
from bqemulator.catalog.models import RoutineMeta

from localcloud.bigquery.sql.reading.literals import plain_literals
from localcloud.bigquery.sql.reading.statement import (
    Statement,
    TableName,
    mentioned_names,
    possible_tables,
    read_statement,
)


@dataclass
class Read:
    """What a statement reads.

    Attributes:
        tables: The tables and views that it names, and those behind them, each once.
        routines: The routines that it calls, and those behind them, each once.
        statements: The statement itself, and the definitions of the views and routines.
    """

    tables: list[TableName] = field(default_factory=list)
    routines: list[TableName] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)


class Reading:
    """Follows the definitions of views and routines."""

    def __init__(self, context: AppContext) -> None:
        """Create it with the catalog of ``context``."""
        self._catalog = context.catalog

    def of(self, statement: Statement, written: Statement | None = None) -> Read:
        """Return what a statement reads.

        Args:
            statement: The statement, which may contain the queries of views and functions in place of their names.
            written: The statement as the client wrote it, or None if it is the same.
        """
        read = self._follow(statement)
        if written is not None:
            named = self._follow(written)
            read.tables += [name for name in named.tables if name not in read.tables]
            read.routines += [name for name in named.routines if name not in read.routines]
        return read

    def _follow(self, statement: Statement) -> Read:
        read = Read()
        pending = deque([statement])
        while pending:
            current = pending.popleft()
            read.statements.append(current)
            for name in current.tables or self._mentioned(current):
                if name not in read.tables:
                    read.tables.append(name)
                    pending.extend(self._behind_table(name))
            for name in current.routines:
                routine = self._catalog.get_routine(name.project, name.dataset, name.table)
                if routine is not None and name not in read.routines:
                    read.routines.append(name)
                    pending.extend(self._behind_routine(routine))
        return read

    def is_stored(self, name: TableName) -> bool:
        """Return whether a table holds rows of its own, so that BigQuery bills for it."""
        meta = self._catalog.get_table(name.project, name.dataset, name.table)
        return meta is None or meta.table_type != "VIEW"

    def _behind_table(self, name: TableName) -> Iterator[Statement]:
        meta = self._catalog.get_table(name.project, name.dataset, name.table)
        query = meta.view_query if meta is not None else None
        if meta is not None and meta.table_type == "MATERIALIZED_VIEW":
            view = self._catalog.get_materialized_view(name.project, name.dataset, name.table)
            query = view.view_query if view is not None else query
        if query:
            yield read_statement(plain_literals(query), project=name.project)

    @staticmethod
    def _behind_routine(routine: RoutineMeta) -> Iterator[Statement]:
        if routine.language == "SQL":
            # The body of a table function is a query, that of a function an expression.
            select = "" if routine.routine_type == "TABLE_VALUED_FUNCTION" else "SELECT "
            yield read_statement(f"{select}{plain_literals(routine.definition_body)}", project=routine.project_id)

    def _mentioned(self, statement: Statement) -> Iterator[TableName]:
        """Yield the existing tables that the text of a statement mentions, if it can't be parsed."""
        if statement.tree is None:
            for parts in mentioned_names(statement.sql):
                for name in possible_tables(parts, statement.project):
                    if self._catalog.get_table(name.project, name.dataset, name.table) is not None:
                        yield name
