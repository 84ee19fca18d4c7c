"""Turns calls of the functions that generate text into subqueries over DuckDB functions.

ML.GENERATE_TEXT(MODEL m, (q), STRUCT(...))
-> (SELECT g.result, ..., q's columns FROM (SELECT ml_generate_<hash>(prompt) AS g, q.* FROM (q) AS q))
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import duckdb
import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.session import Column
from localcloud.bigquery.ml.generating.generation import (
    GenerationRequest,
    Generator,
    OutputColumn,
    generation_request,
)
from localcloud.bigquery.ml.generating.managed import MANAGED_FUNCTIONS
from localcloud.bigquery.ml.generating.output_schema import parse_output_schema
from localcloud.bigquery.ml.models.options import OptionValue
from localcloud.bigquery.ml.models.signature import ColumnType
from localcloud.bigquery.ml.predicting.functions import Functions, counted_prefix
from localcloud.bigquery.ml.predicting.prediction import input_column, quoted, string_literal, unused_name
from localcloud.gemini.backends import ModelBackend

TABLE_FUNCTIONS = frozenset({"ML.GENERATE_TEXT", "AI.GENERATE_TEXT", "AI.GENERATE_TABLE"})
SCALAR_FUNCTION = "AI.GENERATE"
# The scalar functions whose result has a type of its own.
TYPED_FUNCTIONS = {"AI.GENERATE_BOOL": "BOOL", "AI.GENERATE_DOUBLE": "FLOAT64", "AI.GENERATE_INT": "INT64"}
_TYPED_ARGUMENTS = frozenset({"model_params", "request_type"})
_ROW, _GENERATED = "__input", "__generated"


def create_request(function: str, endpoint: str, options: Mapping[str, OptionValue]) -> GenerationRequest:
    """Return the request for a call of a function.

    Args:
        function: The name of the function, such as ``AI.GENERATE_TEXT``.
        endpoint: The model to call.
        options: The options of the call, names in lower case.

    Raises:
        QueryError: An option is missing, unknown or not valid.
    """
    if function in TYPED_FUNCTIONS:
        if unknown := sorted(options.keys() - _TYPED_ARGUMENTS):
            raise QueryError(f"Invalid arguments of {function}: Unknown argument {unknown[0]}.", location="query")
        return generation_request(
            function, endpoint, options, parse_output_schema(f"result {TYPED_FUNCTIONS[function]}")
        )
    remaining = {name: value for name, value in options.items() if name not in ("prompt", "output_schema")}
    schema = options.get("output_schema")
    if function == "AI.GENERATE_TABLE" and schema is None:
        raise QueryError(f"Invalid arguments of {function}: output_schema is required.", location="query")
    if schema is not None and function not in ("AI.GENERATE_TABLE", SCALAR_FUNCTION):
        raise QueryError(f"Invalid arguments of {function}: Unknown argument output_schema.", location="query")
    parsed = None if schema is None else parse_output_schema(str(schema))
    for field in parsed.fields if parsed is not None else ():
        if field.name.lower() in ("full_response", "status"):
            raise QueryError(
                f"Invalid arguments of {function}: output_schema has the field {field.name}, which is a column that "
                "the function adds.",
                location="query",
            )
    return generation_request(function, endpoint, remaining, parsed)


class GeneratedCalls:
    """Creates the subqueries of calls, and registers the DuckDB functions that they use."""

    def __init__(
        self, backend: ModelBackend | None, functions: Functions, connection: duckdb.DuckDBPyConnection
    ) -> None:
        """Create it for one statement.

        Args:
            backend: The model backend; None makes every call an error.
            functions: The registered DuckDB functions.
            connection: The DuckDB connection of the job.
        """
        self._backend = backend
        self._functions = functions
        self._connection = connection

    def table(
        self,
        request: GenerationRequest,
        query: str,
        columns: Sequence[Column],
        number: int,
        prompt: OptionValue = None,
    ) -> str:
        """Return the subquery for a table function.

        Args:
            request: The request that is the same for all rows.
            query: The GoogleSQL of the input.
            columns: The columns of the input.
            number: The number of the call, from ``Functions.call_number``.
            prompt: The prompt about each object, if the input is an object table.

        Raises:
            QueryError: The input has no prompt.
        """
        value = (
            self._call_with_prompt_column(request, columns, number)
            if prompt is None
            else self._call_with_objects(request, columns, number, str(prompt))
        )
        generated = unused_name(_GENERATED, (column.name for column in columns))
        selected = ", ".join(_select_item(column, generated) for column in request.columns())
        return (
            f"(SELECT {selected}, * EXCEPT ({generated}) FROM "
            f"(SELECT {value} AS {generated}, {_ROW}.* FROM ({query}) AS {_ROW}))"
        )

    def _call_with_objects(
        self, request: GenerationRequest, columns: Sequence[Column], number: int, prompt: str
    ) -> str:
        names = {column.name.lower() for column in columns}
        if not {"uri", "content_type"} <= names:
            raise QueryError(
                f"Invalid table-valued function {request.function}\nA prompt in the STRUCT is for an object table; the "
                "input has no columns uri and content_type. Give the prompt as a column named prompt instead.",
                location="query",
            )
        function = self._function(request, "objects", 3)
        return f"{function}({number}, {_ROW}.uri, {_ROW}.content_type, {string_literal(prompt)})"

    def _call_with_prompt_column(self, request: GenerationRequest, columns: Sequence[Column], number: int) -> str:
        column = input_column(request.function, columns, "prompt")
        kind = ColumnType.of(column.field)
        value = f"{_ROW}.{quoted(column.name)}"
        if kind.name == "STRUCT" and not kind.array:
            return f"{self._function(request, 'structs', 1)}({number}, TO_JSON_STRING({value}))"
        if kind.sql != "STRING":
            raise QueryError(
                f"Invalid table-valued function {request.function}\nColumn prompt must be a STRING or a STRUCT, not "
                f"{kind.sql}.",
                location="query",
            )
        return f"{self._function(request, 'texts', 1)}({number}, {value})"

    def scalar(self, request: GenerationRequest, prompt: str, number: int, *, struct: bool) -> str:
        """Return the expression for a scalar function.

        Args:
            request: The request that is the same for all rows.
            prompt: The GoogleSQL of the prompt.
            number: The number of the call, from ``Functions.call_number``.
            struct: Whether the prompt is a STRUCT.
        """
        function = self._function(request, "structs" if struct else "texts", 1)
        value = f"TO_JSON_STRING({prompt})" if struct else prompt
        fields = ", ".join(f"{quoted(column.name)} {column.sql_type}" for column in request.columns())
        answer = f"CAST({function}({number}, {value}) AS STRUCT<{fields}>)"
        return f"{answer}.result" if request.function in MANAGED_FUNCTIONS else answer

    def _function(self, request: GenerationRequest, kind: str, parameters: int) -> str:
        """Return the name of the DuckDB function that sends this request. Equal requests share one."""
        backend = self._backend
        if backend is None:
            raise QueryError(f"{request.function} needs a model backend, and there is none.", reason="notImplemented")
        generator = Generator(backend, request)
        identity = json.dumps([kind, asdict(request)], sort_keys=True, default=str).encode()
        name = f"{counted_prefix(request.function)}_{hashlib.sha256(identity).hexdigest()[:24]}"
        fields = ", ".join(f'"{column.name}" {column.duckdb_type}' for column in request.columns())
        call: dict[str, Callable[..., pa.Array]] = {
            "texts": generator.answer_texts,
            "structs": generator.answer_structs,
            "objects": generator.answer_objects,
        }
        return self._functions.register_counted(
            self._connection, name, call[kind], ["VARCHAR"] * parameters, f"STRUCT({fields})", request.status_column
        )


def _select_item(column: OutputColumn, generated: str) -> str:
    value = f"{generated}.{quoted(column.name)}"
    return f"{f'PARSE_JSON({value})' if column.sql_type == 'JSON' else value} AS {quoted(column.name)}"
