"""Calls procedures, whose parameters have types.

https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language#call
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bqemulator.domain.errors import DomainError
from bqemulator.scripting.ast import CallStmt
from bqemulator.scripting.exceptions import ReturnSignal, ScriptRaise

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.queries.scripts.system import SystemScript
from localcloud.bigquery.queries.scripts.traces import ProcedureFailure, frames_of
from localcloud.bigquery.sql.errors.failures import ScriptFailure, query_error
from localcloud.bigquery.tables.routines.types import type_text

if TYPE_CHECKING:
    from bqemulator.catalog.models import RoutineArgument, RoutineMeta


class ProcedureScript(SystemScript):
    """An interpreter that calls procedures."""

    def _nested(self) -> ProcedureScript:
        """Return an interpreter for the body of a procedure."""
        raise NotImplementedError

    async def _exec_call(self, stmt: CallStmt) -> None:
        if stmt.routine_ref.upper().startswith("BQ."):
            await super()._exec_call(stmt)
            return
        routine = self._resolve_call_routine(stmt.routine_ref)
        if len(stmt.arg_exprs) != len(routine.arguments):
            signature = ", ".join(f"{each.mode} {_kind(each)}".removeprefix("IN ") for each in routine.arguments)
            raise QueryError(
                f"Number of arguments does not match for procedure {stmt.routine_ref}. "
                f"Supported signature: {stmt.routine_ref}({signature})",
                location="query",
            )
        places: list[tuple[str, RoutineArgument]] = []
        values = []
        for number, (argument, expression) in enumerate(zip(routine.arguments, stmt.arg_exprs, strict=True), 1):
            if argument.mode != "IN":
                name = expression.strip().strip("`")
                if name.lower() not in self._frames.all_visible():
                    raise QueryError(
                        f"Argument {number} of procedure {stmt.routine_ref} is {argument.mode} and must be a variable, "
                        f"but is {expression}",
                        location="query",
                    )
                places.append((name, argument))
            values.append(None if argument.mode == "OUT" else await self._argument(expression, _kind(argument)))
        results = await self._call(routine, values)
        for name, argument in places:
            self._store(name, argument.name, results[argument.name.lower()], _kind(argument))

    async def _argument(self, expression: str, kind: str) -> Any:
        value, given = await self._evaluate(expression)
        return value if kind == "ANY" else await self._converted(expression, value, given, kind)

    async def _call(self, routine: RoutineMeta, values: Sequence[Any]) -> dict[str, Any]:
        """Run the body of a procedure; return the values of its parameters at the end, by their names in lower case."""
        nested = self._nested()
        for parameter, value in zip(routine.arguments, values, strict=True):
            nested._frames.declare(parameter.name, _kind(parameter), value)
        nested._caught, nested.labels = list(self._caught), self.labels
        try:
            with suppress(ReturnSignal):
                await nested.run_statements(routine.definition_body)
        except (DomainError, QueryError, ScriptRaise) as error:
            name = f"{routine.project_id}.{routine.dataset_id}.{routine.routine_id}"
            sql = error.sql if isinstance(error, ScriptFailure) else ""
            frames = frames_of(error, routine.definition_body, name)
            raise ProcedureFailure(query_error(error), sql, frames) from error
        self._final_table = nested._final_table
        return {name.lower(): value for name, value in nested._frames.snapshot_current().items()}


def _kind(argument: RoutineArgument) -> str:
    """Return the GoogleSQL type of a parameter; ``ANY`` if it is not known."""
    return type_text(argument.data_type) or "ANY"
