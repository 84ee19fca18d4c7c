"""What Google Cloud accepts: the one table of limits of a declaration, with their sources."""

from __future__ import annotations

from typing import NamedTuple


class Form(NamedTuple):
    """The form of a text."""

    pattern: str
    """A regular expression for all of the text."""
    expected: str
    """The form in words, after "expected"."""


class Range(NamedTuple):
    """The whole numbers from the first to the last."""

    least: int
    most: int


MIB_PER_GIB = 1024
DAY_SECONDS = 86400

# The names of a declaration and of its environments are part of the names below.
NAME = Form(
    r"[a-z][a-z0-9-]{2,62}", "a name of 3 to 63 lowercase letters, digits and hyphens that starts with a letter"
)
ENVIRONMENT = Form(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", "lowercase letters, digits and hyphens between them")

# Functions: https://cloud.google.com/functions/quotas
EVENT_TIMEOUT_SECONDS = Range(1, 540)
HTTP_TIMEOUT_SECONDS = Range(1, 3600)
# https://cloud.google.com/run/docs/configuring/concurrency
CONCURRENCY = Range(1, 1000)
# https://cloud.google.com/run/docs/configuring/max-instances-limits; `deploy check` compares it with the quota of CPUs.
INSTANCES = Range(1, 1000)
# https://cloud.google.com/functions/docs/configuring/memory
MEMORY_MIB = Range(128, 32 * MIB_PER_GIB)
# https://cloud.google.com/run/docs/configuring/services/cpu
WHOLE_CPUS = (1, 2, 4, 6, 8)
LEAST_CPU = 0.08
MEMORY_MIB_OF_CPUS = (
    (8, Range(4 * MIB_PER_GIB, 32 * MIB_PER_GIB)),
    (6, Range(4 * MIB_PER_GIB, 24 * MIB_PER_GIB)),
    (4, Range(2 * MIB_PER_GIB, 16 * MIB_PER_GIB)),
    (2, Range(128, 8 * MIB_PER_GIB)),
    (1, Range(128, 4 * MIB_PER_GIB)),
    (0.5, Range(128, 1 * MIB_PER_GIB)),
    (LEAST_CPU, Range(128, 512)),
)
"""The memory that goes with so many CPUs or more, the most first."""
# What gcloud says of a function's name, and what Cloud Run says of the service that has the same name.
FUNCTION_NAME = Form(
    r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?",
    "a name of 1 to 63 lowercase letters, digits and hyphens that starts with a letter and does not end with a hyphen",
)
ENTRY_POINT = Form(r"[A-Za-z_][A-Za-z0-9_]*", "the name of a Python function in main.py")
# https://cloud.google.com/run/docs/configuring/services/overview-environment-variables
# A deployment itself sets the last three of those that are reserved.
VARIABLE = Form(
    r"(?!X_GOOGLE_)(?!(PORT|K_[A-Z]+|FUNCTION_TARGET|FUNCTION_SIGNATURE_TYPE|GOOGLE_CLOUD_PROJECT|WORKERS|THREADS)$)"
    r"[A-Z][A-Z0-9_]*",
    "the name of a variable such as MODEL_BUCKET, which is not reserved",
)
# The oldest Python that runs our functions; `deploy check` asks whether the region has the runtime.
RUNTIME = Form(r"python3(1[1-9]|[2-9]\d)", "a runtime of Python 3.11 or newer, such as python312")
# The parts of the world and the directions of https://cloud.google.com/about/locations; `deploy check` asks whether it exists.
REGION = Form(
    r"(africa|asia|australia|europe|me|northamerica|southamerica|us)-(north|south)?(north|south|east|west|central)\d{1,2}",
    "a region such as us-central1",
)

# Pub/Sub: https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
# Google also takes percent signs, which are escapes in addresses.
PUBSUB_NAME = Form(
    r"(?!goog)[A-Za-z][A-Za-z0-9._~+-]{2,254}",
    "a name of 3 to 255 letters, digits and characters of - . _ ~ + that starts with a letter, and not with goog",
)
# https://cloud.google.com/pubsub/docs/handling-failures
BACKOFF_SECONDS = Range(0, 600)
DELIVERY_ATTEMPTS = Range(5, 100)

# Cloud Scheduler: https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs
JOB_NAME = Form(r"[A-Za-z0-9_-]{1,500}", "a name of 1 to 500 letters, digits, hyphens and underscores")
ATTEMPT_DEADLINE_SECONDS = Range(15, 1800)

# Cloud Storage: https://cloud.google.com/storage/docs/buckets#naming
BUCKET_NAME = Form(
    r"(?!goog)(?!.*(google|g00gle))(?!\d+(\.\d+){3}$)(?=.{3,222}$)[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?"
    r"(\.[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)*",
    "a name of 3 to 63 lowercase letters, digits, hyphens, underscores and dots that starts and ends with a letter or digit, "
    "is no IP address, does not start with goog and does not contain google",
)
# https://cloud.google.com/storage/docs/soft-delete
SOFT_DELETE_SECONDS = Range(7 * DAY_SECONDS, 90 * DAY_SECONDS)
# https://cloud.google.com/eventarc/docs/reference/supported-events#cloud-storage
STORAGE_EVENT = Form(
    r"google\.cloud\.storage\.object\.v1\.(archived|deleted|finalized|metadataUpdated)",
    "google.cloud.storage.object.v1.finalized, .deleted, .archived or .metadataUpdated",
)

# IAM: https://cloud.google.com/iam/docs/service-accounts-create
ACCOUNT_ID = Form(
    r"[a-z][a-z0-9-]{4,28}[a-z0-9]",
    "an id of 6 to 30 lowercase letters, digits and hyphens that starts with a letter and does not end with a hyphen",
)
ROLE = Form(r"roles/(browser|editor|owner|viewer|[A-Za-z]+(\.[A-Za-z]+)+)", "a role such as roles/pubsub.publisher")
# https://cloud.google.com/iam/docs/principal-identifiers
MEMBER = Form(
    r"(user|group|serviceAccount):[^\s:@]+@[^\s:@]+\.[^\s:@]+|domain:[^\s:@]+\.[^\s:@]+|principal(Set)?://\S+",
    "a member such as user:ada@example.com, and never the public",
)
# https://cloud.google.com/resource-manager/docs/creating-managing-projects; old projects of organizations have a domain.
PROJECT_ID = Form(
    r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{0,28}[a-z0-9]",
    "lowercase letters, digits and hyphens after a letter, as in the column PROJECT_ID of `gcloud projects list`",
)
SHORTEST_PROJECT_ID = "p" * 6

# BigQuery: https://cloud.google.com/bigquery/docs/datasets#dataset-naming
DATASET = Form(
    r"([a-z][a-z0-9:.-]{4,61}[a-z0-9]\.)?[A-Za-z0-9_]{1,1024}",
    "a dataset: `dataset`, or `project.dataset`, of letters, digits and underscores",
)
