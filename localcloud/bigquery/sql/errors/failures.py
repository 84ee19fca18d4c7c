"""Translates the engine's errors to BigQuery's: the reason, and BigQuery's wording where it is known."""

from __future__ import annotations

import logging
import re

import duckdb
from bqemulator.domain.errors import DomainError, InvalidQueryError
from bqemulator.jobs.error_mapper import translate_runtime_error
from bqemulator.scripting.exceptions import ScriptRaise

from localcloud.base.background import NO_ROOM, in_words
from localcloud.bigquery.base.errors import STATUS_BY_REASON, NotFound, QueryError
from localcloud.bigquery.sql.errors.coercions import coercion_failure
from localcloud.bigquery.sql.errors.function_errors import function_error
from localcloud.bigquery.sql.errors.syntax import syntax_failure, unclosed_literal
from localcloud.bigquery.sql.errors.wording import plain, worded
from localcloud.bigquery.sql.reading.depth import too_deep
from localcloud.bigquery.sql.reading.googlesql import FUNCTIONS
from localcloud.bigquery.sql.reading.tokens import position
from localcloud.storage.rules.errors import StorageError

_MISSING_COLUMN = re.compile(
    r'Referenced (?:column|table) "(?P<name>[^"]+)" (?:was )?not found|does not have a column named "(?P<of>[^"]+)"'
    r'|Column "(?P<alias>[^"]+)" referenced that exists in the SELECT clause'
)
_MISSING_TABLE = re.compile(r'Table with name "?(?P<table>[^"]+?)"? does not exist')
_MISSING_SCHEMA = re.compile(r'schema "(?P<schema>[^"]+)" does not exist')
_MISSING_FUNCTION = re.compile(
    r'(?:Scalar|Table|Aggregate|Macro)? ?Function (?:with name "?(?P<name>[\w.]+)"? does not exist'
    r'|"(?P<of_tables>[\w.]+)" is a table function but it was used as a scalar function)'
)
# The name of a routine in DuckDB.
_ROUTINE = re.compile(r"(?P<project>\w+?)__(?P<dataset>\w+?)__(?P<routine>\w+)")
_NAMED_TABLE = re.compile(r'"(?P<schema>[A-Za-z0-9_\-]+__[A-Za-z0-9_\-]+)"\."(?P<table>[^"]+)"')
_EMULATOR_NAME = re.compile(r"(?P<kind>dataset|table|model|routine|job):(?P<name>[\w\-.$]+)")
_LISTS_SIGNATURES = re.compile(r"No matching signature for function (?P<name>\w+)\n.*Signature:", re.DOTALL)
_LOGGER = logging.getLogger(__name__)
_UNCLOSED = "Unterminated string literal"
_KIND = {"dataset": "Dataset", "table": "Table", "model": "Model", "routine": "Routine", "job": "Job"}


class ScriptFailure(InvalidQueryError):
    """A ``QueryError`` of a script's statement, with the text of the statement."""

    def __init__(self, error: QueryError, sql: str) -> None:
        """Wrap ``error``."""
        super().__init__(error.message)
        self.error = error
        self.sql = sql


_DEFECT = "The local BigQuery fails here because of a defect of its own. The output of the local cloud has the details."


def query_error(
    error: BaseException, *, sql: str = "", duckdb_sql: str | None = None, location: str = "US"
) -> QueryError:
    """Return the error for the client after an exception while a statement ran.

    Args:
        error: The exception, from DuckDB, bqemulator or any other code.
        sql: The statement as the client wrote it, to find the position of the error.
        duckdb_sql: The SQL that DuckDB ran, to complete table names.
        location: The location of the job.
    """
    if isinstance(error, QueryError):
        return error
    if isinstance(error, ScriptFailure):
        return error.error
    if isinstance(error, ScriptRaise):
        return QueryError(error.message, location="query")
    if isinstance(error, StorageError):
        reason = error.reason if error.reason in STATUS_BY_REASON else "invalid"
        return QueryError(str(error), reason=reason, status=error.code)
    text = str(error)
    if (deep := too_deep(error)) is not None:
        return deep
    if isinstance(error, DomainError):
        cause = error.__cause__
        if isinstance(cause, duckdb.Error):
            error, text = cause, str(cause)
        else:
            return _from_domain(error, sql)
    raised = function_error(text)
    if raised is not None:
        return raised
    if isinstance(error, OSError | duckdb.IOException | duckdb.TransactionException) and in_words(error) == NO_ROOM:
        return QueryError(f"The job could not store its result: {NO_ROOM}.", reason="jobBackendError")
    if isinstance(error, duckdb.Error):
        known = _from_duckdb(text, sql=sql, duckdb_sql=duckdb_sql, location=location)
        if known is not None:
            return known
        if isinstance(error, duckdb.ParserException):
            return syntax_failure(sql) or QueryError(_unsupported(sql, text), location="query")
        if isinstance(error, duckdb.OutOfMemoryException):
            return QueryError("Resources exceeded during query execution: out of memory.", reason="resourcesExceeded")
        found = translate_runtime_error(error, duckdb_sql=duckdb_sql)
        if found.bq_reason != "invalidQuery":
            return _from_domain(found, sql)
        return QueryError(_with_place(worded(text), sql), location="query")
    _LOGGER.error("a defect of the local BigQuery", exc_info=error)
    # Clients repeat what fails with an internal error for up to 40 minutes, and a defect fails each time.
    return QueryError(_DEFECT, reason="notImplemented")


