"""What can be wrong with a request to Cloud Scheduler, under the names that Google's APIs give it.

SchedulerError
├── NotFound            there is no such job
├── AlreadyExists       the name is taken
├── InvalidArgument     the job can never work
├── FailedPrecondition  the job is not in the state for this
└── Unimplemented       the real service can do this, this one cannot
"""

from __future__ import annotations


class SchedulerError(Exception):
    """A request that was refused; ``status`` and ``code`` are those of google.rpc.Code and HTTP."""

    status: str = "UNKNOWN"
    code: int = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFound(SchedulerError):
    """There is no such job."""

    status = "NOT_FOUND"
    code = 404


class AlreadyExists(SchedulerError):
    """The name is taken."""

    status = "ALREADY_EXISTS"
    code = 409


class InvalidArgument(SchedulerError):
    """The job can never work."""

    status = "INVALID_ARGUMENT"
    code = 400


class FailedPrecondition(SchedulerError):
    """The job is not in the state for this."""

    status = "FAILED_PRECONDITION"
    code = 400


class Unimplemented(SchedulerError):
    """The real service can do this, the local one cannot."""

    status = "UNIMPLEMENTED"
    code = 501
