"""The rules of Vertex AI's model registry for models of BigQuery ML: the one table of them.

https://docs.cloud.google.com/bigquery/docs/managing-models-vertex
"""

from __future__ import annotations

import re

from shared.errors import Rejected

# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-glm#vertex_ai_model_id
REGISTRY_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
ID_FORM = "up to 63 of a-z, 0-9, _ and -, beginning with a letter or _"

# https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models#Model (versionAliases)
ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
ALIAS_FORM = "2 to 128 letters, digits and -, beginning with a lower-case letter and ending with one or a digit"
# The version that is used without an alias has this one. It can be given to another version, and cannot be removed.
DEFAULT_ALIAS = "default"

# Where the models of a multi-region are registered; those of a region are registered there. Versions count per region.
# https://docs.cloud.google.com/bigquery/docs/managing-models-vertex#location_considerations
_REGIONS = {"us": "us-central1", "eu": "europe-west4"}


def registry_location(dataset_location: str) -> str:
    """Return the region of Vertex AI in which the models of a dataset are registered."""
    return _REGIONS.get(dataset_location.lower(), dataset_location.lower())


def check_can_register(model: str, registry_id: str, *, is_remote: bool, registered_as: str | None) -> None:
    """Raise ``Rejected`` if a model cannot be registered under an id.

    Args:
        model: The model: `project.dataset.model`.
        registry_id: The id in the registry.
        is_remote: Whether it is a remote model.
        registered_as: The id that it is registered under; None if it is not registered.
    """
    if is_remote:
        raise Rejected(
            f"{model} is a remote model, and the registry takes no remote models", field="model", code="remote_model"
        )
    if registered_as is not None and registered_as != registry_id:
        raise Rejected(
            f"{model} is registered as {registered_as}, and a model keeps its id for life: delete the model and import it "
            "again, or copy it and register the copy",
            field="id",
            code="registered_before",
        )
