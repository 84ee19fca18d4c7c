"""Copies by the XML API: https://cloud.google.com/storage/docs/xml-api/put-object-copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import unquote

from localcloud.storage.objects.copying import Source, copy
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rules.customer_keys import key_hash
from localcloud.storage.rules.errors import InvalidRequest
from localcloud.storage.rules.fields import ObjectFields
from localcloud.storage.rules.preconditions import Preconditions, integer_parameter
from localcloud.storage.rules.resources import StoredObject
from localcloud.storage.xml.targets import COPY_SOURCE, METADATA_DIRECTIVE, Target

_UNTYPED = "application/octet-stream"


def copy_object(store: ObjectStore, target: Target) -> StoredObject:
    """Copy the object that a request names in its headers, and return the copy.

    Raises:
        NotFound: The source or the bucket does not exist.
        PreconditionFailed: A condition on the source or on the target does not hold.
        InvalidRequest: A header is malformed, or the copy would change nothing.
        CustomerKeyProblem: The key of the source is missing or wrong.
    """
    headers = target.headers
    directive = headers.get(METADATA_DIRECTIVE, "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise InvalidRequest(f"Invalid value for {METADATA_DIRECTIVE}: {directive!r} is not COPY or REPLACE")
    source = _source(headers)
    given = target.fields()
    if directive == "REPLACE":
        fields = given.over_type(_UNTYPED)
    elif (source.bucket, source.name) == (target.bucket, target.name):
        raise InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's"
            f" metadata: {METADATA_DIRECTIVE} must be REPLACE."
        )
    else:
        kept = ObjectFields.of(source.find(store))
        fields = replace(kept, storage_class=given.storage_class or kept.storage_class)
    return copy(
        store,
        source,
        target.bucket,
        target.name,
        fields,
        target.conditions,
        key_hash=given.key_hash,
        acl=given.acl,
    )


def _source(headers: Mapping[str, str]) -> Source:
    """Return the source that headers name. Raises ``InvalidRequest`` or ``CustomerKeyProblem``."""
    bucket, _, name = unquote(headers[COPY_SOURCE].removeprefix("/")).partition("/")
    if not name:
        raise InvalidRequest(f"Invalid value for {COPY_SOURCE}: {headers[COPY_SOURCE]!r} is not BUCKET/OBJECT")
    conditions = {
        "ifGenerationMatch": f"{COPY_SOURCE}-if-generation-match",
        "ifMetagenerationMatch": f"{COPY_SOURCE}-if-metageneration-match",
    }
    return Source(
        bucket,
        name,
        integer_parameter(headers, f"{COPY_SOURCE}-generation"),
        Preconditions.from_parameters(
            {field: headers[header] for field, header in conditions.items() if header in headers},
            etag_match=headers.get(f"{COPY_SOURCE}-if-match"),
            etag_not_match=headers.get(f"{COPY_SOURCE}-if-none-match"),
        ),
        key_hash(headers, of_source=True),
    )
