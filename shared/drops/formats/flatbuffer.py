"""Reads tables of a FlatBuffers file in ranges, in bounded memory and time.

Nothing in the file is trusted: every offset is compared with the size of the file, and reads are counted.
https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from dataclasses import dataclass

from shared.drops import limits
from shared.drops.formats.model_file import ModelFile
from shared.errors import Rejected


class MalformedBuffer(Exception):
    """The file is not a valid buffer."""


class Buffer:
    """The bytes of a file, of which a few pages are in memory."""

    def __init__(self, file: ModelFile) -> None:
        """Create the reader of ``file``."""
        self._file = file
        self._pages: OrderedDict[int, bytes] = OrderedDict()
        self._reads = 0
        self._tables = 0

    def read(self, start: int, size: int) -> bytes:
        """Return ``size`` bytes from ``start``.

        Raises:
            MalformedBuffer: They are outside the file.
            Rejected: The file has been read ``limits.BUFFER_READS`` times.
        """
        if start < 0 or start + size > self._file.size:
            raise MalformedBuffer("an offset leads out of the file")
        first, last = start // limits.PAGE_BYTES, (start + size - 1) // limits.PAGE_BYTES
        found = b"".join(self._page(number) for number in range(first, last + 1)) if size else b""
        at = start - first * limits.PAGE_BYTES
        return found[at : at + size]

    def root(self) -> Table:
        """Return the table that the file begins with."""
        return self.table(self.offset(0))

    def table(self, at: int) -> Table:
        """Return the table at ``at``.

        Raises:
            MalformedBuffer: It is outside the file.
            Rejected: ``limits.BUFFER_TABLES`` tables have been read.
        """
        self._tables += 1
        if self._tables > limits.BUFFER_TABLES:
            raise Rejected(
                f"{self._file.name} has more than {limits.BUFFER_TABLES:,} operators, inputs and outputs",
                code="too_large",
            )
        (back,) = struct.unpack("<i", self.read(at, 4))
        at_fields = at - back
        (size,) = struct.unpack("<H", self.read(at_fields, 2))
        count = min(max(0, size - 4) // 2, limits.TABLE_FIELDS)
        return Table(self, at, struct.unpack(f"<{count}H", self.read(at_fields + 4, 2 * count)))

    def offset(self, at: int) -> int:
        """Return the position that the offset at ``at`` leads to."""
        (distance,) = struct.unpack("<I", self.read(at, 4))
        return int(at + distance)

    def length(self, at: int) -> int:
        """Return the number of elements of the vector, or the bytes of the text, at ``at``."""
        (count,) = struct.unpack("<I", self.read(at, 4))
        return int(count)

    def _page(self, number: int) -> bytes:
        if number not in self._pages:
            self._reads += 1
            if self._reads > limits.BUFFER_READS:
                raise Rejected(
                    f"{self._file.name} is laid out so that it takes more than {limits.BUFFER_READS:,} reads",
                    code="too_large",
                )
            if len(self._pages) >= limits.BUFFER_PAGES:
                self._pages.popitem(last=False)
            start = number * limits.PAGE_BYTES
            self._pages[number] = self._file.read(start, min(start + limits.PAGE_BYTES, self._file.size))
        self._pages.move_to_end(number)
        return self._pages[number]


@dataclass(frozen=True)
class Table:
    """One table: a record whose fields are numbered, and may be missing."""

    buffer: Buffer
    at: int
    fields: tuple[int, ...]

    def number(self, field: int, form: str, default: int = 0) -> int:
        """Return an integer. ``form`` is its form in ``struct``, such as ``b``."""
        if (at := self._position(field)) is None:
            return default
        (value,) = struct.unpack(f"<{form}", self.buffer.read(at, struct.calcsize(form)))
        return int(value)

    def has(self, field: int) -> bool:
        """Return whether the field is there."""
        return self._position(field) is not None

    def text(self, field: int) -> str:
        """Return a text, cut at ``limits.NAME_BYTES`` bytes; empty if it is missing."""
        if (at := self._position(field)) is None:
            return ""
        at = self.buffer.offset(at)
        size = min(self.buffer.length(at), limits.NAME_BYTES)
        return self.buffer.read(at + 4, size).decode(errors="replace")

    def integers(self, field: int) -> tuple[int, ...] | None:
        """Return a vector of 32-bit integers; None if it is missing."""
        if (at := self._position(field)) is None:
            return None
        at = self.buffer.offset(at)
        count = self._count(at)
        return struct.unpack(f"<{count}i", self.buffer.read(at + 4, 4 * count))

    def tables(self, field: int) -> tuple[int, ...]:
        """Return the positions of the tables in a vector; empty if it is missing."""
        if (at := self._position(field)) is None:
            return ()
        at = self.buffer.offset(at)
        count = self._count(at)
        distances = struct.unpack(f"<{count}I", self.buffer.read(at + 4, 4 * count))
        return tuple(at + 4 + 4 * index + distance for index, distance in enumerate(distances))

    def _count(self, at: int) -> int:
        count = self.buffer.length(at)
        if count > limits.VECTOR_ELEMENTS:
            raise MalformedBuffer(f"a vector has {count:,} elements")
        return count

    def _position(self, field: int) -> int | None:
        if field >= len(self.fields) or not self.fields[field]:
            return None
        return self.at + self.fields[field]
