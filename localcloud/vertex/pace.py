"""How long things take in this Vertex AI, and how many happen at a time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Durations in seconds, and the number of jobs that run side by side.

    The two limits are the documented ones:
    https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-gemini

    Attributes:
        pending_seconds: How long a job is prepared before it runs.
        concurrent_jobs: How many jobs run at a time; the others are queued.
        longest_queue_seconds: A job that waits longer expires.
        longest_run_seconds: A job that runs longer ends with what it has.
        operation_seconds: How long it takes to create an endpoint, to deploy and to undeploy.
    """

    pending_seconds: float = 0.2
    concurrent_jobs: int = 4
    longest_queue_seconds: float = 72 * 3600.0
    longest_run_seconds: float = 24 * 3600.0
    operation_seconds: float = 0.2
