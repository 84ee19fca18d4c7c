"""Reads a ``multipart/related`` upload while it comes: first the resource as JSON, then the content.

Format: https://cloud.google.com/storage/docs/uploading-objects#uploading-an-object (multipart) and RFC 2387
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from email.message import Message
from email.parser import BytesHeaderParser

from localcloud.storage.errors import InvalidRequest

_LONGEST_HEAD = 1 << 20


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that a ``Content-Type`` header names. Raises ``InvalidRequest`` if it names none."""
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_maintype() != "multipart" or not boundary:
        raise InvalidRequest("Multipart must have a Content-Type of multipart/related and a boundary.")
    # gcloud puts it into single quotes, which mean nothing in MIME, but which Cloud Storage takes for quotes.
    if len(boundary) > 2 and boundary[0] == boundary[-1] == "'":
        boundary = boundary[1:-1]
    return boundary.encode("latin-1")


class RelatedParts:
    """The two parts of an upload, read in their order from a stream of pieces."""

    def __init__(self, boundary: bytes, pieces: AsyncIterator[bytes]) -> None:
        self._delimiter = b"--" + boundary
        self._pieces = pieces
        self._buffer = b""
        self._newline = b"\r\n"

    async def read_resource(self) -> bytes:
        """Return the first part. Raises ``InvalidRequest`` if it is no multipart body."""
        while (start := self._buffer.find(self._delimiter)) < 0 or not self._has_line_after(start):
            await self._read_more_of_head()
        rest = self._buffer[start + len(self._delimiter) :]
        # Some clients end their lines with a bare line feed.
        self._newline = b"\r\n" if rest.lstrip(b" \t").startswith(b"\r\n") else b"\n"
        self._buffer = rest
        await self._read_headers()
        parts: list[bytes] = []
        await self._read_body(parts.append)
        return b"".join(parts)

    async def read_content_type(self) -> str:
        """Return the second part's content type, empty if it has none. Raises ``InvalidRequest``."""
        return (await self._read_headers()).get("content-type", "")

    async def read_content(self, write: Callable[[bytes], None]) -> None:
        """Pass the second part's body to ``write``, piece by piece.

        Raises ``InvalidRequest`` if the request ends before the part does: then what was written is not complete.
        """
        await self._read_body(write)

    def _has_line_after(self, start: int) -> bool:
        return b"\n" in self._buffer[start + len(self._delimiter) :]

    async def _read_headers(self) -> Message:
        """Read the rest of a boundary's line, and a part's headers up to the empty line."""
        blank_line = self._newline * 2
        while (end := self._buffer.find(blank_line)) < 0:
            await self._read_more_of_head()
        head, self._buffer = self._buffer[:end], self._buffer[end + len(blank_line) :]
        return BytesHeaderParser().parsebytes(head.partition(b"\n")[2] + b"\n\n")

    async def _read_body(self, write: Callable[[bytes], None]) -> None:
        """Pass a part's body to ``write`` and leave the buffer behind the boundary that ends it."""
        end_mark = self._newline + self._delimiter
        while (end := self._buffer.find(end_mark)) < 0:
            # The last bytes may be the beginning of the boundary.
            sure = len(self._buffer) - len(end_mark) + 1
            if sure > 0:
                write(self._buffer[:sure])
                self._buffer = self._buffer[sure:]
            await self._read_more()
        write(self._buffer[:end])
        self._buffer = self._buffer[end + len(end_mark) :]

    async def _read_more_of_head(self) -> None:
        if len(self._buffer) > _LONGEST_HEAD:
            raise InvalidRequest("Malformed multipart body: the head of a part does not end.")
        await self._read_more()

    async def _read_more(self) -> None:
        async for piece in self._pieces:
            if piece:
                self._buffer += piece
                return
        raise InvalidRequest("Malformed multipart body: it ends before its last boundary.")
