"""The three ways to upload an object: https://cloud.google.com/storage/docs/uploads-downloads."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import urlencode

from starlette.responses import Response

from localcloud.base.gzip_bodies import gunzipped
from localcloud.base.json_api import Call, Route, parse_json_object
from localcloud.base.multipart import PartStream
from localcloud.storage.objects.checksums import AnnouncedChecksums
from localcloud.storage.objects.contents import ContentWriter
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rest.api import Handler, is_gzipped, object_resource, preconditions_of, resource_response
from localcloud.storage.rest.upload_sessions import (
    ContentRange,
    Upload,
    UploadSession,
    UploadSessions,
)
from localcloud.storage.rules.customer_keys import key_hash
from localcloud.storage.rules.errors import (
    Conflict,
    InvalidRequest,
    NotImplementedHere,
    RateLimited,
    StorageError,
)
from localcloud.storage.rules.fields import ObjectFields, check_place
from localcloud.storage.rules.resources import StoredObject

_RESUME_INCOMPLETE = 308
_LONGEST_RESOURCE = 1 << 20
_CANCELLED = 499
# The encodings of a part that leave its bytes as they are.
_AS_THEY_ARE = ("binary", "8bit", "7bit")


class UploadApi:
    """Handlers for uploads. A failed upload leaves nothing behind."""

    def __init__(self, store: ObjectStore) -> None:
        """Upload to ``store``."""
        self._store = store
        self._sessions = UploadSessions()
        self._by_type = {"media": self._upload_media, "multipart": self._upload_multipart, "resumable": self._begin}

    def routes(self) -> list[Route[Handler]]:
        """Return the routes of the handlers."""
        objects = "/upload/storage/v1/b/{bucket}/o"
        return [
            Route(method, path, handler, streams=True)
            for path in (objects, f"/resumable{objects}")
            for method, handler in (("POST", self._insert), ("PUT", self._resume), ("DELETE", self._cancel))
        ]

    def close(self) -> None:
        """Drop the uploads in progress."""
        self._sessions.close()

    async def _insert(self, call: Call) -> Response:
        if "upload_id" in call.query:
            return await self._resume(call)
        upload = self._by_type.get(call.query.get("uploadType", ""))
        if upload is None:
            raise InvalidRequest("Upload requests must have an uploadType of media, multipart or resumable.")
        return await upload(call)

    async def _upload_media(self, call: Call) -> Response:
        upload = self._upload(call, {}, call.headers.get("content-type", ""))
        with self._store.begin_content() as writer:
            async for piece in _body(call):
                writer.write(piece)
            return self._answer(call, self._complete(upload, writer), has_acl=upload.fields.acl is not None)

    async def _upload_multipart(self, call: Call) -> Response:
        parts = PartStream(call.headers.get("content-type", ""), _body(call))
        await parts.next_headers()
        resource = parse_json_object(await parts.read_content())
        headers = await parts.next_headers()
        content_type = headers.get("content-type", "")
        encoding = headers.get("content-transfer-encoding", "binary").lower()
        if encoding not in _AS_THEY_ARE:
            raise InvalidRequest(f"Invalid Content-Transfer-Encoding: {encoding!r} is not {', '.join(_AS_THEY_ARE)}")
        upload = self._upload(call, resource, content_type)
        with self._store.begin_content() as writer:
            await parts.copy_content(writer.write)
            return self._answer(call, self._complete(upload, writer), has_acl=upload.fields.acl is not None)

    async def _begin(self, call: Call) -> Response:
        headers = call.headers
        resource = parse_json_object(await _read_resource(call))
        upload = self._upload(call, resource, headers.get("x-upload-content-type", ""))
        session = self.begin(upload, headers.get("x-upload-content-length"))
        query = urlencode({**call.query, "uploadType": "resumable", "upload_id": session.id})
        location = f"{call.host}{call.path}?{query}"
        return Response(headers={"location": location, "x-guploader-uploadid": session.id})

    def begin(self, upload: Upload, length: str | None) -> UploadSession:
        """Start a resumable upload.

        Args:
            upload: The object to create.
            length: The size in bytes as the caller announces it, if it does.

        Raises:
            InvalidRequest: The length is not a number.
        """
        session = UploadSession(upload, self._store.begin_content())
        if length is not None:
            if not re.fullmatch("[0-9]+", length):
                raise InvalidRequest(f"Invalid value for header x-upload-content-length: {length!r} is not a number")
            session.expect(int(length))
        self._sessions.add(session)
        return session

    async def _resume(self, call: Call) -> Response:
        """Store the next bytes of a resumable upload, or return how many it has."""
        session = self._sessions.get(call.query.get("upload_id", ""))
        if session.stored is not None:
            return self._answer(call, session.stored, has_acl=session.upload.fields.acl is not None)
        header = call.headers.get("content-range")
        content_range = ContentRange.parse(header or "bytes 0-*/*")
        content_range.check_length(None if is_gzipped(call) else call.headers.get("content-length"))
        end = content_range.kept_until(session.total)
        session.check_complete_until(content_range.first)
        session.expect(content_range.total)
        if content_range.first is not None:
            try:
                await _append(call, session, content_range.first, end)
            finally:
                session.writer.pause()
            if content_range.last is None and content_range.total is None:
                session.expect(session.writer.size)
        if session.total is None or session.writer.size < session.total:
            return _incomplete(session)
        announced = _announced(call)
        upload = replace(session.upload, announced=session.upload.announced | announced)
        try:
            stored = self._complete(upload, session.writer)
        except RateLimited:
            raise  # the client retries
        except StorageError:
            self._sessions.forget(session)
            raise
        self._sessions.finish(session, stored)
        return self._answer(call, stored, has_acl=session.upload.fields.acl is not None)

    async def _cancel(self, call: Call) -> Response:
        """Drop a resumable upload. That of a finished one has the same answer, as in Google's storage testbench."""
        self._sessions.forget(self._sessions.get(call.query.get("upload_id", "")))
        return Response(status_code=_CANCELLED)

    def _upload(self, call: Call, resource: dict[str, object], content_type: str) -> Upload:
        """Return the upload of ``resource``; ``content_type`` applies if the resource has none.

        Raises the errors that the store would raise now, so that the client does not send bytes in vain.
        """
        if "contentEncoding" in call.query:
            resource = {**resource, "contentEncoding": call.query["contentEncoding"]}
        fields = replace(
            ObjectFields.from_resource({"contentType": content_type, **resource}), key_hash=key_hash(call.headers)
        )
        fields = fields.with_predefined_acl(call.query.get("predefinedAcl"))
        name = call.query.get("name") or resource.get("name")
        announced = AnnouncedChecksums.from_resource(resource) | _announced(call)
        bucket, preconditions = call.names["bucket"], preconditions_of(call)
        # The parameter takes precedence over the name in the resource.
        check_place(resource, bucket)
        self._store.check_write(bucket, name, preconditions)
        return Upload(bucket, str(name), fields, preconditions, announced)

    def _complete(self, upload: Upload, writer: ContentWriter) -> StoredObject:
        """Create the object if the content is the expected one."""
        content = writer.finish()
        upload.check(content)
        return self._store.finalize(upload.bucket, upload.name, content, upload.fields, upload.conditions)

    def _answer(self, call: Call, stored: StoredObject, *, has_acl: bool) -> Response:
        """Return the object; ``has_acl`` is whether the request gave it an access control list."""
        resource = object_resource(call, self._store.bucket(stored.bucket), stored, with_lists=has_acl)
        return resource_response(call, resource, {"etag": stored.etag})


