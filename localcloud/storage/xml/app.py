"""The XML API as an ASGI application: objects, their lists, resumable uploads and uploads in parts, also by signed URLs."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from localcloud.base.api_errors import ApiError
from localcloud.base.asgi import Receive, Scope, Send
from localcloud.base.clock import Clock
from localcloud.base.json_api import Call
from localcloud.storage.objects.checksums import AnnouncedChecksums
from localcloud.storage.objects.contents import ContentWriter
from localcloud.storage.objects.customer_keys import key_hash
from localcloud.storage.objects.errors import InvalidRequest, MethodNotAllowed, NotImplementedHere, Unavailable
from localcloud.storage.objects.fields import HEADER_OF_FIELD, ObjectFields
from localcloud.storage.objects.preconditions import Preconditions, integer_parameter
from localcloud.storage.objects.resources import StoredObject
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rest.downloads import download, download_headers
from localcloud.storage.rest.upload_sessions import Upload
from localcloud.storage.rest.uploads import UploadApi
from localcloud.storage.xml.errors import document, error_answer
from localcloud.storage.xml.lists import list_objects
from localcloud.storage.xml.parts import Part, PartUploads, chosen_parts, part_number
from localcloud.storage.xml.signatures import SignedRequest, Verifier, check_signature

LARGEST_DOCUMENT = 1 << 20
# https://cloud.google.com/storage/docs/xml-api/post-object-multipart
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_METADATA = "x-goog-meta-"
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


@dataclass(frozen=True)
class _Target:
    """The object that a request names, and its parameters."""

    request: Request
    bucket: str
    name: str
    query: Mapping[str, str]

    @property
    def headers(self) -> Headers:
        return self.request.headers

    @property
    def generation(self) -> int | None:
        return integer_parameter(self.query, "generation")

    @property
    def conditions(self) -> Preconditions:
        parameters = {name: self.headers[header] for name, header in _CONDITIONS.items() if header in self.headers}
        return Preconditions.from_parameters(
            parameters,
            etag_match=self.headers.get("if-match"),
            etag_not_match=self.headers.get("if-none-match"),
        )

    def fields(self) -> ObjectFields:
        """Return the fields that the headers give to a new object. Raises ``InvalidRequest`` or ``CustomerKeyProblem``."""
        resource: dict[str, object] = {
            name: self.headers[header] for name, header in HEADER_OF_FIELD.items() if header in self.headers
        }
        resource["metadata"] = {
            name.removeprefix(_METADATA): value for name, value in self.headers.items() if name.startswith(_METADATA)
        }
        for name, header in (
            ("contentType", "content-type"),
            ("storageClass", "x-goog-storage-class"),
            ("customTime", "x-goog-custom-time"),
        ):
            if header in self.headers:
                resource[name] = self.headers[header]
        if "x-goog-encryption-kms-key-name" in self.headers:
            raise NotImplementedHere(
                "The local cloud does not have Cloud KMS keys, which x-goog-encryption-kms-key-name asks for."
            )
        acl = self.headers.get("x-goog-acl")
        if acl is not None and acl not in _ACLS:
            raise InvalidRequest(f"Invalid value for x-goog-acl: {acl!r} is not one of {', '.join(_ACLS)}")
        fields = ObjectFields.from_resource(resource).with_predefined_acl(_ACLS.get(acl or ""))
        return replace(fields, key_hash=key_hash(self.headers))

    def announced(self) -> AnnouncedChecksums:
        """Return the checksums that the headers announce."""
        md5 = AnnouncedChecksums.from_resource({"md5Hash": self.headers.get("content-md5")})
        return md5 | AnnouncedChecksums.from_header(self.headers.get("x-goog-hash"))

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


class XmlApi:
    """An ASGI application for paths that begin with the name of a bucket."""

    def __init__(self, store: ObjectStore, resumable: UploadApi, *, clock: Clock, verify: Verifier) -> None:
        """Create the application.

        Args:
            store: The buckets and objects.
            resumable: The JSON API's uploads, which continue the resumable ones.
            clock: The time at which signed URLs are valid.
            verify: Checks the signature of an account.
        """
        self._store = store
        self._clock = clock
        self._verify = verify
        self._resumable = resumable
        self._uploads = PartUploads(store)

    def close(self) -> None:
        """Drop the uploads in progress."""
        self._uploads.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ApiError as error:
            response = error_answer(error, with_body=request.method != "HEAD")
        except ClientDisconnect:
            return
        except (OSError, sqlite3.OperationalError) as error:
            response = error_answer(Unavailable(f"The request cannot be stored: {error}."))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode("latin-1")
        signed = SignedRequest(
            request.method, path, request.scope["query_string"].decode("latin-1"), dict(request.headers)
        )
        check_signature(signed, self._verify, self._clock.now())
        bucket, _, name = path.removeprefix("/").partition("/")
        target = _Target(request, unquote(bucket), unquote(name), signed.parameters())
        self._store.bucket(target.bucket)
        if not name:
            if request.method != "GET":
                raise NotImplementedHere("Of the methods of buckets, the local cloud has only the list of the XML API.")
            return list_objects(self._store, target.bucket, target.query)
        match request.method:
            case "GET" | "HEAD":
                return await self._get(target)
            case "PUT":
                return await (self._put_part(target) if "uploadId" in target.query else self._put(target))
            case "POST":
                return await self._post(target)
            case "DELETE":
                return self._delete(target)
        raise MethodNotAllowed("The specified method is not allowed against this resource.")

    async def _get(self, target: _Target) -> Response:
        if {"acl", "uploads", "uploadId", "tagging"} & set(target.query):
            raise NotImplementedHere("The local cloud answers only with the content of an object here.")
        key = key_hash(target.headers)
        stored, content = self._store.open_live(target.bucket, target.name, target.generation, key_hash=key)
        target.conditions.check_read(stored)
        if target.request.method == "HEAD":
            content.close()
            answer = Response(headers={**download_headers(stored), "content-length": str(stored.size)})
        else:
            answer = await download(Call(target.request, {}, {}), stored, content)
        for header in ("content-type", "content-disposition"):
            if chosen := target.query.get(f"response-{header}"):
                answer.headers[header] = chosen
        return answer

    async def _put(self, target: _Target) -> Response:
        if "x-goog-copy-source" in target.headers:
            raise NotImplementedHere("The local cloud does not copy by x-goog-copy-source; use the JSON API's rewrite.")
        fields, conditions = target.fields(), target.conditions
        self._store.check_write(target.bucket, target.name, conditions)
        with self._store.begin_content() as writer:
            await target.read_into(writer)
            content = writer.finish()
            target.announced().check(content.crc32c, content.md5)
            stored = self._store.finalize(target.bucket, target.name, content, fields, conditions)
        return Response(headers=_object_headers(stored))

    async def _post(self, target: _Target) -> Response:
        if "uploads" in target.query:
            self._store.check_write(target.bucket, target.name, target.conditions)
            upload = self._uploads.begin(target.bucket, target.name, target.fields())
            fields = {"Bucket": upload.bucket, "Key": upload.name, "UploadId": upload.id}
            return document("InitiateMultipartUploadResult", fields, namespace=_NAMESPACE)
        if "uploadId" in target.query:
            upload = self._uploads.get(target.bucket, target.name, target.query["uploadId"])
            chosen = chosen_parts(await target.body())
            # In a thread: it copies all parts, which would delay all other requests.
            stored = await run_in_threadpool(self._uploads.complete, upload, chosen)
            fields = {"Bucket": stored.bucket, "Key": stored.name, "ETag": f'"{stored.etag}"'}
            return document(
                "CompleteMultipartUploadResult", fields, namespace=_NAMESPACE, headers=_object_headers(stored)
            )
        if target.headers.get("x-goog-resumable") == "start":
            return await self._begin_resumable(target)
        raise NotImplementedHere("The local cloud does not have POST policy documents; use a signed URL for PUT.")

    async def _begin_resumable(self, target: _Target) -> Response:
        self._store.check_write(target.bucket, target.name, target.conditions)
        upload = Upload(target.bucket, target.name, target.fields(), target.conditions, target.announced())
        session = self._resumable.begin(upload, target.headers.get("x-upload-content-length"))
        request = target.request
        query = urlencode({"uploadType": "resumable", "upload_id": session.id})
        location = f"{request.url.scheme}://{request.url.netloc}/upload/storage/v1/b/{quote(target.bucket)}/o?{query}"
        return Response(status_code=201, headers={"location": location, "x-guploader-uploadid": session.id})

    async def _put_part(self, target: _Target) -> Response:
        upload = self._uploads.get(target.bucket, target.name, target.query["uploadId"])
        number = part_number(target.query.get("partNumber", ""))
        with self._store.begin_content() as writer:
            await target.read_into(writer)
            part = Part(writer, writer.finish())
            target.announced().check(part.content.crc32c, part.content.md5)
            upload.add(number, part)
        hashes = f"crc32c={part.content.crc32c},md5={part.content.md5}"
        return Response(headers={"etag": part.etag, "x-goog-hash": hashes})

    def _delete(self, target: _Target) -> Response:
        if "uploadId" in target.query:
            self._uploads.abort(self._uploads.get(target.bucket, target.name, target.query["uploadId"]))
        else:
            self._store.delete(target.bucket, target.name, target.conditions, generation=target.generation)
        return Response(status_code=204)


def _object_headers(stored: StoredObject) -> dict[str, str]:
    headers = download_headers(stored)
    names = ("etag", "x-goog-hash", "x-goog-generation", "x-goog-metageneration", "x-goog-stored-content-length")
    return {name: headers[name] for name in names}
