"""Checks the ids of projects, datasets and tables, so that none of them is a path or a piece of SQL in DuckDB."""

from __future__ import annotations

import re
import unicodedata

from bqemulator.storage import sql_identifiers

from localcloud.bigquery.base.errors import QueryError

# https://cloud.google.com/resource-manager/docs/creating-managing-projects#before_you_begin
# Shorter ids than Google's are useful in tests.
_PROJECT = re.compile(r"(?:[a-z0-9][a-z0-9.-]*:)?[a-z][a-z0-9-]*")
# https://cloud.google.com/bigquery/docs/datasets#dataset-naming
_DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}")
# A region is a dataset of INFORMATION_SCHEMA's views.
_REGION = re.compile(r"region-[A-Za-z0-9-]+", re.IGNORECASE)
# https://cloud.google.com/bigquery/docs/tables#table_naming ; and the signs of wildcard tables and decorators.
_INFORMATION_SCHEMA = re.compile(r"^INFORMATION_SCHEMA\.(?=[A-Z_]+$)", re.IGNORECASE)
_TABLE_CATEGORIES = frozenset({"Pc", "Pd", "Zs"})
_TABLE_SIGNS = frozenset("*$@")
_LONGEST_TABLE = 1024


def check_table_id(project: str, dataset: str, table: str) -> None:
    """Reject a table whose project, dataset or own id is not one of BigQuery's. Raises ``QueryError``."""
    if not _PROJECT.fullmatch(project):
        raise QueryError(
            f"Invalid project ID '{project}'. Project IDs must contain 6-63 lowercase letters, digits, or dashes. Some "
            "project IDs also include domain name separated by a colon. IDs must start with a letter and may not end with "
            "a dash.",
            reason="invalid",
        )
    if not _REGION.fullmatch(dataset):
        check_dataset_id(dataset, location=f"{dataset}.{table}")
    _check_name(_INFORMATION_SCHEMA.sub("", table, count=1), table, signs=_TABLE_SIGNS)


def check_dataset_id(dataset: str, *, location: str | None = None) -> None:
    """Reject an id that a dataset cannot have; ``location`` is where it was found. Raises ``QueryError``."""
    if not _DATASET.fullmatch(dataset):
        raise QueryError(
            f'Invalid dataset ID "{dataset}". Dataset IDs must be alphanumeric (plus underscores and dashes) and must be '
            "at most 1024 characters long.",
            reason="invalid",
            location=location,
        )


def _check_name(name: str, table: str, *, signs: frozenset[str] = frozenset()) -> None:
    """Reject the name in a table's id unless it has letters, numbers, connectors, dashes, spaces and ``signs`` only."""
    if not name or len(name.encode()) > _LONGEST_TABLE or not all(_is_of_names(c) or c in signs for c in name):
        raise QueryError(
            f'Invalid table ID "{table}". Table IDs must be alphanumeric (plus underscores) and must be at most 1024 '
            "characters long. Also, Table decorators cannot be used.",
            reason="invalid",
        )


def _is_of_names(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LMN" or category in _TABLE_CATEGORIES


_checked_by_bqemulator = sql_identifiers._validate_sql_id


def _checked(value: str, kind: str) -> str:
    if kind != "table":
        return _checked_by_bqemulator(value, kind)
    _check_name(value, value)
    return value


# bqemulator refuses tables whose names have spaces, or letters beyond ASCII.
sql_identifiers._validate_sql_id = _checked
