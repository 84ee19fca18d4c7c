"""Registers routines as DuckDB macros, with the tables of a function's body in its own project.

bqemulator does not resolve the tables in the body of a scalar function.
"""

from __future__ import annotations

import re
from typing import Any

from bqemulator.catalog.models import RoutineMeta
from bqemulator.config import Settings
from bqemulator.sql.table_rewriter import rewrite_table_refs
from bqemulator.storage.engine import DuckDBEngine
from bqemulator.udf.naming import qualified_routine_name
from bqemulator.udf.runtime import UDFRegistry
from bqemulator.udf.sql_udf import SQLUDFRuntime, _translate_body

from localcloud.bigquery.base.schema import quote
from localcloud.bigquery.javascript.functions import JavaScriptFunctions
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.statement import read_statement
from localcloud.bigquery.sql.structs.elements import rewrite_elements
from localcloud.bigquery.sql.structs.shapes import shape_of
from localcloud.bigquery.tables.routines.types import type_text, typed_call

# Calls of functions of BigQuery ML, or of table functions.
_CALLS = re.compile(r"\b(?:(?:ML|AI)\s*\.\s*\w+|VECTOR_SEARCH|(?:FROM|JOIN)\s+[\w`.-]+\.[\w`]+)\s*\(", re.IGNORECASE)


def is_inlined(routine: RoutineMeta) -> bool:
    """Return whether a routine has no macro: a table function, or a function that calls one or functions of BigQuery ML."""
    if routine.language != "SQL" or routine.routine_type == "PROCEDURE":
        return False
    return routine.routine_type == "TABLE_VALUED_FUNCTION" or _CALLS.search(routine.definition_body) is not None


def is_table_argument(data_type: Any) -> bool:
    """Return whether the type of an argument, as a REST ``StandardSqlDataType``, is TABLE."""
    kind = str((data_type or {}).get("typeKind", ""))
    return re.match(r"TABLE\b|ANY[ _]TABLE\b", kind, re.IGNORECASE) is not None


class Routines(UDFRegistry):
    """bqemulator's registry of routines."""

    def __init__(self, settings: Settings) -> None:
        """Create an empty registry."""
        super().__init__(settings)
        self._sql = _ScalarFunctions()
        self._js: Any = JavaScriptFunctions()

    def materialize(self, routine: RoutineMeta, engine: DuckDBEngine) -> None:
        """Create the macro of a routine. Raises ``QueryError`` if a table in its body has no valid name."""
        if routine.language == "SQL":
            body = routine.definition_body
            query = body if routine.routine_type == "TABLE_VALUED_FUNCTION" else f"SELECT {body}"
            for name in read_statement(query, project=routine.project_id).tables:
                name.check()
        if is_inlined(routine):
            return
        super().materialize(routine, engine)

    def close(self) -> None:
        """End the processes of functions in JavaScript."""
        self._js.close()


class _ScalarFunctions(SQLUDFRuntime):
    """Functions in SQL: one macro for the body, and one that calls it with values of the declared types."""

    def materialize(self, routine: RoutineMeta, engine: DuckDBEngine) -> None:
        parameters = {a.name.lower(): shape_of(kind) for a in routine.arguments if (kind := type_text(a.data_type))}
        draft = Draft(f"SELECT {routine.definition_body}")
        rewrite_elements(draft, parameters=parameters)
        body = _translate_body(draft.text.removeprefix("SELECT "), self._translator)
        # Only a statement can be rewritten.
        body = rewrite_table_refs(f"SELECT {body}", routine.project_id).removeprefix("SELECT ")
        names = ", ".join(quote(argument.name) for argument in routine.arguments)
        name = qualified_routine_name(routine)
        engine.execute(f"CREATE OR REPLACE MACRO {_body_of(name)}({names}) AS ({body})")
        call = typed_call(routine, _shown(routine), _body_of(name))
        engine.execute(f"CREATE OR REPLACE MACRO {quote(name)}({names}) AS ({call})")

    def deregister(self, routine: RoutineMeta, engine: DuckDBEngine) -> None:
        super().deregister(routine, engine)
        engine.execute(f"DROP MACRO IF EXISTS {_body_of(qualified_routine_name(routine))}")


def _body_of(name: str) -> str:
    return quote(f"{name}__body")


def _shown(routine: RoutineMeta) -> str:
    """Return the name of a function as a statement has it."""
    if routine.dataset_id.startswith("_"):
        return routine.routine_id
    return f"{routine.project_id}.{routine.dataset_id}.{routine.routine_id}"
