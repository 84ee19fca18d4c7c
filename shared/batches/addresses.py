"""The addresses of tables, datasets, files and folders in a batch request."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

from shared.checks.access import check_writable
from shared.checks.fields import Fields
from shared.checks.identifiers import (
    DatasetName,
    TableName,
    check_bucket,
    is_relative_path,
    parse_dataset,
)
from shared.errors import Rejected
from shared.settings import Settings

# How many addresses of files an input may have.
MOST_FILES = 1000
_OBJECT_NAME = re.compile(r"[^\x00-\x1f\x7f*?\[\]]{1,1024}")
# One star, in the last part of the path, is the rest of a name.
_PATTERN = re.compile(r"[^\x00-\x1f\x7f*?\[\]]{0,1000}(?:\*[^\x00-\x1f\x7f*?\[\]/]{0,24})?")

# Other addresses of tables and datasets, and of objects.
_RESOURCE = re.compile(
    r"(?:.*/)?projects/([^/]+)/datasets/([^/]+)(?:/tables/([^/]+))?|\[?([a-z0-9-]+):(\w+)\.([\w-]+)\]?"
)
_URL = re.compile(
    r"https://(?:storage\.(?:cloud\.google|googleapis)\.com|console\.cloud\.google\.com/storage/browser(?:/_details)?)/(\S+)"
)


@dataclass(frozen=True)
class ObjectUri:
    """An object in Cloud Storage, or a prefix of objects."""

    bucket: str
    name: str

    def __str__(self) -> str:
        return f"gs://{self.bucket}/{self.name}"

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for all objects with a prefix: its name ends in a `/` or has a `*`."""
        return not self.name or self.name.endswith("/") or "*" in self.name

    @property
    def prefix(self) -> str:
        """The part of the name before a `*`."""
        return self.name.partition("*")[0]

    def matches(self, name: str) -> bool:
        """Return whether an object of the bucket is this one, or one that the pattern stands for."""
        before, star, after = self.name.partition("*")
        if not star:
            return name.startswith(before) if self.is_pattern else name == self.name
        rest = name[len(before) :]
        return name.startswith(before) and rest.endswith(after) and (not after or "/" not in rest)


@dataclass(frozen=True)
class Files:
    """JSONL files in Cloud Storage."""

    uris: tuple[ObjectUri, ...]
    """Files, or patterns of files."""

    def __str__(self) -> str:
        return ", ".join(map(str, self.uris))


def read_files(texts: tuple[str, ...], field: str, settings: Settings, *, is_list: bool = False) -> Files:
    """Return the files of an input. Raises ``Rejected``.

    Args:
        texts: The addresses as they were sent.
        field: The field of the request; a list has an index after it.
        settings: The settings, which name the buckets that are kept for Modeldrop.
        is_list: Whether they were sent as a list.
    """
    if len(texts) > MOST_FILES:
        raise Rejected(
            f"{field} has {len(texts)} addresses; the most is {MOST_FILES}", field=field, code="invalid_field"
        )
    uris = []
    for index, text in enumerate(texts):
        place = field if len(texts) == 1 else f"{field}[{index}]"
        if is_list and text.startswith("bq://"):
            raise Rejected(
                f"{place} is the table {text[:80]!r}, and a list has files only: write one table, as a string",
                field=place,
                code="invalid_field",
            )
        bucket, name = _parts(text, place, kept={settings.state_bucket}, or_table=not is_list)
        folder = name.partition("*")[0].rpartition("/")[0]
        if not name or not _PATTERN.fullmatch(name) or (folder and not is_relative_path(folder)) or name[:1] == "/":
            raise Rejected(
                f"{place} must name JSONL files: gs://bucket/path/file.jsonl, gs://bucket/path/ or gs://bucket/path/*.jsonl",
                field=place,
                code="invalid_field",
            )
        uri = ObjectUri(bucket, name)
        if uri in uris:
            raise Rejected(f"{place} is given twice", field=place, code="invalid_field")
        uris.append(uri)
    return Files(tuple(uris))


def read_place(text: str, fields: Fields, field: str, settings: Settings) -> TableName | DatasetName | ObjectUri:
    """Return the output that ``field`` names. Raises ``Rejected``."""
    if not text.startswith("bq://"):
        return read_folder(text, field, settings)
    name = text.removeprefix("bq://")
    project = settings.google_cloud_project
    if "." not in name.partition(":")[0] and name.rpartition(":")[2].count(".") == 1 and ":" in name:
        # The old form of a table, project:dataset.table, is refused with the new one.
        TableName.parse(name, project=project, field=field)
    output: TableName | DatasetName
    # A project with a domain (example.com:project) has dots of its own before the colon.
    match name.rpartition(":")[2].count("."):
        case 1:
            output = (
                TableName.parse(name, project=project, field=field)
                if field == "output.table" and "-" not in name.partition(".")[0]
                else parse_dataset(name, project=project, field=field)
            )
        case 2:
            output = TableName.parse(name, project=project, field=field)
        case _:
            folder = "" if field == "output.table" else " or gs://bucket/path"
            raise fields.wrong(
                field, f"must be bq://project.dataset.table, or bq://project.dataset for a new table{folder}"
            )
    check_writable(output.project, output.dataset, settings, field)
    return output


def read_folder(text: str, field: str, settings: Settings) -> ObjectUri:
    """Return the folder that ``field`` names, for the answers. Raises ``Rejected``."""
    if field == "output.uri" and text.startswith("bq://"):
        raise Rejected(
            f"{field} is the table {text[:80]!r}; write it as output.table", field=field, code="invalid_field"
        )
    kept = {settings.model_bucket, settings.state_bucket}
    bucket, name = _parts(text, field, kept=kept, or_table=field != "output.uri")
    if name and not (_OBJECT_NAME.fullmatch(name) and is_relative_path(name.removesuffix("/"))):
        raise Rejected(f"{field} must be a folder: gs://bucket/path", field=field, code="invalid_field")
    return ObjectUri(bucket, name)


def _parts(text: str, field: str, *, kept: Set[str], or_table: bool) -> tuple[str, str]:
    """Return the bucket and the name of a `gs://` address outside the buckets that Modeldrop keeps for itself.

    Args:
        text: The address as it was sent.
        field: The field of the request.
        kept: The buckets that are refused.
        or_table: Whether the field may also be a table.
    """
    bucket, _, name = text.removeprefix("gs://").partition("/")
    if not text.startswith("gs://"):
        raise Rejected(
            f"{field} is {text[:80]!r}; it must begin with {'bq:// or gs://' if or_table else 'gs://'}{_meant(text)}",
            field=field,
            code="invalid_field",
        )
    check_bucket(bucket, field)
    if bucket in kept:
        raise Rejected(
            f"{field} is in the bucket {bucket}, which Modeldrop keeps for itself", field=field, code="invalid_field"
        )
    return bucket, name


def _meant(text: str) -> str:
    """Return what was probably meant by a text without `bq://` or `gs://`, as the rest of a sentence."""
    if found := _RESOURCE.fullmatch(text):
        return f"; write bq://{'.'.join(part for part in found.groups() if part)}"
    if found := _URL.fullmatch(text):
        return f"; write gs://{found[1]}"
    if re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){1,2}", text) and not text.endswith(".jsonl"):
        return f"; write bq://{text}"
    return f"; write gs://{text}" if re.fullmatch(r"[a-z0-9][a-z0-9._-]*/\S+", text) else ""
