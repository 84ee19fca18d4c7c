"""Changes to the resource of a model, by ALTER MODEL and by ``models.patch``.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-alter-model
https://cloud.google.com/bigquery/docs/reference/rest/v2/models/patch
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.options import OptionValue
from localcloud.bigquery.ml.models.registration import check_vertex_id

# https://cloud.google.com/bigquery/docs/labels-intro#requirements
_LABEL_KEY = re.compile(r"[^\W\dA-Z][^\WA-Z-]*[\w-]*")
_LABEL_CHARACTERS = re.compile(r"[\w-]*")

_PLAIN_FIELDS = frozenset({"description", "friendlyName", "expirationTime", "encryptionConfiguration"})


def check_labels(labels: Mapping[str, object]) -> dict[str, str]:
    """Return ``labels`` if they are valid.

    Raises:
        QueryError: There are more than 64 labels, or a key or value is not valid.
    """
    if len(labels) > 64:
        raise QueryError(f"A model has at most 64 labels, not {len(labels)}.", reason="invalid")
    for key, value in labels.items():
        if not 1 <= len(key) <= 63 or key != key.lower() or not _LABEL_KEY.fullmatch(key):
            raise QueryError(f"Invalid label key '{key}'.", reason="invalid")
        if (
            not isinstance(value, str)
            or len(value) > 63
            or value != value.lower()
            or not _LABEL_CHARACTERS.fullmatch(value)
        ):
            raise QueryError(f"Invalid value of label '{key}': '{value}'.", reason="invalid")
    return {key: str(value) for key, value in labels.items()}


def register(resource: dict[str, Any], vertex_id: object) -> dict[str, Any]:
    """Return the resource of a model with an id in the model registry.

    Raises:
        QueryError: The model is registered with another id, or is a remote model.
    """
    if "remoteModelInfo" in resource:
        raise QueryError("Remote models can't be registered in the Vertex AI Model Registry.", reason="invalid")
    checked = check_vertex_id(vertex_id)
    runs = [dict(run) for run in resource.get("trainingRuns") or [{}]]
    check_same_id(runs[-1].get("vertexAiModelId"), checked)
    runs[-1]["vertexAiModelId"] = checked
    return {**resource, "trainingRuns": runs}


def check_same_id(present: str | None, wanted: str) -> None:
    """Raise ``QueryError`` if a model is registered with another id than ``wanted``: it keeps its id for life.

    https://cloud.google.com/bigquery/docs/managing-models-vertex#change_the_model_id_of_a_registered_bigquery_ml_model
    """
    if present not in (None, wanted):
        raise QueryError(
            f"The model is registered with the Vertex AI model ID '{present}', which can't be changed to '{wanted}'. "
            "Drop the model and create it again, or copy it and register the copy.",
            reason="invalid",
        )


def apply_options(resource: dict[str, Any], options: Mapping[str, OptionValue | datetime]) -> dict[str, Any]:
    """Return the resource after ALTER MODEL SET OPTIONS. An option that is NULL is removed.

    Raises:
        QueryError: An option is unknown or its value is not valid.
    """
    for name, value in options.items():
        match name, value:
            case "DESCRIPTION", None | str():
                _put(resource, "description", value)
            case "LABELS", None:
                resource.pop("labels", None)
            case "LABELS", list():
                resource["labels"] = check_labels(_label_pairs(value))
            case "EXPIRATION_TIMESTAMP", None | str() | datetime():
                _put(resource, "expirationTime", None if value is None else str(_milliseconds(value)))
            case "KMS_KEY_NAME", None | str():
                _put(resource, "encryptionConfiguration", None if value is None else {"kmsKeyName": value})
            case "VERTEX_AI_MODEL_ID", _:
                resource = register(resource, value)
            case "DESCRIPTION" | "LABELS" | "EXPIRATION_TIMESTAMP" | "KMS_KEY_NAME", _:
                raise QueryError(f"Invalid value for option {name.lower()}.", location="query")
            case _:
                raise QueryError(f"Unknown option: {name.lower()}", location="query")
    return resource


def _label_pairs(value: list[OptionValue]) -> dict[str, object]:
    pairs: dict[str, object] = {}
    for pair in value:
        if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise QueryError("Option labels must be an array of pairs of strings.", location="query")
        pairs[pair[0]] = pair[1]
    return pairs


def _milliseconds(value: str | datetime) -> int:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise QueryError(f"Invalid timestamp: '{value}'", location="query") from error
    moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _put(resource: dict[str, Any], name: str, value: object) -> None:
    if value is None:
        resource.pop(name, None)
    else:
        resource[name] = value


def apply_patch(resource: dict[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the resource after a patch. Output-only fields do not change.

    Raises:
        QueryError: A field has another type, or a label or the id in the model registry is not valid.
    """
    _check_types(body)
    for name in _PLAIN_FIELDS & body.keys():
        _put(resource, name, body[name] if name != "expirationTime" else _optional_text(body[name]))
    if "labels" in body:
        changed = {**resource.get("labels", {}), **(body["labels"] or {})} if body["labels"] is not None else {}
        labels = {key: value for key, value in changed.items() if value is not None}
        _put(resource, "labels", check_labels(labels) or None)
    for run in body.get("trainingRuns") or []:
        if run.get("vertexAiModelId"):
            resource = register(resource, run["vertexAiModelId"])
    return resource


def _check_types(body: Mapping[str, Any]) -> None:
    runs = body.get("trainingRuns") or []
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        raise QueryError("Invalid JSON payload received. The field trainingRuns must be a list of objects.")
    if not isinstance(body.get("labels") or {}, dict):
        raise QueryError("Invalid JSON payload received. The field labels must be an object.")


def _optional_text(value: object) -> str | None:
    # Client libraries remove an expiration time with null, the bq command with 0.
    return None if value in (None, 0, "0") else str(value)
