"""Reads and sets the system variables of scripts.

https://cloud.google.com/bigquery/docs/reference/system-variables
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.queries.scripts.children import Step
from localcloud.bigquery.queries.scripts.control import ControlledScript
from localcloud.bigquery.queries.scripts.parser import SetSystemStmt
from localcloud.bigquery.sql.values.parameters import Value
from localcloud.bigquery.sql.values.system_variables import replace_system_variables

if TYPE_CHECKING:
    from localcloud.bigquery.queries.statements import Statements

_SETTABLE = ("dataset_id", "dataset_project_id", "query_label", "time_zone")
_LABELS = re.compile(r"\s*(?:[a-z][\w-]{0,62}:[\w-]{0,63}\s*(?:,\s*|$))*")


class SystemScript(ControlledScript):
    """An interpreter with system variables.

    Attributes:
        labels: The labels of the jobs of the statements from now on, from ``@@query_label``.
    """

    _STATEMENT_DISPATCH = (*ControlledScript._STATEMENT_DISPATCH, (SetSystemStmt, "_exec_set_system"))

    def __init__(self, statements: Statements, steps: list[Step]) -> None:
        """Create an interpreter that has run ``steps``."""
        super().__init__(statements)
        self._steps = steps
        self._began: datetime = self._ctx.clock.now()
        self._row_count: int | None = None
        self.labels: dict[str, str] = {}

    def _without_system_variables(self, sql: str) -> tuple[str, dict[str, Value]]:
        """Return a statement with parameters for the system variables of the script, and the values of the parameters."""
        if "@@" not in sql:
            return sql, {}
        job = self._statements.system.job_id
        count = len(self._steps)
        elapsed = int((self._ctx.clock.now() - self._began).total_seconds() * 1000)
        labels = ",".join(f"{key}:{value}" for key, value in self.labels.items())
        values = self.error_variables() | {
            "current_job_id": Value(f"script_job_{job}_{count}", "VARCHAR"),
            "last_job_id": Value(f"script_job_{job}_{count - 1}" if count else None, "VARCHAR"),
            "query_label": Value(labels or None, "VARCHAR"),
            "row_count": Value(self._row_count, "BIGINT"),
            "script.creation_time": Value(self._began, "TIMESTAMPTZ"),
            "script.job_id": Value(job, "VARCHAR"),
            "script.num_child_jobs": Value(count, "BIGINT"),
            "script.slot_ms": Value(elapsed, "BIGINT"),
        }
        places = {name: f"_s{index}" for index, name in enumerate(values)}
        literals = self._statements.system.literals() | {name: f"@{place}" for name, place in places.items()}
        return replace_system_variables(sql, literals), {places[name]: value for name, value in values.items()}

    async def _exec_set_system(self, stmt: SetSystemStmt) -> None:
        if stmt.name.startswith(("error.", "script.")):
            raise QueryError(f"System variable @@{stmt.name} is read only", location="query")
        value = await self._eval_expr_scalar(stmt.source_expr)
        if value is not None and stmt.name in _SETTABLE and not isinstance(value, str):
            raise QueryError(f"System variable @@{stmt.name} must have type STRING", location="query")
        default = self._statements.system.dataset or (self._project_id, None)
        match stmt.name:
            case "dataset_id":
                self._statements.use_dataset(default[0], value)
            case "dataset_project_id":
                self._statements.use_dataset(value or self._project_id, default[1])
            case "query_label":
                self.labels = _labels(value or "")
            case "time_zone" if value == "UTC":
                pass
            case "time_zone":
                raise QueryError(
                    f"SET @@time_zone = '{value}' is not supported by the local BigQuery, whose time zone is always UTC: "
                    "name the time zone in the functions",
                    reason="notImplemented",
                    location="query",
                )
            case "reservation":
                raise QueryError(
                    "SET @@reservation is not supported by the local BigQuery",
                    reason="notImplemented",
                    location="query",
                )
            case name if name in self._statements.system.literals():
                raise QueryError(f"System variable @@{name} is read only", location="query")
            case name:
                raise QueryError(f"Unrecognized system variable: @@{name}", location="query")


def _labels(text: str) -> dict[str, str]:
    """Return the labels in a text such as ``key:value,other:value``. Raises ``QueryError`` if it is another one."""
    if not _LABELS.fullmatch(text):
        raise QueryError(
            f"System variable @@query_label must be like 'key:value,other:value', not '{text}'", location="query"
        )
    return dict(pair.strip().split(":", 1) for pair in text.split(",") if pair.strip())
