"""The check of requests in files of JSONL: line by line, with a bounded part of a file in memory.

https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference/new-job-from-cloud-storage
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from shared.batches.inputs.decoding import UndecodableRequest, decoded
from shared.batches.inputs.line_fields import LineFields
from shared.batches.inputs.requests import Measure, check_request
from shared.batches.inputs.rules import (
    LIMITS,
    MOST_FILE_BYTES,
    PLACES,
    Finding,
    InputCheck,
    Requests,
    sorted_findings,
)

# How much of a file is read with one call.
CHUNK_BYTES = 4 * 1024 * 1024
# A longer line, or one of more values, is counted and not taken apart: JSON takes up to 20 times its size in memory.
LONGEST_LINE = 16 * 1024 * 1024
MOST_SEPARATORS = 1_500_000
_GZIP = b"\x1f\x8b"
# UTF-8, UTF-16 and UTF-32 with a mark at the beginning.
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


@dataclass(frozen=True)
class LinesFile:
    """A file of the input."""

    uri: str
    """Its address: ``gs://bucket/path``."""
    size: int | None
    """Its size in bytes; None if it does not exist."""
    is_compressed: bool
    """Whether its metadata say that it is compressed."""
    read: Callable[[int, int], bytes]
    """Returns the bytes from an offset, at most this many."""
    generation: int = 0
    """Its generation, which changes with its content."""


@dataclass
class _Counts:
    """What was found so far."""

    characters: int = 0
    files: int = 0
    requests: int = 0
    limited: int = 0
    answer_tokens: int = 0
    found: dict[tuple[str, str, str], tuple[int, list[str]]] = field(default_factory=dict)

    def add(self, rule: str, place: str, hint: str = "", subject: str = "requests") -> None:
        count, places = self.found.get((rule, hint, subject), (0, []))
        if len(places) < PLACES:
            places.append(place)
        self.found[rule, hint, subject] = (count + 1, places)


def check_lines(
    files: Sequence[LinesFile],
    kind: Requests = Requests.GENERATE,
    key: Sequence[str] = (),
    *,
    most_bytes: float = math.inf,
    divides: bool = False,
    as_columns: bool = False,
) -> InputCheck:
    """Check the requests of files of JSONL.

    Args:
        files: The files of the input.
        kind: The kind of the requests.
        key: The fields that each line needs beside its request, since the answers are merged by them.
        most_bytes: How many bytes are read. The lines after them are not checked.
        divides: Whether there may be more requests and larger files than one job takes, because they are divided.
        as_columns: Whether the answers are in a table, which has the fields beside the requests as columns.

    Returns:
        The findings, whose places are files and lines.
    """
    counts, fields = _Counts(), LineFields(kind, key, as_columns=as_columns)
    for file in files:
        _check_file(file, kind, fields, counts, most_bytes, largest=math.inf if divides else MOST_FILE_BYTES)
        most_bytes -= file.size or 0
    if counts.requests > LIMITS[kind] and not divides:
        for file in files:
            counts.add("too_many_requests", file.uri, f"{LIMITS[kind]:,}", "files")
    findings = [
        Finding(rule, count, tuple(places), hint, subject)
        for (rule, hint, subject), (count, places) in counts.found.items()
    ]
    if not counts.requests and not findings:
        findings.append(Finding("no_requests", 0, tuple(file.uri for file in files[:PLACES])))
    return InputCheck(
        requests=counts.requests,
        characters=counts.characters,
        files=counts.files,
        findings=sorted_findings(findings),
        answer_tokens=counts.answer_tokens if counts.limited == counts.requests else None,
        input_files=len(files),
        columns=fields.columns,
    )


def _check_file(
    file: LinesFile, kind: Requests, fields: LineFields, counts: _Counts, most_bytes: float, *, largest: float
) -> None:
    """Check one file, which may have ``largest`` bytes, and of which at most ``most_bytes`` are read."""
    is_read = file.size and file.size <= largest and most_bytes > 0
    first = file.read(0, CHUNK_BYTES) if is_read else b""
    if rule := _whole_file(file, first, largest):
        counts.add(rule, file.uri, subject="files")
        return
    for number, line in _lines(file, first, most_bytes):
        if line is not None and not line.strip():
            continue
        counts.requests += 1
        if line is None or sum(map(line.count, (b",", b"[", b"{"))) > MOST_SEPARATORS:
            continue
        place, measure = f"{file.uri} line {number}", Measure()
        try:
            value = decoded(line)
            rule, hint = check_request(value, kind, measure) or ("", "")
        except UndecodableRequest as error:
            rule, hint = error.rule, error.hint
        if rule:
            counts.add(rule, place, hint)
        else:
            for rule, hint, where in fields.broken_rules(value, place):
                counts.add(rule, where, hint)
        counts.characters += measure.characters
        counts.files += measure.files
        if measure.answer_tokens is not None:
            counts.limited += 1
            counts.answer_tokens += measure.answer_tokens


def _whole_file(file: LinesFile, first: bytes, largest: float) -> str:
    """Return the rule that a file with this beginning breaks as a whole; an empty text if it breaks none."""
    if file.size is None:
        return "no_such_file"
    if file.is_compressed or first.startswith(_GZIP):
        return "compressed"
    if first.startswith(_BYTE_ORDER_MARKS):
        return "byte_order_mark"
    return "too_large" if file.size > largest else ""


def _lines(file: LinesFile, first: bytes, most_bytes: float) -> Iterator[tuple[int, bytes | None]]:
    """Yield each line with its number, from 1; None in place of a line that is too long.

    After ``most_bytes`` no more is read, and the line that is not whole is left out.
    """
    number, rest, is_long, offset = 0, b"", False, len(first)
    chunk = first
    while chunk:
        *whole, tail = chunk.split(b"\n")
        for piece in whole:
            number += 1
            yield number, None if is_long or len(rest) + len(piece) > LONGEST_LINE else rest + piece
            rest, is_long = b"", False
        is_long = is_long or len(rest) + len(tail) > LONGEST_LINE
        rest = b"" if is_long else rest + tail
        if most_bytes <= offset < (file.size or 0):
            return
        chunk = file.read(offset, CHUNK_BYTES) if offset < (file.size or 0) else b""
        offset += len(chunk)
    if rest or is_long:
        yield number + 1, None if is_long else rest
