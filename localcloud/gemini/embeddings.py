"""A stand-in for embedding models: vectors that depend on the words of the text only.

Texts that share words have similar vectors; the vectors know nothing of meaning.
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any

from localcloud.gemini.contents import LEARN_MORE, count_tokens
from localcloud.gemini.errors import BackendError
from localcloud.gemini.json_values import as_list, camel_keys
from localcloud.gemini.models import Model

# https://cloud.google.com/vertex-ai/generative-ai/docs/embeddings/task-types
TASK_TYPES = frozenset(
    {
        "RETRIEVAL_QUERY",
        "RETRIEVAL_DOCUMENT",
        "SEMANTIC_SIMILARITY",
        "CLASSIFICATION",
        "CLUSTERING",
        "QUESTION_ANSWERING",
        "FACT_VERIFICATION",
        "CODE_RETRIEVAL_QUERY",
    }
)
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api
MOST_TEXTS = 250
TEXT_MODEL_FIELDS = frozenset({"content", "title", "task_type", "taskType", "mimeType", "mime_type"})


def vector_of(text: str, dimensions: int) -> list[float]:
    """Return the vector of a text, with a length of one."""
    values = [0.0] * dimensions
    for word in re.findall(r"\w+", text.lower()) or [text]:
        digest = hashlib.sha256(word.encode()).digest()
        for start in (0, 8, 16, 24):
            index = int.from_bytes(digest[start : start + 7]) % dimensions
            values[index] += 1.0 if digest[start + 7] & 1 else -1.0
    length = math.sqrt(sum(value * value for value in values)) or 1.0
    return [round(value / length, 7) if value else 0.0 for value in values]


def predictions(model: Model, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the predictions for a PredictRequest.

    Raises:
        BackendError: 400 if there are no or too many instances, or one of them or a parameter is invalid.
    """
    instances, parameters = as_list(request.get("instances")), camel_keys(request.get("parameters") or {})
    if not instances:
        raise BackendError(400, "Empty instances.")
    if len(instances) > MOST_TEXTS:
        raise BackendError(400, f"{MOST_TEXTS} instance(s) is allowed per prediction. Actual: {len(instances)}")
    if not isinstance(parameters.get("autoTruncate", True), bool):
        raise BackendError(400, f"autoTruncate must be true or false, not {parameters['autoTruncate']!r}.")
    return [prediction(model, instance, parameters.get("outputDimensionality")) for instance in instances]


def prediction(model: Model, instance: Any, dimensions: int | None = None) -> dict[str, Any]:
    """Return the prediction of a text embedding model for an instance such as ``{"content": "a text"}``.

    Raises:
        BackendError: 400 if the instance is invalid.
    """
    if not isinstance(instance, dict):
        raise BackendError(400, "Invalid instance: it is not an object.")
    text = instance.get("content")
    if not isinstance(text, str) or not text:
        raise BackendError(400, "The text content is empty.")
    task = camel_keys(instance).get("taskType")
    if task is not None and task not in TASK_TYPES:
        raise BackendError(400, f"The task type {task!r} does not exist: use one of {', '.join(sorted(TASK_TYPES))}.")
    statistics = {"token_count": count_tokens(text), "truncated": False}
    values = vector_of(text, _dimensions(model, dimensions))
    return {"embeddings": {"statistics": statistics, "values": values}}


def embed_content(model: Model, request: dict[str, Any]) -> dict[str, Any]:
    """Return the EmbedContentResponse of a Gemini embedding model.

    Raises:
        BackendError: 400 if the request has no text.
    """
    given = camel_keys(request)
    config = camel_keys(given.get("embedContentConfig") or {})
    content = camel_keys(given.get("content") or {})
    texts = [str(part["text"]) for part in as_list(content.get("parts")) if part and part.get("text")]
    if not texts:
        raise BackendError(
            400,
            f"Unable to submit request because it must have a text parameter. Add a text parameter and try again. {LEARN_MORE}",
        )
    text = "\n".join(texts)
    dimensions = config.get("outputDimensionality") or given.get("outputDimensionality")
    tokens = count_tokens(text)
    return {
        "embedding": {"values": vector_of(text, _dimensions(model, dimensions))},
        "usageMetadata": {"promptTokenCount": tokens, "totalTokenCount": tokens},
        "truncated": False,
    }


def _dimensions(model: Model, given: int | str | None) -> int:
    if given is None:
        return model.dimensions
    try:
        number = int(given)
    except (TypeError, ValueError):
        number = 0
    if not 1 <= number <= model.dimensions:
        raise BackendError(400, f"outputDimensionality must be from 1 to {model.dimensions}, not {given}.")
    return number
