"""The rules of Vertex AI's model registry for models of BigQuery ML: the one table of them.

https://docs.cloud.google.com/bigquery/docs/managing-models-vertex
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from shared.checks.fields import Fields
from shared.errors import Rejected

# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-glm#vertex_ai_model_id
_REGISTRY_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_ID_FORM = "up to 63 of a-z, 0-9, _ and -, beginning with a letter or _"

# https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models#Model (versionAliases)
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_ALIAS_FORM = "2 to 128 letters, digits and -, beginning with a lower-case letter and ending with one or a digit"
# The version that is used without an alias has this one. It can be given to another version, and cannot be removed.
DEFAULT_ALIAS = "default"
# Vertex AI's documentation names no limit.
MOST_ALIASES = 100

# Where the models of a multi-region are registered; those of a region are registered there. Versions count per region.
# https://docs.cloud.google.com/bigquery/docs/managing-models-vertex#location_considerations
_REGIONS = {"us": "us-central1", "eu": "europe-west4"}


# The types of BigQuery's models that can be registered and cannot be deployed to an endpoint.
# https://docs.cloud.google.com/bigquery/docs/managing-models-vertex#limitations
NOT_DEPLOYABLE = frozenset({"XGBOOST", "ARIMA_PLUS", "ARIMA_PLUS_XREG"})


def registry_location(dataset_location: str) -> str:
    """Return the region of Vertex AI in which the models of a dataset are registered."""
    return _REGIONS.get(dataset_location.lower(), dataset_location.lower())


def read_registry_id(fields: Fields) -> str:
    """Return the field `id`: the id of a model in the registry. Raise ``Rejected`` if it is missing or wrong."""
    text = fields.text("id")
    if not _REGISTRY_ID.fullmatch(text):
        raise fields.wrong("id", f"must be {_ID_FORM}, not {text[:80]!r}")
    return text


def read_aliases(fields: Fields) -> tuple[str, ...]:
    """Return the field `aliases`: the aliases of a version, none if it is missing. Raise ``Rejected`` if one is wrong."""
    aliases = fields.texts("aliases")
    if len(aliases) > MOST_ALIASES:
        raise fields.wrong("aliases", f"must be at most {MOST_ALIASES}, not {len(aliases):,}")
    for index, alias in enumerate(aliases):
        if not _ALIAS.fullmatch(alias):
            raise fields.wrong(f"aliases[{index}]", f"must be {_ALIAS_FORM}, not {alias[:80]!r}")
        if alias in aliases[:index]:
            raise fields.wrong(f"aliases[{index}]", f"names {alias} again; name each alias once")
    return aliases


def remote_error(model: str) -> Rejected:
    """Return the error for a remote model, `project.dataset.model`, which is not registered and so not deployed."""
    return Rejected(
        f"{model} is a remote model, and the registry takes no remote models", field="model", code="remote_model"
    )


def check_can_register(
    model: str, registry_id: str, *, is_remote: bool, registered_as: str | None, field: str = "id"
) -> None:
    """Raise ``Rejected`` if a model cannot be registered under an id.

    Args:
        model: The model: `project.dataset.model`.
        registry_id: The id in the registry.
        is_remote: Whether it is a remote model.
        registered_as: The id that it is registered under; None if it is not registered.
        field: The field that has ``registry_id``.
    """
    if is_remote:
        raise remote_error(model)
    if registered_as is not None and registered_as != registry_id:
        raise Rejected(
            f"{model} is registered as {registered_as}, and a model keeps its id for life: delete the model and import it "
            "again, or copy it and register the copy",
            field=field,
            code="registered_before",
        )


def check_can_deploy(model: str, model_type: str | None, *, field: str) -> None:
    """Raise ``Rejected`` about ``field`` if models of this type cannot be deployed to an endpoint.

    Args:
        model: The model: `project.dataset.model`.
        model_type: Its type in BigQuery; None if it is not known.
        field: The field that asks for the deployment.
    """
    if model_type in NOT_DEPLOYABLE:
        raise Rejected(
            f"{model} is a model of the type {model_type}, which can be registered and cannot be deployed to an endpoint: "
            "predict with ML.PREDICT, or export it to another format",
            field=field,
            code="not_deployable",
        )


def deployed_error(model: str, endpoints: Iterable[str], advice: str) -> Rejected:
    """Return the error for a model that cannot be deleted or replaced because it is deployed.

    Args:
        model: The model: `project.dataset.model`.
        endpoints: The display names of its endpoints.
        advice: What to do.
    """
    listed = ", ".join(sorted(endpoints))
    return Rejected(
        f"{model} is deployed to the endpoint {listed}, and a deployed model can be neither deleted nor replaced: {advice}",
        field="model",
        code="model_deployed",
    )
