"""The preconditions of requests.

Rules: https://cloud.google.com/storage/docs/request-preconditions
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from localcloud.storage.rules.errors import InvalidRequest, NotModified, PreconditionFailed


class Versioned(Protocol):
    """An object or a bucket."""

    @property
    def generation(self) -> int:
        """The generation, which each new content increases."""
        ...

    @property
    def metageneration(self) -> int:
        """The metageneration, which each change of fields increases."""
        ...

    @property
    def etag(self) -> str:
        """The entity tag of generation and metageneration."""
        ...


@dataclass(frozen=True)
class Preconditions:
    """Conditions on the live version of an object or a bucket; ``None`` sets no condition.

    ``etag_match`` and ``etag_not_match`` are the values of the headers ``If-Match`` and ``If-None-Match``.
    """

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
        """Read ``ifGenerationMatch`` and the other parameters; the ``prefix`` for the source of a copy is ``ifSource``.

        Raises ``InvalidRequest`` if one is not an integer.
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
        """Raise ``PreconditionFailed`` unless ``live`` may be overwritten; ``None`` means that nothing is live."""
        if self._mismatches(live) or self._is_unchanged(live):
            raise PreconditionFailed

    def check_read(self, live: Versioned) -> None:
        """Raise ``PreconditionFailed`` or ``NotModified`` unless ``live`` may be read."""
        if self._mismatches(live):
            raise PreconditionFailed
        if self._is_unchanged(live):
            raise NotModified

    def _mismatches(self, live: Versioned | None) -> bool:
        """Return whether a condition requires a version that is not live; generation 0 requires that nothing is live."""
        return (
            (self.generation_match is not None and self.generation_match != (live.generation if live else 0))
            or (
                self.metageneration_match is not None
                and (live is None or self.metageneration_match != live.metageneration)
            )
            or (self.etag_match is not None and (live is None or not names_etag(self.etag_match, live)))
        )

    def _is_unchanged(self, live: Versioned | None) -> bool:
        """Return whether a condition excludes the live version; it fails where nothing is live."""
        return (
            (self.generation_not_match is not None and (live is None or self.generation_not_match == live.generation))
            or (
                self.metageneration_not_match is not None
                and (live is None or self.metageneration_not_match == live.metageneration)
            )
            or (self.etag_not_match is not None and live is not None and names_etag(self.etag_not_match, live))
        )


NO_PRECONDITIONS = Preconditions()


def names_etag(header: str, live: Versioned) -> bool:
    """Return whether a header names the entity tag of ``live``, or ``*``, which is every tag.

    The header is a list; the JSON API has its tags without quotes, the XML API with them.
    https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1
    """
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")}
    return bool(tags & {"*", live.etag})


def integer_parameter(parameters: Mapping[str, str], name: str) -> int | None:
    """Return a query parameter as an integer, ``None`` if it is missing. Raises ``InvalidRequest``."""
    text = parameters.get(name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise InvalidRequest(f"Invalid value for parameter {name}: {text!r} is not an integer") from None
