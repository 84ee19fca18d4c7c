"""Which columns lines of JSONL have, if they can be read as rows of BigQuery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.batch_work import LineColumn, LineFormat
from shared.batches.inputs.columns import REQUEST_COLUMNS, can_be_a_column
from shared.batches.inputs.rules import Requests
from shared.checks.merge_keys import type_of

# The ledger stores the columns of each batch.
MOST_COLUMNS = 200


def line_format(kind: Requests, columns: Sequence[Mapping[str, Any]]) -> LineFormat | None:
    """Return how lines are read as rows; None if they cannot be.

    Batches of Gemini's embedding models have requests in files only, so that rows of BigQuery could not be sent again:
    https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/embeddings/batch-prediction-genai-embeddings

    Args:
        kind: The kind of the requests.
        columns: The columns of the requests, or the fields of their lines, each as a TableFieldSchema.
    """
    if kind not in REQUEST_COLUMNS:
        return None
    others = [column for column in columns if column["name"].lower() != REQUEST_COLUMNS[kind]]
    if len(others) > MOST_COLUMNS or not all(can_be_a_column(column["name"]) for column in others):
        return None
    return LineFormat(kind.value, tuple(LineColumn(column["name"], type_of(column)) for column in others))
