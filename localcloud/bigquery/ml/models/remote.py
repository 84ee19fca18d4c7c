"""CREATE MODEL for remote models, which are models of Vertex AI.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-remote-model
"""

from __future__ import annotations

import re
from typing import Any

from localcloud.bigquery.base.connections import connection_name
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.registration import region_of
from localcloud.bigquery.ml.models.statements import CreateModel
from localcloud.gemini.errors import BackendError
from localcloud.gemini.models import GLOBAL, MULTI_REGIONS, ModelTable

_ALLOWED = frozenset({"ENDPOINT", "MAX_BATCHING_ROWS", "REMOTE_SERVICE_TYPE"})


_ENDPOINT = re.compile(
    r"https://[a-z0-9.-]+/v1(?:beta1)?/projects/[^/]+/locations/(?P<location>[a-z0-9-]+)"
    r"/publishers/(?P<publisher>[^/]+)/models/(?P<model>[^/]+)"
)


def remote_model_info(statement: CreateModel, location: str, models: ModelTable) -> dict[str, Any]:
    """Return the ``RemoteModelInfo`` for a statement that creates a remote model.

    https://cloud.google.com/bigquery/docs/reference/rest/v2/models#RemoteModelInfo

    Args:
        statement: The statement.
        location: The location of the model's dataset.
        models: The models that Vertex AI serves.

    Raises:
        QueryError: An option is missing, unknown, or not supported by the local BigQuery, or no location serves the model.
    """
    options = statement.options
    for name in options:
        if name not in _ALLOWED:
            raise QueryError(f"Unknown option: {name} is not supported for remote models.", location="query")
    if "REMOTE_SERVICE_TYPE" in options:
        raise QueryError("REMOTE_SERVICE_TYPE is not available in the local BigQuery.", reason="notImplemented")
    if statement.trained:
        raise QueryError(
            "A remote model with a query, which tunes the model, or with TRANSFORM is not available in the local BigQuery.",
            reason="notImplemented",
            location="query",
        )
    if statement.inputs is not None:
        raise QueryError("INPUT and OUTPUT are not supported for models that generate text.", location="query")
    endpoint, rows = options.get("ENDPOINT"), options.get("MAX_BATCHING_ROWS", 1)
    if endpoint is None or endpoint == "":
        raise QueryError("Missing required option: ENDPOINT, for a remote model", location="query")
    if not isinstance(endpoint, str):
        raise QueryError("Option ENDPOINT must be a string.", location="query")
    if not isinstance(rows, int) or isinstance(rows, bool) or rows < 1:
        raise QueryError("Option MAX_BATCHING_ROWS must be a positive INT64.", location="query")
    if "/endpoints/" in endpoint:
        raise QueryError("Remote models over Vertex AI endpoints are not available locally.", reason="notImplemented")
    project = statement.reference.project
    connection = connection_name(statement.connection or "", project, location)
    check_endpoint(endpoint, models)
    if not endpoint.startswith("https://"):
        endpoint = _endpoint_of(endpoint, location, project, models)
        check_endpoint(endpoint, models)
    info: dict[str, Any] = {"connection": connection, "endpoint": endpoint}
    if "MAX_BATCHING_ROWS" in options:
        info["maxBatchingRows"] = str(rows)
    return info


def check_endpoint(endpoint: str, models: ModelTable) -> None:
    """Check that Vertex AI serves the model of an endpoint there today.

    Args:
        endpoint: The URL of a model, or the name of one, which may be served in any location.
        models: The models that Vertex AI serves.

    Raises:
        QueryError: The URL is not one of a model, or the model is unknown, retired, or not served in the location.
    """
    if not endpoint.startswith("https://"):
        if model_name(endpoint).partition("@")[0] not in models.served():
            raise _not_served(endpoint, "Vertex AI does not have this model: it is retired or unknown.")
        return
    found = _ENDPOINT.fullmatch(endpoint)
    if found is None:
        example = (
            f"https://aiplatform.googleapis.com/v1/projects/PROJECT/locations/{GLOBAL}/publishers/google/models/MODEL"
        )
        raise _not_served(endpoint, f"It must be the name of a model, or a URL such as {example}.")
    try:
        models.find("-", found["location"], found["model"], publisher=found["publisher"])
    except BackendError as error:
        raise _not_served(endpoint, str(error)) from None


def _not_served(endpoint: str, why: str) -> QueryError:
    return QueryError(f"Invalid endpoint '{endpoint}' of a remote model: {why}", location="query")


def _endpoint_of(name: str, location: str, project: str, models: ModelTable) -> str:
    """Return the URL of a model by its name: in the region of a dataset if that serves it, as older models.

    How BigQuery finds newer models, which no region serves, is not documented. Here they are in the multi-region of the
    dataset, or in `global`.
    """
    region = region_of(location)
    model = models.served().get(name.partition("@")[0])
    where = [each for each in (region, location.lower(), GLOBAL) if model is not None and model.is_served_in(each)]
    place = where[0] if where else region
    prefix = {GLOBAL: "aiplatform"} | {each: f"aiplatform.{each}.rep" for each in MULTI_REGIONS}
    host = f"{prefix.get(place, f'{place}-aiplatform')}.googleapis.com"
    return f"https://{host}/v1/projects/{project}/locations/{place}/publishers/google/models/{name}"


def model_name(endpoint: str) -> str:
    """Return the name of the model in an endpoint, such as ``gemini-3.8-flash``."""
    return endpoint.rsplit("/", 1)[-1]
