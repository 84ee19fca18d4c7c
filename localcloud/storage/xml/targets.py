"""One request of the XML API for an object: its parameters, and what its headers ask for.

Headers: https://cloud.google.com/storage/docs/xml-api/reference-headers
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime

from starlette.datastructures import Headers
from starlette.requests import Request

from localcloud.storage.objects.checksums import AnnouncedChecksums
from localcloud.storage.objects.contents import ContentWriter
from localcloud.storage.rest.downloads import as_header
from localcloud.storage.rest.upload_sessions import Upload
from localcloud.storage.rules.customer_keys import key_hash
from localcloud.storage.rules.errors import (
    InvalidRequest,
    NotImplementedHere,
    NotModified,
    PreconditionFailed,
)
from localcloud.storage.rules.fields import HEADER_OF_FIELD, ObjectFields
from localcloud.storage.rules.lengths import ANY_LENGTH, LengthRange
from localcloud.storage.rules.preconditions import Preconditions, integer_parameter
from localcloud.storage.rules.resources import StoredObject
from localcloud.storage.rules.unsupported import UNSUPPORTED_HEADERS

LARGEST_DOCUMENT = 1 << 20
METADATA = "x-goog-meta-"
"""What the names of the headers with custom metadata begin with."""
COPY_SOURCE = "x-goog-copy-source"
"""The header that names the source of a copy, and the beginning of those about it."""
METADATA_DIRECTIVE = "x-goog-metadata-directive"
_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_HEADER_OF_FIELD = {
    **HEADER_OF_FIELD,
    "contentType": "content-type",
    "storageClass": "x-goog-storage-class",
    "customTime": "x-goog-custom-time",
}
_CONDITIONS = {
    "ifGenerationMatch": "x-goog-if-generation-match",
    "ifMetagenerationMatch": "x-goog-if-metageneration-match",
}
# https://cloud.google.com/storage/docs/xml-api/reference-headers#xgoogacl
_ACLS = {
    "private": "private",
    "public-read": "publicRead",
    "authenticated-read": "authenticatedRead",
    "bucket-owner-read": "bucketOwnerRead",
    "bucket-owner-full-control": "bucketOwnerFullControl",
    "project-private": "projectPrivate",
}
# Headers without which requests mean the same here, and those that are carried out. Others ask for something that a client
# would miss.
_HEADERS = frozenset(
    [
        *_CONDITIONS.values(),
        *(f"x-goog-encryption-{part}" for part in ("algorithm", "key", "key-sha256")),
        *(
            f"x-goog-{name}"
            for name in ("acl", "content-length-range", "custom-time", "hash", "resumable", "storage-class")
        ),
        *(
            f"x-goog-{name}"
            for name in ("api-client", "api-version", "content-sha256", "date", "gcs-idempotency-token")
        ),
        *(f"x-goog-{name}" for name in ("project-id", "request-params", "user-project")),
        "x-amz-content-sha256",
        "x-amz-date",
    ]
)
# Further headers of copies.
_COPY_HEADERS = frozenset(
    [
        COPY_SOURCE,
        METADATA_DIRECTIVE,
        *(f"{COPY_SOURCE}-encryption-{part}" for part in ("algorithm", "key", "key-sha256")),
        *(
            f"{COPY_SOURCE}-{name}"
            for name in ("generation", "if-generation-match", "if-match", "if-metageneration-match", "if-none-match")
        ),
    ]
)


def fields_in(headers: Mapping[str, str]) -> ObjectFields:
    """Return what ``headers`` say about a new object; fields of forms have the same names. Raises ``InvalidRequest``."""
    resource: dict[str, object] = {
        name: headers[header] for name, header in _HEADER_OF_FIELD.items() if header in headers
    }
    resource["metadata"] = {
        name.removeprefix(METADATA): value for name, value in headers.items() if name.startswith(METADATA)
    }
    acl = headers.get("x-goog-acl")
    if acl is not None and acl not in _ACLS:
        raise InvalidRequest(f"Invalid value for x-goog-acl: {acl!r} is not one of {', '.join(_ACLS)}")
    return ObjectFields.from_resource(resource).with_predefined_acl(_ACLS.get(acl or ""))


def quoted_etag(stored: StoredObject) -> str:
    """Return the entity tag in quotes, as the XML API sends it."""
    return f'"{stored.etag}"'


def xml_headers(stored: StoredObject) -> dict[str, str]:
    """Return the headers that only the XML API sends in this form: the entity tag and what the caller says about an object."""
    headers = {"etag": quoted_etag(stored)}
    headers |= {
        f"{METADATA}{name}": as_header(value)
        for name, value in stored.metadata.items()
        if _HEADER_NAME.fullmatch(name) and value.isprintable()
    }
    if stored.custom_time:
        headers["x-goog-custom-time"] = stored.custom_time
    if stored.component_count:
        headers["x-goog-component-count"] = str(stored.component_count)
    return headers


@dataclass(frozen=True)
class Target:
    """The object that a request names, and its parameters."""

    request: Request
    bucket: str
    name: str
    query: Mapping[str, str]

    @property
    def headers(self) -> Headers:
        """The headers of the request."""
        return self.request.headers

    @property
    def generation(self) -> int | None:
        """The generation that the request names, if any."""
        return integer_parameter(self.query, "generation")

    @property
    def conditions(self) -> Preconditions:
        """The preconditions in the headers."""
        parameters = {name: self.headers[header] for name, header in _CONDITIONS.items() if header in self.headers}
        return Preconditions.from_parameters(
            parameters,
            etag_match=self.headers.get("if-match"),
            etag_not_match=self.headers.get("if-none-match"),
        )

    @property
    def is_copy(self) -> bool:
        """Whether the request copies another object."""
        return self.request.method == "PUT" and COPY_SOURCE in self.headers and "uploadId" not in self.query

    def check_supported(self) -> None:
        """Raise ``NotImplementedHere`` if a header or a sub-resource asks for something that is not carried out.

        A parameter without a value names a sub-resource of the object, such as ``?acl``.
        """
        carried_out = _HEADERS | _COPY_HEADERS if self.is_copy else _HEADERS
        for name in self.headers:
            if name.startswith(("x-goog-", "x-amz-")) and name not in carried_out and not name.startswith(METADATA):
                belongs = UNSUPPORTED_HEADERS.get(name, f"the header {name} of the XML API")
                raise NotImplementedHere(f"The local cloud does not have {belongs}, which {name} asks for.")
        for name, value in self.query.items():
            if not value and name != "uploads":
                raise NotImplementedHere(
                    f"The local cloud does not have the sub-resource ?{name} of objects; use the JSON API."
                )

    def check_unchanged(self, stored: StoredObject) -> None:
        """Raise ``NotModified`` or ``PreconditionFailed`` as the times in the headers require.

        An entity tag in the same request takes precedence: https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2
        """
        changed = stored.updated.replace(microsecond=0)
        since, until = self._time("if-modified-since"), self._time("if-unmodified-since")
        if until is not None and "if-match" not in self.headers and changed > until:
            raise PreconditionFailed
        if since is not None and "if-none-match" not in self.headers and changed <= since:
            raise NotModified

    def _time(self, header: str) -> datetime | None:
        """Return the time in a header, ``None`` if it has none: HTTP ignores one that is malformed."""
        try:
            moment = parsedate_to_datetime(self.headers.get(header, ""))
        except ValueError:
            return None
        return moment if moment.tzinfo else None

    @property
    def length(self) -> LengthRange:
        """The number of bytes that the upload may have. Raises ``InvalidRequest``."""
        header = self.headers.get("x-goog-content-length-range")
        return ANY_LENGTH if header is None else LengthRange.parse(header)

    def upload(self) -> Upload:
        """Return the upload that the request asks for. Raises ``InvalidRequest`` or ``CustomerKeyProblem``."""
        return Upload(self.bucket, self.name, self.fields(), self.conditions, self.announced(), self.length)

    def fields(self) -> ObjectFields:
        """Return the fields that the headers give to a new object. Raises ``InvalidRequest`` or ``CustomerKeyProblem``."""
        return replace(fields_in(self.headers), key_hash=key_hash(self.headers))

    def announced(self) -> AnnouncedChecksums:
        """Return the checksums that the headers announce. Raises ``InvalidRequest``."""
        return AnnouncedChecksums.from_headers(self.headers.getlist("x-goog-hash"), self.headers.get("content-md5"))

    async def body(self) -> bytes:
        """Return the body of a request that sends a document. Raises ``InvalidRequest`` if it is too long."""
        content = bytearray()
        async for piece in self.request.stream():
            content += piece
            if len(content) > LARGEST_DOCUMENT:
                raise InvalidRequest(f"The body has more than {LARGEST_DOCUMENT:,} bytes.")
        return bytes(content)

    async def read_into(self, writer: ContentWriter) -> None:
        """Write the body to ``writer``."""
        async for piece in self.request.stream():
            writer.write(piece)
