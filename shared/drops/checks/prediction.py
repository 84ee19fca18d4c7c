"""The `predict` of a `modeldrop.yaml`: the prediction that runs after each import of the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.checks.fields import Fields
from shared.errors import Rejected
from shared.messages.predict_request import FUNCTIONS, PredictRequest
from shared.settings import Settings

# Fields of a predict message that Modeldrop fills in.
_FILLED_IN = ("model", "request_id")
# Whether a query may call what the settings can forbid is checked when the drop is imported.
_PERMISSIVE = Settings(
    google_cloud_project="project",
    model_bucket="",
    state_bucket="",
    output_bucket="",
    events_topic="",
    allow_external_query=True,
    allow_ai_functions=True,
)


def read_prediction(fields: Fields, project: str) -> Mapping[str, Any] | None:
    """Return the field `predict`: a predict message without `model` and `request_id`; None if it is missing.

    Args:
        fields: The fields of the file.
        project: The project of names that have none.

    Raises:
        Rejected: A field is wrong; the error names the first one.
    """
    if not fields.has("predict"):
        fields.plain("predict")
        return None
    message = fields.plain("predict")
    for name in _FILLED_IN:
        if name in message:
            raise fields.wrong(f"predict.{name}", "is filled in by Modeldrop: leave it out")
    try:
        json.dumps(message, allow_nan=False)
    except (TypeError, ValueError):
        raise fields.wrong(
            "predict", "holds a date or another value that JSON does not have: put it in quotes"
        ) from None
    check_prediction(message, replace(_PERMISSIVE, google_cloud_project=project), fields.path("predict"))
    return message


def check_function(fields: Fields, message: Mapping[str, Any], *, is_remote: bool) -> None:
    """Raise ``Rejected`` if the model of a drop does not have the function of its prediction.

    Args:
        fields: The fields of the file.
        message: Its field `predict`, which is a predict message.
        is_remote: Whether the drop becomes a remote model.
    """
    usual, *generating = FUNCTIONS
    is_usual = (message.get("function") or usual) == usual
    if is_usual and is_remote:
        raise fields.wrong(
            "predict.function", f"must be one of {', '.join(generating)}, because the model is over Gemini"
        )
    if not is_usual and not is_remote:
        raise fields.wrong("predict.function", f"must be {usual}, because the model is not over Gemini: leave it out")


def check_prediction(message: Mapping[str, Any], settings: Settings, field: str) -> None:
    """Raise ``Rejected`` about a part of ``field`` if a prediction would be rejected with these settings."""
    try:
        PredictRequest.parse({**message, "model": "dataset.model"}, settings, datetime.now(UTC))
    except Rejected as error:
        problem = error.problem
        where = f"{field}.{problem.field}" if problem.field else field
        raise Rejected(f"{field}: {problem.message}", field=where, code=problem.code) from error
