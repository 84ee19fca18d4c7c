"""The transactions and the exception handlers of scripts.

https://cloud.google.com/bigquery/docs/transactions
"""

from __future__ import annotations

from contextlib import suppress

from bqemulator.domain.errors import DomainError
from bqemulator.scripting.ast import BeginStmt, RaiseStmt
from bqemulator.scripting.exceptions import ReturnSignal, ScriptRaise
from bqemulator.scripting.interpreter import ScriptInterpreter, ScriptResult, _classify_txn_statement
from bqemulator.scripting.parser import parse_script

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.queries.scripts.traces import frames_of, trace_variables
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.errors.failures import ScriptFailure, query_error
from localcloud.bigquery.sql.reading.statement import Statement
from localcloud.bigquery.sql.reading.statement_types import DML_TYPES
from localcloud.bigquery.sql.values.parameters import Value
from localcloud.bigquery.tables.transactions import Transaction

_CATCHABLE = (DomainError, QueryError, ScriptRaise)


class TransactionalScript(ScriptInterpreter):
    """bqemulator's interpreter with BigQuery's transactions and handlers."""

    def __init__(self, statements: Statements) -> None:
        """Create an interpreter without a transaction."""
        super().__init__(statements.context, statements.project, caller=statements.caller)
        self._statements = statements
        # The errors whose handlers run, the innermost last.
        self._caught: list[Exception] = []
        self._source = ""

    async def run(self, source: str) -> ScriptResult:
        """Run a script, and roll back the transaction that it leaves open, unless its session goes on with it."""
        try:
            with suppress(ReturnSignal):
                await self.run_statements(source)
        finally:
            self._statements.transactions.end_of_job()
            if self._temp_routines is not None:
                self._temp_routines.cleanup()
        return ScriptResult(final_table=self._final_table, statements_executed=self._statements_executed)

    async def run_statements(self, source: str) -> None:
        """Run the statements of a script, or of the body of a procedure."""
        self._source = source
        for statement in parse_script(source).statements:
            await self._exec_statement(statement)

    # Handlers

    async def _exec_begin(self, stmt: BeginStmt) -> None:
        try:
            await self._run_block(stmt.body, frame_kind="block")
        except _CATCHABLE as error:
            if stmt.exception_handler is None:
                raise
            self._caught.append(error)
            try:
                await self._run_block(stmt.exception_handler, frame_kind="block")
            finally:
                self._caught.pop()

    async def _exec_raise(self, stmt: RaiseStmt) -> None:
        if stmt.message_expr is not None:
            await super()._exec_raise(stmt)
        if not self._caught:
            raise QueryError("Cannot re-raise an existing exception outside of an exception handler", location="query")
        raise self._caught[-1]

    def error_variables(self) -> dict[str, Value]:
        """Return the values of the system variables about the error whose handler runs; none outside of handlers.

        https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language#beginexceptionend
        """
        if not self._caught:
            return {}
        error = self._caught[-1]
        text = error.sql if isinstance(error, ScriptFailure) else None
        return {
            "error.message": Value(query_error(error).message, "VARCHAR"),
            "error.statement_text": Value(text or None, "VARCHAR"),
        } | trace_variables(frames_of(error, self._source, None))

    # Transactions

    async def _handle_txn_statement(self, op: str) -> None:
        transactions = self._statements.transactions
        is_open = transactions.active is not None
        if is_open == (op == "BEGIN"):
            what = "a transaction is already active" if is_open else "there is no active transaction"
            raise QueryError(f"{op} TRANSACTION is not possible: {what}", location="query")
        if op == "BEGIN":
            transactions.active = Transaction(self._statements.destinations)
            return
        ended, transactions.active = transactions.active, None
        if ended is not None and op == "COMMIT":
            ended.commit()
        elif ended is not None:
            ended.roll_back()

    def check_definition(self, statement: Statement) -> None:
        """Raise ``QueryError`` if a statement defines something permanent in a transaction."""
        if not statement.is_temporary:
            self.check_permanent(statement.kind)

    def check_permanent(self, kind: str) -> None:
        """Raise ``QueryError`` if a statement of a type, which is about something permanent, defines it in a transaction."""
        if self._statements.transactions.active is not None and kind.startswith(("CREATE_", "DROP_", "ALTER_")):
            raise QueryError(
                f"{kind} is not supported in a transaction, which can only define temporary tables and functions",
                location="query",
            )

    def check_load(self) -> None:
        """Raise ``QueryError`` if a statement loads files in a transaction."""
        if self._statements.transactions.active is not None:
            raise QueryError("LOAD DATA is not supported in a transaction", location="query")

    def _before_change(self, statement: Statement) -> None:
        """Have the open transaction copy the table that a statement changes."""
        transaction = self._statements.transactions.active
        if transaction is not None and statement.kind in DML_TYPES:
            transaction.before_change(statement.target, statement.written_table)


def is_transaction_statement(sql: str) -> bool:
    """Return whether a statement begins or ends a transaction."""
    return _classify_txn_statement(sql) is not None
