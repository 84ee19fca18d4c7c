"""The check of requests in files of JSONL: line by line, with a bounded part of a file in memory.

https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference/new-job-from-cloud-storage
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

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
_BOM = b"\xef\xbb\xbf"


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


def check_lines(files: Sequence[LinesFile], kind: Requests = Requests.GENERATE, key: Sequence[str] = ()) -> InputCheck:
    """Check all requests of files of JSONL.

    Args:
        files: The files of the input.
        kind: The kind of the requests.
        key: The fields that each line needs beside its request, since the answers are merged by them.

    Returns:
        The findings, whose places are files and lines.
    """
    counts = _Counts()
    for file in files:
        _check_file(file, kind, key, counts)
    if counts.requests > LIMITS[kind]:
        for file in files:
            counts.add("too_many_requests", file.uri, f"{LIMITS[kind]:,}", "files")
    findings = [
        Finding(rule, count, tuple(places), hint, subject)
        for (rule, hint, subject), (count, places) in counts.found.items()
    ]
    if not counts.requests and not findings:
        findings.append(Finding("no_requests", 0))
    return InputCheck(
        requests=counts.requests,
        characters=counts.characters,
        files=counts.files,
        findings=sorted_findings(findings),
        answer_tokens=counts.answer_tokens if counts.limited == counts.requests else None,
        input_files=len(files),
    )


def _check_file(file: LinesFile, kind: Requests, key: Sequence[str], counts: _Counts) -> None:
    """Check one file."""
    first = file.read(0, CHUNK_BYTES) if file.size and file.size <= MOST_FILE_BYTES else b""
    if rule := _whole_file(file, first):
        counts.add(rule, file.uri, subject="files")
        return
    for number, line in _lines(file, first):
        if line is not None and not line.strip():
            continue
        counts.requests += 1
        if line is None or sum(map(line.count, (b",", b"[", b"{"))) > MOST_SEPARATORS:
            continue
        measure = Measure()
        try:
            # json.loads would also read UTF-16 and UTF-32, which Vertex AI does not.
            value = json.loads(line.decode(), parse_constant=_refuse)
            rule, hint = check_request(value, kind, measure) or _check_key(value, key) or ("", "")
        except UnicodeDecodeError:
            rule, hint = "not_json", "the text is not UTF-8"
        except (ValueError, RecursionError):
            rule, hint = "not_json", ""
        if rule:
            counts.add(rule, f"{file.uri} line {number}", hint)
        counts.characters += measure.characters
        counts.files += measure.files
        if measure.answer_tokens is not None:
            counts.limited += 1
            counts.answer_tokens += measure.answer_tokens


def _check_key(value: Mapping[str, object], key: Sequence[str]) -> tuple[str, str] | None:
    """Return the rule that a line breaks which lacks a field of the key, and the field; None if it has all."""
    given = {name.lower() for name, each in value.items() if each is not None} if key else set()
    return next((("no_key", name) for name in key if name.lower() not in given), None)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _whole_file(file: LinesFile, first: bytes) -> str:
    """Return the rule that a file with this beginning breaks as a whole; an empty text if it breaks none."""
    if file.size is None:
        return "no_such_file"
    if file.is_compressed or first.startswith(_GZIP):
        return "compressed"
    return "too_large" if file.size > MOST_FILE_BYTES else ""


def _lines(file: LinesFile, first: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Yield each line with its number, from 1; None in place of a line that is too long."""
    number, rest, is_long, offset = 0, b"", False, len(first)
    chunk = first.removeprefix(_BOM)
    while chunk:
        *whole, tail = chunk.split(b"\n")
        for piece in whole:
            number += 1
            yield number, None if is_long or len(rest) + len(piece) > LONGEST_LINE else rest + piece
            rest, is_long = b"", False
        is_long = is_long or len(rest) + len(tail) > LONGEST_LINE
        rest = b"" if is_long else rest + tail
        chunk = file.read(offset, CHUNK_BYTES) if offset < (file.size or 0) else b""
        offset += len(chunk)
    if rest or is_long:
        yield number + 1, None if is_long else rest
