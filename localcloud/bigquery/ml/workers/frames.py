"""The messages between a worker and the local cloud: a kind, a length, and that many bytes."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pyarrow as pa

_HEADER = struct.Struct("!cQ")

# The kinds of messages. A worker sends READY or INVALID once, and ROWS or FAILED for each batch.
READY = b"s"
INVALID = b"i"
ROWS = b"r"
FAILED = b"e"

# More than any batch of outputs: a worker that sends more is broken.
LONGEST_MESSAGE_BYTES = 4 * 1024**3


def _do_nothing() -> None:
    return None


def send(to: socket.socket, kind: bytes, content: bytes | pa.Buffer, check: Callable[[], None] = _do_nothing) -> None:
    """Send a message.

    Args:
        to: A socket; with a timeout, ``check`` is called at that interval.
        kind: The kind of the message.
        content: The message.
        check: Raises an error to stop.

    Raises:
        OSError: The other side closed the socket.
    """
    for part in (memoryview(_HEADER.pack(kind, len(content))), memoryview(content)):
        rest = part.cast("B")
        while rest:
            check()
            try:
                rest = rest[to.send(rest) :]
            except TimeoutError:
                continue


def receive(sender: socket.socket, check: Callable[[], None] = _do_nothing) -> tuple[bytes, pa.Buffer]:
    """Wait for a message; return its kind and content.

    Args:
        sender: A socket; with a timeout, ``check`` is called at that interval.
        check: Raises an error to stop.

    Raises:
        EOFError: The other side closed the socket.
        OSError: The socket failed, or the message is too long.
    """
    header = bytearray(_HEADER.size)
    _fill(sender, memoryview(header), check)
    kind, length = _HEADER.unpack(header)
    if length > LONGEST_MESSAGE_BYTES:
        raise OSError(f"a message of {length} bytes is too long")
    content = pa.allocate_buffer(length)
    _fill(sender, memoryview(content).cast("B"), check)
    return kind, content


def _fill(sender: socket.socket, rest: memoryview, check: Callable[[], None]) -> None:
    while rest:
        check()
        try:
            received = sender.recv_into(rest)
        except TimeoutError:
            continue
        if not received:
            raise EOFError
        rest = rest[received:]
