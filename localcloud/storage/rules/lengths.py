"""The number of bytes that an upload may have, if its caller limits it.

Rules: https://cloud.google.com/storage/docs/xml-api/reference-headers#xgoogcontentlengthrange
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from localcloud.storage.rules.errors import ContentTooLarge, ContentTooSmall, InvalidRequest

_RANGE = re.compile(r"(\d+),(\d+)")


@dataclass(frozen=True)
class LengthRange:
    """The smallest and the largest number of bytes; ``None`` sets no limit."""

    smallest: int = 0
    largest: int | None = None

    @classmethod
    def parse(cls, header: str) -> LengthRange:
        """Parse an ``X-Goog-Content-Length-Range`` header. Raises ``InvalidRequest``."""
        matched = _RANGE.fullmatch(header.strip())
        if matched is None or int(matched[1]) > int(matched[2]):
            raise InvalidRequest(
                f"Invalid X-Goog-Content-Length-Range: {header!r} is not the smallest and the largest number of bytes,"
                " such as 0,1024."
            )
        return cls(int(matched[1]), int(matched[2]))

    def check(self, size: int) -> None:
        """Raise ``ContentTooSmall`` or ``ContentTooLarge`` if an upload of ``size`` bytes is out of range."""
        if size < self.smallest:
            raise ContentTooSmall(f"The upload has {size} bytes; at least {self.smallest} are expected.")
        if self.largest is not None and size > self.largest:
            raise ContentTooLarge(f"The upload has {size} bytes; at most {self.largest} are expected.")


ANY_LENGTH = LengthRange()
