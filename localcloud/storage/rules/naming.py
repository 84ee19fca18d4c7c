"""The rules for names of buckets and objects, and for the locations of buckets.

Rules: https://cloud.google.com/storage/docs/buckets#naming, https://cloud.google.com/storage/docs/objects#naming and
https://cloud.google.com/storage/docs/locations
"""

from __future__ import annotations

import re

from localcloud.storage.rules.errors import InvalidRequest, Required

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]*[a-z0-9]")
_GOOGLE = re.compile(r"g[o0][o0]g(le|1e)|^goog")
# The form of all locations; a list of their names would be out of date with each new region.
# Cloud Storage has no bucket in GLOBAL, the location of the newest models of Vertex AI. It is accepted here, because scripts
# create their buckets and datasets in the location of their batches.
_LOCATION = re.compile(r"US|EU|ASIA|ASIA\d|EUR\d|NAM\d|[A-Z]+-[A-Z]+\d+|GLOBAL")
_IP_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
_LONGEST_BUCKET_LABEL = 63
_LONGEST_DOTTED_BUCKET = 222
LONGEST_OBJECT_NAME = 1024  # bytes of UTF-8


def check_bucket_name(name: object) -> str:
    """Return ``name`` if it is valid for a bucket. Raises ``Required`` or ``InvalidRequest``."""
    if not name:
        raise Required("Required")
    well_formed = (
        isinstance(name, str)
        and _BUCKET.fullmatch(name)
        and 3 <= len(name) <= _LONGEST_DOTTED_BUCKET
        and all(0 < len(label) <= _LONGEST_BUCKET_LABEL for label in name.split("."))
        and not _IP_ADDRESS.fullmatch(name)
        and not _GOOGLE.search(name)
    )
    if not well_formed:
        raise InvalidRequest(f"Invalid bucket name: '{name}'")
    return str(name)


def check_location(location: str) -> None:
    """Raise ``InvalidRequest`` if a bucket cannot be in ``location``."""
    if not _LOCATION.fullmatch(location.upper()):
        raise InvalidRequest(
            f"The specified location constraint is not valid: {location!r} is not a region, such as us-central1, a"
            " dual-region or a multi-region."
        )


def check_object_name(name: object) -> str:
    """Return ``name`` if it is valid for an object. Raises ``Required`` or ``InvalidRequest``."""
    if name is None or name == "":
        raise Required("Required")
    if not isinstance(name, str):
        raise InvalidRequest("Invalid object name: not a string")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidRequest("Invalid object name: not valid Unicode") from None
    if length > LONGEST_OBJECT_NAME:
        raise InvalidRequest(
            f"The maximum object length is {LONGEST_OBJECT_NAME} characters, but got a name with {length} characters."
        )
    if name in (".", "..") or "\n" in name or "\r" in name or name.startswith(".well-known/acme-challenge/"):
        raise InvalidRequest(f"Disallowed object name: {name!r}")
    return name
