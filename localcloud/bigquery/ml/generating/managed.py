"""AI.IF, AI.SCORE and AI.CLASSIFY: the request of each call, and the type of its result.

BigQuery adds instructions to the prompt, which are not documented. Here they are a system instruction, and a response
schema limits the answer.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-ai-if
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-ai-score
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-ai-classify
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.generating.generation import GenerationRequest
from localcloud.bigquery.ml.generating.output_schema import OutputField, OutputType

MANAGED_FUNCTIONS = frozenset({"AI.IF", "AI.SCORE", "AI.CLASSIFY"})
# The arguments of each function besides the first one, the connection and the endpoint.
_ARGUMENTS = {
    "AI.IF": frozenset({"examples", "embeddings", "optimization_mode", "max_error_ratio"}),
    "AI.SCORE": frozenset({"max_error_ratio"}),
    "AI.CLASSIFY": frozenset(
        {"categories", "examples", "output_mode", "embeddings", "optimization_mode", "max_error_ratio"}
    ),
}
_INSTRUCTIONS = {
    "AI.IF": "Decide whether the statement is true of the input.",
    "AI.SCORE": "Rate the input on the scale that the prompt describes.",
    "single": "Choose the category that fits the input best.",
    "multi": "Choose every category that fits the input, or none.",
}


def check_arguments(function: str, names: Collection[str]) -> None:
    """Check the names of a call's arguments, before their values are computed.

    Args:
        function: The name of the function.
        names: The names of the arguments in lower case, without the first one, the connection and the endpoint.

    Raises:
        QueryError: An argument is missing or unknown.
    """
    if unknown := sorted(set(names) - _ARGUMENTS[function]):
        raise _invalid(function, f"Unknown argument {unknown[0]}.")
    if function == "AI.CLASSIFY" and "categories" not in names:
        raise _invalid(function, "categories are required.")


def managed_request(
    function: str, endpoint: str, options: Mapping[str, Any], *, with_embeddings: bool
) -> GenerationRequest:
    """Return the request of a call.

    Args:
        function: The name of the function.
        endpoint: The name of the model.
        options: The arguments that ``check_arguments`` has checked, by name, but for the embeddings.
        with_embeddings: Whether the call has embeddings.

    Raises:
        QueryError: An argument has the wrong type, or a value that does not exist or does not go with another one.
    """
    _check_optimization(function, options, with_embeddings=with_embeddings)
    allowed_errors(function, options)
    result, instruction = OutputType("BOOL" if function == "AI.IF" else "FLOAT64"), _INSTRUCTIONS.get(function, "")
    if function == "AI.CLASSIFY":
        result, instruction = _classification(options)
    examples = options.get("examples")
    if examples is not None:
        pairs = [_fields(example) for example in _list(function, "examples", examples)]
        if any(len(pair) != 2 for pair in pairs):
            raise _invalid(function, "examples must be an array of inputs and outputs.")
        instruction += "\nExamples:" + "".join(f"\n- {given}: {wanted}" for given, wanted in pairs)
    schema = OutputType("STRUCT", (OutputField("result", result),))
    body = {
        "systemInstruction": {"parts": [{"text": instruction}]},
        "generationConfig": {"responseMimeType": "application/json", "responseSchema": schema.json_schema()},
    }
    return GenerationRequest(function, endpoint, body, schema=schema)


def _classification(options: Mapping[str, Any]) -> tuple[OutputType, str]:
    """Return the type of the result of AI.CLASSIFY, and the instruction."""
    function = "AI.CLASSIFY"
    categories = [_fields(each) for each in _list(function, "categories", options["categories"])]
    if not categories or any(
        not 1 <= len(each) <= 2 or not all(isinstance(text, str) and text for text in each) for each in categories
    ):
        raise _invalid(function, "categories must be an array of texts, or of texts with descriptions.")
    given = options.get("output_mode")
    mode = "single" if given is None else str(given).lower()
    if mode not in ("single", "multi"):
        raise _invalid(function, "output_mode must be single or multi.")
    category = OutputType("STRING", enum=tuple(dict.fromkeys(each[0] for each in categories)))
    result = (
        category if given is None else OutputType("ARRAY", (OutputField("item", category),), single=mode == "single")
    )
    return result, _INSTRUCTIONS[mode] + "\nCategories:" + "".join(f"\n- {': '.join(each)}" for each in categories)


def _check_optimization(function: str, options: Mapping[str, Any], *, with_embeddings: bool) -> None:
    """Check the optimization mode, which has no effect here: each row is sent to the model, as if there were too few.

    https://cloud.google.com/bigquery/docs/optimize-ai-functions

    Raises:
        QueryError: The mode does not exist, or does not go with another argument.
    """
    given = options.get("optimization_mode")
    mode = "" if given is None else str(given).upper()
    if mode not in ("", "MINIMIZE_COST", "MAXIMIZE_QUALITY"):
        raise _invalid(function, "optimization_mode must be MINIMIZE_COST or MAXIMIZE_QUALITY.")
    # Embeddings make MINIMIZE_COST the default.
    if mode == "MINIMIZE_COST" or (with_embeddings and not mode):
        if options.get("max_error_ratio") is not None:
            raise _invalid(function, "max_error_ratio is not supported with optimization_mode MINIMIZE_COST.")
        if str(options.get("output_mode")).lower() == "multi":
            raise _invalid(function, "output_mode => 'multi' is not supported with optimization_mode MINIMIZE_COST.")


def allowed_errors(function: str, options: Mapping[str, Any]) -> float:
    """Return the share of a call's rows that may fail, from 0 to 1. Raises ``QueryError`` if it is another value."""
    ratio = options.get("max_error_ratio")
    if ratio is None:
        return 1.0
    if isinstance(ratio, bool) or not isinstance(ratio, (int, float)) or not 0 <= ratio <= 1:
        raise _invalid(function, "max_error_ratio must be a number from 0.0 to 1.0.")
    return float(ratio)


def _list(function: str, name: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise _invalid(function, f"{name} must be an array.")
    return value


def _fields(value: Any) -> tuple[Any, ...]:
    """Return the fields of a STRUCT, or a single value as the only field."""
    if isinstance(value, dict):
        return tuple(value.values())
    return value if isinstance(value, tuple) else (value,)


def _invalid(function: str, why: str) -> QueryError:
    return QueryError(f"Invalid arguments of {function}: {why}", location="query")
