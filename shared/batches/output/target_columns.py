"""Whether the answers of a batch can be written into a table, and fit its columns, known before a job is paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.batches.inputs.rules import Requests
from shared.batches.output.places import ANSWERS, REQUESTS, reads
from shared.batches.request import BatchRequest, Output, Prompts
from shared.checks.identifiers import TableName
from shared.checks.merge_keys import check_key, type_of
from shared.cloud.tables import RANGE, TableFacts
from shared.engine.services import Services
from shared.errors import Rejected

# The types that a value is converted to when it is inserted:
# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules#coercion
# The step `move` converts STRING and JSON into each other.
_CONVERTED: Mapping[str, frozenset[str]] = {
    "INT64": frozenset({"NUMERIC", "BIGNUMERIC", "FLOAT64"}),
    "NUMERIC": frozenset({"BIGNUMERIC", "FLOAT64"}),
    "BIGNUMERIC": frozenset({"FLOAT64"}),
    "DATE": frozenset({"DATETIME"}),
    "STRING": frozenset({"JSON"}),
    "JSON": frozenset({"STRING"}),
}
# The columns that Vertex AI adds to those of the input.
ANSWER_COLUMNS = ("response", "status")

_OUTPUT = "output"


def check_target(
    request: BatchRequest,
    target: TableName,
    read: tuple[TableName, ...],
    columns: tuple[Mapping[str, Any], ...],
    services: Services,
) -> None:
    """Raise ``Rejected`` if writing the answers into ``target`` would lose rows, or cannot succeed.

    Args:
        request: The request.
        target: The table for the answers.
        read: The tables that the input reads, also through views.
        columns: The columns of the input that the answers repeat; none if they are not known.
        services: The services of this process.
    """
    output = request.output or Output(target)
    if target.table.startswith((REQUESTS, ANSWERS)):
        raise Rejected(
            f"the names of tables that begin with {REQUESTS} or {ANSWERS} are kept for Modeldrop's own; write another one",
            field=_OUTPUT,
            code="reserved_table",
        )
    # A query of prompts has ended before its output is written, so it may read what is added to.
    if reads(read, target) and (output.write == "truncate" or not isinstance(request.input, Prompts)):
        raise Rejected(
            f"the output {target} is the input of the batch, or is read by it; write another table",
            field=_OUTPUT,
            code="output_is_input",
        )
    check_key(output.key, columns, "the requests")
    facts = services.tables.describe(target, _OUTPUT)
    if facts is not None and facts.kind != "TABLE":
        raise Rejected(f"{target} is not a table but a {facts.kind.lower()}", field=_OUTPUT, code="not_a_table")
    _check_partition(target, facts, columns)
    if facts is None:
        return
    if output.write in {"merge", "empty"} and facts.needs_filter and "$" not in target.table:
        raise Rejected(
            f"the table {target} is only read with a filter on its partitions (require_partition_filter), and output.write "
            f"{output.write} reads it as a whole: let it be append, or write another table",
            field=_OUTPUT,
            code="filter_needed",
        )
    if output.write == "empty" and facts.rows:
        _check_empty(target, facts, services)
    if output.write != "truncate" or "$" in target.table:
        added = ANSWER_COLUMNS if request.kind is Requests.GENERATE else ()
        converts = "$" not in target.table
        check_target_columns(target, facts.columns, columns, added, converts=converts, field=_OUTPUT)


def _check_empty(target: TableName, facts: TableFacts, services: Services) -> None:
    """Raise ``Rejected`` if a table that has rows is to be empty, or the partition of it that ``target`` names."""
    if "$" not in target.table:
        found, others = f"the table {target} has {facts.rows:,} rows", "truncate, or merge with a key"
    elif services.tables.has_rows(target, facts.columns[0], _OUTPUT):
        found, others = f"the partition {target} has rows", "truncate, which replaces the rows of the partition alone"
    else:
        return
    raise Rejected(
        f"{found}, and output.write is empty; write another table, or let output be "
        f'{{"table": "bq://{target}", "write": "append"}} (or {others})',
        field=_OUTPUT,
        code="output_not_empty",
    )


def _check_partition(target: TableName, facts: TableFacts | None, columns: Sequence[Mapping[str, Any]]) -> None:
    """Raise ``Rejected`` if ``target`` is a partition that its table cannot have, or that the answers do not belong to."""
    table, sign, partition = str(target).partition("$")
    if not sign:
        return
    partitioning = None if facts is None else facts.partitioning
    if partitioning is None:
        problem = "does not exist" if facts is None else "is not partitioned"
        raise Rejected(
            f"the table {table} {problem}, so it has no partition {partition}: create it with PARTITION BY, or let the output "
            "be the whole table",
            field=_OUTPUT,
            code="no_partition",
        )
    if not partitioning.has(partition):
        kind = "ranges of numbers" if partitioning.unit == RANGE else f"{partitioning.unit.lower()}s"
        raise Rejected(
            f"the table {table} is partitioned by {kind}, and {partition[:80]} is not the id of such a partition; write "
            f"{table}${partitioning.example}, for example",
            field=_OUTPUT,
            code="no_partition",
        )
    # The values of the column must belong to the partition: https://docs.cloud.google.com/bigquery/docs/managing-partitioned-table-data
    column = partitioning.column
    if columns and column is not None and column.lower() not in {str(each["name"]).lower() for each in columns}:
        raise Rejected(
            f"the table {table} is partitioned by its column {column}, which the answers do not have, so that they belong to "
            f"no partition {partition}: add the column to the input, or write another table",
            field=_OUTPUT,
            code="missing_column",
        )


def check_target_columns(
    target: TableName,
    existing: Sequence[Mapping[str, Any]],
    columns: Sequence[Mapping[str, Any]],
    added: Sequence[str],
    *,
    converts: bool,
    field: str,
) -> None:
    """Raise ``Rejected`` unless the answers can be added to a table.

    Args:
        target: The table.
        existing: Its columns, each as a TableFieldSchema.
        columns: The columns of the requests, which the answers repeat; none if they are not known.
        added: The names of the columns that Vertex AI adds, which are STRING or JSON.
        converts: Whether values are converted to the types of the table, which only a statement does. A job that writes the
            table as its destination needs the same types.
        field: The field of the batch request that names the table.
    """
    known = {str(column["name"]).lower(): column for column in existing}
    answers = {str(column["name"]).lower(): column for column in columns}
    answers |= {name: {"name": name, "type": "STRING"} for name in added}
    if missing := [name for name in answers if name not in known]:
        raise Rejected(
            f"the table {target} has no column {', '.join(missing)}, which the answers have; write another table, or add "
            "the columns",
            field=field,
            code="missing_column",
        )
    for name, column in answers.items():
        given, wanted = type_of(column), type_of(known[name])
        # The types of the columns that Vertex AI adds are not documented.
        allowed = _CONVERTED.get(given, frozenset()) if converts or name in added else frozenset()
        if given and given != wanted and wanted not in allowed:
            raise Rejected(
                f"the column {name} of the table {target} is of type {wanted}, and the answers have {given}: write another "
                "table, or give the column that type",
                field=field,
                code="wrong_type",
            )
    needed = [
        str(column["name"])
        for name, column in known.items()
        if column.get("mode") == "REQUIRED" and not column.get("defaultValueExpression") and name not in answers
    ]
    if needed and columns:
        raise Rejected(
            f"the table {target} requires a value in the column {', '.join(needed)}, which the answers do not have: write "
            "another table, or let the column be NULL",
            field=field,
            code="missing_column",
        )
