"""Eventarc on this machine: what happens in the other services, brought to functions as CloudEvents."""

from localcloud.eventarc.service import Eventarc
from localcloud.pubsub.resources import RetryPolicy

__all__ = ["Eventarc", "RetryPolicy"]
