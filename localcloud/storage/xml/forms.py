"""Uploads by HTML forms: https://cloud.google.com/storage/docs/xml-api/post-object-forms."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.message import Message
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from localcloud.base.api_errors import MalformedBody
from localcloud.base.clock import Clock
from localcloud.base.multipart import PartStream
from localcloud.storage.objects.checksums import AnnouncedChecksums
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rest.upload_sessions import Upload
from localcloud.storage.rules.errors import InvalidRequest, Required
from localcloud.storage.rules.lengths import ANY_LENGTH
from localcloud.storage.rules.preconditions import NO_PRECONDITIONS
from localcloud.storage.rules.resources import StoredObject
from localcloud.storage.xml.errors import document
from localcloud.storage.xml.policies import Policy
from localcloud.storage.xml.signatures import Verifier, check_form_signature
from localcloud.storage.xml.targets import LARGEST_DOCUMENT, METADATA, fields_in, quoted_etag

FORM_TYPE = "multipart/form-data"
# The fields of a form that begin with this and are not read mean something that a client would miss.
_OF_GOOGLE = "x-goog-"
_READ = frozenset({f"{_OF_GOOGLE}{name}" for name in ("algorithm", "credential", "date", "signature", "custom-time")})
_ANSWERS = {"200": 200, "201": 201, "204": 204}


async def upload_by_form(
    store: ObjectStore, request: Request, bucket: str, *, clock: Clock, verify: Verifier
) -> Response:
    """Upload the file of a form to ``bucket``.

    A form may come without a policy: the local cloud checks no permissions, so anybody may write to its buckets.

    Raises:
        StorageError: The form, its policy or its signature is not valid, or the object cannot be written.
    """
    try:
        parts = PartStream(request.headers.get("content-type", ""), request.stream())
        fields, file = await _fields(parts)
        upload = _upload(bucket, fields, file, clock.now(), verify)
        store.check_write(upload.bucket, upload.name, upload.conditions)
        with store.begin_content() as writer:
            await parts.copy_content(writer.write)
            if await parts.has_next():
                raise InvalidRequest("The file must be the last field of the form.")
            content = writer.finish()
            upload.check(content)
            stored = store.finalize(upload.bucket, upload.name, content, upload.fields, upload.conditions)
    except MalformedBody as error:
        raise InvalidRequest(f"The form cannot be read: {error}") from None
    location = f"{request.url.scheme}://{request.url.netloc}/{bucket}/{quote(stored.name)}"
    return _answer(stored, fields, location)


async def _fields(parts: PartStream) -> tuple[dict[str, str], Message]:
    """Return the fields before the file, by their names in small letters, and the headers of the file's part."""
    fields: dict[str, str] = {}
    size = 0
    while True:
        headers = await parts.next_headers()
        name = str(headers.get_param("name", "", "content-disposition")).lower()
        if name == "file":
            return fields, headers
        if not name:
            raise InvalidRequest("A part of the form has no name in its Content-Disposition.")
        content = await parts.read_content()
        size += len(name) + len(content)
        if size > LARGEST_DOCUMENT:
            raise InvalidRequest(f"The fields before the file have more than {LARGEST_DOCUMENT:,} bytes.")
        try:
            fields[name] = content.decode()
        except UnicodeDecodeError:
            raise InvalidRequest(f"The field {name} is not valid UTF-8.") from None


def _upload(bucket: str, fields: Mapping[str, str], file: Message, now: datetime, verify: Verifier) -> Upload:
    """Return the upload that a form asks for. Raises ``StorageError``."""
    for name in fields:
        if name.startswith(_OF_GOOGLE) and name not in _READ and not name.startswith(METADATA):
            raise InvalidRequest(f"Invalid field of the form: {name}")
    if fields.get("bucket", bucket) != bucket:
        raise InvalidRequest(f"The form is for the bucket {fields['bucket']}, and was sent to {bucket}.")
    if not fields.get("key"):
        raise Required("Required field of the form: key")
    length = ANY_LENGTH
    if "policy" in fields:
        check_form_signature(fields, verify)
        policy = Policy.parse(fields["policy"])
        policy.check({"bucket": bucket, **fields}, now)
        length = policy.length
    elif {"x-goog-signature", "signature"} & set(fields):
        raise Required("Required field of the form: policy, which the signature is for")
    headers = {**fields, **({"x-goog-acl": fields["acl"]} if "acl" in fields else {})}
    name = fields["key"].replace("${filename}", file.get_filename("") or "")
    status = fields.get("success_action_status")
    if status is not None and status not in _ANSWERS:
        raise InvalidRequest(f"Invalid success_action_status: {status!r} is not one of {', '.join(_ANSWERS)}")
    redirect = fields.get("success_action_redirect", "")
    if not redirect.isascii() or not redirect.isprintable():
        raise InvalidRequest(f"Invalid success_action_redirect: {redirect!r} is not a URL")
    return Upload(
        bucket,
        name,
        fields_in(headers),
        NO_PRECONDITIONS,
        AnnouncedChecksums.from_headers([], fields.get("content-md5")),
        length,
    )


def _answer(stored: StoredObject, fields: Mapping[str, str], location: str) -> Response:
    shown = {"Bucket": stored.bucket, "Key": stored.name, "ETag": quoted_etag(stored)}
    headers = {"etag": shown["ETag"], "location": location}
    redirect = fields.get("success_action_redirect")
    if redirect:
        asked = urlencode({name.lower(): value for name, value in shown.items()})
        headers["location"] = f"{redirect}{'&' if '?' in redirect else '?'}{asked}"
        return Response(status_code=303, headers=headers)
    status = _ANSWERS[fields.get("success_action_status", "204")]
    if status == 201:
        return document("PostResponse", {"Location": location, **shown}, status=status, headers=headers)
    return Response(status_code=status, headers=headers)
