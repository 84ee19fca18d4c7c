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
    given = _by_name(columns)
    found = [*_outside_partition(target, existing, given), *_refused_values(existing, given)]
    if not found:
        return None
    cases = " ".join(
        f"WHEN {condition} THEN {string_literal(f'{rule}{SEPARATOR}{column}')}" for rule, column, condition in found
    )
    return f"CASE {cases} END"


def _by_name(columns: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return the name and the type of each column, by its name in lower case."""
    return {str(column["name"]).lower(): (str(column["name"]), str(column["type"])) for column in columns}


def _outside_partition(
    target: TableName, existing: TableFacts, given: Mapping[str, tuple[str, str]]
) -> Iterator[tuple[str, str, str]]:
    """Yield the condition for rows of another partition.

    https://docs.cloud.google.com/bigquery/docs/managing-partitioned-table-data
    """
    _, sign, partition = target.table.partition("$")
    partitioning = existing.partitioning
    if not sign or partitioning is None or partitioning.column is None:
        return
    column, _ = given.get(partitioning.column.lower(), ("", ""))
    inside = column and _is_inside(column_sql(column), partition, partitioning, existing)
    if inside:
        yield "wrong_partition", column, f"NOT IFNULL({inside}, FALSE)"


def _is_inside(column: str, partition: str, partitioning: Partitioning, existing: TableFacts) -> str | None:
    if partitioning.unit == RANGE:
        start = int(partition)
        return f"{column} >= {start} AND {column} < {start + partitioning.numbers.step}"
    _, kind = _by_name(existing.columns).get(str(partitioning.column).lower(), ("", ""))
    function = _FORMATS.get(kind)
    form, _ = PARTITION_IDS.get(partitioning.unit, ("", ""))
    if function is None or not form:
        return None
    return f"{function}({string_literal(form)}, {column}) = {string_literal(partition)}"


def _refused_values(existing: TableFacts, given: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    """Yield the conditions for values that columns of the output do not take.

    https://docs.cloud.google.com/bigquery/docs/schemas#modes
    """
    for column in existing.columns:
        lower = str(column["name"]).lower()
        if lower == "request" or lower not in given:
            continue
        name, kind = given[lower]
        sql = column_sql(name)
        if column.get("mode") == "REQUIRED":
            yield "null_value", name, f"{sql} IS NULL"
        # JSON is only known as a text when it is moved.
        function = _LENGTHS.get(kind) if kind == column["type"] else None
        if function and column.get("maxLength"):
            yield "long_value", name, f"{function}({sql}) > {int(column['maxLength'])}"
