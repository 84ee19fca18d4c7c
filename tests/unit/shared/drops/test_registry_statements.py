"""A drop's registry: in its own statement without aliases, in CREATE MODEL with them, because only that takes aliases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from shared.checks.identifiers import ModelName
from shared.drops.imports.statements import alter_model, create_model
from shared.drops.manifest import Manifest

MODEL = ModelName("my-project", "news", "titles")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
REGISTERED = Manifest(registry_id="titles")
ALIASED = replace(REGISTERED, registry_aliases=("champion", "v-2"))


def test_without_aliases_the_model_is_registered_after_its_creation() -> None:
    assert "REGISTRY" not in create_model(MODEL, "TENSORFLOW", "gs://models/news/titles/1/*", REGISTERED)
    assert alter_model(MODEL, REGISTERED, NOW) == (
        "ALTER MODEL `my-project.news.titles`\nSET OPTIONS (vertex_ai_model_id = 'titles')"
    )


def test_with_aliases_the_model_is_registered_at_its_creation() -> None:
    statement = create_model(MODEL, "TENSORFLOW", "gs://models/news/titles/1/*", ALIASED)

    assert statement.endswith(
        "MODEL_REGISTRY = 'VERTEX_AI', VERTEX_AI_MODEL_ID = 'titles', "
        "VERTEX_AI_MODEL_VERSION_ALIASES = ['champion', 'v-2'])"
    )
    assert alter_model(MODEL, ALIASED, NOW) is None
