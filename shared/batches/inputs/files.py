"""Files of prompts: columns of a query that hold addresses of images, documents, audio and video.

The types that Gemini takes:
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/image-understanding
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/document-understanding
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/audio-understanding
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/video-understanding
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.batches.inputs.rules import InputCheck
from shared.checks.fields import Fields
from shared.checks.identifiers import check_column, column_sql, string_literal
from shared.checks.suggestions import closest
from shared.errors import Problem, Rejected

# The MIME type of a file by the ending of its name.
MIME_TYPES: Mapping[str, str] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "m4a": "audio/m4a",
    "mp3": "audio/mp3",
    "mpga": "audio/mpga",
    "ogg": "audio/ogg",
    "opus": "audio/opus",
    "pcm": "audio/pcm",
    "wav": "audio/wav",
    "3gp": "video/3gpp",
    "flv": "video/x-flv",
    "mov": "video/quicktime",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "mpg": "video/mpg",
    "webm": "video/webm",
    "wmv": "video/wmv",
}
# Other names of these types, which Gemini takes too.
OTHER_MIME_TYPES = frozenset({"audio/mpeg", "audio/mp4", "audio/webm", "audio/x-aac", "video/mpegs", "video/avi"})
_YOUTUBE = "^https?://(?:(?:www\\.|m\\.)?youtube\\.com|youtu\\.be)/"
MOST_FILE_COLUMNS = 16
# The rules for requests that the columns of files break, and what would be right in prompts.
_ABOUT_FILES = frozenset({"wrong_uri", "no_mime_type"})
_RIGHT_FOR_PROMPTS: Mapping[str, str] = {
    "wrong_uri": "let the column hold gs://bucket/path or https://www.youtube.com/watch?v=..., or NULL for no file",
    "no_mime_type": 'the ending of the name says no type, so write it: "files": {"poster": "image/png"}, or name a mime_column',
    "empty_part": "leave out rows whose prompt is NULL or empty",
}


@dataclass(frozen=True)
class FileColumn:
    """A column of the query that holds the address of a file, or an array of addresses. NULL means no file."""

    column: str
    mime_type: str | None = None
    """The MIME type of all files; None: by the column or by the ending."""
    mime_column: str | None = None
    """The column that holds the MIME type; None: by the ending of the name."""


def read_files(prompts: Fields) -> tuple[FileColumn, ...]:
    """Read the field ``files`` of prompts: ``{"poster": null, "trailer": "video/mp4", "scan": {"mime_column": "type"}}``.

    Raises:
        Rejected: A name or a MIME type is wrong.
    """
    given = prompts.plain("files")
    if len(given) > MOST_FILE_COLUMNS:
        raise prompts.wrong("files", f"has {len(given)} columns; the most is {MOST_FILE_COLUMNS}")
    files = Fields(given, prompts.path("files"))
    return tuple(_read_file(files, column) for column in given)


def _read_file(files: Fields, column: str) -> FileColumn:
    path = files.path(column)
    check_column(column, path)
    value = files.plain_or_text(column)
    if value is None or isinstance(value, str):
        return FileColumn(column, mime_type=_checked_type(value, path) if value else None)
    about = files.nested(column, example='{"mime_type": "image/png"} or {"mime_column": "type"}')
    mime_type, mime_column = about.optional_text("mime_type"), about.optional_text("mime_column")
    about.reject_unknown()
    if mime_type and mime_column:
        raise files.wrong(column, "has both mime_type and mime_column: leave one out")
    if mime_column:
        check_column(mime_column, about.path("mime_column"))
    return FileColumn(column, _checked_type(mime_type, path) if mime_type else None, mime_column)


def _checked_type(mime_type: str, path: str) -> str:
    known = {*MIME_TYPES.values(), *OTHER_MIME_TYPES}
    if mime_type not in known:
        similar = closest(mime_type, known)
        meant = f"; did you mean {similar}?" if similar else f"; known are {', '.join(sorted(known))}"
        raise Rejected(
            f"{path} is {mime_type[:80]!r}, which is not a MIME type that Gemini takes{meant}",
            field=path,
            code="invalid_field",
        )
    return mime_type


def check_file_columns(
    files: Sequence[FileColumn], columns: Sequence[Mapping[str, Any]], field: str
) -> tuple[str, ...]:
    """Raise ``Rejected`` unless a query has all these columns, with texts.

    Args:
        files: The columns of files.
        columns: The columns of the query, each as a TableFieldSchema.
        field: The field of the batch request that names the files.

    Returns:
        The names of the columns that are arrays.
    """
    kinds = {column["name"].lower(): column for column in columns}
    for file in files:
        for name in filter(None, (file.column, file.mime_column)):
            path = f"{field}.{file.column}"
            if name.lower() not in kinds:
                similar = closest(name, kinds)
                meant = f"; did you mean {similar}?" if similar else ""
                raise Rejected(f"the query has no column {name}{meant}", field=path, code="missing_column")
            column = kinds[name.lower()]
            if column["type"] != "STRING" or (name == file.mime_column and column.get("mode") == "REPEATED"):
                raise Rejected(f"the column {name} must be STRING, not {column['type']}", field=path, code="wrong_type")
    return tuple(file.column for file in files if kinds[file.column.lower()].get("mode") == "REPEATED")


def prompts_problem(check: InputCheck, files: Sequence[FileColumn]) -> Problem | None:
    """Return the problem of requests that were built from prompts; None if they break no rule.

    Args:
        check: What the check of the requests found.
        files: The columns of files of the prompts.
    """
    problem = check.problem("input.prompts.query", _RIGHT_FOR_PROMPTS)
    if problem is None or not files or problem.code not in _ABOUT_FILES:
        return problem
    field = "input.prompts.files" + (f".{files[0].column}" if len(files) == 1 else "")
    columns = ", ".join(file.column for file in files)
    return Problem(problem.code, f"{problem.message} (the files are in {columns})", field)


def file_parts(file: FileColumn, *, is_array: bool) -> str:
    """Return the SQL of an array of parts (JSON) with the files of a column: none for NULL and for an empty text.

    A file without a known MIME type gets none, which the check of the requests then reports.
    """
    address = "modeldrop_address" if is_array else column_sql(file.column)
    if file.mime_type is not None:
        kind = string_literal(file.mime_type)
    elif file.mime_column is not None:
        kind = column_sql(file.mime_column)
    else:
        endings = " ".join(f"WHEN '{ending}' THEN '{mime_type}'" for ending, mime_type in MIME_TYPES.items())
        kind = (
            f"IF(REGEXP_CONTAINS({address}, {string_literal(_YOUTUBE)}), 'video/mp4', "
            f"CASE LOWER(REGEXP_EXTRACT({address}, {string_literal('[.]([A-Za-z0-9]+)$')})) {endings} END)"
        )
    part = (
        f'PARSE_JSON(CONCAT(\'{{"fileData":{{"fileUri":\', TO_JSON_STRING({address}), '
        f"',\"mimeType\":', IFNULL(TO_JSON_STRING({kind}), 'null'), '}}}}'))"
    )
    if is_array:
        return (
            f"ARRAY(SELECT {part} FROM UNNEST({column_sql(file.column)}) AS {address} WITH OFFSET AS modeldrop_place "
            f"WHERE {address} != '' ORDER BY modeldrop_place)"
        )
    return f"IF({address} != '', [{part}], ARRAY<JSON>[])"
