"""CREATE MODEL for remote models, which are models of Vertex AI.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-remote-model
"""

from __future__ import annotations

from typing import Any

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.registration import region_of
from localcloud.bigquery.ml.statements import CreateModel

_ALLOWED = frozenset({"ENDPOINT", "MAX_BATCHING_ROWS", "REMOTE_SERVICE_TYPE"})


def remote_model_info(statement: CreateModel, location: str) -> dict[str, Any]:
    """Return the ``RemoteModelInfo`` for a statement that creates a remote model.

    https://cloud.google.com/bigquery/docs/reference/rest/v2/models#RemoteModelInfo

    Raises:
        QueryError: An option is missing, unknown, or not supported by the local BigQuery.
    """
    options = statement.options
    for name in options:
        if name not in _ALLOWED:
            raise QueryError(f"Unknown option: {name} is not supported for remote models.", location="query")
    if "REMOTE_SERVICE_TYPE" in options:
        raise QueryError("REMOTE_SERVICE_TYPE is not available in the local BigQuery.", reason="notImplemented")
    if statement.inputs is not None:
        raise QueryError("INPUT and OUTPUT are not supported for models that generate text.", location="query")
    endpoint = options.get("ENDPOINT")
    if not isinstance(endpoint, str) or not endpoint:
        raise QueryError("Missing required option: ENDPOINT, for a remote model", location="query")
    if "/endpoints/" in endpoint:
        raise QueryError("Remote models over Vertex AI endpoints are not available locally.", reason="notImplemented")
    connection = statement.connection or ""
    parts = connection.split(".")
    if connection != "DEFAULT" and len(parts) not in (2, 3):
        raise QueryError(
            f"Invalid connection '{connection}'; it must have the form location.connection.", location="query"
        )
    region = region_of(location)
    project = statement.reference.project
    if len(parts) == 2:
        connection = f"{project}.{connection}"
    elif connection == "DEFAULT":
        connection = f"{project}.{location.lower()}.__default_cloudresource_connection__"
    if not endpoint.startswith("https://"):
        endpoint = (
            f"https://{region}-aiplatform.googleapis.com/v1/projects/{project}/locations/{region}"
            f"/publishers/google/models/{endpoint}"
        )
    info: dict[str, Any] = {"connection": connection, "endpoint": endpoint}
    if "MAX_BATCHING_ROWS" in options:
        info["maxBatchingRows"] = str(options["MAX_BATCHING_ROWS"])
    return info


def model_name(endpoint: str) -> str:
    """Return the name of the model in an endpoint, such as ``gemini-2.5-flash``."""
    return endpoint.rsplit("/", 1)[-1]
