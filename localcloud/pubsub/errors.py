"""What can be wrong with a request, under the names that Google's APIs give it.

PubSubError
├── NotFound            the topic, subscription or project is not there
├── AlreadyExists       the name is taken
├── InvalidArgument     the request can never work
├── FailedPrecondition  the request does not fit the resource's present state
│   └── InvalidAckIds   deliveries of an exactly-once subscription are no longer the caller's
└── Unimplemented       the real service can do this, this one cannot

Codes: https://cloud.google.com/pubsub/docs/reference/error-codes
"""

from __future__ import annotations


class PubSubError(Exception):
    """A request that was refused; ``status`` and ``code`` are those of google.rpc.Code and HTTP."""

    status: str = "UNKNOWN"
    code: int = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFound(PubSubError):
    """The resource is not there."""

    status = "NOT_FOUND"
    code = 404

    @classmethod
    def resource(cls, name: str) -> NotFound:
        """Return the error that names the missing topic or subscription as the service does."""
        return cls(f"Resource not found (resource={name.rsplit('/', 1)[-1]}).")


class AlreadyExists(PubSubError):
    """The name is taken."""

    status = "ALREADY_EXISTS"
    code = 409

    @classmethod
    def resource(cls, name: str) -> AlreadyExists:
        """Return the error that names the existing topic or subscription as the service does."""
        return cls(f"Resource already exists in the project (resource={name.rsplit('/', 1)[-1]}).")


class InvalidArgument(PubSubError):
    """The request can never work."""

    status = "INVALID_ARGUMENT"
    code = 400


class FailedPrecondition(PubSubError):
    """The request does not fit the resource's present state."""

    status = "FAILED_PRECONDITION"
    code = 400


class InvalidAckIds(FailedPrecondition):
    """Deliveries of a subscription with exactly-once delivery that are no longer the caller's to acknowledge.

    https://cloud.google.com/pubsub/docs/exactly-once-delivery
    """

    def __init__(self, ack_ids: list[str]) -> None:
        super().__init__("Some acknowledgement ids in the request were invalid.")
        self.reasons = dict.fromkeys(ack_ids, "PERMANENT_FAILURE_INVALID_ACK_ID")


class Unimplemented(PubSubError):
    """The real service can do this, the local one cannot."""

    status = "UNIMPLEMENTED"
    code = 501
