"""Finds the few fields of interest in a file of protocol buffers, in bounded memory and time.

The file is read forward through a window. A field that is not of interest is skipped without being read, so a large tensor
costs nothing. Nothing in the file is trusted: lengths are compared with the message around them, and fields are counted.
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from shared.drops import limits
from shared.drops.formats.model_file import ModelFile
from shared.errors import Rejected

_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5
_LARGEST_NUMBER = 2**29 - 1

# The tag and the length of a field take at most 10 bytes each.
_HEADER_BYTES = 20


class MalformedError(Exception):
    """The file is not a message of protocol buffers."""


@dataclass(frozen=True)
class Message:
    """A field that is a message, to be searched."""

    fields: Mapping[int, Field]
    """The fields of interest in it, by number. The wire type must match too; a field with another one is skipped."""
    name: str | None = None
    """The name under which the beginning of the message is reported; None: it is not reported."""


@dataclass(frozen=True)
class Bytes:
    """A field that is a text, bytes, or a message that is not searched."""

    name: str
    longest: int = 0
    """The largest size in bytes for which the value is returned."""


@dataclass(frozen=True)
class Varint:
    """A field that is an integer, an enum or a boolean."""

    name: str


@dataclass(frozen=True)
class End:
    """A field after which nothing in its message is of interest, such as the first of a million integers."""


Field = Message | Bytes | Varint | End


class Found(NamedTuple):
    """A field of interest that was found."""

    name: str
    value: bytes | int | None
    """The value; None for a message, and for a text that is longer than the field's ``longest``."""
    depth: int = 0
    """The number of messages around it, without the one that is the file."""


def signed(value: int) -> int:
    """Return the integer of a field of type int32 or int64, which are stored without a sign."""
    return value - 2**64 if value >= 2**63 else value


def find_fields(file: ModelFile, fields: Mapping[int, Field]) -> Iterator[Found]:
    """Yield the fields of interest of the message that ``file`` holds, in the order of the file.

    Args:
        file: The file.
        fields: The fields of interest, by number.

    Raises:
        MalformedError: The file is not such a message. What was yielded before is not to be used.
        Rejected: The file has more than ``limits.MESSAGE_FIELDS`` fields.
    """
    window = _Window(file)
    outer: list[tuple[Mapping[int, Field], int]] = []  # the messages around the current one, and where they end
    at, end, parsed = 0, file.size, 0
    while True:
        while at == end:
            if not outer:
                return
            fields, end = outer.pop()
        parsed += 1
        if parsed > limits.MESSAGE_FIELDS:
            raise Rejected(
                f"{file.name} has more than {limits.MESSAGE_FIELDS:,} fields of protocol buffers, the most that is read",
                code="too_large",
            )
        if not window.start <= at <= window.last_header:
            window.move(at)
        number, wire, value, start = _header(window.data, at - window.start)
        start += window.start
        stop = start + value if wire == _LENGTH else start
        if stop > end:
            raise MalformedError("a field is longer than the message around it")
        at = stop
        wanted = fields.get(number)
        if wanted is None:
            continue
        match wanted:
            case Message() as message if wire == _LENGTH:
                outer.append((fields, end))
                fields, at, end = message.fields, start, stop
                if message.name is not None:
                    yield Found(message.name, None, len(outer) - 1)
            case Bytes() as text if wire == _LENGTH:
                yield Found(text.name, window.read(start, stop) if value <= text.longest else None, len(outer))
            case Varint() as integer if wire == _VARINT:
                yield Found(integer.name, value, len(outer))
            case End():
                at = end


def _header(data: bytes, at: int) -> tuple[int, int, int, int]:
    """Return the number, the wire type, the value and the end of the field header at ``at``.

    The value is the integer itself, or the length of what follows. Integers of fixed size are skipped.
    """
    try:
        tag = data[at]
        at += 1
        if tag > 127:
            tag, at = _varint(data, at - 1)
        wire = tag & 7
        value = 0
        if wire in (_LENGTH, _VARINT):
            value = data[at]
            at += 1
            if value > 127:
                value, at = _varint(data, at - 1)
        elif wire == _FIXED_32:
            at += 4
        elif wire == _FIXED_64:
            at += 8
        else:
            # Groups (3 and 4) are in no format that is read here.
            raise MalformedError("a field has an unknown type")
    except IndexError:
        raise MalformedError("the file ends within a field") from None
    number = tag >> 3
    if not 0 < number <= _LARGEST_NUMBER:
        raise MalformedError("a field has no valid number")
    return number, wire, value, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer at ``at``, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), at
    raise MalformedError("an integer does not end")


class _Window:
    """The part of a file that is in memory. It moves forward only."""

    def __init__(self, file: ModelFile) -> None:
        self._file = file
        self.start = 0
        self.data = b""
        self.last_header = -1
        """The last position at which the header of a field is wholly in the window."""

    def move(self, start: int) -> None:
        """Make the window begin at ``start``."""
        stop = min(start + limits.WINDOW_BYTES, self._file.size)
        self.data = b""  # so that two windows are never in memory
        self.data = self._file.read(start, stop)
        if len(self.data) != stop - start:
            raise MalformedError("the file is shorter than its size")
        self.start = start
        self.last_header = stop if stop == self._file.size else stop - _HEADER_BYTES

    def read(self, start: int, stop: int) -> bytes:
        """Return a few bytes that are not before the window."""
        if stop > self.start + len(self.data):
            self.move(start)
        return self.data[start - self.start : stop - self.start]
