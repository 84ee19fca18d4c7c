"""The rules for the columns of a table of requests, and of the query that prompts come from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.batches.inputs.rules import Requests
from shared.errors import Rejected

# Names of the answers' own columns, and one that Vertex AI adds while it works:
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-bigquery
# https://github.com/googleapis/python-aiplatform/issues/4110
RESERVED_COLUMNS = frozenset({"response", "status", "processed_time", "_vertex_row_id"})
# https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference/new-job-from-bigquery
FORBIDDEN_TYPES = frozenset({"STRUCT", "RECORD", "RANGE", "DATETIME", "GEOGRAPHY"})
# The column that holds a request, or the text to embed.
REQUEST_COLUMNS: Mapping[Requests, str] = {Requests.GENERATE: "request", Requests.TEXT_EMBEDDING: "content"}
# https://docs.cloud.google.com/bigquery/docs/schemas#column_names
_PREFIXES = (
    "_TABLE_",
    "_FILE_",
    "_PARTITION",
    "_ROW_TIMESTAMP",
    "__ROOT__",
    "_COLIDENTIFIER",
    "_CHANGE_SEQUENCE_NUMBER",
    "_CHANGE_TYPE",
    "_CHANGE_TIMESTAMP",
)
_FORBIDDEN_CHARACTERS = re.compile(r"[!\"$()*,./;?@\[\\\]^`{}~]")
LONGEST_COLUMN = 300
# How BigQuery names a column of a query that has no name.
_UNNAMED = re.compile(r"f[0-9]+_")


def has_kept_prefix(name: str) -> bool:
    """Return whether the name of a column begins with a name that BigQuery keeps for itself."""
    return name.upper().startswith(_PREFIXES)


def can_be_a_column(name: str) -> bool:
    """Return whether a column of a table may have this name."""
    return not (has_kept_prefix(name) or _FORBIDDEN_CHARACTERS.search(name) or not 0 < len(name) <= LONGEST_COLUMN)


def check_table_columns(columns: Sequence[Mapping[str, Any]], field: str, kind: Requests = Requests.GENERATE) -> bool:
    """Raise ``Rejected`` unless Vertex AI takes a table of these columns.

    Args:
        columns: The columns of the table, each as a TableFieldSchema.
        field: The field of the batch request that names the table.
        kind: The kind of the requests.

    Returns:
        Whether the requests are of type JSON, not STRING.
    """
    needed = REQUEST_COLUMNS[kind]
    is_json = _check_needed(columns, needed, field)
    if kind is Requests.TEXT_EMBEDDING and is_json:
        raise Rejected(f"the column {needed} must be STRING, not JSON", field=field, code="wrong_type")
    _check_others(columns, field, needed)
    return is_json


def check_query_columns(
    columns: Sequence[Mapping[str, Any]], field: str, *, file_columns: Iterable[str] = ()
) -> tuple[str, ...]:
    """Raise ``Rejected`` unless a table of requests can be built from a query with these columns.

    Args:
        columns: The columns of the query, each as a TableFieldSchema.
        field: The field of the batch request that holds the query.
        file_columns: The columns that hold addresses of files, which may be arrays.

    Returns:
        The names of the columns that go with each request: all but the prompt and arrays of files.
    """
    for number, column in enumerate(columns, start=1):
        if not column["name"] or _UNNAMED.fullmatch(column["name"]):
            raise Rejected(
                f"column {number} of the query has no name: write AS and a name after it",
                field=field,
                code="unnamed_column",
            )
    _check_needed(columns, "prompt", field)
    names = {name.lower() for name in file_columns}
    prompt = next(column for column in columns if column["name"].lower() == "prompt")
    others = [
        column
        for column in columns
        if column is not prompt and not (column["name"].lower() in names and column.get("mode") == "REPEATED")
    ]
    for column in others:
        if column["name"].lower() == "request":
            raise Rejected(
                f"the query has a column {column['name']}, which the request needs for itself: give it another name",
                field=field,
                code="reserved_column",
            )
    _check_others([prompt, *others], field, "prompt")
    return tuple(column["name"] for column in others)


def _check_needed(columns: Sequence[Mapping[str, Any]], needed: str, field: str) -> bool:
    """Raise ``Rejected`` unless the column is there, STRING or JSON; return whether it is JSON."""
    found = [column for column in columns if column["name"].lower() == needed]
    if not found:
        there = ", ".join(str(column["name"])[:80] for column in columns[:10]) or "none"
        raise Rejected(f"{field} has no column {needed}; its columns are {there}", field=field, code="missing_column")
    column = found[0]
    # Vertex AI looks for the column by its name in lower case; a query of ours finds it in any case.
    if needed != "prompt" and column["name"] != needed:
        raise Rejected(
            f"the column {column['name']} must be named {needed}, in lower case: rename it, or use a view",
            field=field,
            code="wrong_column_name",
        )
    kind = "ARRAY" if column.get("mode") == "REPEATED" else column["type"]
    if kind not in {"STRING", "JSON"}:
        raise Rejected(f"the column {needed} must be STRING or JSON, not {kind}", field=field, code="wrong_type")
    return bool(kind == "JSON")


def _check_others(columns: Sequence[Mapping[str, Any]], field: str, needed: str) -> None:
    """Raise ``Rejected`` if a column may not go with the requests."""
    seen: set[str] = set()
    for column in columns:
        name = column["name"]
        lower = name.lower()
        if lower in seen:
            raise Rejected(f"the column {name} is there twice: rename one", field=field, code="duplicate_column")
        seen.add(lower)
        if lower in RESERVED_COLUMNS:
            raise Rejected(
                f"the column {name} is reserved for the answers: rename it, or leave it out",
                field=field,
                code="reserved_column",
            )
        if not can_be_a_column(name):
            raise Rejected(
                f"{name[:80]!r} cannot name a column of a table: it begins with a name that BigQuery keeps for itself, "
                f"has a character that no column may have, or has more than {LONGEST_COLUMN} characters",
                field=field,
                code="invalid_column_name",
            )
        kind = "ARRAY" if column.get("mode") == "REPEATED" else column["type"]
        if lower != needed and (kind == "ARRAY" or kind in FORBIDDEN_TYPES):
            raise Rejected(
                f"the column {name} is of type {kind}, which a batch does not take: convert it to STRING, or leave it out",
                field=field,
                code="wrong_type",
            )
