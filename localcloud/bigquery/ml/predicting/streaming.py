"""ML.PREDICT as a stream of record batches that DuckDB scans like a table.

Reading the input, running the model and processing its output overlap, and the batches are larger than the ones that
DuckDB passes to a function. The number of batches in progress is limited, so memory use does not grow with the table.

    ML.PREDICT(MODEL m, (q))  ->  ml_stream_<id>(), a table macro over:
    rows of q, read on another connection  ->  the model, several batches at a time  ->  rows with its outputs
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import duckdb
import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.session import Column, Session
from localcloud.bigquery.ml.predicting.functions import Functions
from localcloud.bigquery.ml.predicting.prediction import Prediction
from localcloud.bigquery.ml.workers.pool import CHANNELS
from localcloud.bigquery.sql.errors.failures import query_error
from localcloud.bigquery.sql.errors.function_errors import FunctionError
from localcloud.bigquery.sql.reading.tokens import without_comments

BATCH_ROWS = 16_384
# The limit of values in one batch, since one image can have a million.
_BATCH_VALUES = 16_000_000
_ROW = "__input"

# Types that change on the way through Arrow.
_LOSSY_TYPES = frozenset({"JSON", "GEOGRAPHY", "INTERVAL", "BIGNUMERIC", "RANGE"})


class PredictionStream:
    """The rows of a prediction, which runs each time that DuckDB scans them (Arrow's PyCapsule interface)."""

    def __init__(
        self, prediction: Prediction, query: str, values: list[Any] | None, session: Session, functions: Functions
    ) -> None:
        """Create a stream: read the columns of the input, but predict nothing yet.

        Args:
            prediction: The prediction.
            query: The DuckDB SQL of the input, with the computed inputs after its columns.
            values: The values of the query's parameters.
            session: The job that runs the prediction.
            functions: The registered functions, and the workers that run models.

        Raises:
            duckdb.Error: The query can't run on another connection than the job's own.
        """
        self._prediction = prediction
        self._query = query
        self._values = values
        self._functions = functions
        self._connection = session.connection
        self._cancelled = session.cancelled
        self._source = self._read(f"SELECT * FROM ({query}) LIMIT 0", 1)[1].schema
        # The computed inputs are the last columns, in order. A column of the input may have any name, also one of theirs.
        computed = [index for index, argument in enumerate(prediction.arguments) if not argument.plain]
        kept = len(self._source) - len(computed)
        self._passed_through = range(kept)
        self._columns = {self._source.field(index).name.lower(): index for index in reversed(self._passed_through)}
        self._computed = {index: kept + place for place, index in enumerate(computed)}
        outputs = [pa.field(feature.name, feature.arrow_type) for feature in prediction.outputs]
        results = [result for _, result in prediction.passed_through]
        kept_fields = [self._source.field(index).with_name(results[index]) for index in self._passed_through]
        self.schema = pa.schema([*outputs, *kept_fields])

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return pa.RecordBatchReader.from_batches(self.schema, self._batches()).__arrow_c_stream__(requested_schema)

    def _read(self, query: str, rows: int) -> tuple[duckdb.DuckDBPyConnection, pa.RecordBatchReader]:
        reader = self._connection.cursor()
        return reader, reader.execute(query, self._values).to_arrow_reader(rows)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._predict_batches()
        except Exception as error:
            # DuckDB passes on only the text of an exception, so choose the error for the client here.
            raise FunctionError(query_error(error)) from error

    def _predict_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches of the input in order, with the model's outputs as the first columns."""
        workers, model = self._functions.workers, self._prediction.model
        names = [feature.name for feature in self._prediction.inputs]
        positions = [self._column_position(index) for index in range(len(names))]

        def run(batch: pa.RecordBatch) -> pa.RecordBatch:
            inputs = {name: batch.column(index) for name, index in zip(names, positions, strict=True)}
            outputs = workers.predict(model, inputs, self._cancelled).values()
            columns = [*outputs, *(batch.column(index) for index in self._passed_through)]
            return pa.RecordBatch.from_arrays(columns, schema=self.schema)

        connection, source = self._read(self._query, self._batch_rows())
        pending: deque[Future[pa.RecordBatch]] = deque()
        with ThreadPoolExecutor(CHANNELS, thread_name_prefix="predict") as pool:
            try:
                for batch in source:
                    if self._cancelled.is_set():
                        raise QueryError("Job execution was cancelled: User requested cancellation", reason="stopped")
                    pending.append(pool.submit(run, batch))
                    while len(pending) > CHANNELS:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()
                connection.close()

    def _column_position(self, index: int) -> int:
        argument = self._prediction.arguments[index]
        return self._columns[argument.column.lower()] if argument.plain else self._computed[index]

    def _batch_rows(self) -> int:
        values = sum(feature.size or 1 for feature in self._prediction.inputs)
        return max(1, min(BATCH_ROWS, _BATCH_VALUES // max(values, 1)))


def open_stream(
    prediction: Prediction, columns: Sequence[Column], query: str, session: Session, functions: Functions
) -> str | None:
    """Register a prediction as a table of the job's connection.

    This is not possible in a transaction, whose changes another connection does not see, or over temporary tables.

    Args:
        prediction: The prediction.
        columns: The columns of its input.
        query: The GoogleSQL of ``source_query``, with the common table expressions that it needs.
        session: The job that runs the prediction.
        functions: The registered functions, and the workers that run models.

    Returns:
        The name of the table for a FROM clause, or None if the prediction can't be a stream.
    """
    if any(_is_lossy(column.field) for column in columns) or _in_transaction(session.connection):
        return None
    bound, values = session.bind(session.translate(without_comments(query)))
    try:
        stream = PredictionStream(prediction, bound, values, session, functions)
    except duckdb.Error:
        return None
    name = f"ml_stream_{uuid.uuid4().hex}"
    session.connection.register(f"{name}_rows", stream)
    session.connection.execute(f"CREATE TEMP MACRO {name}() AS TABLE SELECT * FROM {name}_rows")
    return f"{name}()"


def source_query(prediction: Prediction) -> str:
    """Return the GoogleSQL of the input, with the model's inputs that are not plain columns as additional columns."""
    computed = "".join(f", {value.sql}" for value in prediction.arguments if not value.plain)
    return f"SELECT {_ROW}.*{computed} FROM ({prediction.query}) AS {_ROW}"


def _is_lossy(field: dict[str, Any]) -> bool:
    return field["type"] in _LOSSY_TYPES or any(_is_lossy(inner) for inner in field.get("fields", ()))


def _in_transaction(connection: duckdb.DuckDBPyConnection) -> bool:
    """Return whether a connection is in a transaction, so that its statements share a transaction id."""
    first, second = (connection.execute("SELECT txid_current()").fetchone() for _ in range(2))
    return first == second
