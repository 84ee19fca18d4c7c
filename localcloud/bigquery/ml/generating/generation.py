"""The functions that generate text with a remote model: their options, requests and columns.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-generate-text
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-ai-generate-text
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-generate-table
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-ai-generate
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from localcloud.apis.messages import VERTEX_AI
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.generating.output_schema import OutputType
from localcloud.bigquery.ml.models.options import OptionValue
from localcloud.gemini.backends import ModelBackend
from localcloud.gemini.models import MODELS

REQUESTS_AT_ONCE = 16
DEFAULT_ENDPOINT = "gemini-3.8-flash"

# The lowest and highest value of the numeric options of all functions, and of AI.GENERATE_TABLE.
_SAMPLING: dict[str, tuple[float, float]] = {"temperature": (0, 1), "top_p": (0, 1), "max_output_tokens": (1, 8192)}
_TABLE_SAMPLING = _SAMPLING | {"temperature": (0, 2)}
_OTHERS = frozenset({"stop_sequences", "safety_settings", "ground_with_google_search", "request_type", "model_params"})
# The arguments of the scalar functions, which have the options of a request in model_params alone.
_SCALAR_ARGUMENTS = frozenset({"request_type", "model_params"})
_GENERATION_FIELDS = {
    "temperature": "temperature",
    "top_p": "topP",
    "max_output_tokens": "maxOutputTokens",
    "stop_sequences": "stopSequences",
}
_DEFAULTS = {"temperature": 0, "top_p": 0.95, "max_output_tokens": 1024}
_REQUEST_TYPES = ("DEDICATED", "SHARED", "UNSPECIFIED")
# What the value of an option must be, and the words for it.
_FORMS: dict[str, tuple[Callable[[OptionValue], bool], str]] = {
    "ground_with_google_search": (lambda value: isinstance(value, bool), "a BOOL"),
    "stop_sequences": (
        lambda value: _is_list(value, lambda item: isinstance(item, str)),
        "an ARRAY<STRING>",
    ),
    "safety_settings": (
        lambda value: _is_list(value, lambda item: _setting(item) is not None),
        "an ARRAY<STRUCT<category STRING, threshold STRING>>",
    ),
}


@dataclass(frozen=True)
class OutputColumn:
    """A column that a function adds: its name, and its type in GoogleSQL, DuckDB and Arrow."""

    name: str
    sql_type: str
    duckdb_type: str = "VARCHAR"
    arrow_type: pa.DataType = field(default_factory=pa.string)


@dataclass(frozen=True)
class GenerationRequest:
    """A call of a function, with everything that is the same for all rows.

    Attributes:
        function: The name of the function, such as ``ML.GENERATE_TEXT`` or ``AI.GENERATE``.
        endpoint: The name of the model.
        body: The GenerateContentRequest without its contents.
        flatten: Whether ML.GENERATE_TEXT returns the text instead of the whole response.
        schema: The output schema, or None.
    """

    function: str
    endpoint: str
    body: dict[str, Any]
    flatten: bool = False
    schema: OutputType | None = None

    @property
    def status_column(self) -> str:
        """The column that is empty if a row succeeded."""
        return "ml_generate_text_status" if self.function == "ML.GENERATE_TEXT" else "status"

    def columns(self) -> list[OutputColumn]:
        """Return the columns that the function adds, in order."""
        match self.function:
            case "ML.GENERATE_TEXT":
                return self._ml_generate_text_columns()
            case "AI.GENERATE_TEXT":
                return [
                    OutputColumn("result", "STRING"),
                    *(_json_column(name) for name in ("rai_result", "grounding_result", "statistics", "full_response")),
                    OutputColumn("status", "STRING"),
                ]
            case _ if self.schema is not None:
                generated = [
                    OutputColumn(f.name, f.type.sql(), f.type.duckdb(), f.type.arrow()) for f in self.schema.fields
                ]
                return [*generated, _json_column("full_response"), OutputColumn("status", "STRING")]
        return [OutputColumn("result", "STRING"), _json_column("full_response"), OutputColumn("status", "STRING")]

    def _ml_generate_text_columns(self) -> list[OutputColumn]:
        status = OutputColumn("ml_generate_text_status", "STRING")
        if not self.flatten:
            return [_json_column("ml_generate_text_result"), status]
        columns = [OutputColumn("ml_generate_text_llm_result", "STRING")]
        if "safetySettings" in self.body:
            columns.append(_json_column("ml_generate_text_rai_result"))
        if "tools" in self.body:
            columns.append(_json_column("ml_generate_text_grounding_result"))
        return [*columns, status]


def _json_column(name: str) -> OutputColumn:
    return OutputColumn(name, "JSON")


def check_generates(function: str, endpoint: str) -> None:
    """Raise ``QueryError`` if a model returns embeddings instead of content."""
    model = MODELS.get(endpoint.partition("@")[0])
    if model is not None and model.embeds:
        raise _invalid(function, f"the model {endpoint} returns embeddings, and does not generate content.")


def generation_request(
    function: str, endpoint: str, options: Mapping[str, OptionValue], schema: OutputType | None
) -> GenerationRequest:
    """Return the request for the options of a call.

    Args:
        function: The name of the function.
        endpoint: The name of the model.
        options: The options of the call, names in lower case, without ``prompt`` and ``output_schema``.
        schema: The parsed ``output_schema``, or None.

    Raises:
        QueryError: An option is unknown or out of its range.
    """
    remaining = dict(options)
    flatten = remaining.pop("flatten_json_output", False) if function == "ML.GENERATE_TEXT" else False
    if not isinstance(flatten, bool):
        raise _invalid(function, "flatten_json_output must be a BOOL.")
    sampling = _TABLE_SAMPLING if function == "AI.GENERATE_TABLE" else _SAMPLING
    for name, value in remaining.items():
        if function == "AI.GENERATE" and name not in _SCALAR_ARGUMENTS:
            raise _invalid(function, f"unknown argument {name}.")
        _check_option(function, name, value, sampling)
    if "model_params" in remaining:
        individual = remaining.keys() - {"model_params", "request_type"}
        if individual:
            raise _invalid(function, f"{', '.join(sorted(individual))} can't be given together with model_params.")
        body = _parse_model_params(function, remaining["model_params"])
    else:
        body = _request_body(remaining, _DEFAULTS if function.endswith(".GENERATE_TEXT") else {})
    if errors := VERTEX_AI["v1beta1"].errors("GenerateContentRequest", body):
        raise _invalid(function, errors[0])
    if schema is not None:
        generation = body.setdefault("generationConfig", {})
        generation |= {"responseMimeType": "application/json", "responseSchema": schema.json_schema()}
    return GenerationRequest(function, endpoint, body, flatten, schema)


def _check_option(function: str, name: str, value: OptionValue, sampling: Mapping[str, tuple[float, float]]) -> None:
    if name in sampling:
        low, high = sampling[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise _invalid(function, f"{name} must be a number from {low} to {high}.")
    elif name not in _OTHERS:
        raise _invalid(function, f"unknown argument {name}.")
    elif name == "request_type" and str(value).upper() not in _REQUEST_TYPES:
        raise _invalid(function, f"request_type must be one of {', '.join(_REQUEST_TYPES)}.")
    elif name in _FORMS and not _FORMS[name][0](value):
        raise _invalid(function, f"{name} must be {_FORMS[name][1]}.")


def _is_list(value: OptionValue, is_item: Callable[[OptionValue], bool]) -> bool:
    return isinstance(value, list) and all(is_item(item) for item in value)


def _setting(value: object) -> dict[str, object] | None:
    """Return a SafetySetting, which is given as ``(category, threshold)`` or as a STRUCT with these names; or None."""
    names = ["category", "threshold"]
    if isinstance(value, tuple) and len(value) == len(names):
        return dict(zip(names, value, strict=True))
    if isinstance(value, dict) and [str(name).lower() for name in value] == names:
        return dict(zip(names, value.values(), strict=True))
    return None


def _request_body(options: Mapping[str, OptionValue], defaults: Mapping[str, OptionValue]) -> dict[str, Any]:
    generation = {
        _GENERATION_FIELDS[name]: value
        for name, value in {**defaults, **options}.items()
        if name in _GENERATION_FIELDS and value is not None
    }
    body: dict[str, Any] = {"generationConfig": generation} if generation else {}
    settings = options.get("safety_settings")
    if isinstance(settings, list):
        body["safetySettings"] = [setting for each in settings if (setting := _setting(each)) is not None]
    if options.get("ground_with_google_search") is True:
        body["tools"] = [{"googleSearch": {}}]
    return body


def _parse_model_params(function: str, value: OptionValue) -> dict[str, Any]:
    try:
        params = json.loads(str(value))
    except ValueError as error:
        raise _invalid(function, "model_params is not valid JSON.") from error
    if not isinstance(params, dict) or "contents" in params:
        raise _invalid(function, "model_params must be a JSON object without contents.")
    camel: dict[str, Any] = _camel_case(params)
    return camel


def _camel_case(value: Any) -> Any:
    """Return JSON with all names in camelCase. ``model_params`` may also have them in snake_case."""
    if isinstance(value, list):
        return [_camel_case(item) for item in value]
    if not isinstance(value, dict):
        return value
    renamed = {}
    for name, inner in value.items():
        head, *tail = name.split("_")
        renamed[head + "".join(part.capitalize() for part in tail)] = _camel_case(inner)
    return renamed


def _invalid(function: str, why: str) -> QueryError:
    return QueryError(f"Invalid arguments of {function}: {why}", location="query")


class Generator:
    """Calls a model backend once per row, for several rows at a time. A failed row has the error in its status."""

    def __init__(self, backend: ModelBackend, request: GenerationRequest) -> None:
        """Create a generator for the rows of one request."""
        self._backend = backend
        self._request = request
        self._columns = request.columns()

    def answer_texts(self, prompts: pa.Array) -> pa.Array:
        """Return the answers to prompts that are strings."""
        return self._answers([None if prompt is None else [{"text": prompt}] for prompt in prompts.to_pylist()])

    def answer_structs(self, prompts: pa.Array) -> pa.Array:
        """Return the answers to prompts that are STRUCTs of strings and ObjectRefs, given as JSON."""
        return self._answers([None if prompt is None else _parts(prompt) for prompt in prompts.to_pylist()])

    def answer_objects(self, uris: pa.Array, types: pa.Array, prompts: pa.Array) -> pa.Array:
        """Return the answers to prompts about objects, given by their URIs and content types."""
        rows = zip(uris.to_pylist(), types.to_pylist(), prompts.to_pylist(), strict=True)
        return self._answers([[{"text": prompt}, file_part(uri, kind)] for uri, kind, prompt in rows])

    def _answers(self, rows: list[list[dict[str, Any]] | None]) -> pa.Array:
        with ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="generate") as pool:
            answers = list(pool.map(self._answer, rows))
        kind = pa.struct([pa.field(column.name, column.arrow_type) for column in self._columns])
        return pa.array(answers, kind)

    def _answer(self, parts: list[dict[str, Any]] | None) -> dict[str, Any]:
        if parts is None:
            return self._row({}, "The prompt is NULL.")
        body = {**self._request.body, "contents": [{"role": "user", "parts": parts}]}
        try:
            response = self._backend.generate(self._request.endpoint, body)
        except Exception as error:
            # The status of the row holds the error, and the other rows continue.
            return self._row({}, _status(error, self._request.endpoint))
        return self._row(response, "")

    def _row(self, response: Mapping[str, Any], status: str) -> dict[str, Any]:
        text = text_of(response)
        generated: dict[str, Any] = {}
        if self._request.schema is not None and not status:
            try:
                generated = self._request.schema.value(json.loads(text or "null")) or {}
            except (ValueError, TypeError) as error:
                status = f"The model's answer does not fit output_schema: {error}"
        full_response = json.dumps(response) if response else None
        candidate = (response.get("candidates") or [{}])[0]
        values = {
            "ml_generate_text_result": full_response,
            "ml_generate_text_llm_result": text,
            "ml_generate_text_rai_result": _optional_json(candidate.get("safetyRatings")),
            "ml_generate_text_grounding_result": _optional_json(candidate.get("groundingMetadata")),
            "ml_generate_text_status": status,
            "result": text,
            "rai_result": _optional_json(candidate.get("safetyRatings")),
            "grounding_result": _optional_json(candidate.get("groundingMetadata")),
            "statistics": _optional_json(response.get("usageMetadata")),
            "full_response": full_response,
            "status": status,
        }
        if self._request.schema is not None:
            # A field of the schema may have the name of another value, such as ``result``.
            values |= {field.name: generated.get(field.name) for field in self._request.schema.fields}
        return {column.name: values.get(column.name) for column in self._columns}


def text_of(response: Mapping[str, Any]) -> str | None:
    """Return the text of a response's first candidate, or None if it has none."""
    for candidate in response.get("candidates") or []:
        parts = candidate.get("content", {}).get("parts") or []
        texts = [part["text"] for part in parts if "text" in part and not part.get("thought")]
        return "".join(texts) if texts else None
    return None


def _optional_json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _status(error: Exception, endpoint: str) -> str:
    if getattr(error, "code", None) == 429:
        return f"A retryable error occurred: RESOURCE EXHAUSTED error from {endpoint}"
    return str(error) or type(error).__name__


def file_part(uri: str, mime_type: str | None) -> dict[str, Any]:
    """Return a part of a request for a file in Cloud Storage."""
    return {"fileData": {"fileUri": uri, "mimeType": mime_type or "application/octet-stream"}}


def _parts(prompt: str) -> list[dict[str, Any]]:
    """Return the parts of a STRUCT prompt: one for each of its values, or for each element of an array."""
    parts: list[dict[str, Any]] = []
    for value in json.loads(prompt).values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                parts.append({"text": item})
            elif isinstance(item, dict) and item.get("uri"):
                parts.append(file_part(item["uri"], _content_type(item)))
    return parts


def _content_type(reference: Mapping[str, Any]) -> str | None:
    """Return the content type in the details of an ObjectRef."""
    details = reference.get("details")
    if isinstance(details, str):
        details = json.loads(details)
    content_type: str | None = (details or {}).get("gcs_metadata", {}).get("content_type")
    return content_type
