"""Records the exchanges between clients and services, which a test checks against Google's API descriptions."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message as Headers
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from localcloud.base.api_errors import MalformedBody
from localcloud.base.asgi import Message, Receive, Scope, Send
from localcloud.base.background import Trouble
from localcloud.base.gzip_bodies import gunzip
from localcloud.base.multipart import read_parts

LARGEST_BODY_BYTES = 1 << 20
FILE_NAME = "exchanges.jsonl"


@dataclass(frozen=True)
class Exchange:
    """One call and its response."""

    service: str
    method: str | None
    """The method's id; None if the API has no such method."""
    kind: str
    """The kind of the call: ``call``, ``upload``, ``upload part``, ``download`` or ``rpc``."""
    caller: str | None
    """The calling function; None for any other client."""
    verb: str
    path: str
    query: list[tuple[str, str]]
    request: Any
    """The JSON of the request; None without JSON."""
    status: int | None
    """The HTTP status; None without a response."""
    answer_type: str
    """The media type of the response."""
    answer: Any
    """The JSON of the response; None without JSON."""
    cut: bool = False
    """Whether a body was too long to record."""


class Recorder:
    """A file of exchanges, one JSON object per line."""

    def __init__(self, folder: Path) -> None:
        """Append to the file in ``folder``; create the folder if it does not exist."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE_NAME
        self._file = self.path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._trouble = Trouble(logging.getLogger(__name__), "the record of exchanges", after="the next is tried")

    def write(self, exchange: Exchange) -> None:
        """Append ``exchange``; after ``close`` do nothing."""
        line = json.dumps(vars(exchange), ensure_ascii=False)
        with self._lock:
            if self._file.closed:
                return
            try:
                self._file.write(f"{line}\n")
                self._file.flush()
            except OSError as error:
                self._trouble.report(error)
            else:
                self._trouble.is_over()

    def close(self) -> None:
        """Close the file."""
        with self._lock, contextlib.suppress(OSError):  # a full disk
            self._file.close()


def read_exchanges(path: Path) -> Iterator[Exchange]:
    """Yield the exchanges of the file ``path`` in the order of their responses."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            fields = json.loads(line)
            yield Exchange(**{**fields, "query": [(name, value) for name, value in fields["query"]]})


@dataclass
class Tape:
    """Records one HTTP exchange while it takes place."""

    recorder: Recorder
    scope: Scope
    service: str
    method: str | None
    kind: str
    caller: Callable[[], str | None]
    _request: _Body = field(default_factory=lambda: _Body())
    _answer: _Body = field(default_factory=lambda: _Body())
    _status: int | None = None
    _answer_headers: dict[str, str] = field(default_factory=dict)
    _is_kept: bool = False

    def listen(self, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """Return ``receive`` and ``send`` with recording; the exchange is kept before the response ends."""

        async def recorded_receive() -> Message:
            message = await receive()
            self._request.add(message.get("body", b""))
            return message

        async def recorded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._status = message["status"]
                self._answer_headers = read_headers(message.get("headers", ()))
            self._answer.add(message.get("body", b""))
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self.keep()
            await send(message)

        return recorded_receive, recorded_send

    def keep(self) -> None:
        """Write the exchange; the second call does nothing."""
        if not self._is_kept:
            self._is_kept = True
            self.recorder.write(self._exchange())

    def _exchange(self) -> Exchange:
        return Exchange(
            service=self.service,
            method=self.method,
            kind=self.kind,
            caller=self.caller(),
            verb=self.scope["method"],
            path=self.scope["raw_path"].decode("latin-1"),
            query=parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True),
            request=self._request.json(read_headers(self.scope["headers"])),
            status=self._status,
            answer_type=self._answer_headers.get("content-type", "").partition(";")[0],
            answer=self._answer.json(self._answer_headers),
            cut=self._request.cut or self._answer.cut,
        )


@dataclass
class _Body:
    """The content of a body; none if it is too long."""

    content: bytearray = field(default_factory=bytearray)
    cut: bool = False

    def add(self, data: bytes) -> None:
        if self.cut or len(self.content) + len(data) > LARGEST_BODY_BYTES:
            self.cut = True
            self.content.clear()
        else:
            self.content += data

    def json(self, headers: dict[str, str]) -> Any:
        """Return the JSON of the body, or of the first part of a multipart/related body."""
        content = bytes(self.content)
        if self.cut or not content:
            return None
        if headers.get("content-encoding") == "gzip":
            try:
                content = gunzip(content, LARGEST_BODY_BYTES)
            except ValueError:
                return None
        parsed = Headers()
        parsed["content-type"] = headers.get("content-type", "")
        if parsed.get_content_type() == "multipart/related":
            try:
                content = next(read_parts(headers["content-type"], content)).content
            except MalformedBody:
                return None
        elif parsed.get_content_type() != "application/json":
            return None
        try:
            return json.loads(content)
        except ValueError:
            return None


def read_headers(headers: Any) -> dict[str, str]:
    """Return ASGI ``headers`` by name in lower case."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
