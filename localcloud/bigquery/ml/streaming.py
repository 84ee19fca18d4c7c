"""ML.PREDICT as a stream of record batches, for queries whose rows go into a table.

Reading the input, running the model and writing the result overlap, and the model gets larger batches than DuckDB
gives to a function. A bounded number of batches is under way, so memory does not grow with the table.

    SELECT ... FROM ML.PREDICT(MODEL m, (q))
    ->  rows of q  ->  the model, several batches at a time  ->  the SELECT around it, where it does more than take all
"""

from __future__ import annotations

import os
import re
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from localcloud.bigquery.errors import QueryError
from localcloud.bigquery.ml.calls import Call, Span, find_calls
from localcloud.bigquery.ml.function_errors import FunctionError
from localcloud.bigquery.ml.functions import Functions
from localcloud.bigquery.ml.lexer import tokens, without_comments
from localcloud.bigquery.ml.prediction import Prediction
from localcloud.bigquery.ml.rewriting import REWRITTEN, Rewriter

if TYPE_CHECKING:
    from localcloud.bigquery.session import Column, Session

BATCH_ROWS = 16_384
WORKERS = max(2, min(4, os.cpu_count() or 2))
_ROW, _INPUT = "__input", "__input_"

# Types that do not come back from Arrow as they went in.
_LOSSY_TYPES = frozenset({"JSON", "GEOGRAPHY", "INTERVAL", "BIGNUMERIC", "RANGE"})


def open_stream(sql: str, session: Session, rewriter: Rewriter, functions: Functions) -> pa.RecordBatchReader | None:
    """Return the rows of a query on top of one ML.PREDICT as a stream, or None where that is not possible.

    Args:
        sql: One query of GoogleSQL.
        session: The job that runs it.
        rewriter: The statement's rewriter, which checks the call.
        functions: Where the loaded models are.

    Raises:
        QueryError: The call is wrong.
    """
    call = _only_call(sql)
    if call is None:
        return None
    prediction, columns = rewriter.prediction(call)
    if any(_lossy(column.field) for column in columns):
        return None
    query = without_comments(rewriter.with_tables(_source(prediction, columns), call.span.start))
    reader = session.connection.cursor()
    try:
        # What only the job's own connection sees, such as its temporary tables, is left to the ordinary way.
        source = reader.execute(*session.bind(session.translate(query))).to_arrow_reader(BATCH_ROWS)
    except (duckdb.Error, QueryError):
        return None
    predict = functions.predictor(prediction.model).predict
    schema = _schema(prediction, source.schema)
    batches = _predicted(source, prediction, predict, schema, session)
    stream = pa.RecordBatchReader.from_batches(schema, batches)
    return stream if _takes_all(sql, call) else _outer(sql, call, stream, session)


def _only_call(sql: str) -> Call | None:
    """Return the one ML.PREDICT of a query if it stands in its outermost FROM clause, so that it is read once."""
    calls = list(find_calls(sql, REWRITTEN, Span(0, len(sql))))
    if len(calls) != 1 or calls[0].name != "ML.PREDICT":
        return None
    depth = 0
    for before, token in zip((None, *tokens(sql)), tokens(sql), strict=False):
        if token.start == calls[0].span.start:
            stands_in_from = before is not None and (before.is_word("FROM", "JOIN") or before.is_symbol(","))
            return calls[0] if depth == 0 and stands_in_from else None
        depth += token.is_symbol("(", "[") - token.is_symbol(")", "]")
    return None


def _lossy(field: dict[str, Any]) -> bool:
    return field["type"] in _LOSSY_TYPES or any(_lossy(inner) for inner in field.get("fields", ()))


def _source(prediction: Prediction, columns: list[Column]) -> str:
    """Return the query of the input columns, behind them what the model gets where it is not just one of them."""
    computed = "".join(
        f", {argument.sql} AS {_INPUT}{index}"
        for index, argument in enumerate(prediction.arguments)
        if not argument.plain
    )
    return f"SELECT {_ROW}.*{computed} FROM ({prediction.query}) AS {_ROW}"


def _schema(prediction: Prediction, source: pa.Schema) -> pa.Schema:
    outputs = [pa.field(feature.name, feature.arrow_type) for feature in prediction.outputs]
    return pa.schema([*outputs, *(field for field in source if not field.name.startswith(_INPUT))])


def _predicted(
    source: pa.RecordBatchReader,
    prediction: Prediction,
    predict: Callable[[dict[str, pa.Array]], dict[str, pa.Array]],
    schema: pa.Schema,
    session: Session,
) -> Iterator[pa.RecordBatch]:
    """Give the batches of ``source`` with the model's outputs before them, in order."""
    names = [feature.name for feature in prediction.inputs]
    kept = [index for index, field in enumerate(source.schema) if not field.name.startswith(_INPUT)]
    positions = [
        source.schema.get_field_index(argument.column if argument.plain else f"{_INPUT}{index}")
        for index, argument in enumerate(prediction.arguments)
    ]

    def run(batch: pa.RecordBatch) -> pa.RecordBatch:
        given = {name: batch.column(index) for name, index in zip(names, positions, strict=True)}
        outputs = predict(given)
        return pa.RecordBatch.from_arrays([*outputs.values(), *(batch.column(index) for index in kept)], schema=schema)

    pending: deque[Future[pa.RecordBatch]] = deque()
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="predict") as pool:
        try:
            for batch in source:
                if session.cancelled.is_set():
                    raise QueryError("Job execution was cancelled: User requested cancellation", reason="stopped")
                pending.append(pool.submit(run, batch))
                while len(pending) > WORKERS:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except QueryError as error:
            raise FunctionError(error) from error
        finally:
            for future in pending:
                future.cancel()


def _takes_all(sql: str, call: Call) -> bool:
    """Tell whether the query is ``SELECT * FROM`` the call and nothing else."""
    words = [token for token in tokens(sql) if not call.span.start <= token.start < call.span.end]
    if words and words[-1].is_symbol(";"):
        words.pop()
    return [token.text.upper() for token in words] == ["SELECT", "*", "FROM"]


def _outer(sql: str, call: Call, stream: pa.RecordBatchReader, session: Session) -> pa.RecordBatchReader | None:
    """Return the rows of the query around the call, with ``stream`` in the call's place."""
    name = f"ml_stream_{uuid.uuid4().hex}"
    # A table function's name is left alone by everything that looks for tables to give a dataset to.
    outer = session.translate(without_comments(f"{sql[: call.span.start]}{name}(){sql[call.span.end :]}"))
    bound, values = session.bind(re.sub(rf"\b{name}\(\)", name, outer, flags=re.IGNORECASE))
    connection = session.connection.cursor()
    connection.register(name, stream)
    try:
        return connection.execute(bound, values).to_arrow_reader(BATCH_ROWS)
    except duckdb.Error:
        return None
