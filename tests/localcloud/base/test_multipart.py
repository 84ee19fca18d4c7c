"""Multipart bodies, read whole and in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from localcloud.base.api_errors import MalformedBody
from localcloud.base.multipart import PartStream, read_parts

TYPE = "multipart/related; boundary=edge"
CONTENTS = [b"", b"\r\n", b"--edg", b"\r\n--", b"line\r\n--other\r\nline", bytes(range(256)) * 20]


def multipart(*contents: bytes, newline: bytes = b"\r\n") -> bytes:
    """Return a body with parts of type ``text/x-0``, ``text/x-1`` and so on."""
    lines: list[bytes] = []
    for number, content in enumerate(contents):
        lines += [b"--edge", b"Content-Type: text/x-%d" % number, b"", content]
    return newline.join([*lines, b"--edge--", b""])


async def stream(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read_in_pieces(body: bytes, size: int, parts: int) -> list[tuple[str, bytes]]:
    reader = PartStream(TYPE, stream(body, size))
    return [((await reader.next_headers())["content-type"], await reader.read_content()) for _ in range(parts)]


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_whole_parts_are_read_with_their_headers(newline: bytes) -> None:
    parts = list(read_parts(TYPE, multipart(*CONTENTS, newline=newline)))
    assert [part.content for part in parts] == CONTENTS
    assert [part.headers["content-type"] for part in parts] == [f"text/x-{number}" for number in range(len(CONTENTS))]


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
def test_parts_are_the_same_in_pieces_of_any_size(size: int) -> None:
    body = b"a preamble\r\n" + multipart(*CONTENTS)
    expected = [(f"text/x-{number}", content) for number, content in enumerate(CONTENTS)]
    assert asyncio.run(read_in_pieces(body, size, len(CONTENTS))) == expected


@pytest.mark.parametrize("boundary", ["edge", '"edge"', "'edge'"])
def test_a_boundary_may_be_quoted(boundary: str) -> None:
    parts = list(read_parts(f"multipart/mixed; boundary={boundary}", multipart(b"content")))
    assert [part.content for part in parts] == [b"content"]


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/related", "text/plain; boundary=edge"])
def test_a_content_type_without_a_boundary_is_rejected(content_type: str) -> None:
    with pytest.raises(MalformedBody, match="boundary"):
        list(read_parts(content_type, multipart(b"content")))


@pytest.mark.parametrize("length", [0, 3, 20, 40, len(multipart(b"content")) - len("\r\n--edge--\r\n")])
def test_a_body_that_is_cut_off_is_rejected(length: int) -> None:
    body = multipart(b"content")[:length]
    with pytest.raises(MalformedBody, match="ends before its last boundary"):
        list(read_parts(TYPE, body))
    with pytest.raises(MalformedBody, match="ends before its last boundary"):
        asyncio.run(read_in_pieces(body, 5, 1))


def test_a_missing_part_is_rejected() -> None:
    with pytest.raises(MalformedBody, match="too few parts"):
        asyncio.run(read_in_pieces(multipart(b"content"), 5, 2))


def test_a_head_without_an_end_is_rejected() -> None:
    with pytest.raises(MalformedBody, match="does not end"):
        asyncio.run(read_in_pieces(b"--edge\r\n" + b"x" * (2 << 20), 1 << 16, 1))
