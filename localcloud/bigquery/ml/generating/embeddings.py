"""ML.GENERATE_EMBEDDING and AI.GENERATE_EMBEDDING over texts.

Every backend gets the vectors of the stand-in, as in the local Vertex AI: see ``localcloud.gemini.embeddings``.
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-generate-embedding
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-ai-generate-embedding
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.session import Column
from localcloud.bigquery.ml.models.options import OptionValue
from localcloud.bigquery.ml.models.signature import ColumnType
from localcloud.bigquery.ml.predicting.prediction import input_column, quoted, unused_name
from localcloud.gemini.embeddings import TASK_TYPES, prediction
from localcloud.gemini.errors import BackendError
from localcloud.gemini.models import MODELS, Model

EMBEDDING_FUNCTIONS = frozenset({"ML.GENERATE_EMBEDDING", "AI.GENERATE_EMBEDDING"})
_RESULT = pa.struct({"vector": pa.list_(pa.float64()), "statistics": pa.string(), "status": pa.string()})
_DUCKDB_RESULT = 'STRUCT("vector" DOUBLE[], statistics VARCHAR, status VARCHAR)'


@dataclass(frozen=True)
class Embedding:
    """A validated call of a function.

    Attributes:
        function: The name of the function.
        model: The embedding model.
        dimensions: The length of a vector, or None for the length of the model.
        flatten: Whether ML.GENERATE_EMBEDDING returns the vector instead of the whole response.
    """

    function: str
    model: Model
    dimensions: int | None
    flatten: bool

    @property
    def duckdb_function(self) -> str:
        """The name of the DuckDB function, which calls with equal vectors share."""
        identity = f"{self.model.dimensions} {self.dimensions}".encode()
        return f"ml_embed_{hashlib.sha256(identity).hexdigest()[:24]}"

    parameters = ("VARCHAR",)
    returns = _DUCKDB_RESULT

    def answer(self, texts: pa.Array) -> pa.Array:
        """Return the vector, the statistics and the status for each text. A failed row has an empty vector."""
        return pa.array([self._row(text) for text in texts.to_pylist()], _RESULT)

    def _row(self, text: str | None) -> dict[str, Any]:
        try:
            found = prediction(self.model, {"content": text}, self.dimensions)["embeddings"]
        except BackendError as error:
            return {"vector": [], "statistics": None, "status": str(error)}
        return {"vector": found["values"], "statistics": json.dumps(found["statistics"]), "status": ""}

    def sql(self, query: str, columns: Sequence[Column], number: int) -> str:
        """Return the subquery that replaces the call.

        Args:
            query: The GoogleSQL of the input.
            columns: The columns of the input.
            number: The number of the call, from ``Functions.call_number``.

        Raises:
            QueryError: The input has no column ``content``, or it is not a text.
        """
        column = input_column(self.function, columns, "content")
        kind = ColumnType.of(column.field)
        if kind.sql != "STRING":
            raise QueryError(
                f"Invalid table-valued function {self.function}\nColumn content must be a STRING in the local BigQuery, "
                f"not {kind.sql}.",
                location="query",
            )
        answer = unused_name("__answer", (each.name for each in columns))
        selected = ", ".join(f"{value} AS {name}" for name, value in self._outputs(answer))
        return (
            f"(SELECT {selected}, * EXCEPT ({answer}) FROM (SELECT {self.duckdb_function}({number}, "
            f"__input.{quoted(column.name)}) AS {answer}, __input.* FROM ({query}) AS __input))"
        )

    def _outputs(self, answer: str) -> list[tuple[str, str]]:
        vector, statistics = f"{answer}.vector", f"PARSE_JSON({answer}.statistics)"
        status = f"{answer}.status"
        if self.function.startswith("AI."):
            return [("embedding", vector), ("statistics", statistics), ("status", status)]
        name = "ml_generate_embedding"
        if not self.flatten:
            whole = f"TO_JSON(STRUCT({vector} AS `values`, {statistics} AS statistics))"
            return [(f"{name}_result", whole), (f"{name}_status", status)]
        return [(f"{name}_result", vector), (f"{name}_statistics", statistics), (f"{name}_status", status)]


def prepare_embedding(function: str, endpoint: str, options: Mapping[str, OptionValue]) -> Embedding:
    """Return a validated call.

    Args:
        function: The name of the function.
        endpoint: The name of the model.
        options: The options of the call, names in lower case.

    Raises:
        QueryError: The model returns no embeddings, or an option is unknown or not valid.
    """
    model = MODELS.get(endpoint)
    if model is None or not model.embeds:
        raise QueryError(
            f"Invalid table-valued function {function}\nThe model {endpoint} does not return embeddings.",
            location="query",
        )
    remaining = dict(options)
    flatten = remaining.pop("flatten_json_output", True) if function.startswith("ML.") else True
    task = remaining.pop("task_type", None)
    dimensions = remaining.pop("output_dimensionality", None)
    if remaining:
        raise _invalid(function, f"Unknown argument {min(remaining)}.")
    if not isinstance(flatten, bool):
        raise _invalid(function, "flatten_json_output must be a BOOL.")
    if task is not None and str(task).upper() not in TASK_TYPES:
        raise _invalid(function, f"task_type must be one of {', '.join(sorted(TASK_TYPES))}.")
    if dimensions is not None and (
        not isinstance(dimensions, int) or isinstance(dimensions, bool) or not 1 <= dimensions <= model.dimensions
    ):
        raise _invalid(function, f"output_dimensionality must be a whole number from 1 to {model.dimensions}.")
    return Embedding(function, model, dimensions, flatten)


def _invalid(function: str, why: str) -> QueryError:
    return QueryError(f"Invalid arguments of {function}: {why}", location="query")
