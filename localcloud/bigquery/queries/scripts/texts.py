"""Tells scripts from single statements."""

from __future__ import annotations

import re

from bqemulator.domain.errors import DomainError
from bqemulator.scripting.ast import CreateFunctionStmt, CreateProcedureStmt, SqlStmt, Statement
from bqemulator.scripting.parser import parse_script

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.queries.scripts.parser import AssertStmt
from localcloud.bigquery.queries.scripts.transactions import is_transaction_statement
from localcloud.bigquery.sql.errors.failures import query_error
from localcloud.bigquery.sql.reading.statement import read_statement
from localcloud.bigquery.sql.reading.statement_types import start_of

_TEMPORARY = re.compile(r"\s*CREATE\s+(?:OR\s+REPLACE\s+)?TEMP(?:ORARY)?\b", re.IGNORECASE)
# bqemulator's words for a token that does not fit.
_EXPECTED = re.compile(
    r"Expected (?:keyword '(?P<keyword>\w+)'|'(?P<symbol>[^']+)'|type name), got \w+(?::'(?P<found>[^']*)')?"
)


def is_script(sql: str, *, in_session: bool = False) -> bool:
    """Return whether ``sql`` is a script and not a single statement.

    Args:
        sql: The statement or script.
        in_session: Whether it runs in a session, whose transactions may last longer than a job.

    Raises:
        QueryError: It can't be parsed, or begins or ends a transaction and is neither in a script nor in a session.
    """
    parsed = _parsed(sql)
    if not parsed:
        raise QueryError("Syntax error: Unexpected end of statement", location="query")
    only = parsed[0] if len(parsed) == 1 else None
    if isinstance(only, CreateFunctionStmt) and "." not in only.name and not in_session:
        if _TEMPORARY.match(sql, start_of(sql)):
            message = "CREATE TEMPORARY FUNCTION statements must be followed by an actual query."
        else:
            message = f'Routine name "{only.name}" missing dataset while no default dataset is set in the request.'
        raise QueryError(message, location="query")
    if len(parsed) != 1 or not isinstance(parsed[0], SqlStmt):
        return True
    if is_transaction_statement(parsed[0].sql):
        if in_session:
            return True
        raise QueryError("Transaction control statements are supported only in scripts", location="query")
    return False


def _parsed(sql: str) -> tuple[Statement, ...]:
    """Return the statements of a script. Raises ``QueryError``, in GoogleSQL's words, if it can't be parsed."""
    try:
        return parse_script(sql).statements
    except DomainError as error:
        match = _EXPECTED.fullmatch(str(error.message))
        if match is None:
            raise query_error(error, sql=sql) from error
        wanted = match["keyword"] or match["symbol"] or "a type"
        kind = "keyword " if match["keyword"] else ""
        wanted = wanted if wanted == "a type" or kind else f'"{wanted}"'
        found = match["found"] or ""
        got = f'"{found}"' if found else "end of script"
        raise QueryError(f"Syntax error: Expected {kind}{wanted} but got {got}", location="query") from error


def check_dynamic(sql: str) -> None:
    """Raise ``QueryError`` if the SQL of EXECUTE IMMEDIATE is not one statement, or one that only a script may have.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language#execute_immediate
    """
    parsed = _parsed(sql)
    found = parsed[0] if len(parsed) == 1 else None
    if found is None:
        raise QueryError("SQL of EXECUTE IMMEDIATE must be exactly one statement", location="query")
    if not isinstance(found, (SqlStmt, CreateFunctionStmt, CreateProcedureStmt)):
        kind = type(found).__name__.removesuffix("Stmt")
        raise QueryError(f"SQL of EXECUTE IMMEDIATE contains unsupported statement type: {kind}", location="query")


def script_type(sql: str) -> str:
    """Return the ``statementType`` of a script: SCRIPT, or that of its only statement if it creates a routine or is ASSERT."""
    kind = read_statement(sql, project="").kind
    statements = parse_script(sql).statements
    if len(statements) == 1 and isinstance(statements[0], AssertStmt):
        return "ASSERT"
    return kind if len(statements) == 1 and kind in ("CREATE_FUNCTION", "CREATE_TABLE_FUNCTION") else "SCRIPT"
