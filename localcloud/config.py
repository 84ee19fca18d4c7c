"""What a local cloud is started with, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from localcloud.base.clock import Clock, SystemClock

DEFAULT_PROJECT = "local-project"
DEFAULT_LOCATION = "us-central1"
REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class CloudConfig:
    """Everything that can be chosen about a local cloud."""

    project: str = DEFAULT_PROJECT
    """Project of every resource and of the key file."""
    location: str = DEFAULT_LOCATION
    """Location of Vertex AI, Eventarc and Cloud Scheduler. Datasets default to ``US``, as in BigQuery."""
    http_port: int = 0
    """Port of everything but BigQuery and Pub/Sub's gRPC; 0 takes a free one."""
    bigquery_port: int = 0
    pubsub_port: int = 0
    data_dir: Path | None = None
    """Where everything is kept. Without it nothing is: a temporary folder goes when the cloud stops."""
    source: Path = REPOSITORY
    """Folder of the functions' ``main.py``."""
    declaration: Path = REPOSITORY / "deploy" / "functions.yaml"
    """The declaration of functions, triggers, topics, buckets and schedules."""
    with_functions: bool = True
    """Whether the functions run; without them only the services do."""
    with_schedules: bool = True
    """Whether the declared schedules run by themselves; they can be run by hand all the same."""
    with_samples: bool = True
    """Whether the small tables named as public ones are there from the start."""
    gemini_backend: str = "echo"
    """``echo``, ``openai:<base-url>`` or ``gemini``."""
    minimum_backoff_seconds: float = 0.2
    """Pause before the first redelivery, in place of the declared one; deliveries are counted as declared."""
    maximum_backoff_seconds: float = 5
    function_environment: Mapping[str, str] = field(default_factory=dict)
    """Further variables of the functions; they win over every other source."""
    record_to: Path | None = None
    """Folder that every exchange with a service is written to, for the contract check."""
    clock: Clock = field(default_factory=SystemClock)
