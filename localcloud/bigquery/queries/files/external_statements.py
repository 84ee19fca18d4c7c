"""Carries out CREATE EXTERNAL TABLE over files.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#create_external_table_statement
"""

from __future__ import annotations

import re

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.options import OptionValue, take_options
from localcloud.bigquery.ml.objects.statements import table_name
from localcloud.bigquery.queries.definitions.table_options import apply_options, check_options, kept_values
from localcloud.bigquery.queries.files.external_definitions import definition_of
from localcloud.bigquery.queries.files.external_tables import ExternalTables
from localcloud.bigquery.queries.files.load_data import LoadData, file_options, take_columns
from localcloud.bigquery.queries.files.load_statements import load_configuration
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.sql.reading.tokens import Cursor

_CREATE = re.compile(r"\s*CREATE\s+(?:OR\s+REPLACE\s+)?EXTERNAL\s+TABLE\b", re.IGNORECASE)
_OF_TABLE = frozenset({"DESCRIPTION", "FRIENDLY_NAME", "LABELS", "EXPIRATION_TIMESTAMP", "MAX_STALENESS"})


def create_external_table(
    sql: str, statements: Statements, external: ExternalTables, *, dry_run: bool = False
) -> tuple[TableName, str] | None:
    """Create an external table over files; return it and the operation, or None for any other statement.

    Raises:
        NotFound: The dataset does not exist, or there are no files and no list of columns.
        QueryError: The statement or a file is not valid, or the table exists.
    """
    if _CREATE.match(sql) is None:
        return None
    cursor = Cursor(sql)
    cursor.take_words("CREATE")
    replaces = cursor.take_words("OR", "REPLACE")
    cursor.take_words("EXTERNAL", "TABLE")
    guarded = cursor.take_words("IF", "NOT", "EXISTS")
    parts, _ = cursor.take_path()
    columns = take_columns(cursor)
    if cursor.take_words("WITH"):
        raise QueryError(
            "CREATE EXTERNAL TABLE over files with WITH PARTITION COLUMNS or WITH CONNECTION is not supported by the local "
            "BigQuery.",
            reason="notImplemented",
            location="query",
        )
    cursor.expect_word("OPTIONS")
    given = take_options(cursor)
    cursor.expect_end()
    options: dict[str, OptionValue] = {name: value for name, value in given.items() if name in _OF_TABLE}
    files = file_options(
        {name: value for name, value in given.items() if name not in _OF_TABLE}, "CREATE EXTERNAL TABLE"
    )
    table = table_name(parts, statements.project, statements.default_dataset)
    table.check()
    check_options(options)
    kept_values(options, statements)
    exists = external.require_missing_or_external(table)
    if exists and guarded:
        return table, "SKIP"
    if exists and not replaces:
        raise QueryError(f"Already Exists: Table {table}", reason="duplicate")
    if not dry_run:
        configuration = load_configuration(LoadData(table, True, columns, files), statements)
        external.create(table, definition_of(configuration), location=statements.location)
        apply_options(options, table, statements)
    return table, "REPLACE" if exists else "CREATE"
