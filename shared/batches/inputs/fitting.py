"""The SQL that finds rows of requests whose columns the output does not take, before a job is paid for them.

The answers repeat the columns of the requests, so that BigQuery would refuse these rows when the paid answers are moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.checks.identifiers import TableName, column_sql, string_literal
from shared.cloud.tables import PARTITION_IDS, RANGE, Partitioning, TableFacts

# The functions that write a value of a column of partitions as the id of its partition.
_FORMATS = {"DATE": "FORMAT_DATE", "DATETIME": "FORMAT_DATETIME", "TIMESTAMP": "FORMAT_TIMESTAMP"}
_LENGTHS = {"STRING": "CHAR_LENGTH", "BYTES": "BYTE_LENGTH"}
# What is between the name of a rule and the column that breaks it.
SEPARATOR = ":"


def misfit_of(target: TableName, existing: TableFacts, columns: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the SQL of the first rule that a row breaks, as ``rule:column``, or NULL; None if every row fits.

    Args:
        target: The table or the partition to which the answers are added.
        existing: What BigQuery says of the table.
        columns: The columns of the requests, each as a TableFieldSchema.
    """
    given = {str(column["name"]).lower(): str(column["name"]) for column in columns}
    types = {str(column["name"]).lower(): str(column["type"]) for column in columns}
    found = [*_outside_partition(target, existing, given), *_refused_values(existing, given, types)]
    if not found:
        return None
    cases = " ".join(
        f"WHEN {condition} THEN {string_literal(f'{rule}{SEPARATOR}{column}')}" for rule, column, condition in found
    )
    return f"CASE {cases} END"


def _outside_partition(
    target: TableName, existing: TableFacts, given: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Yield the condition for rows of another partition.

    https://docs.cloud.google.com/bigquery/docs/managing-partitioned-table-data
    """
    _, sign, partition = target.table.partition("$")
    partitioning = existing.partitioning
    if not sign or partitioning is None or partitioning.column is None:
        return
    column = given.get(partitioning.column.lower())
    inside = column and _is_inside(column_sql(column), partition, partitioning, existing)
    if column and inside:
        yield "wrong_partition", column, f"NOT IFNULL({inside}, FALSE)"


def _is_inside(column: str, partition: str, partitioning: Partitioning, existing: TableFacts) -> str | None:
    if partitioning.unit == RANGE:
        start = int(partition)
        return f"{column} >= {start} AND {column} < {start + partitioning.numbers.step}"
    types = {str(each["name"]).lower(): str(each["type"]) for each in existing.columns}
    function = _FORMATS.get(types.get(str(partitioning.column).lower(), ""))
    form, _ = PARTITION_IDS.get(partitioning.unit, ("", ""))
    if function is None or not form:
        return None
    return f"{function}({string_literal(form)}, {column}) = {string_literal(partition)}"


def _refused_values(
    existing: TableFacts, given: Mapping[str, str], types: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Yield the conditions for values that columns of the output do not take.

    https://docs.cloud.google.com/bigquery/docs/schemas#modes
    """
    for column in existing.columns:
        name = str(column["name"]).lower()
        if name == "request" or name not in given:
            continue
        sql = column_sql(given[name])
        if column.get("mode") == "REQUIRED":
            yield "null_value", given[name], f"{sql} IS NULL"
        # JSON is only known as a text when it is moved.
        function = _LENGTHS.get(types[name]) if types[name] == column["type"] else None
        if function and column.get("maxLength"):
            yield "long_value", given[name], f"{function}({sql}) > {int(column['maxLength'])}"
