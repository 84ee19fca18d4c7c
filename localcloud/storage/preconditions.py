"""The conditions under which a request may go on.

Rules: https://cloud.google.com/storage/docs/request-preconditions
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from localcloud.storage.errors import InvalidRequest, NotModified, PreconditionFailed


class Versioned(Protocol):
    """What has a generation and a metageneration: an object or a bucket."""

    @property
    def generation(self) -> int: ...

    @property
    def metageneration(self) -> int: ...

    @property
    def etag(self) -> str: ...


@dataclass(frozen=True)
class Preconditions:
    """Conditions on the live version of something; ``None`` where there is none."""

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None
    etag_match: str | None = None
    etag_not_match: str | None = None

    @classmethod
    def from_parameters(
        cls,
        parameters: Mapping[str, str],
        *,
        prefix: str = "if",
        etag_match: str | None = None,
        etag_not_match: str | None = None,
    ) -> Preconditions:
        """Read ``ifGenerationMatch`` and its likes; a ``prefix`` of ``ifSource`` reads those on the source of a copy.

        Raises ``InvalidRequest`` if one is no integer.
        """
        return cls(
            generation_match=integer_parameter(parameters, f"{prefix}GenerationMatch"),
            generation_not_match=integer_parameter(parameters, f"{prefix}GenerationNotMatch"),
            metageneration_match=integer_parameter(parameters, f"{prefix}MetagenerationMatch"),
            metageneration_not_match=integer_parameter(parameters, f"{prefix}MetagenerationNotMatch"),
            etag_match=etag_match,
            etag_not_match=etag_not_match,
        )

    def check_write(self, live: Versioned | None) -> None:
        """Raise ``PreconditionFailed`` unless a write over ``live`` (``None``: nothing is there) may go on."""
        if self._is_refused(live) or self._is_unchanged(live):
            raise PreconditionFailed

    def check_read(self, live: Versioned) -> None:
        """Raise ``PreconditionFailed`` or ``NotModified`` unless ``live`` may be read."""
        if self._is_refused(live):
            raise PreconditionFailed
        if self._is_unchanged(live):
            raise NotModified

    def _is_refused(self, live: Versioned | None) -> bool:
        """Whether a condition asks for another version than the live one; generation 0 means: nothing is there."""
        return (
            (self.generation_match is not None and self.generation_match != (live.generation if live else 0))
            or (
                self.metageneration_match is not None
                and (live is None or self.metageneration_match != live.metageneration)
            )
            or (self.etag_match is not None and (live is None or self.etag_match != live.etag))
        )

    def _is_unchanged(self, live: Versioned | None) -> bool:
        """Whether a condition asks for anything but the live version; where nothing is live, such a condition fails."""
        return (
            (self.generation_not_match is not None and (live is None or self.generation_not_match == live.generation))
            or (
                self.metageneration_not_match is not None
                and (live is None or self.metageneration_not_match == live.metageneration)
            )
            or (self.etag_not_match is not None and live is not None and self.etag_not_match in ("*", live.etag))
        )


NO_PRECONDITIONS = Preconditions()


def integer_parameter(parameters: Mapping[str, str], name: str) -> int | None:
    """Return a parameter as a number, ``None`` if it is not given. Raises ``InvalidRequest`` if it is no number."""
    text = parameters.get(name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise InvalidRequest(f"Invalid value for parameter {name}: {text!r} is not an integer") from None
