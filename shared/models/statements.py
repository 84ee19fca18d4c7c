"""The SQL of manage messages. Names are checked by the callers."""

from __future__ import annotations

from shared.checks.identifiers import ModelName


def drop_model(model: ModelName) -> str:
    """Return the statement that deletes a model; a model that is gone is no error, since a job may run twice.

    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-drop-model
    """
    return f"DROP MODEL IF EXISTS {model.sql}"
