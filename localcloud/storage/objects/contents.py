"""The bytes of objects, in files with generated names."""

from __future__ import annotations

import io
import itertools
import os
import secrets
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from localcloud.storage.objects.checksums import RunningChecksums


@dataclass(frozen=True)
class Content:
    """The completely written bytes of an object; ``id`` is empty if there are none, ``md5`` if it is not shown."""

    id: str
    size: int
    crc32c: str
    md5: str


class ContentWriter:
    """Writes the bytes of one content; the first of them creates the file.

    As a context manager it discards them if an exception leaves the context.
    """

    def __init__(self, path: Path) -> None:
        """Write to the file ``path``."""
        self._path = path
        self._file: BinaryIO | None = None
        self._checksums = RunningChecksums()
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Append ``piece``. Raises ``OSError`` if the disk has no room for it; nothing is appended then."""
        if not piece:
            return
        if self._file is None:
            self._file = self._path.open("r+b" if self.size else "wb", buffering=0)
            self._file.seek(self.size)
        rest = memoryview(piece)
        try:
            while rest:  # a disk that is nearly full takes a part
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(self.size)
            self._file.seek(self.size)
            raise
        self._checksums.update(piece)
        self.size += len(piece)

    def pause(self) -> None:
        """Close the file until the next ``write``: uploads that are never finished must not keep files open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def finish(self) -> Content:
        """Close the file and return the content; a second call returns it again."""
        self.pause()
        return Content(self._path.name if self.size else "", self.size, self._checksums.crc32c, self._checksums.md5)

    def open(self) -> BinaryIO:
        """Open what was written for reading."""
        return self._path.open("rb") if self.size else io.BytesIO()

    def discard(self) -> None:
        """Remove what was written."""
        self.pause()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> ContentWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.discard()


class ContentDirectory:
    """A directory of contents. An open file can still be read after its content is removed."""

    _SUBDIRECTORIES = 64

    def __init__(self, directory: Path) -> None:
        """Use ``directory``, which is created if it is missing."""
        self._directory = directory
        for number in range(self._SUBDIRECTORIES):
            (directory / f"{number:02x}").mkdir(parents=True, exist_ok=True)
        # Names differ from those of other runs, so that no content is ever confused with another.
        self._run = secrets.token_hex(6)
        self._numbers = itertools.count()

    def create(self) -> ContentWriter:
        """Start a new content."""
        return ContentWriter(self._new_path())

    def open(self, content: str) -> BinaryIO:
        """Open a content for reading. Raises ``FileNotFoundError`` if it was removed."""
        return self._path(content).open("rb") if content else io.BytesIO()

    def link(self, content: str) -> str:
        """Return the name of a second content that shares the bytes on disk."""
        if not content:
            return content
        copy = self._new_path()
        os.link(self._path(content), copy)
        return copy.name

    def remove(self, content: str) -> None:
        """Remove a content."""
        if content:
            self._path(content).unlink(missing_ok=True)

    def sweep(self, kept: Set[str]) -> None:
        """Remove every content that is not in ``kept``, left behind by unfinished uploads."""
        for path in self._directory.glob("*/*"):
            if path.name not in kept:
                path.unlink()

    def _new_path(self) -> Path:
        number = next(self._numbers)
        return self._path(f"{number % self._SUBDIRECTORIES:02x}-{self._run}-{number:x}")

    def _path(self, content: str) -> Path:
        return self._directory / content[:2] / content
