"""Reads multipart bodies: whole ones, and uploads that are read while they arrive.

Format: https://www.rfc-editor.org/rfc/rfc2046#section-5.1
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser

from localcloud.base.api_errors import MalformedBody

_LONGEST_HEAD = 1 << 20
_LONGEST_CONTENT = 1 << 20
"""The largest content of a part that is read at once: the JSON of an upload."""
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True)
class Part:
    """One part of a multipart body."""

    headers: Message
    content: bytes


def read_parts(content_type: str, body: bytes) -> Iterator[Part]:
    """Yield the parts of a whole body, whose ``Content-Type`` header is ``content_type``. Raises ``MalformedBody``."""
    reader = _Reader(content_type)
    reader.feed(body)
    while not reader.at_end:
        headers = reader.take_headers()
        if headers is None:
            raise _cut_off()
        content, complete = reader.take_content()
        if not complete:
            raise _cut_off()
        yield Part(headers, content)


class PartStream:
    """The parts of a body that arrives in pieces, read one after the other: the headers of each, then its content."""

    def __init__(self, content_type: str, pieces: AsyncIterator[bytes]) -> None:
        """Read from ``pieces``. Raises ``MalformedBody`` if ``content_type`` names no boundary."""
        self._reader = _Reader(content_type)
        self._pieces = pieces

    async def next_headers(self) -> Message:
        """Return the headers of the next part. Raises ``MalformedBody`` if there is none."""
        while (headers := self._reader.take_headers()) is None:
            await self._read_more()
        return headers

    async def has_next(self) -> bool:
        """Return whether another part follows. Raises ``MalformedBody`` if the body is cut off."""
        while self._reader.is_undecided:
            await self._read_more()
        return not self._reader.at_end

    async def read_content(self) -> bytes:
        """Return the content of the part.

        Raises ``MalformedBody`` if the body ends before the part does, or if the part is too long to be read at once.
        """
        content = bytearray()

        def add(piece: bytes) -> None:
            content.extend(piece)
            if len(content) > _LONGEST_CONTENT:
                raise MalformedBody(f"A part of the multipart body has more than {_LONGEST_CONTENT:,} bytes.")

        await self.copy_content(add)
        return bytes(content)

    async def copy_content(self, write: Callable[[bytes], None]) -> None:
        """Pass the content of the part to ``write``, piece by piece.

        Raises ``MalformedBody`` if the body ends before the part does: then what was written is not complete.
        """
        complete = False
        while not complete:
            content, complete = self._reader.take_content()
            if content:
                write(content)
            if not complete:
                await self._read_more()

    async def _read_more(self) -> None:
        async for piece in self._pieces:
            if piece:
                self._reader.feed(piece)
                return
        raise _cut_off()


class _Reader:
    """Cuts what it is fed into the headers and contents of parts."""

    def __init__(self, content_type: str) -> None:
        self._delimiter = b"--" + _boundary(content_type)
        self._newline = b"\r\n"
        self._buffer = b""  # begins after a delimiter, or within a part's content
        self._in_preamble = True

    def feed(self, piece: bytes) -> None:
        self._buffer += piece

    @property
    def at_end(self) -> bool:
        """Whether the last boundary was read."""
        return not self._in_preamble and self._buffer.startswith(b"--")

    @property
    def is_undecided(self) -> bool:
        """Whether more bytes are needed to know if the last boundary was read."""
        return self._in_preamble or len(self._buffer) < 2

    def take_headers(self) -> Message | None:
        """Return the headers of the next part, None if more bytes are needed. Raises ``MalformedBody``."""
        if self._in_preamble:
            self._skip_preamble()
        if self.at_end:
            raise MalformedBody("The multipart body has too few parts.")
        found = None if self._in_preamble else _BLANK_LINE.search(self._buffer)
        if found is None:
            if len(self._buffer) > _LONGEST_HEAD:
                raise MalformedBody("The head of a part of the multipart body does not end.")
            return None
        head, self._buffer = self._buffer[: found.start()], self._buffer[found.end() :]
        return BytesHeaderParser().parsebytes(head.partition(b"\n")[2] + b"\n\n")

    def take_content(self) -> tuple[bytes, bool]:
        """Return what is known of the part's content, and whether it is complete."""
        mark = self._newline + self._delimiter
        end = self._buffer.find(mark)
        if end >= 0:
            content, self._buffer = self._buffer[:end], self._buffer[end + len(mark) :]
            return content, True
        # The last bytes may be the beginning of a boundary.
        known = max(len(self._buffer) - len(mark) + 1, 0)
        content, self._buffer = self._buffer[:known], self._buffer[known:]
        return content, False

    def _skip_preamble(self) -> None:
        """Drop everything up to the first delimiter, once its line is complete."""
        _before, found, rest = self._buffer.partition(self._delimiter)
        if not found or b"\n" not in rest:
            return
        # Some clients end their lines with a bare line feed.
        self._newline = b"\r\n" if rest.lstrip(b" \t").startswith(b"\r\n") else b"\n"
        self._buffer = rest
        self._in_preamble = False


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_maintype() != "multipart" or not boundary:
        raise MalformedBody("The Content-Type must be multipart and name a boundary.")
    # gcloud puts it into single quotes, which mean nothing in MIME, but which Cloud Storage takes for quotes.
    if len(boundary) > 2 and boundary[0] == boundary[-1] == "'":
        boundary = boundary[1:-1]
    return boundary.encode("latin-1", "replace")


def _cut_off() -> MalformedBody:
    return MalformedBody("The multipart body ends before its last boundary.")
