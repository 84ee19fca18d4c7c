"""Whether the answers of a batch fit the columns of the table that they are added to, known before a job is paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.checks.identifiers import TableName
from shared.checks.merge_keys import type_of
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
