"""The two checksums of a content, and the check against those that the caller expects."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import google_crc32c

from localcloud.storage.rules.errors import InvalidRequest


class RunningChecksums:
    """CRC32C and MD5 of bytes that arrive piece by piece."""

    def __init__(self) -> None:
        """Start with no bytes."""
        self._crc32c = 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, piece: bytes) -> None:
        """Add ``piece``."""
        self._crc32c = google_crc32c.extend(self._crc32c, piece)
        self._md5.update(piece)

    @property
    def crc32c(self) -> str:
        """The CRC32C so far: base64 of its four bytes, big-endian."""
        return base64.b64encode(self._crc32c.to_bytes(4, "big")).decode()

    @property
    def md5(self) -> str:
        """The MD5 so far, in base64."""
        return base64.b64encode(self._md5.digest()).decode()


@dataclass(frozen=True)
class AnnouncedChecksums:
    """The checksums that the caller expects, of which each place in a request may give one.

    Rules: https://cloud.google.com/storage/docs/data-validation
    """

    crc32c: frozenset[str] = frozenset()
    md5: frozenset[str] = frozenset()

    @classmethod
    def from_resource(cls, resource: Mapping[str, Any]) -> AnnouncedChecksums:
        """Read the ``crc32c`` and ``md5Hash`` of an object resource."""
        return cls(_given(resource.get("crc32c")), _given(resource.get("md5Hash")))

    @classmethod
    def from_headers(cls, hashes: Iterable[str], content_md5: str | None = None) -> AnnouncedChecksums:
        """Read the headers of a request.

        Args:
            hashes: The values of all headers ``X-Goog-Hash``, such as ``crc32c=...,md5=...``.
            content_md5: The value of the header ``Content-MD5``, if the body of the request is the content.

        Raises:
            InvalidRequest: A header has a checksum of another kind.
        """
        found: dict[str, set[str]] = {"crc32c": set(), "md5": set() if content_md5 is None else {content_md5.strip()}}
        for pair in (pair.strip() for header in hashes for pair in header.split(",")):
            kind, _, value = pair.partition("=")
            if kind not in found:
                raise InvalidRequest(f"Invalid value for header x-goog-hash: {pair!r} is not crc32c=... or md5=...")
            found[kind].add(value)
        return cls(frozenset(found["crc32c"]), frozenset(found["md5"]))

    def __or__(self, others: AnnouncedChecksums) -> AnnouncedChecksums:
        """Return these checksums and ``others``, which must all be right."""
        return AnnouncedChecksums(self.crc32c | others.crc32c, self.md5 | others.md5)

    def check(self, crc32c: str, md5: str) -> None:
        """Raise ``InvalidRequest`` if the content's own checksums differ."""
        for kind, announced, actual in (("CRC32C", self.crc32c, crc32c), ("MD5 hash", self.md5, md5)):
            for wrong in sorted(announced - {actual}):
                raise InvalidRequest(f'Provided {kind} "{wrong}" doesn\'t match calculated {kind} "{actual}".')


def _given(value: object) -> frozenset[str]:
    return frozenset() if value is None else frozenset({str(value)})
