"""Runs REPEAT and ASSERT in scripts."""

from __future__ import annotations

from bqemulator.scripting.exceptions import BreakSignal, ContinueSignal

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.queries.scripts.parser import AssertStmt, RepeatStmt
from localcloud.bigquery.queries.scripts.transactions import TransactionalScript


class ControlledScript(TransactionalScript):
    """An interpreter with the control statements that bqemulator does not have."""

    _STATEMENT_DISPATCH = (
        *TransactionalScript._STATEMENT_DISPATCH,
        (RepeatStmt, "_exec_repeat"),
        (AssertStmt, "_exec_assert"),
    )

    async def _exec_repeat(self, stmt: RepeatStmt) -> None:
        while True:
            try:
                await self._run_block(stmt.body, frame_kind="loop")
            except BreakSignal:
                return
            except ContinueSignal:
                pass
            if await self._eval_expr_scalar(stmt.condition_expr):
                return

    async def _exec_assert(self, stmt: AssertStmt) -> None:
        value = await self._eval_expr_scalar(stmt.condition_expr)
        if value is not None and not isinstance(value, bool):
            raise QueryError("ASSERT expression should have type BOOL", location="query")
        if not value:
            message = await self._eval_expr_scalar(stmt.message_expr) if stmt.message_expr else "Assertion failed"
            raise QueryError(str(message), location="query")
        self._final_table = None