def _from_domain(error: DomainError, sql: str) -> QueryError:
    reason = error.bq_reason if error.bq_reason in STATUS_BY_REASON else "invalidQuery"
    message = error.message.removeprefix("Query execution failed: ")
    if message.startswith("Syntax error") and (failure := syntax_failure(sql)) is not None:
        return failure
    if message == _UNCLOSED:
        return unclosed_literal(sql)
    return QueryError(plain_names(worded(message)), reason=reason, location=error.location, status=error.http_status)


def _unsupported(sql: str, text: str) -> str:
    """Return the message for valid GoogleSQL that DuckDB can't parse."""
    near = re.search(r'at or near ("[^"]*")', text)
    verb = re.search(r"[A-Za-z]+", sql)
    where = f" near {near[1]}" if near else ""
    return f"This {verb[0].upper() if verb else ''} statement is not supported by the local BigQuery{where}"


def plain_names(message: str) -> str:
    """Return a message of bqemulator with BigQuery's resource names: ``Table p:d.t`` for ``table:p.d.t``."""

    def named(match: re.Match[str]) -> str:
        project, _, rest = match["name"].partition(".")
        return f"{_KIND[match['kind']]} {project}:{rest}" if rest else match[0]

    return _EMULATOR_NAME.sub(named, message) if message.startswith(("Not found", "Already Exists")) else plain(message)


def _from_duckdb(text: str, *, sql: str, duckdb_sql: str | None, location: str) -> QueryError | None:
    if match := _MISSING_SCHEMA.search(text):
        project, separator, dataset = match["schema"].partition("__")
        if separator:
            return NotFound(f"Not found: Dataset {project}:{dataset} was not found in location {location}")
    if match := _MISSING_TABLE.search(text):
        name = _full_name(match["table"], duckdb_sql)
        if name is None:
            table = match["table"].rpartition(".")[2].strip('"')
            return QueryError(
                f'Table "{table}" must be qualified with a dataset (e.g. dataset.table).', location="query"
            )
        return NotFound(f"Not found: Table {name} was not found in location {location}")
    if match := _MISSING_COLUMN.search(text):
        name = match["name"] or match["of"] or match["alias"]
        return QueryError(f"Unrecognized name: {name}{_place(name, sql)}", location="query")
    if match := _MISSING_FUNCTION.search(text):
        name = match["name"] or match["of_tables"]
        if (routine := _ROUTINE.fullmatch(name)) is not None:
            found = re.search(rf"`?\b{routine['dataset']}`?\.`?{routine['routine']}\b`?", sql, re.IGNORECASE)
            name = found.group(0).replace("`", "") if found else f"{routine['dataset']}.{routine['routine']}"
        else:
            found = re.search(rf"\b{re.escape(name)}\b", sql, re.IGNORECASE)
            name = found.group(0) if found else name  # DuckDB reports the name in lower case
        place = f" at {position(sql, found.start())}" if found else ""
        if name.upper() in FUNCTIONS:
            return QueryError(f"The function {name.upper()} is not in the local BigQuery{place}", location="query")
        return QueryError(f"Function not found: {name}{place}", location="query")
    message = coercion_failure(text, sql)
    return None if message is None else QueryError(message, location="query")


def _with_place(message: str, sql: str) -> str:
    """Return a message that lists the signatures of a function, with the place of its call."""
    match = _LISTS_SIGNATURES.match(message)
    found = re.search(rf"\b{match['name']}\b", sql, re.IGNORECASE) if match else None
    return f"{message} at {position(sql, found.start())}" if found else message


def _full_name(table: str, duckdb_sql: str | None) -> str | None:
    """Return the full name of a table of a statement, or None if it has no dataset."""
    table = table.rpartition(".")[2].strip('"')
    for match in _NAMED_TABLE.finditer(duckdb_sql or ""):
        if match["table"].lower() == table.lower():
            project, _, dataset = match["schema"].partition("__")
            return f"{project}:{dataset}.{match['table']}"
    return None


def _place(name: str, sql: str) -> str:
    """Return `` at [line:column]`` of the first use of ``name``, both counted from 1, as in BigQuery's messages."""
    match = re.search(rf"\b{re.escape(name)}\b", sql, re.IGNORECASE)
    if match is None:
        return ""
    before = sql[: match.start()]
    return f" at [{before.count(chr(10)) + 1}:{match.start() - before.rfind(chr(10))}]"
