"""Checks the body of a function in SQL when it is created, and gives its tables the default dataset of the job.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#create_table_function_statement
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bqemulator.catalog.models import RoutineMeta
from bqemulator.scripting.ast import CreateFunctionStmt

from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.tables.routines.macros import is_table_argument
from localcloud.bigquery.tables.routines.types import type_text

_OF_ROWS = "TABLE_VALUED_FUNCTION"


def qualified_body(function: CreateFunctionStmt, statements: Statements) -> str:
    """Return the body of a table function whose tables have all their parts; that of another function as it is."""
    return statements.qualify(function.body) if function.routine_type == _OF_ROWS else function.body


@contextmanager
def checked_body(function: CreateFunctionStmt, statements: Statements) -> Iterator[None]:
    """Check the body of the function that the ``with`` block creates, and take the function back if it is wrong.

    Raises:
        QueryError: The body names something that does not exist, or is not valid.
    """
    project, dataset, name = statements.routine_name(function.name)
    before = statements.context.catalog.get_routine(project, dataset, name)
    try:
        yield
        call = _call(function)
        if call is not None:
            with statements.describing():
                statements.describe(call)
    except Exception:
        _take_back(project, dataset, name, before, statements)
        raise


def _take_back(project: str, dataset: str, name: str, before: RoutineMeta | None, statements: Statements) -> None:
    """Replace a function by the one before it, or delete it if there was none."""
    context = statements.context
    created = context.catalog.get_routine(project, dataset, name)
    if created is None or created == before:
        return
    context.udf_registry.deregister(created, context.engine)
    if before is None:
        context.catalog.delete_routine(project, dataset, name)
        return
    context.catalog.update_routine(before)
    context.udf_registry.materialize(before, context.engine)


def _call(function: CreateFunctionStmt) -> str | None:
    """Return a query with a call of the function; None if an argument is a table or has any type."""
    values = []
    for _, data_type in function.arguments:
        kind = None if is_table_argument(data_type) else type_text(data_type)
        if kind is None:
            return None
        values.append(f"CAST(NULL AS {kind})")
    call = f"`{function.name}`({', '.join(values)})"
    return f"SELECT * FROM {call}" if function.routine_type == _OF_ROWS else f"SELECT {call} AS x"
