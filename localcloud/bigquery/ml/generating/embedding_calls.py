"""AI.EMBED and AI.SIMILARITY, which call an embedding model for each row.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-ai-embed
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-ai-similarity
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.generating.embeddings import Embedding, prepare_embedding
from localcloud.bigquery.ml.models.options import OptionValue
from localcloud.bigquery.ml.predicting.functions import counted_prefix

# The arguments of each function that come first, and then the others but for the connection and the endpoint.
EMBEDDING_CALLS = {"AI.EMBED": ("content",), "AI.SIMILARITY": ("content1", "content2")}
_ARGUMENTS = {
    "AI.EMBED": frozenset({"task_type", "title", "model_params"}),
    "AI.SIMILARITY": frozenset({"model_params"}),
}
_DIMENSIONS = "outputDimensionality"
_VECTOR = pa.struct({"result": pa.list_(pa.float64()), "status": pa.string()})
_NUMBER = pa.struct({"result": pa.float64(), "status": pa.string()})


@dataclass(frozen=True)
class EmbeddingCall:
    """A validated call of a function.

    Attributes:
        function: The name of the function.
        embedding: The embedding of each text.
    """

    function: str
    embedding: Embedding

    @property
    def duckdb_function(self) -> str:
        """The name of the DuckDB function, which calls with equal results share."""
        identity = f"{self.function} {self.embedding.duckdb_function}".encode()
        return f"{counted_prefix(self.function)}_{hashlib.sha256(identity).hexdigest()[:24]}"

    @property
    def parameters(self) -> list[str]:
        """The DuckDB types of the texts."""
        return ["VARCHAR"] * len(EMBEDDING_CALLS[self.function])

    @property
    def returns(self) -> str:
        """The DuckDB type of the result and the status."""
        return f"STRUCT(result {'DOUBLE[]' if self.function == 'AI.EMBED' else 'DOUBLE'}, status VARCHAR)"

    def vectors(self, texts: pa.Array) -> pa.Array:
        """Return the vector of each text, and the status. A failed row has an empty vector."""
        answers = self.embedding.answer(texts)
        return pa.StructArray.from_arrays([answers.field("vector"), answers.field("status")], fields=list(_VECTOR))

    def similarities(self, first: pa.Array, second: pa.Array) -> pa.Array:
        """Return the cosine of the angle between the vectors of two texts, and the status. A failed row has no value."""
        pairs = zip(self.vectors(first).to_pylist(), self.vectors(second).to_pylist(), strict=True)
        return pa.array([_similarity(*pair) for pair in pairs], _NUMBER)

    def sql(self, texts: list[str], number: int) -> str:
        """Return the GoogleSQL expression that replaces the call.

        Args:
            texts: The GoogleSQL of the texts.
            number: The number of the call, from ``Functions.call_number``.
        """
        answer = f"{self.duckdb_function}({', '.join([str(number), *texts])})"
        if self.function == "AI.EMBED":
            return f"CAST({answer} AS STRUCT<result ARRAY<FLOAT64>, status STRING>)"
        return f"CAST({answer} AS STRUCT<result FLOAT64, status STRING>).result"


def prepare_call(function: str, endpoint: str, options: Mapping[str, OptionValue]) -> EmbeddingCall:
    """Return a validated call.

    Args:
        function: The name of the function.
        endpoint: The name of the model.
        options: The arguments besides the texts, the connection and the endpoint, names in lower case.

    Raises:
        QueryError: The model returns no embeddings, or an argument is unknown or not valid.
    """
    if unknown := sorted(options.keys() - _ARGUMENTS[function]):
        raise _invalid(function, f"Unknown argument {unknown[0]}.")
    task = options.get("task_type")
    if options.get("title") is not None and str(task).upper() != "RETRIEVAL_DOCUMENT":
        raise _invalid(function, "title needs task_type RETRIEVAL_DOCUMENT.")
    dimensions = _dimensions(function, options.get("model_params"))
    given: dict[str, OptionValue] = {"task_type": task, "output_dimensionality": dimensions}
    return EmbeddingCall(function, prepare_embedding(function, endpoint, given))


def _dimensions(function: str, params: OptionValue) -> int | None:
    """Return the length of a vector in ``model_params``; None for the length of the model."""
    if params is None:
        return None
    try:
        values = json.loads(str(params))
    except ValueError:
        values = None
    if not isinstance(values, dict) or not values.keys() <= {_DIMENSIONS}:
        raise _invalid(function, f"model_params must be JSON, with {_DIMENSIONS} alone.")
    dimensions: int | None = values.get(_DIMENSIONS)
    return dimensions


def _similarity(first: dict[str, object], second: dict[str, object]) -> dict[str, object]:
    status = first["status"] or second["status"]
    if status:
        return {"result": None, "status": status}
    a, b = first["result"], second["result"]
    assert isinstance(a, list)
    assert isinstance(b, list)
    # The vectors have a length of one.
    return {"result": sum(x * y for x, y in zip(a, b, strict=True)), "status": ""}


def _invalid(function: str, why: str) -> QueryError:
    return QueryError(f"Invalid arguments of {function}: {why}", location="query")
