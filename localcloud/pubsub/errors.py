"""The errors of Pub/Sub, named as in google.rpc.Code.

PubSubError
├── NotFound            the topic, subscription or project does not exist
├── AlreadyExists       the name is taken
├── InvalidArgument     the request can never succeed
│   └── InvalidAckIds   acknowledgement ids of an exactly-once subscription are not valid
├── FailedPrecondition  the request does not fit the resource's current state
├── Aborted             the resource was changed meanwhile
├── Unavailable         the request cannot be served now and may be sent again
└── Unimplemented       the real service supports this, the local one does not

Codes: https://cloud.google.com/pubsub/docs/reference/error-codes
"""

from __future__ import annotations

from localcloud.base.api_errors import ApiError


class PubSubError(ApiError):
    """A rejected request."""


class NotFound(PubSubError):
    """The resource does not exist."""

    status = "NOT_FOUND"
    code = 404

    @classmethod
    def resource(cls, name: str) -> NotFound:
        """Return the error for a missing topic or subscription, in the service's own wording."""
        return cls(f"Resource not found (resource={name.rsplit('/', 1)[-1]}).")


class AlreadyExists(PubSubError):
    """The name is taken."""

    status = "ALREADY_EXISTS"
    code = 409

    @classmethod
    def resource(cls, name: str) -> AlreadyExists:
        """Return the error for an existing topic or subscription, in the service's own wording."""
        return cls(f"Resource already exists in the project (resource={name.rsplit('/', 1)[-1]}).")


class InvalidArgument(PubSubError):
    """The request can never succeed."""

    status = "INVALID_ARGUMENT"
    code = 400


class FailedPrecondition(PubSubError):
    """The request does not fit the resource's current state."""

    status = "FAILED_PRECONDITION"
    code = 400


class InvalidAckIds(InvalidArgument):
    """Acknowledgement ids of a subscription with exactly-once delivery are not valid.

    https://cloud.google.com/pubsub/docs/exactly-once-delivery
    """

    def __init__(self, ack_ids: list[str]) -> None:
        """Create the error for the invalid ``ack_ids``."""
        super().__init__(
            "Some acknowledgement ids in the request were invalid. This could be because the acknowledgement ids have expired "
            "or the acknowledgement ids were malformed."
        )
        self.reasons = dict.fromkeys(ack_ids, "PERMANENT_FAILURE_INVALID_ACK_ID")


class Aborted(PubSubError):
    """The resource was changed since the caller read it."""

    status = "ABORTED"
    code = 409


class Unavailable(PubSubError):
    """The request cannot be served now; the caller may send it again."""

    status = "UNAVAILABLE"
    code = 503


class Unimplemented(PubSubError):
    """The real service supports this, the local one does not."""

    status = "UNIMPLEMENTED"
    code = 501
