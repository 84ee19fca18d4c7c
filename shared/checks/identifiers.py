"""Names of tables, models and other things in requests: checked against a pattern, and quoted for a statement.

BigQuery's query parameters cannot replace names, so a name becomes part of a statement. Every such name goes through this
module. https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/lexical
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from shared.errors import Rejected

# https://docs.cloud.google.com/resource-manager/docs/creating-managing-projects, with an optional domain before it.
PROJECT = r"(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*:)?[a-z][a-z0-9-]{2,61}[a-z0-9]"
_PROJECT = re.compile(PROJECT)
# https://docs.cloud.google.com/bigquery/docs/datasets#dataset-naming
LONGEST_DATASET = 1024
_DATASET = re.compile(rf"[A-Za-z0-9_]{{1,{LONGEST_DATASET}}}")
# Stricter than BigQuery, which also allows spaces and letters of all scripts. A partition may follow after a `$`.
_TABLE = re.compile(r"[A-Za-z0-9_-]{1,1024}(?:\$[A-Za-z0-9_]{1,20})?")
# https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/models#ModelReference
LONGEST_MODEL = 1024
_MODEL = re.compile(rf"[A-Za-z0-9_]{{1,{LONGEST_MODEL}}}")
# Models that were not created by Modeldrop may have a hyphen, as in Google's own tutorials.
_EXISTING_MODEL = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_MODEL}}}")
# https://docs.cloud.google.com/bigquery/docs/schemas#column_names
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
# https://docs.cloud.google.com/bigquery/docs/labels-intro#requirements
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
# https://docs.cloud.google.com/storage/docs/buckets#naming
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


# Characters that no table has in its name, and that have a meaning in an address.
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f/\\?#%&\"'`.]")
# Parts of a path that lead elsewhere, or nowhere.
_NO_PARTS = frozenset({"", ".", ".."})


def _check(pattern: re.Pattern[str], text: str, what: str, allowed: str, field: str | None) -> str:
    if not pattern.fullmatch(text):
        shown = text if len(text) <= 80 else text[:77] + "..."
        raise Rejected(f"{shown!r} is not a valid {what}: {allowed}", field=field, code="invalid_name")
    return text


def check_column(text: str, field: str | None = None) -> str:
    """Return ``text`` if it can name a column; raise ``Rejected`` if not."""
    return _check(_COLUMN, text, "column name", "letters, digits and underscores, not beginning with a digit", field)


def check_parameter(text: str, field: str | None = None) -> str:
    """Return ``text`` if it can name a query parameter; raise ``Rejected`` if not."""
    return _check(_PARAMETER, text, "parameter name", "letters, digits and underscores", field)


def check_bucket(text: str, field: str | None = None) -> str:
    """Return ``text`` if it can name a bucket; raise ``Rejected`` if not."""
    return _check(_BUCKET, text, "bucket name", "lower-case letters, digits, dots, hyphens and underscores", field)


def check_label(key: str, value: str, field: str) -> None:
    """Raise ``Rejected`` unless ``key: value`` can be a label."""
    _check(_LABEL_KEY, key, "label key", "up to 63 of a-z, 0-9, _ and -, beginning with a letter", field)
    _check(_LABEL_VALUE, value, "label value", "up to 63 of a-z, 0-9, _ and -", f"{field}.{key}")


@dataclass(frozen=True)
class DatasetName:
    """A dataset of a project."""

    project: str
    dataset: str

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}"


@dataclass(frozen=True)
class TableName:
    """A table or view, with its project."""

    project: str
    dataset: str
    table: str

    @classmethod
    def parse(cls, text: str, *, project: str, field: str | None = None) -> TableName:
        """Parse ``dataset.table`` or ``project.dataset.table``; raise ``Rejected`` if it is neither."""
        return cls(*_three_parts(text, project, _TABLE, "table", field))

    @property
    def dataset_name(self) -> DatasetName:
        """The name of the dataset."""
        return DatasetName(self.project, self.dataset)

    @property
    def sql(self) -> str:
        """The quoted name, for a statement."""
        return f"`{self}`"

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.table}"


@dataclass(frozen=True)
class RoutineName:
    """A function, table function or procedure, with its project."""

    project: str
    dataset: str
    routine: str

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.routine}"


@dataclass(frozen=True)
class ModelName:
    """A BigQuery ML model, with its project."""

    project: str
    dataset: str
    model: str

    @classmethod
    def parse(cls, text: str, *, project: str, field: str | None = None) -> ModelName:
        """Parse the name of an existing model: ``dataset.model`` or ``project.dataset.model``."""
        return cls(*_three_parts(text, project, _EXISTING_MODEL, "model", field))

    @classmethod
    def parse_new(cls, text: str, *, project: str, field: str | None = None) -> ModelName:
        """Parse the name of a model to create. It may have no hyphen."""
        return cls(*_three_parts(text, project, _MODEL, "model", field))

    @property
    def dataset_name(self) -> DatasetName:
        """The name of the dataset."""
        return DatasetName(self.project, self.dataset)

    @property
    def sql(self) -> str:
        """The quoted name, for a statement."""
        return f"`{self}`"

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.model}"


def is_object_name(project: str, dataset: str, name: str) -> bool:
    """Return whether BigQuery can have a table, view, routine or model of this name; it may be of any script.

    The views of INFORMATION_SCHEMA are no objects of a dataset.
    """
    if not _PROJECT.fullmatch(project) or not _DATASET.fullmatch(dataset) or dataset.upper() == "INFORMATION_SCHEMA":
        return False
    return 0 < len(name) <= 1024 and not _NOT_IN_NAMES.search(name)


def parse_dataset(text: str, *, project: str, field: str | None = None) -> DatasetName:
    """Parse ``dataset`` or ``project.dataset``; raise ``Rejected`` if it is neither."""
    head, _, dataset = text.rpartition(".")
    _check(_DATASET, dataset, "dataset name", "letters, digits and underscores", field)
    if head:
        _check(_PROJECT, head, "project", "lower-case letters, digits and hyphens", field)
    return DatasetName(head or project, dataset)


def is_drop_folder(dataset: str, model: str) -> bool:
    """Return whether two folders of a path can be the names of a dataset and a new model."""
    return bool(_DATASET.fullmatch(dataset) and _MODEL.fullmatch(model))


def is_relative_path(name: str) -> bool:
    """Return whether the name of an object is the path of a file within a folder: without empty parts, `.` and `..`."""
    return not _NO_PARTS.intersection(name.split("/"))


def _three_parts(text: str, project: str, last: re.Pattern[str], what: str, field: str | None) -> tuple[str, str, str]:
    # How other programs write such names. A project may hold a colon, but then there are two dots after it.
    plain = text.replace("`", "").removeprefix("bq://")
    if plain.count(":") == 1 and plain.rpartition(":")[2].count(".") == 1:
        plain = plain.replace(":", ".")
    if plain != text:
        raise Rejected(
            f"{text[:80]!r} is not the name of a {what}; write {plain[:80]}", field=field, code="invalid_name"
        )
    # The name of a project may hold a domain with dots, so the text is split from the end.
    parts = text.rsplit(".", 2)
    if len(parts) == 2:
        parts = [project, *parts]
    if len(parts) != 3:
        raise Rejected(
            f"{text[:80]!r} is not the name of a {what}: write dataset.{what} or project.dataset.{what}",
            field=field,
            code="invalid_name",
        )
    _check(_PROJECT, parts[0], "project", "lower-case letters, digits and hyphens", field)
    _check(_DATASET, parts[1], "dataset name", "letters, digits and underscores", field)
    _check(last, parts[2], f"{what} name", "letters, digits and underscores", field)
    return parts[0], parts[1], parts[2]


_ESCAPES = {"\\": "\\\\", "'": "\\'", "`": "\\`", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def string_literal(text: str) -> str:
    """Return ``text`` as a GoogleSQL string literal."""
    return "'" + "".join(map(_escaped, text)) + "'"


def column_sql(column: str) -> str:
    """Return the quoted name of a column. The name may hold any character, since BigQuery may have chosen it."""
    return "`" + "".join(map(_escaped, column)) + "`"


def unused_name(name: str, taken: Iterable[str]) -> str:
    """Return ``name``, or ``name_2``, ``name_3`` and so on if it is among ``taken``, for a column or an alias of our own.

    Case does not matter in names of columns and aliases:
    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/lexical#case_sensitivity
    """
    used = {each.lower() for each in taken}
    found, number = name, 1
    while found.lower() in used:
        number += 1
        found = f"{name}_{number}"
    return found


def _escaped(character: str) -> str:
    # String literals and quoted names have the same escapes.
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\U{ord(character):08x}"
