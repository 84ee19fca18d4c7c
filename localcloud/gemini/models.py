"""The models that the local Vertex AI serves: where, and until when.

The dates and locations are those of November 2026:
https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/model-versions
https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference
https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/embeddings/batch-prediction-genai-embeddings
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

from localcloud.base.clock import Clock
from localcloud.gemini.errors import BackendError

GLOBAL = "global"
# The multi-regions serve Gemini 3 and later only.
MULTI_REGIONS = ("us", "eu")
# In the table of models, this word means every single region, such as us-central1.
REGIONS = "regions"
REGION = re.compile(r"[a-z]+-[a-z]+[0-9]+")

EVERYWHERE = (GLOBAL, *MULTI_REGIONS)
GLOBAL_AND_REGIONS = (GLOBAL, REGIONS)
EMBEDDING_REGIONS = (
    "us-central1",
    "us-east1",
    "us-east4",
    "us-west1",
    "us-west4",
    "europe-west1",
    "europe-west4",
)
STAGES = ("GA", "PUBLIC_PREVIEW")


@dataclass(frozen=True)
class Model:
    """A model of Google.

    Attributes:
        locations: The locations that serve the model; ``regions`` means every single region.
        stage: The launch stage, as ``PublisherModel.launchStage`` names it.
        released: The day of the release, if known.
        retires: The first day on which requests are refused, if it is announced.
        batch: Whether the model accepts batches.
        embeds: Whether the model returns embeddings; other models generate content.
        dimensions: The length of an embedding.
    """

    locations: tuple[str, ...]
    stage: str = "GA"
    released: date | None = None
    retires: date | None = None
    batch: bool = True
    embeds: bool = False
    dimensions: int = 0

    def is_served_in(self, location: str) -> bool:
        """Return whether ``location`` serves the model."""
        return location in self.locations or (REGIONS in self.locations and REGION.fullmatch(location) is not None)


def _gemini(released: date | None, retires: date | None = None, *, stage: str = "GA") -> Model:
    return Model(EVERYWHERE, stage, released, retires)


def _older(released: date, retires: date) -> Model:
    return Model(GLOBAL_AND_REGIONS, "GA", released, retires)


MODELS: Mapping[str, Model] = {
    "gemini-3.8-flash": _gemini(date(2026, 9, 2), date(2027, 9, 2)),
    "gemini-3.7-flash": _gemini(date(2026, 8, 13)),
    "gemini-3.6-flash": _gemini(date(2026, 7, 21)),
    "gemini-3.5-flash": _gemini(date(2026, 5, 19), date(2027, 5, 19)),
    "gemini-3.5-flash-lite": _gemini(date(2026, 7, 21), date(2027, 7, 21)),
    "gemini-3.1-flash-lite": _gemini(date(2026, 5, 7), date(2027, 5, 7)),
    "gemini-3.1-pro-preview": _gemini(date(2026, 2, 1), stage="PUBLIC_PREVIEW"),
    "gemini-3-flash-preview": _gemini(date(2025, 12, 1), stage="PUBLIC_PREVIEW"),
    "gemini-4-argon": _gemini(date(2026, 10, 13), date(2027, 10, 13)),
    "gemini-4-hydrogen": _gemini(date(2026, 11, 12)),
    "gemini-4-carbon": _gemini(None),
    # The documented list of models for batches does not have it.
    "gemini-4-neon": replace(_gemini(date(2026, 11, 18)), batch=False),
    # Closed to new and inactive projects since 2026-10-20. Projects that use these models keep them until the shutdown,
    # and the project of a local cloud counts as such a project.
    "gemini-2.5-pro": _older(date(2025, 6, 17), date(2027, 3, 31)),
    "gemini-2.5-flash": _older(date(2025, 6, 17), date(2027, 3, 31)),
    "gemini-2.5-flash-lite": _older(date(2025, 7, 22), date(2027, 1, 28)),
    "gemini-2.0-flash": _older(date(2025, 2, 5), date(2026, 6, 1)),
    "gemini-2.0-flash-001": _older(date(2025, 2, 5), date(2026, 6, 1)),
    "gemini-2.0-flash-lite": _older(date(2025, 2, 25), date(2026, 6, 1)),
    "gemini-2.0-flash-lite-001": _older(date(2025, 2, 25), date(2026, 6, 1)),
    "gemini-1.5-pro-001": _older(date(2024, 5, 24), date(2025, 5, 24)),
    "gemini-1.5-pro-002": _older(date(2024, 9, 24), date(2025, 9, 24)),
    "gemini-1.5-flash-001": _older(date(2024, 5, 24), date(2025, 5, 24)),
    "gemini-1.5-flash-002": _older(date(2024, 9, 24), date(2025, 9, 24)),
    "gemini-embedding-001": Model(EMBEDDING_REGIONS, embeds=True, dimensions=3072),
    "gemini-embedding-2": Model(EVERYWHERE, embeds=True, dimensions=3072),
    "text-embedding-004": Model(GLOBAL_AND_REGIONS, embeds=True, dimensions=768),
    "text-embedding-005": Model(GLOBAL_AND_REGIONS, embeds=True, dimensions=768),
    "text-multilingual-embedding-002": Model(GLOBAL_AND_REGIONS, embeds=True, dimensions=768),
}


class ModelTable:
    """The models that are served at the current time."""

    def __init__(self, clock: Clock, models: Mapping[str, Model] = MODELS) -> None:
        """Serve ``models``, by id, until they retire by ``clock``."""
        self._clock = clock
        self._models = models

    def served(self) -> dict[str, Model]:
        """Return the models that are not retired, by id."""
        today = self._clock.now().date()
        return {name: model for name, model in self._models.items() if model.retires is None or today < model.retires}

    def known(self, name: str) -> Model | None:
        """Return a model that may be retired, or None if the id is unknown."""
        return self._models.get(name)

    def find(self, project: str, location: str, name: str, *, publisher: str = "google") -> Model:
        """Return a model that a location serves.

        Args:
            project: The project of the call.
            location: The location of the call, such as ``global`` or ``us-central1``.
            name: The id of the model; a version after ``@`` is ignored.
            publisher: The publisher of the model.

        Raises:
            BackendError: 404 if the model is unknown, retired, or not served in the location.
        """
        model = self.served().get(name.partition("@")[0]) if publisher == "google" else None
        if model is None or not model.is_served_in(location):
            raise BackendError(
                404,
                f"Publisher Model `projects/{project}/locations/{location}/publishers/{publisher}/models/{name}` was "
                "not found or your project does not have access to it. Please ensure you are using a valid model "
                "version. For more information, see: "
                "https://cloud.google.com/vertex-ai/generative-ai/docs/learn/model-versions",
            )
        return model


def models_from(path: Path) -> dict[str, Model]:
    """Return the table of models with the changes of a JSON file.

    The file is an object. Each key is the id of a model; each value is null, which removes the model, or an object with
    fields of ``Model``, which changes or adds it. Days are written as ``2027-03-31``.

    Raises:
        ValueError: The file is not such an object; the message says what is wrong in it.
    """
    try:
        changes = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"The file of models {path} cannot be read: {error}") from None
    if not isinstance(changes, dict):
        raise ValueError(f"The file of models {path} must be a JSON object of models by id.")
    models = dict(MODELS)
    for name, change in changes.items():
        if change is None:
            models.pop(name, None)
            continue
        try:
            models[name] = replace(models.get(name, Model(EVERYWHERE)), **_values(change))
        except ValueError as error:
            raise ValueError(f"The model {name!r} in {path}: {error}") from None
    return models


def _values(change: Any) -> dict[str, Any]:
    """Return the fields of ``Model`` in a JSON object. Raises ``ValueError``."""
    if not isinstance(change, dict):
        raise ValueError("write an object of fields, or null to remove the model.")
    known = [field.name for field in fields(Model)]
    values: dict[str, Any] = {}
    for key, value in change.items():
        match key:
            case "locations" if isinstance(value, list) and all(map(_is_location, value)):
                values[key] = tuple(value)
            case "locations":
                raise ValueError(f"locations must be a list of global, us, eu, {REGIONS}, or names of regions.")
            case "stage" if value in STAGES:
                values[key] = value
            case "stage":
                raise ValueError(f"stage must be one of {', '.join(STAGES)}.")
            case "released" | "retires":
                values[key] = None if value is None else _day(key, value)
            case "batch" | "embeds" if isinstance(value, bool):
                values[key] = value
            case "dimensions" if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                values[key] = value
            case "batch" | "embeds" | "dimensions":
                raise ValueError(f"{key} cannot be {value!r}.")
            case _:
                raise ValueError(f"there is no field {key!r}; the fields are {', '.join(known)}.")
    return values


def _is_location(value: Any) -> bool:
    return isinstance(value, str) and (value in (*EVERYWHERE, REGIONS) or REGION.fullmatch(value) is not None)


def _day(key: str, value: Any) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"{key} must be a day such as 2027-03-31, not {value!r}.") from None
