"""Takes CSV and JSON files apart: into records, and records of CSV files into cells.

https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-csv
"""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from localcloud.bigquery.base.errors import QueryError

# https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad (encoding)
ENCODINGS = {
    "UTF-8": "utf-8-sig",
    "ISO-8859-1": "latin-1",
    "UTF-16BE": "utf-16-be",
    "UTF-16LE": "utf-16-le",
    "UTF-32BE": "utf-32-be",
    "UTF-32LE": "utf-32-le",
}


class BadRecord(Exception):
    """A record that can't be taken apart, with BigQuery's message."""


@dataclass(frozen=True)
class Dialect:
    """How a load job's files are written.

    Attributes:
        encoding: Python's name of the encoding.
        delimiter: What separates cells; empty in JSON files.
        quote: What encloses cells; empty for nothing.
        newlines: Whether cells in quotes may have line breaks.
        null_markers: The cells that are NULL.
        control_characters: Whether control characters are kept.
    """

    encoding: str = "utf-8-sig"
    delimiter: str = ""
    quote: str = ""
    newlines: bool = False
    null_markers: frozenset[str] = frozenset({""})
    control_characters: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any], kind: str) -> Dialect:
        """Return what a load job's configuration says about its files.

        Args:
            options: The REST ``JobConfigurationLoad``.
            kind: ``CSV`` or ``NEWLINE_DELIMITED_JSON``.

        Raises:
            QueryError: An option has a value that BigQuery does not know.
        """
        encoding = encoding_of(options)
        if kind != "CSV":
            return cls(encoding)
        marker, markers = options.get("nullMarker"), options.get("nullMarkers")
        if marker and markers:
            raise QueryError("Only one of nullMarker and nullMarkers can be specified.", reason="invalid")
        quote = options.get("quote")
        quote = '"' if quote is None else str(quote)
        if len(quote.encode()) > 1:
            raise QueryError(f"The quote must be one character of one byte: {quote}", reason="invalid")
        return cls(
            encoding,
            delimiter_of(options) or ",",
            quote,
            bool(options.get("allowQuotedNewlines")),
            frozenset(markers or [marker or ""]),
            bool(options.get("preserveAsciiControlCharacters")),
        )

    def records(self, path: Path, *, skipped: int = 0) -> Iterator[tuple[int, str]]:
        """Yield each record of a file but the first ones, and the offset in bytes at which it begins.

        Raises:
            QueryError: The file has another encoding.
        """
        file = path.open("rb")
        content = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
        joins = bool(self.quote) and self.newlines
        counted = self.encoding.removesuffix("-sig")
        with file, content, io.TextIOWrapper(content, encoding=self.encoding, newline="") as lines:
            offset = start = 0
            record = ""
            try:
                for line in lines:
                    record = record + line if record else line
                    offset += len(line.encode(counted))
                    if joins and record.count(self.quote) % 2:
                        continue
                    text, begin = record.rstrip("\r\n"), start
                    record, start = "", offset
                    if skipped:
                        skipped -= 1
                    elif text.strip():
                        yield begin, text
            except UnicodeDecodeError as error:
                raise QueryError(
                    f"Error while reading data, error message: The file has bytes at location {start} that are not valid "
                    f"{counted.upper()}. Set encoding to the encoding of the file.",
                    reason="invalid",
                ) from error
            if record:
                yield start, record.rstrip("\r\n")

    def cells(self, record: str, offset: int) -> list[tuple[str, bool]]:
        """Return the text of each cell of a CSV record, and whether it is in quotes.

        Raises:
            BadRecord: The record has text between a closing quote and a delimiter, or a control character.
        """
        if "\0" in record and not self.control_characters:
            raise BadRecord(
                "Error while reading data, error message: Bad character (ASCII 0) encountered. "
                f"Line starting at location {offset}"
            )
        if not self.quote or self.quote not in record:
            return [(cell, False) for cell in record.split(self.delimiter)]
        cells: list[tuple[str, bool]] = []
        at = 0
        while True:
            match = self._cell.match(record, at)
            if match is None:
                raise BadRecord(self._unclosed(record, offset))
            quoted, plain = match.groups()
            cells.append((plain, False) if quoted is None else (quoted.replace(self.quote * 2, self.quote), True))
            at = match.end()
            if at >= len(record):
                return cells
            at += len(self.delimiter)

    @cached_property
    def _cell(self) -> re.Pattern[str]:
        q, d = re.escape(self.quote), re.escape(self.delimiter)
        plain = f"[^{d}]*" if len(self.delimiter) == 1 else f".*?(?={d}|$)"
        return re.compile(rf"{q}((?:[^{q}]|{q}{q})*){q}(?={d}|$)|(?!{q})({plain})", re.DOTALL)

    def _unclosed(self, record: str, offset: int) -> str:
        begin = "Error while reading data, error message:"
        if record.count(self.quote) % 2:
            return f"{begin} Missing close quote character ({self.quote}). Line starting at location {offset}"
        return (
            f"{begin} Data between close quote character ({self.quote}) and field separator. "
            f"Line starting at location {offset}"
        )


def encoding_of(options: Mapping[str, Any]) -> str:
    """Return Python's name of the encoding of a load job's files. Raises ``QueryError`` if it is not known."""
    name = str(options.get("encoding") or "UTF-8").upper()
    if name not in ENCODINGS:
        raise QueryError(f"Unsupported encoding: {name}. Use one of {', '.join(ENCODINGS)}.", reason="invalid")
    return ENCODINGS[name]


def delimiter_of(options: Mapping[str, Any]) -> str:
    """Return the delimiter that a job's configuration names; empty if it names none."""
    name = str(options.get("fieldDelimiter") or "")
    return "\t" if name in ("tab", "\\t") else name
