"""The environment variables that make clients and functions use a local cloud in place of Google Cloud."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from declaration.model import Declaration
from localcloud.config import GEMINI_LOCATION, CloudConfig

ACCESS_TOKEN_FILE = "access-token"


@dataclass(frozen=True)
class Addresses:
    """The addresses of a running local cloud's services. URLs have no trailing slash."""

    http: str
    """The URL of all services without a field of their own."""
    bigquery: str
    """The URL of BigQuery's REST API."""
    pubsub: str
    """The ``host:port`` of Pub/Sub's gRPC API."""


def function_environment(
    config: CloudConfig, declaration: Declaration, addresses: Addresses, key_file: Path
) -> dict[str, str]:
    """Return the variables of every function: services, credentials, resources and settings.

    A setting has several sources. From the lowest to the highest precedence they are ``datasets``, ``settings`` and
    ``local_settings`` of the declaration, this process's variable of the same name, and the config. Settings that are in
    neither, but in this process's environment, are added when the settings are checked.
    """
    declared = declared_settings(declaration)
    return {
        **_services(config, addresses, key_file),
        **_places(config, declaration, addresses),
        **_resources(config, declaration),
        **{name: os.environ.get(name, value) for name, value in declared.items()},
        **config.function_environment,
    }


def declared_settings(declaration: Declaration) -> dict[str, str]:
    """Return the settings of the functions that ``declaration`` gives a local cloud."""
    datasets = declaration.datasets.variables if declaration.datasets else {}
    return {**datasets, **declaration.settings, **declaration.local_settings}


def client_environment(
    config: CloudConfig,
    declaration: Declaration,
    addresses: Addresses,
    key_file: Path,
    *,
    cloud_id: str,
    storage_read: str,
    function_urls: Mapping[str, str],
    gcloud_folder: Path,
) -> dict[str, str]:
    """Return the variables for a shell, the official clients, ``gcloud`` and ``bq``.

    Args:
        config: The configuration of the local cloud.
        declaration: The declared resources and functions.
        addresses: The addresses of the services.
        key_file: The key file of the service account.
        cloud_id: The id of the local cloud, which no other one has.
        storage_read: The ``host:port`` of the BigQuery Storage API, whose client has no variable for it.
        function_urls: The URLs of the running functions, by name.
        gcloud_folder: The folder for the settings of the Google Cloud SDK.
    """
    urls = {
        function.env: function_urls[name]
        for name, function in declaration.functions.items()
        if function.env is not None and name in function_urls
    }
    return {
        **_services(config, addresses, key_file),
        **_places(config, declaration, addresses),
        **_resources(config, declaration),
        **urls,
        "LOCALCLOUD_URL": addresses.http,
        "LOCALCLOUD_ID": cloud_id,
        "BIGQUERY_STORAGE_ENDPOINT": storage_read,
        **_gcloud(config.project, addresses, gcloud_folder),
    }


def export_lines(environment: Mapping[str, str]) -> str:
    """Return ``environment`` as ``export`` lines for a shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def _services(config: CloudConfig, addresses: Addresses, key_file: Path) -> dict[str, str]:
    return {
        "GOOGLE_CLOUD_PROJECT": config.project,
        "GOOGLE_CLOUD_LOCATION": config.location,
        "GOOGLE_APPLICATION_CREDENTIALS": str(key_file),
        "STORAGE_EMULATOR_HOST": addresses.http,
        # The variable of Google's C++ client, through which pandas and Apache Arrow read and write Parquet files.
        "CLOUD_STORAGE_EMULATOR_ENDPOINT": addresses.http,
        "BIGQUERY_EMULATOR_HOST": addresses.bigquery,
        # Unlike the other clients, this one does not accept a scheme.
        "PUBSUB_EMULATOR_HOST": addresses.pubsub,
        # The variable of google-genai for the address of Vertex AI.
        "GOOGLE_VERTEX_BASE_URL": addresses.http,
        # Otherwise gcsfs uses gRPC and TLS to find out whether a bucket has a hierarchical namespace.
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        # No log lines about forks and closed channels, which are normal when a function is killed.
        "GRPC_VERBOSITY": "NONE",
    }


def _places(config: CloudConfig, declaration: Declaration, addresses: Addresses) -> dict[str, str]:
    values = {"vertex_url": addresses.http, "vertex_location": GEMINI_LOCATION, "scheduler_url": addresses.http}
    return {name: values[place] for name, place in declaration.local_places.items()}


def _resources(config: CloudConfig, declaration: Declaration) -> dict[str, str]:
    project = config.project
    buckets = {bucket.env: bucket.name_in(project) for bucket in declaration.buckets.values()}
    topics = {topic.env: topic.path(project) for topic in declaration.topics.values()}
    schedules = {
        schedule.env: schedule.path(project, config.location)
        for schedule in declaration.schedules.values()
        if schedule.env is not None
    }
    return {**buckets, **topics, **schedules}


def _gcloud(project: str, addresses: Addresses, folder: Path) -> dict[str, str]:
    """Return the settings of the Google Cloud SDK, for a separate configuration without an account.

    The SDK requires that the URL of an override ends with a slash.
    """
    services = {
        "STORAGE": addresses.http,
        "PUBSUB": addresses.http,
        "AIPLATFORM": addresses.http,
        "CLOUDSCHEDULER": addresses.http,
        "BIGQUERY": addresses.bigquery,
    }
    return {
        **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}": f"{url}/" for name, url in services.items()},
        "CLOUDSDK_CONFIG": str(folder),
        "CLOUDSDK_CORE_PROJECT": project,
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "true",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
        # bq still requires an account, unless it has an access token.
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(folder / ACCESS_TOKEN_FILE),
        # A settings file of its own, so that bq does not change the user's file.
        "BIGQUERYRC": str(folder / "bigqueryrc"),
    }
