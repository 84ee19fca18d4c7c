"""The rows of batches: the columns of requests and answers, and the limits, by kind of model.

Gemini: https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference
Embeddings: https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/embeddings/batch-prediction-genai-embeddings
"""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.gemini.models import Model


@dataclass(frozen=True)
class RowFormat:
    """The rows of one kind of model.

    Attributes:
        request: The column of the request.
        request_types: The allowed types of this column.
        answer: The column of the answer, of type JSON.
        reserved: The names that no input column may have, in lower case.
        most_requests: The largest number of requests of a job.
        whole_instance: Whether a line of JSONL is the request itself, and the answer's line repeats it as ``instance``.
        tables: Whether BigQuery tables may be input and output, or files only.
    """

    request: str
    request_types: tuple[str, ...]
    answer: str
    reserved: tuple[str, ...]
    most_requests: int
    whole_instance: bool = False
    tables: bool = True


GENERATE = RowFormat("request", ("JSON", "STRING"), "response", ("response", "status"), 200_000)
EMBED_TEXT = RowFormat("content", ("STRING",), "predictions", ("predictions", "status"), 30_000, whole_instance=True)
EMBED_CONTENT = RowFormat("request", ("JSON",), "response", ("response", "status"), 1_000_000, tables=False)


def format_of(name: str, model: Model | None) -> RowFormat:
    """Return the format of a model's rows.

    Args:
        name: The id of the model.
        model: The entry of the table of models; None for a tuned model.
    """
    if model is None or not model.embeds:
        return GENERATE
    return EMBED_CONTENT if name.startswith("gemini-") else EMBED_TEXT
