"""Files that come with a load job: in one request, or in pieces.

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
from localcloud.bigquery.rest.messages import Answer, Call

_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass
class Session:
    """A resumable upload under way."""

    body: dict[str, Any]
    path: Path
    received: int = 0


@dataclass(frozen=True)
class Uploaded:
    """A load job's REST body and the file that came with it."""

    body: dict[str, Any]
    path: Path


class Uploads:
    """Takes uploads; a complete one comes out as the job's body and a file."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bigquery-uploads-"))
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Remove the files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def take(self, call: Call, address: str) -> Uploaded | Answer:
        """Take one request of an upload: what is to be answered, or the whole upload if it is complete.

        Raises:
            QueryError: The request is not one of an upload.
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

    def _begin(self, call: Call, address: str) -> Answer:
        upload_id = uuid.uuid4().hex
        session = Session(call.json(), self._new_file())
        session.path.touch()
        with self._lock:
            self._sessions[upload_id] = session
        location = f"{address}{call.path}?uploadType=resumable&upload_id={upload_id}"
        return Answer(200, content=b"", headers={"Location": location, "X-GUploader-UploadID": upload_id})

    def _continue(self, call: Call) -> Uploaded | Answer:
        upload_id = call.query.get("upload_id", "")
        with self._lock:
            session = self._sessions.get(upload_id)
        if session is None:
            raise NotFound(f"Not found: upload {upload_id}")
        span = _RANGE.fullmatch(call.headers.get("content-range", f"bytes 0-{len(call.content) - 1}/*").strip())
        if span is None and call.content:
            raise QueryError("Invalid Content-Range", reason="badRequest")
        total = call.headers.get("content-range", f"*/{len(call.content)}").rpartition("/")[2]
        if call.content:
            start = int(span.group(1)) if span is not None and span.group(1) else 0
            if start > session.received:
                return self._incomplete(session)
            with session.path.open("r+b") as file:
                file.seek(start)
                file.write(call.content)
            session.received = max(session.received, start + len(call.content))
        if total == "*" or session.received < int(total):
            return self._incomplete(session)
        with self._lock:
            self._sessions.pop(upload_id, None)
        return Uploaded(session.body, session.path)

    @staticmethod
    def _incomplete(session: Session) -> Answer:
        headers = {"Range": f"bytes=0-{session.received - 1}"} if session.received else {}
        return Answer(308, content=b"", headers=headers)


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
