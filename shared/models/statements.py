"""The SQL of manage messages. Names are checked by the callers."""

from __future__ import annotations

from shared.checks.identifiers import ModelName, string_literal


def drop_model(model: ModelName) -> str:
    """Return the statement that deletes a model; a model that is gone is no error, since a job may run twice.

    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-drop-model
    """
    return f"DROP MODEL IF EXISTS {model.sql}"


def register_model(model: ModelName, registry_id: str) -> str:
    """Return the statement that registers a model with Vertex AI.

    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-alter-model
    """
    return f"ALTER MODEL {model.sql}\nSET OPTIONS (vertex_ai_model_id = {string_literal(registry_id)})"
