"""The XML API as an ASGI application: objects, their lists, resumable uploads, uploads in parts and by forms, also signed."""

from __future__ import annotations

import sqlite3
from urllib.parse import quote, unquote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from localcloud.base.api_errors import ApiError
from localcloud.base.asgi import Receive, Scope, Send
from localcloud.base.clock import Clock, rfc3339
from localcloud.base.json_api import Call
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rest.downloads import download, download_headers
from localcloud.storage.rest.uploads import UploadApi
from localcloud.storage.rules.customer_keys import key_hash
from localcloud.storage.rules.errors import MethodNotAllowed, NotImplementedHere, StorageError, Unavailable
from localcloud.storage.rules.resources import StoredObject
from localcloud.storage.xml.copies import copy_object
from localcloud.storage.xml.cors import REQUESTED_METHOD, cors_headers
from localcloud.storage.xml.errors import UPLOADS_NAMESPACE, document, error_answer
from localcloud.storage.xml.forms import FORM_TYPE, upload_by_form
from localcloud.storage.xml.lists import list_objects
from localcloud.storage.xml.part_lists import list_parts
from localcloud.storage.xml.parts import Part, PartUploads, chosen_parts, part_number
from localcloud.storage.xml.signatures import SignedRequest, Verifier, check_signature
from localcloud.storage.xml.targets import Target, quoted_etag, xml_headers


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
            response = self._preflight(request) or await self._answer(request)
        except ApiError as error:
            response = error_answer(error, with_body=request.method != "HEAD")
        except ClientDisconnect:
            return
        except (OSError, sqlite3.OperationalError) as error:
            response = error_answer(Unavailable(f"The request cannot be stored: {error}."))
        response.headers.update(self._cors_headers(request, request.method))
        await response(scope, receive, send)

    def _preflight(self, request: Request) -> Response | None:
        """Return the answer to a browser that asks what a page may do; ``None`` for other requests."""
        method = request.headers.get(REQUESTED_METHOD)
        if request.method != "OPTIONS" or method is None:
            return None
        return Response(headers=self._cors_headers(request, method))

    def _cors_headers(self, request: Request, method: str) -> dict[str, str]:
        bucket, _, _ = request.scope["path"].removeprefix("/").partition("/")
        return (
            cors_headers(self._store.bucket(bucket), request.headers, method) if self._store.has_bucket(bucket) else {}
        )

    async def _answer(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode("latin-1")
        signed = SignedRequest(
            request.method, path, request.scope["query_string"].decode("latin-1"), dict(request.headers)
        )
        check_signature(signed, self._verify, self._clock.now())
        bucket, _, name = path.removeprefix("/").partition("/")
        target = Target(request, unquote(bucket), unquote(name), signed.parameters())
        if not name and request.method in ("PUT", "DELETE"):
            raise NotImplementedHere("The local cloud creates, changes and deletes buckets by the JSON API only.")
        self._store.bucket(target.bucket)
        if not name:
            if request.method == "POST" and request.headers.get("content-type", "").startswith(FORM_TYPE):
                return await upload_by_form(self._store, request, target.bucket, clock=self._clock, verify=self._verify)
            if request.method not in ("GET", "HEAD"):
                raise NotImplementedHere("Of the methods of buckets, the local cloud has GET and HEAD of the XML API.")
            listed = list_objects(self._store, target.bucket, target.query)
            # HEAD asks whether the bucket exists: https://cloud.google.com/storage/docs/xml-api/head-bucket
            return listed if request.method == "GET" else Response(media_type=listed.media_type)
        target.check_supported()
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

    async def _get(self, target: Target) -> Response:
        if "uploads" in target.query:
            raise NotImplementedHere("The local cloud does not list the uploads in parts.")
        if "uploadId" in target.query:
            upload = self._uploads.get(target.bucket, target.name, target.query["uploadId"])
            return list_parts(upload, target.query)
        key = key_hash(target.headers)
        stored, content = self._store.open_live(target.bucket, target.name, target.generation, key_hash=key)
        try:
            target.conditions.check_read(stored)
            target.check_unchanged(stored)
        except StorageError:
            content.close()
            raise
        if target.request.method == "HEAD":
            content.close()
            answer = Response(headers={**download_headers(stored), "content-length": str(stored.size)})
        else:
            answer = await download(Call(target.request, {}, {}), stored, content)
        answer.headers.update(xml_headers(stored))
        for header in ("content-type", "content-disposition"):
            if chosen := target.query.get(f"response-{header}"):
                answer.headers[header] = chosen
        return answer

    async def _put(self, target: Target) -> Response:
        if target.is_copy:
            # In a thread: it may copy a large file, which would delay all other requests.
            copied = await run_in_threadpool(copy_object, self._store, target)
            fields = {"LastModified": rfc3339(copied.updated), "ETag": quoted_etag(copied)}
            return document("CopyObjectResult", fields, headers=_object_headers(copied))
        upload = target.upload()
        self._store.check_write(upload.bucket, upload.name, upload.conditions)
        with self._store.begin_content() as writer:
            await target.read_into(writer)
            content = writer.finish()
            upload.check(content)
            stored = self._store.finalize(upload.bucket, upload.name, content, upload.fields, upload.conditions)
        return Response(headers=_object_headers(stored))

    async def _post(self, target: Target) -> Response:
        if "uploads" in target.query:
            self._store.check_write(target.bucket, target.name, target.conditions)
            upload = self._uploads.begin(target.bucket, target.name, target.fields(), target.conditions)
            fields = {"Bucket": upload.bucket, "Key": upload.name, "UploadId": upload.id}
            return document("InitiateMultipartUploadResult", fields, namespace=UPLOADS_NAMESPACE)
        if "uploadId" in target.query:
            upload = self._uploads.get(target.bucket, target.name, target.query["uploadId"])
            chosen = chosen_parts(await target.body())
            # In a thread: it copies all parts, which would delay all other requests.
            stored = await run_in_threadpool(self._uploads.complete, upload, chosen, target.conditions)
            fields = {"Bucket": stored.bucket, "Key": stored.name, "ETag": quoted_etag(stored)}
            return document(
                "CompleteMultipartUploadResult", fields, namespace=UPLOADS_NAMESPACE, headers=_object_headers(stored)
            )
        if target.headers.get("x-goog-resumable") == "start":
            return await self._begin_resumable(target)
        raise NotImplementedHere(
            "Of POST requests for an object, the local cloud has those that start an upload. Forms are sent to the bucket."
        )

    async def _begin_resumable(self, target: Target) -> Response:
        upload = target.upload()
        self._store.check_write(upload.bucket, upload.name, upload.conditions)
        session = self._resumable.begin(upload, target.headers.get("x-upload-content-length"))
        request = target.request
        query = urlencode({"uploadType": "resumable", "upload_id": session.id})
        location = f"{request.url.scheme}://{request.url.netloc}/upload/storage/v1/b/{quote(target.bucket)}/o?{query}"
        return Response(status_code=201, headers={"location": location, "x-guploader-uploadid": session.id})

    async def _put_part(self, target: Target) -> Response:
        upload = self._uploads.get(target.bucket, target.name, target.query["uploadId"])
        number = part_number(target.query.get("partNumber", ""))
        with self._store.begin_content() as writer:
            await target.read_into(writer)
            part = Part(writer, writer.finish(), self._clock.now())
            target.length.check(part.content.size)
            target.announced().check(part.content.crc32c, part.content.md5)
            upload.add(number, part)
        hashes = f"crc32c={part.content.crc32c},md5={part.content.md5}"
        return Response(headers={"etag": part.etag, "x-goog-hash": hashes})

    def _delete(self, target: Target) -> Response:
        if "uploadId" in target.query:
            self._uploads.abort(self._uploads.get(target.bucket, target.name, target.query["uploadId"]))
        else:
            self._store.delete(target.bucket, target.name, target.conditions, generation=target.generation)
        return Response(status_code=204)


def _object_headers(stored: StoredObject) -> dict[str, str]:
    headers = {**download_headers(stored), "etag": quoted_etag(stored)}
    names = ("etag", "x-goog-hash", "x-goog-generation", "x-goog-metageneration", "x-goog-stored-content-length")
    return {name: headers[name] for name in names}
