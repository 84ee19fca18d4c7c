"""Uploads in parts: https://cloud.google.com/storage/docs/multipart-uploads."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO
from xml.etree import ElementTree

from localcloud.storage.objects.contents import Content, ContentWriter
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rules.errors import InvalidRequest
from localcloud.storage.rules.fields import ObjectFields
from localcloud.storage.rules.preconditions import NO_PRECONDITIONS, Preconditions
from localcloud.storage.rules.resources import StoredObject
from localcloud.storage.xml.errors import InvalidPart, NoSuchUpload, TooSmall

SMALLEST_PART = 5 << 20
"""The smallest size in bytes of a part that is not the last."""
MOST_PARTS = 10_000
_PIECE = 1 << 20


@dataclass(frozen=True)
class Part:
    """One part, whose bytes are in a content of the store."""

    writer: ContentWriter
    content: Content
    uploaded: datetime

    @property
    def etag(self) -> str:
        """The entity tag: the MD5 in hexadecimal, in quotes."""
        return f'"{base64.b64decode(self.content.md5).hex()}"'


@dataclass
class PartUpload:
    """An upload in parts, of which any may be uploaded again."""

    bucket: str
    name: str
    fields: ObjectFields
    conditions: Preconditions = NO_PRECONDITIONS
    parts: dict[int, Part] = field(default_factory=dict)
    id: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def add(self, number: int, part: Part) -> None:
        """Add a part, or replace the one with its number."""
        former = self.parts.get(number)
        self.parts[number] = part
        if former is not None:
            former.writer.discard()

    def discard(self) -> None:
        """Remove the bytes of all parts."""
        for part in self.parts.values():
            part.writer.discard()


class PartUploads:
    """The uploads in parts that are in progress."""

    def __init__(self, store: ObjectStore) -> None:
        """Upload to ``store``."""
        self._store = store
        self._open: dict[str, PartUpload] = {}

    def begin(self, bucket: str, name: str, fields: ObjectFields, conditions: Preconditions) -> PartUpload:
        """Start an upload, whose ``conditions`` hold until its end."""
        upload = PartUpload(bucket, name, fields, conditions)
        self._open[upload.id] = upload
        return upload

    def get(self, bucket: str, name: str, upload_id: str) -> PartUpload:
        """Return an upload in progress. Raises ``NoSuchUpload``."""
        upload = self._open.get(upload_id)
        if upload is None or (upload.bucket, upload.name) != (bucket, name):
            raise NoSuchUpload("The requested upload was not found.")
        return upload

    def complete(
        self, upload: PartUpload, chosen: list[tuple[int, str]], conditions: Preconditions = NO_PRECONDITIONS
    ) -> StoredObject:
        """Make an object of the ``chosen`` parts, by their numbers and entity tags, and end the upload.

        ``conditions`` are those of this request; without any, those of the start count.

        Raises:
            InvalidPart: A part is missing, or is another one.
            TooSmall: A part that is not the last is too small.
            StorageError: The object cannot be written; the upload stays.
        """
        parts = [_part(upload, number, etag) for number, etag in chosen]
        if any(part.content.size < SMALLEST_PART for part in parts[:-1]):
            raise TooSmall(f"A part that is not the last one must have at least {SMALLEST_PART} bytes.")
        with self._store.begin_content() as writer:
            for part in parts:
                with part.writer.open() as content:
                    _copy(content, writer)
            content_of_all = writer.finish()
            # An object that was uploaded in parts has no MD5.
            whole = Content(content_of_all.id, content_of_all.size, content_of_all.crc32c, "")
            conditions = upload.conditions if conditions == NO_PRECONDITIONS else conditions
            stored = self._store.finalize(upload.bucket, upload.name, whole, upload.fields, conditions)
        self.abort(upload)
        return stored

    def abort(self, upload: PartUpload) -> None:
        """End an upload and remove its parts."""
        if self._open.pop(upload.id, None) is not None:
            upload.discard()

    def close(self) -> None:
        """End all uploads."""
        for upload in tuple(self._open.values()):
            self.abort(upload)


def part_number(text: str) -> int:
    """Return the number of a part. Raises ``InvalidRequest``."""
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= MOST_PARTS:
        raise InvalidRequest(f"partNumber must be from 1 to {MOST_PARTS}: {text!r}")
    return int(text)


def chosen_parts(body: bytes) -> list[tuple[int, str]]:
    """Return the numbers and entity tags in the body of a request that completes an upload. Raises ``InvalidRequest``."""
    if b"<!DOCTYPE" in body:
        raise InvalidRequest("The XML you provided was not well-formed: it has a document type.")
    try:
        root = ElementTree.fromstring(body)  # without a document type there are no entities
    except ElementTree.ParseError as error:
        raise InvalidRequest(f"The XML you provided was not well-formed: {error}") from None
    parts = [
        (part_number(part.findtext("{*}PartNumber", "")), part.findtext("{*}ETag", ""))
        for part in root.iterfind("{*}Part")
    ]
    numbers = [number for number, _ in parts]
    if not parts or numbers != sorted(set(numbers)):
        raise InvalidRequest("The list of parts must have at least one part, in ascending order, none of them twice.")
    return parts


def _part(upload: PartUpload, number: int, etag: str) -> Part:
    part = upload.parts.get(number)
    if part is None or etag.strip('"') != part.etag.strip('"'):
        raise InvalidPart(f"Part {number} was not found, or its entity tag is not {etag}.")
    return part


def _copy(content: BinaryIO, writer: ContentWriter) -> None:
    while piece := content.read(_PIECE):
        writer.write(piece)
