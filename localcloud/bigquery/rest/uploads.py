"""Receives the uploaded files of load jobs, in one request or in parts.

https://cloud.google.com/bigquery/docs/reference/api-uploads
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.base.api_errors import MalformedBody
from localcloud.base.json_api import parse_json_object
from localcloud.base.multipart import read_parts
from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.rest.messages import Call, Response

_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass
class ResumableUpload:
    """A resumable upload that is not complete.

    Attributes:
        body: The REST ``Job``.
        path: The file of the received content.
        received: The number of received bytes.
    """

    body: dict[str, Any]
    path: Path
    received: int = 0


@dataclass(frozen=True)
class Uploaded:
    """A complete upload.

    Attributes:
        body: The REST ``Job``.
        path: The uploaded file.
    """

    body: dict[str, Any]
    path: Path


class Uploads:
    """The uploads, whose files are in a temporary folder."""

    def __init__(self) -> None:
        """Create the folder."""
        self._folder = Path(tempfile.mkdtemp(prefix="bigquery-uploads-"))
        self._resumable: dict[str, ResumableUpload] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def take(self, call: Call, address: str) -> Uploaded | Response:
        """Handle one request of an upload; return the upload if it is complete, else the response.

        Raises:
            QueryError: The request is not a valid upload.
        """
        kind = call.query.get("uploadType") or call.headers.get("x-goog-upload-protocol")
        match kind:
            case "multipart":
                body, content = _resource_and_content(call)
                return Uploaded(body, self._save(content))
            case "media":
                return Uploaded({}, self._save(call.content))
            case "resumable" if call.method == "POST" and not call.query.get("upload_id"):
                return self._begin(call, address)
            case "resumable":
                return self._continue(call)
            case _:
                raise QueryError(f"Invalid upload type: {kind}", reason="badRequest")

    def _new_file(self) -> Path:
        return self._folder / uuid.uuid4().hex

    def _save(self, content: bytes) -> Path:
        path = self._new_file()
        path.write_bytes(content)
        return path

    def _begin(self, call: Call, address: str) -> Response:
        upload_id = uuid.uuid4().hex
        upload = ResumableUpload(call.json(), self._new_file())
        upload.path.touch()
        with self._lock:
            self._resumable[upload_id] = upload
        location = f"{address}{call.path}?uploadType=resumable&upload_id={upload_id}"
        return Response(200, content=b"", headers={"Location": location, "X-GUploader-UploadID": upload_id})

    def _continue(self, call: Call) -> Uploaded | Response:
        upload_id = call.query.get("upload_id", "")
        with self._lock:
            upload = self._resumable.get(upload_id)
        if upload is None:
            raise NotFound(f"Not found: upload {upload_id}")
        span = _RANGE.fullmatch(call.headers.get("content-range", f"bytes 0-{len(call.content) - 1}/*").strip())
        if span is None and call.content:
            raise QueryError("Invalid Content-Range", reason="badRequest")
        total = call.headers.get("content-range", f"*/{len(call.content)}").rpartition("/")[2]
        if call.content:
            start = int(span.group(1)) if span is not None and span.group(1) else 0
            if start > upload.received:
                return self._incomplete(upload)
            with upload.path.open("r+b") as file:
                file.seek(start)
                file.write(call.content)
            upload.received = max(upload.received, start + len(call.content))
        if total == "*" or upload.received < int(total):
            return self._incomplete(upload)
        with self._lock:
            self._resumable.pop(upload_id, None)
        return Uploaded(upload.body, upload.path)

    @staticmethod
    def _incomplete(upload: ResumableUpload) -> Response:
        headers = {"Range": f"bytes=0-{upload.received - 1}"} if upload.received else {}
        return Response(308, content=b"", headers=headers)


def _resource_and_content(call: Call) -> tuple[dict[str, Any], bytes]:
    """Return the JSON and the content of a ``multipart/related`` request. Raises ``QueryError``."""
    try:
        parts = list(read_parts(call.headers.get("content-type", ""), call.content))
    except MalformedBody as error:
        raise QueryError(str(error), reason="badRequest") from error
    if len(parts) != 2:
        raise QueryError("A multipart upload has two parts", reason="badRequest")
    try:
        return parse_json_object(parts[0].content), parts[1].content
    except MalformedBody as error:
        raise QueryError(f"Invalid JSON payload received. {error}", reason="parseError") from error
