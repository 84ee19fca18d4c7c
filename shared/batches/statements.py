"""The SQL of a batch. Names are checked by the callers; texts are quoted here."""

from __future__ import annotations

import json
from collections.abc import Sequence

from shared.batches.request import Prompts
from shared.checks.identifiers import column_sql, string_literal


def batch_requests(prompts: Prompts, columns: Sequence[str]) -> str:
    """Return the query that builds Gemini requests from prompts.

    Vertex AI copies the other columns of the query from each request to its answer.
    https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
    """
    # JSON_OBJECT takes its keys as strings, so Gemini's field names keep their case.
    part = "JSON_OBJECT('text', CAST(prompt AS STRING))"
    fields = [f"'contents', [JSON_OBJECT('role', 'user', 'parts', [{part}])]"]
    if prompts.system_instruction is not None:
        instruction = json.dumps({"parts": [{"text": prompts.system_instruction}]})
        fields.append(f"'systemInstruction', PARSE_JSON({string_literal(instruction)})")
    if prompts.generation_config is not None:
        fields.append(f"'generationConfig', PARSE_JSON({string_literal(prompts.generation_config)})")
    kept = "".join(f"{column_sql(column)}, " for column in columns if column.lower() != "prompt")
    request = f"TO_JSON_STRING(JSON_OBJECT({', '.join(fields)})) AS request"
    return f"SELECT {kept}{request}\nFROM (\n{prompts.query}\n)"