def _body(call: Call) -> AsyncIterator[bytes]:
    """Return the body in pieces, without the compression that it has on its way here. Raises ``InvalidRequest``."""
    return gunzipped(call.stream()) if is_gzipped(call) else call.stream()


def _announced(call: Call) -> AnnouncedChecksums:
    """Return the checksums in the headers. Raises ``InvalidRequest`` or ``NotImplementedHere``."""
    content_md5 = call.headers.get("content-md5")
    if content_md5 is not None and call.query.get("uploadType") != "media":
        raise NotImplementedHere(
            "The local cloud holds Content-MD5 against uploads with uploadType=media only; use md5Hash or x-goog-hash."
        )
    return AnnouncedChecksums.from_headers(call.headers.getlist("x-goog-hash"), content_md5)


async def _read_resource(call: Call) -> bytes:
    """Return the body, which is the JSON of the object. Raises ``InvalidRequest`` if it is too long."""
    content = bytearray()
    async for piece in _body(call):
        content += piece
        if len(content) > _LONGEST_RESOURCE:
            raise InvalidRequest(f"The object resource has more than {_LONGEST_RESOURCE:,} bytes.")
    return bytes(content)


async def _append(call: Call, session: UploadSession, first: int, end: int | None) -> None:
    """Append the body, whose first byte is at position ``first`` of the upload.

    Bytes that were received before are skipped, and those from position ``end``. If the connection breaks, the received bytes
    are kept.
    Raises ``Conflict`` if a later request continues the upload.
    """
    session.turn += 1
    turn = session.turn
    known = session.writer.size - first
    async for piece in _body(call):
        if session.turn != turn:
            raise Conflict("The upload was resumed by another request.")
        room = None if end is None else max(end - session.writer.size, 0)
        session.writer.write(piece[known:][:room])
        known = max(known - len(piece), 0)


def _incomplete(session: UploadSession) -> Response:
    size = session.writer.size
    headers = {"range": f"bytes=0-{size - 1}"} if size else {}
    return Response(status_code=_RESUME_INCOMPLETE, headers={**headers, "x-guploader-uploadid": session.id})
