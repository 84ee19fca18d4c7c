"""Runs loops, labels and ASSERT in scripts."""

from __future__ import annotations

from bqemulator.scripting.ast import WhileStmt
from bqemulator.scripting.exceptions import BreakSignal, ContinueSignal

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.queries.scripts.parser import AssertStmt, JumpStmt, LabelledBody, RepeatStmt
from localcloud.bigquery.queries.scripts.variables import VariableScript


class _Jump(Exception):
    """BREAK or CONTINUE of the block or loop with a label."""

    def __init__(self, stmt: JumpStmt) -> None:
        super().__init__(stmt.label)
        self.stmt = stmt


class ControlledScript(VariableScript):
    """An interpreter with the control statements that bqemulator does not have."""

    _STATEMENT_DISPATCH = (
        *VariableScript._STATEMENT_DISPATCH,
        (RepeatStmt, "_exec_repeat"),
        (AssertStmt, "_exec_assert"),
        (LabelledBody, "_exec_labelled"),
        (JumpStmt, "_exec_jump"),
    )

    async def _exec_labelled(self, stmt: LabelledBody) -> None:
        try:
            for each in stmt.body:
                await self._exec_statement(each)
        except _Jump as jump:
            if jump.stmt.label.lower() != stmt.label.lower():
                raise
            if stmt.loop:
                raise (ContinueSignal if jump.stmt.continues else BreakSignal) from None

    async def _exec_jump(self, stmt: JumpStmt) -> None:
        raise _Jump(stmt)

    async def _exec_repeat(self, stmt: RepeatStmt) -> None:
        while True:
            try:
                await self._run_block(stmt.body, frame_kind="loop")
            except BreakSignal:
                return
            except ContinueSignal:
                pass
            if await self._condition(stmt.condition_expr):
                return

    async def _exec_while(self, stmt: WhileStmt) -> None:
        while await self._condition(stmt.condition_expr):
            try:
                await self._run_block(stmt.body, frame_kind="loop")
            except BreakSignal:
                return
            except ContinueSignal:
                continue

    async def _exec_assert(self, stmt: AssertStmt) -> None:
        value = await self._eval_expr_scalar(stmt.condition_expr)
        if value is not None and not isinstance(value, bool):
            raise QueryError("ASSERT expression should have type BOOL", location="query")
        if not value:
            message = await self._eval_expr_scalar(stmt.message_expr) if stmt.message_expr else "Assertion failed"
            raise QueryError(str(message), location="query")
        self._final_table = None
