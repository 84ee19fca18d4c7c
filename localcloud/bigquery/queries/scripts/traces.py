"""Says where in a script, and in the procedures that it calls, an error was raised.

https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language#beginexceptionend
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.errors.failures import ScriptFailure
from localcloud.bigquery.sql.values.parameters import Value

_TYPE = 'STRUCT("line" BIGINT, "column" BIGINT, "filename" VARCHAR, "location" VARCHAR)[]'


@dataclass(frozen=True)
class Frame:
    """A place in a script, or in the body of a procedure.

    Attributes:
        line: The line, counted from 1.
        column: The column, counted from 1.
        procedure: The name of the procedure; None for the script itself.
    """

    line: int
    column: int
    procedure: str | None

    def __str__(self) -> str:
        """Return the place as in ``@@error.formatted_stack_trace``."""
        return f"At {self.procedure or ''}[{self.line}:{self.column}]"


class ProcedureFailure(ScriptFailure):
    """A failure in a procedure.

    Attributes:
        frames: The places in the procedures, the innermost first.
    """

    def __init__(self, error: QueryError, sql: str, frames: tuple[Frame, ...]) -> None:
        """Note the places of a failure."""
        super().__init__(error, sql)
        self.frames = frames


def frames_of(error: Exception, source: str, procedure: str | None) -> tuple[Frame, ...]:
    """Return the places of an error that left a statement of ``source``."""
    if isinstance(error, ProcedureFailure):
        called = error.frames[-1].procedure or ""
        call = re.search(rf"CALL\s+`?(?:[\w-]+`?\.`?)*{re.escape(called.rpartition('.')[2])}\b", source, re.IGNORECASE)
        return (*error.frames, _frame(source, call.start() if call else -1, procedure))
    start = source.find(error.sql) if isinstance(error, ScriptFailure) else -1
    return (_frame(source, start, procedure),)


def _frame(source: str, offset: int, procedure: str | None) -> Frame:
    before = source[: max(offset, 0)]
    # The body of a procedure is kept without BEGIN, which is its first line.
    line = before.count("\n") + (1 if procedure is None else 2)
    return Frame(line, len(before) - before.rfind("\n"), procedure)


def trace_variables(frames: tuple[Frame, ...]) -> dict[str, Value]:
    """Return the values of the system variables about the places of an error."""
    rows = [{"line": each.line, "column": each.column, "filename": None, "location": each.procedure} for each in frames]
    return {
        "error.formatted_stack_trace": Value("\n".join(map(str, frames)), "VARCHAR"),
        "error.stack_trace": Value(rows, _TYPE),
    }
