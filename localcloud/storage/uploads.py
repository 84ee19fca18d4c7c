"""What an upload is to become, and the uploads that come in several requests."""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from localcloud.storage.checksums import AnnouncedChecksums
from localcloud.storage.contents import ContentWriter
from localcloud.storage.errors import InvalidRequest, NotFound
from localcloud.storage.fields import ObjectFields
from localcloud.storage.preconditions import Preconditions
from localcloud.storage.resources import StoredObject

_CONTENT_RANGE = re.compile(r"bytes (?:(?P<first>\d+)-(?P<last>\d+|\*)|\*)/(?P<total>\d+|\*)")
_MOST_FINISHED = 1000


@dataclass(frozen=True)
class ContentRange:
    """Where a request's bytes belong. ``first`` is ``None`` if it brings none, ``total`` if it is not known yet."""

    first: int | None
    last: int | None
    total: int | None

    @classmethod
    def parse(cls, header: str) -> ContentRange:
        """Read a ``Content-Range`` header. Raises ``InvalidRequest``."""
        matched = _CONTENT_RANGE.fullmatch(header.strip())
        if matched is None:
            raise InvalidRequest(f"Failed to parse Content-Range header: {header}")
        first, last, total = (
            int(text) if text and text != "*" else None for text in matched.group("first", "last", "total")
        )
        if first is not None and last is not None and (last < first or (total is not None and last >= total)):
            raise InvalidRequest(f"Invalid Content-Range header: {header}")
        return cls(first, last, total)


@dataclass(frozen=True)
class Upload:
    """The object that an upload is to become, the conditions for it, and what its sender says of the content."""

    bucket: str
    name: str
    fields: ObjectFields
    conditions: Preconditions
    announced: AnnouncedChecksums


@dataclass
class UploadSession:
    """A resumable upload. ``total`` is the size it will have in bytes, ``None`` while that is not known."""

    upload: Upload
    writer: ContentWriter
    total: int | None = None
    id: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    stored: StoredObject | None = None
    # The number of requests that began to bring bytes: only the latest may, an older one hangs on a dead connection.
    turn: int = 0

    def expect(self, total: int | None) -> None:
        """Note the size that the upload will have, in bytes. Raises ``InvalidRequest`` if it contradicts."""
        if total is None:
            return
        if total < self.writer.size or self.total not in (None, total):
            raise InvalidRequest(f"Invalid total size {total}: {self.total or self.writer.size} was expected.")
        self.total = total


class UploadSessions:
    """The resumable uploads that are under way, and the last of those that are finished."""

    def __init__(self) -> None:
        self._open: dict[str, UploadSession] = {}
        self._finished: OrderedDict[str, UploadSession] = OrderedDict()

    def add(self, session: UploadSession) -> None:
        self._open[session.id] = session

    def get(self, upload_id: str) -> UploadSession:
        """Return an upload. Raises ``NotFound``."""
        session = self._open.get(upload_id) or self._finished.get(upload_id)
        if session is None:
            raise NotFound("No such upload session; it has to be started again.")
        return session

    def finish(self, session: UploadSession, stored: StoredObject) -> None:
        """Remember what became of an upload, for a client to which the answer was lost."""
        session.stored = stored
        self._finished[session.id] = self._open.pop(session.id)
        if len(self._finished) > _MOST_FINISHED:
            self._finished.popitem(last=False)

    def close(self) -> None:
        """Give up all that are under way."""
        for session in tuple(self._open.values()):
            self.forget(session)

    def forget(self, session: UploadSession) -> None:
        """Give an upload up; its bytes are gone."""
        if self._open.pop(session.id, None) is not None:
            session.writer.discard()
