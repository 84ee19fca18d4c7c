"""The configuration of a local cloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from localcloud.base.clock import Clock, SystemClock

DEFAULT_PROJECT = "local-project"
DEFAULT_LOCATION = "us-central1"
# The location that the functions and clients use for Gemini, which single regions do not serve.
GEMINI_LOCATION = "global"
REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class CloudConfig:
    """The configuration of a local cloud; every field has a default."""

    project: str = DEFAULT_PROJECT
    """The project of all resources and of the key file."""
    location: str = DEFAULT_LOCATION
    """The location of Vertex AI, Eventarc and Cloud Scheduler. Datasets default to ``US``, as in BigQuery."""
    http_port: int = 0
    """The port of all services but BigQuery and Pub/Sub's gRPC API; 0 means a free one."""
    bigquery_port: int = 0
    """The port of BigQuery; 0 means a free one."""
    pubsub_port: int = 0
    """The port of Pub/Sub's gRPC API; 0 means a free one."""
    host_names: tuple[str, ...] = ()
    """The host names that requests may have in addition to those of this machine, such as the name of a container."""
    data_dir: Path | None = None
    """The folder for all data. None means a temporary folder, which is deleted when the local cloud stops."""
    logs: Path | None = None
    """The folder for the functions' logs. None means the folder ``logs`` of the data directory."""
    source: Path = REPOSITORY
    """The folder with the functions' ``main.py``."""
    declaration: Path = REPOSITORY / "deploy" / "functions.yaml"
    """The file that declares functions, triggers, topics, buckets and schedules."""
    with_functions: bool = True
    """Whether the functions run, or the services only."""
    with_schedules: bool = True
    """Whether the declared schedules run on time. They can always be run by a request."""
    with_samples: bool = True
    """Whether the sample tables, which have the names of public tables, are created."""
    with_retry_tests: bool = False
    """Whether the local Cloud Storage has the retry-test API, keeps HMAC keys, and takes any topic for notifications."""
    gemini_backend: str = "echo"
    """``echo``, ``openai:<base-url>`` or ``gemini``."""
    gemini_echo: str = ""
    """The orders of the stand-in model, as JSON; see ``localcloud/gemini/orders.py``."""
    gemini_models: Path | None = None
    """A JSON file with changes to the table of models; see ``localcloud/gemini/models.py``."""
    minimum_backoff_seconds: float = 0.2
    """The delay before the first redelivery, in place of the declared one."""
    maximum_backoff_seconds: float = 5
    """The longest delay before a redelivery, in place of the declared one."""
    function_environment: Mapping[str, str] = field(default_factory=dict)
    """Further variables of the functions; they take precedence over all others."""
    record_to: Path | None = None
    """The folder for a record of every request and response, which the contract tests check."""
    clock: Clock = field(default_factory=SystemClock)
    """The clock of all services."""
