"""What each kind of work provides, so that the engine can do all kinds alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from shared.cloud.batch_jobs import Batch
from shared.cloud.query_jobs import Query
from shared.engine.services import Services
from shared.errors import ModeldropError
from shared.work import Item, Outcome, Step, WaitReason

if TYPE_CHECKING:
    from shared.cloud.endpoint_calls import EndpointCall


class WaitFor(ModeldropError):
    """The work cannot continue yet, through no fault of its own: it waits in the ledger."""

    def __init__(self, reason: WaitReason, seconds: float = 0.0) -> None:
        """Wait for ``reason``; the poller looks again after ``seconds``."""
        super().__init__(reason)
        self.reason = reason
        self.seconds = seconds


class Cancelled(ModeldropError):
    """The work was cancelled before its next job was created: it ends."""


class Handler(ABC):
    """One kind of work. A handler keeps no state: everything is in the item."""

    refused: Outcome
    """The outcome of work that a service refuses: `REJECTED` or `FAILED`."""

    is_repeatable = False
    """Whether two calls may continue the work after a query at the same time, up to the write of its item.

    Only one of them can do that write, so the poller does not claim the work before, which would be another write. It must
    take little memory and time: a look that ends with the process leaves no trace without a claim.
    """

    def refusal_of(self, item: Item) -> Outcome:
        """Return the outcome of ``item`` if a service refuses its next job."""
        return self.refused

    def failure_of(self, item: Item) -> Outcome:
        """Return the outcome of ``item`` if the job of its current step fails."""
        return Outcome.FAILED

    def continue_without(self, item: Item, step: Step, services: Services) -> Item | None:
        """Return ``item`` as it continues without the query of ``step``, which failed; None if it needs the query."""
        return None

    @abstractmethod
    def prepare(self, item: Item, services: Services) -> Item:
        """Check what must be known before the first step, and set the item's location.

        The engine calls it again until it returns.

        Raises:
            Rejected: The request cannot be carried out.
            TryLater: A service did not answer.
            WaitFor: The work cannot begin yet.
        """

    @abstractmethod
    def job(self, item: Item, step: Step, services: Services) -> Query | Batch | EndpointCall | None:
        """Return the job to submit for ``step``: a query for BigQuery, a batch or a change of an endpoint for Vertex AI.

        None: the endpoint is as the step wants it, so that nothing is sent.

        Raises:
            WaitFor: Too many jobs run already, or another operation changes the endpoint.
            Cancelled: No further job may be created.
        """

    @abstractmethod
    def deadline_seconds(self, item: Item, services: Services) -> float:
        """Return how long the current step may take before it is reported as stuck."""

    @abstractmethod
    def conclude(self, item: Item, services: Services) -> Item:
        """Return an item whose steps have all succeeded with its outcome, or with further steps, and with its facts."""

    def close(self, item: Item, services: Services) -> None:  # noqa: B027
        """Clean up once the outcome is stored, before the event is published. It may be called twice."""
