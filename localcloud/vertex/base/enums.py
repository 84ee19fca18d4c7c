"""Enums in responses: names, or numbers if a client requests ``enum-encoding=int``."""

from __future__ import annotations

from typing import Any

JOB_STATES = (
    "JOB_STATE_UNSPECIFIED",
    "JOB_STATE_QUEUED",
    "JOB_STATE_PENDING",
    "JOB_STATE_RUNNING",
    "JOB_STATE_SUCCEEDED",
    "JOB_STATE_FAILED",
    "JOB_STATE_CANCELLING",
    "JOB_STATE_CANCELLED",
    "JOB_STATE_PAUSED",
    "JOB_STATE_EXPIRED",
    "JOB_STATE_UPDATING",
    "JOB_STATE_PARTIALLY_SUCCEEDED",
)

# The enum names of each field, in the order of their numbers.
# https://github.com/googleapis/googleapis/tree/master/google/cloud/aiplatform/v1
ENUMS: dict[str, tuple[str, ...]] = {
    "state": JOB_STATES,
    "finishReason": (
        "FINISH_REASON_UNSPECIFIED",
        "STOP",
        "MAX_TOKENS",
        "SAFETY",
        "RECITATION",
        "OTHER",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MALFORMED_FUNCTION_CALL",
        "MODEL_ARMOR",
    ),
    "modality": ("MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT"),
    "sourceType": (
        "MODEL_SOURCE_TYPE_UNSPECIFIED",
        "AUTOML",
        "CUSTOM",
        "BQML",
        "MODEL_GARDEN",
        "GENIE",
        "CUSTOM_TEXT_EMBEDDING",
        "MARKETPLACE",
    ),
    "supportedDeploymentResourcesTypes": (
        "DEPLOYMENT_RESOURCES_TYPE_UNSPECIFIED",
        "DEDICATED_RESOURCES",
        "AUTOMATIC_RESOURCES",
        "SHARED_RESOURCES",
    ),
}

# Fields with content from callers, where a value that equals an enum's name is not an enum.
FREE_FORM = frozenset({"labels", "args", "modelParameters", "predictions"})


def encode_enums(answer: dict[str, Any]) -> dict[str, Any]:
    """Return a response with enums as numbers."""
    return {key: value if key in FREE_FORM else _encode(value, ENUMS.get(key, ())) for key, value in answer.items()}


def _encode(value: Any, names: tuple[str, ...]) -> Any:
    match value:
        case dict():
            return encode_enums(value)
        case list():
            return [_encode(element, names) for element in value]
        case str() if value in names:
            return names.index(value)
        case _:
            return value
