"""Durations and limits of the local Vertex AI."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Durations in seconds, and the number of concurrent jobs.

    The limits for queueing and running are the documented ones:
    https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-gemini

    Attributes:
        pending_seconds: The time in JOB_STATE_PENDING.
        concurrent_jobs: The largest number of jobs that run at a time; the others are queued.
        longest_queue_seconds: A job that is queued longer expires.
        longest_run_seconds: A job that runs longer ends with the answers that it has.
        operation_seconds: The duration of creating an endpoint, deploying and undeploying.
    """

    pending_seconds: float = 0.2
    concurrent_jobs: int = 4
    longest_queue_seconds: float = 72 * 3600.0
    longest_run_seconds: float = 24 * 3600.0
    operation_seconds: float = 0.2
