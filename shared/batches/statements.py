"""The SQL of a batch. Names are checked by the callers; texts are quoted here."""

from __future__ import annotations

import json
from collections.abc import Sequence, Set

from shared.batches.inputs.files import FileColumn, file_parts
from shared.batches.request import Prompts
from shared.checks.identifiers import column_sql, string_literal, unused_name


def batch_requests(
    prompts: Prompts, columns: Sequence[str], files: Sequence[FileColumn] = (), arrays: Set[str] = frozenset()
) -> str:
    """Return the query that builds Gemini requests from prompts.

    Vertex AI copies the other columns of the query from each request to its answer.
    https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference

    Args:
        prompts: The query, and what all requests have in common.
        columns: The columns of the query that go with each request.
        files: The columns with addresses of files. Each file that is not NULL becomes a part after the prompt.
        arrays: The names of those among them that are arrays.
    """
    # JSON_OBJECT takes its keys as strings, so Gemini's field names keep their case.
    # A prompt may be JSON, which CAST does not turn into a text. NULL stays NULL, which the check of the requests finds.
    text = "IF(prompt IS NULL, NULL, COALESCE(JSON_VALUE(TO_JSON(prompt), '$'), TO_JSON_STRING(prompt)))"
    parts, source = f"[JSON_OBJECT('text', {text})]", f"(\n{prompts.query}\n)"
    if files:
        of_files = ", ".join(file_parts(file, is_array=file.column in arrays) for file in files)
        name = unused_name("modeldrop_parts", columns)
        source = f"(\nSELECT *, ARRAY_CONCAT({parts}, {of_files}) AS {name}\nFROM {source}\n)"
        parts = name
    fields = [f"'contents', [JSON_OBJECT('role', 'user', 'parts', {parts})]"]
    if prompts.system_instruction is not None:
        instruction = json.dumps({"parts": [{"text": prompts.system_instruction}]})
        fields.append(f"'systemInstruction', PARSE_JSON({string_literal(instruction)})")
    if prompts.generation_config is not None:
        fields.append(f"'generationConfig', PARSE_JSON({string_literal(prompts.generation_config)})")
    kept = "".join(f"{column_sql(column)}, " for column in columns if column.lower() != "prompt")
    request = f"TO_JSON_STRING(JSON_OBJECT({', '.join(fields)})) AS request"
    return f"SELECT {kept}{request}\nFROM {source}"
