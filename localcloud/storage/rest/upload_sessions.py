"""Uploads, and the resumable ones among them, which take several requests."""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from localcloud.storage.objects.checksums import AnnouncedChecksums
from localcloud.storage.objects.contents import Content, ContentWriter
from localcloud.storage.rules.errors import InvalidRequest, NotFound
from localcloud.storage.rules.fields import ObjectFields
from localcloud.storage.rules.lengths import ANY_LENGTH, LengthRange
from localcloud.storage.rules.preconditions import Preconditions
from localcloud.storage.rules.resources import StoredObject

_CONTENT_RANGE = re.compile(r"bytes (?:(?P<first>\d+)-(?P<last>\d+|\*)|\*)/(?P<total>\d+|\*)")
_MOST_FINISHED = 1000
# https://cloud.google.com/storage/docs/performing-resumable-uploads#chunked-upload
_CHUNK_UNIT = 256 << 10


@dataclass(frozen=True)
class ContentRange:
    """The position of a request's bytes: ``first`` is ``None`` without bytes, ``total`` while it is not known.

    ``last`` is ``None`` if the request has all bytes that are left.
    """

    first: int | None
    last: int | None
    total: int | None

    @classmethod
    def parse(cls, header: str) -> ContentRange:
        """Parse a ``Content-Range`` header. Raises ``InvalidRequest``."""
        matched = _CONTENT_RANGE.fullmatch(header.strip())
        if matched is None:
            raise InvalidRequest(f"Failed to parse Content-Range header: {header}")
        first, last, total = (
            int(text) if text and text != "*" else None for text in matched.group("first", "last", "total")
        )
        if first is not None and last is not None and (last < first or (total is not None and last >= total)):
            raise InvalidRequest(f"Invalid Content-Range header: {header}")
        return cls(first, last, total)

    def kept_until(self, announced: int | None) -> int | None:
        """Return the position at which a request's bytes are no longer kept; ``None`` keeps them all.

        A request that does not end the upload has whole units of 256 KiB: the caller sends what is beyond them again.

        Args:
            announced: The final size from an earlier request, if one had it.

        Raises:
            InvalidRequest: The request has less than one unit, and does not end the upload.
        """
        if self.first is None or self.last is None or self.last + 1 in (self.total, announced):
            return None
        size = self.last - self.first + 1
        if size < _CHUNK_UNIT:
            raise InvalidRequest(
                f"Invalid request. The number of bytes uploaded is required to be equal or greater than {_CHUNK_UNIT},"
                f" except for the final request (it's recommended to be the exact multiple of {_CHUNK_UNIT}). The received"
                f" request contained {size} bytes, which does not meet this requirement."
            )
        return (self.last + 1) // _CHUNK_UNIT * _CHUNK_UNIT

    def check_length(self, length: str | None) -> None:
        """Raise ``InvalidRequest`` if a request announces another number of bytes in its ``Content-Length``."""
        if self.first is None or self.last is None or length is None:
            return
        expected = self.last - self.first + 1
        if int(length) != expected:
            raise InvalidRequest(
                f"Invalid request. There were {length} byte(s) in the request body. There should have been {expected}"
                f" byte(s) (starting at offset {self.first} and ending at offset {self.last}) according to the"
                " Content-Range header."
            )


@dataclass(frozen=True)
class Upload:
    """The object that an upload creates, its preconditions, and the checksums and length that the caller expects."""

    bucket: str
    name: str
    fields: ObjectFields
    conditions: Preconditions
    announced: AnnouncedChecksums
    length: LengthRange = ANY_LENGTH

    def check(self, content: Content) -> None:
        """Raise ``InvalidRequest`` if ``content`` is not what the caller expects."""
        self.length.check(content.size)
        self.announced.check(content.crc32c, content.md5)


@dataclass
class UploadSession:
    """A resumable upload. ``total`` is its final size in bytes, ``None`` while that is not known."""

    upload: Upload
    writer: ContentWriter
    total: int | None = None
    id: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    stored: StoredObject | None = None
    # The number of requests that sent bytes. Only the latest may write; an older one hangs on a dead connection.
    turn: int = 0

    def check_complete_until(self, first: int | None) -> None:
        """Raise ``InvalidRequest`` if bytes before position ``first`` are missing."""
        if first is not None and first > self.writer.size:
            raise InvalidRequest(f"Bytes {self.writer.size} to {first - 1} are missing.")

    def expect(self, total: int | None) -> None:
        """Set the final size in bytes. Raises ``InvalidRequest`` if it contradicts an earlier one or what was sent."""
        if total is None:
            return
        if total < self.writer.size or self.total not in (None, total):
            raise InvalidRequest(f"Invalid total size {total}: {self.total or self.writer.size} was expected.")
        self.total = total


class UploadSessions:
    """The resumable uploads in progress, and the last finished ones."""

    def __init__(self) -> None:
        """Start without uploads."""
        self._open: dict[str, UploadSession] = {}
        self._finished: OrderedDict[str, UploadSession] = OrderedDict()

    def add(self, session: UploadSession) -> None:
        """Add an upload."""
        self._open[session.id] = session

    def get(self, upload_id: str) -> UploadSession:
        """Return an upload. Raises ``NotFound``."""
        session = self._open.get(upload_id) or self._finished.get(upload_id)
        if session is None:
            raise NotFound("No such upload session; it has to be started again.")
        return session

    def finish(self, session: UploadSession, stored: StoredObject) -> None:
        """Keep the result of an upload for a client that did not receive the answer."""
        session.stored = stored
        self._finished[session.id] = self._open.pop(session.id)
        if len(self._finished) > _MOST_FINISHED:
            self._finished.popitem(last=False)

    def close(self) -> None:
        """Drop all uploads in progress."""
        for session in tuple(self._open.values()):
            self.forget(session)

    def forget(self, session: UploadSession) -> None:
        """Drop an upload and its bytes; of a finished one, the object stays."""
        self._finished.pop(session.id, None)
        if self._open.pop(session.id, None) is not None:
            session.writer.discard()
