"""Finds a few values in a large JSON file, in bounded memory and time.

The file is read forward through a window, and values that are not of interest are skipped by counting their brackets.
https://www.rfc-editor.org/rfc/rfc8259
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from shared.drops import limits
from shared.drops.formats.model_file import ModelFile
from shared.errors import Rejected

Wanted = Mapping[str, "Wanted | None"]
"""Keys of an object: None for a value that is returned, or the keys of interest in it."""

# The repetitions are possessive (`*+`), because the engine keeps a hundred bytes for each one that it could take back.
_TOKEN = re.compile(rb'\s*+("[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]:,]|[^\s"{}\[\]:,]++)', re.DOTALL)
# A single quotation mark is found only if its text does not end in the window.
_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\]]', re.DOTALL)
_DEPTH = 20


class MalformedJson(Exception):
    """The file is not valid JSON."""


def find_values(file: ModelFile, wanted: Wanted) -> dict[str, Any]:
    """Return the values of interest in a file that holds one JSON object, by their dotted paths.

    Args:
        file: The file.
        wanted: The keys of interest.

    Raises:
        MalformedJson: The file is not a JSON object, or it ends early.
        Rejected: It has more than ``limits.JSON_TOKENS`` tokens, or a value of interest is very large.
    """
    tokens = _Tokens(file)
    if tokens.next() != b"{":
        raise MalformedJson("it does not begin with an object")
    found: dict[str, Any] = {}
    _search(tokens, wanted, "", found)
    if tokens.next() != b"":
        raise MalformedJson("something follows the object")
    return found


def _search(tokens: _Tokens, wanted: Wanted, path: str, found: dict[str, Any]) -> None:
    """Read the rest of an object whose opening bracket was read."""
    token = tokens.next()
    while token != b"}":
        key = _parsed(token)
        if not isinstance(key, str) or tokens.next() != b":":
            raise MalformedJson("an object has a member without a name")
        value = tokens.next()
        inner = wanted.get(key, {})
        if inner is None:
            found[path + key] = _parsed(tokens.whole_value(value))
        elif inner and value == b"{":
            _search(tokens, inner, f"{path}{key}.", found)
        else:
            tokens.skip_value(value)
        token = tokens.next()
        if token == b",":
            token = tokens.next()
        elif token != b"}":
            raise MalformedJson("an object does not end")


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise MalformedJson("a value is not valid") from error


class _Tokens:
    """The tokens of a JSON file."""

    def __init__(self, file: ModelFile) -> None:
        self._file = file
        self._data = b""
        self._at = 0
        self._read_until = 0
        self._count = 0

    def next(self) -> bytes:
        """Return the next token; empty at the end of the file."""
        self._add_to_count(1)
        while True:
            match = _TOKEN.match(self._data, self._at)
            # A token that reaches the end of the window may continue after it.
            if match and (match.end() < len(self._data) or self._at_end):
                self._at = match.end()
                return match[1]
            if self._at_end:
                if self._data[self._at :].strip():
                    raise MalformedJson("a text does not end")
                return b""
            self._load()

    def whole_value(self, first: bytes) -> bytes:
        """Return the text of the value that begins with the token ``first``."""
        parts, depth, size = [first], _opened(first), len(first)
        while depth:
            token = self.next()
            if token == b"":
                raise MalformedJson("it ends early")
            parts.append(token)
            depth += _opened(token)
            size += len(token)
            if size > limits.JSON_VALUE_BYTES or len(parts) > limits.JSON_VALUE_TOKENS or depth > _DEPTH:
                raise Rejected(f"{self._file.name} holds a list of names that is too long to be read", code="too_large")
        return b"".join(parts)

    def skip_value(self, first: bytes) -> None:
        """Skip the value that begins with the token ``first``."""
        depth = _opened(first)
        while depth:
            start = self._at
            count = 0
            for match in _STRUCTURE.finditer(self._data, self._at):
                count += 1
                token = match[0]
                if token == b'"':
                    self._at = match.start()
                    break
                self._at = match.end()
                if token[0] != _QUOTE:
                    depth += 1 if token in (b"{", b"[") else -1
                    if not depth:
                        break
            else:
                self._at = len(self._data)
            self._add_to_count(count)
            if depth:
                if self._at_end:
                    raise MalformedJson("it ends early")
                if self._at == start and len(self._data) - start > limits.WINDOW_BYTES:
                    raise MalformedJson("a text is too long")
                self._load()

    @property
    def _at_end(self) -> bool:
        return self._read_until == self._file.size

    def _add_to_count(self, tokens: int) -> None:
        self._count += tokens
        if self._count > limits.JSON_TOKENS:
            raise Rejected(
                f"{self._file.name} has more than {limits.JSON_TOKENS:,} texts and brackets, the most that are read",
                code="too_large",
            )

    def _load(self) -> None:
        rest = self._data[self._at :]
        if len(rest) > limits.WINDOW_BYTES:
            raise MalformedJson("a text is too long")
        self._data = b""  # so that two windows are never in memory
        stop = min(self._read_until + limits.WINDOW_BYTES, self._file.size)
        self._data = rest + self._file.read(self._read_until, stop)
        self._at = 0
        self._read_until = stop


_QUOTE = ord('"')


def _opened(token: bytes) -> int:
    return {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(token, 0)
