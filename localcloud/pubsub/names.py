"""The full names of projects, topics and subscriptions, and the form of acknowledgement ids."""

from __future__ import annotations

import re
from collections.abc import Iterable

from localcloud.pubsub.errors import InvalidArgument, NotFound

RESOURCE_NAME = re.compile(r"projects/[^/]+/(?P<kind>topics|subscriptions|snapshots)/(?P<id>[^/]+)")
ACK_ID = re.compile(r"[0-9a-f]+-[0-9a-f]+-[0-9a-f]{16}")
RESOURCE_ID = re.compile(r"[A-Za-z][A-Za-z0-9._~%+-]{2,254}")


def check_name(name: str, kind: str) -> str:
    """Return ``name`` if it is a full name of a resource of ``kind`` (``topics``). Raises ``InvalidArgument``."""
    match = RESOURCE_NAME.fullmatch(name)
    if match and match["kind"] == kind and RESOURCE_ID.fullmatch(match["id"]) and not match["id"].startswith("goog"):
        return name
    raise InvalidArgument(
        f"Invalid resource name given (name={name}). "
        "Refer to https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names for more information."
    )


def check_project(name: str) -> None:
    """Raise ``InvalidArgument`` unless ``name`` is the full name of a project."""
    if not re.fullmatch(r"projects/[^/]+", name):
        raise InvalidArgument(f"Invalid project name given (name={name}): projects/PROJECT is expected.")


def check_ack_ids(ack_ids: Iterable[str]) -> None:
    """Raise ``InvalidArgument`` if one of ``ack_ids`` is not an id that this service returns, expired or not."""
    for ack_id in ack_ids:
        if not ACK_ID.fullmatch(ack_id):
            raise InvalidArgument(f"You have passed an invalid ack ID to the service (ack_id={ack_id[:100]}).")


def missing(name: str, kind: str) -> NotFound:
    """Return the error for a resource of ``kind`` that does not exist. Raises ``InvalidArgument`` if no resource can."""
    if not name.endswith("/_deleted-topic_") and name != "_deleted-topic_":
        check_name(name, kind)
    return NotFound.resource(name)
