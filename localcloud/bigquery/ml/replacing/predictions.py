"""Replaces the calls of ML.PREDICT."""

from __future__ import annotations

from localcloud.bigquery.base.session import Column
from localcloud.bigquery.ml.calls import Call
from localcloud.bigquery.ml.predicting.prediction import Prediction, prepare_prediction
from localcloud.bigquery.ml.predicting.streaming import open_stream, source_query
from localcloud.bigquery.ml.replacing.context import CallContext
from localcloud.bigquery.ml.surroundings import reject_ambiguous_columns


class PredictionCalls:
    """The calls in one statement."""

    def __init__(self, context: CallContext) -> None:
        """Replace calls in the statement of ``context``."""
        self._context = context

    def subquery(self, call: Call, *, streamed: bool) -> str:
        """Return the subquery of a call.

        Args:
            call: The call.
            streamed: Whether its rows may be a stream. Only the job's own connection can read a stream.

        Raises:
            QueryError: The model does not exist, or the input does not match it.
        """
        session, functions = self._context.session, self._context.functions
        prediction, columns = self._prepare(call)
        function = functions.register_model(session.connection, prediction.model)
        subquery = prediction.sql(function, functions.job_number(session.cancelled))
        if not streamed:
            return subquery
        query = self._context.arguments.with_tables(source_query(prediction), call.span.start)
        stream = open_stream(prediction, columns, query, session, functions)
        if stream is None:
            return subquery
        # The second half returns no rows. It keeps the names of all tables that the statement reads.
        return f"(SELECT * FROM {stream} UNION ALL SELECT * FROM {subquery} WHERE FALSE)"

    def _prepare(self, call: Call) -> tuple[Prediction, list[Column]]:
        """Return a validated call, and the columns of its input."""
        arguments, sql = self._context.arguments, self._context.sql
        if not 2 <= len(call.arguments) <= 3:
            raise arguments.invalid(call, "it takes a model, a table or a query, and optionally a STRUCT.")
        model = arguments.model(call)
        query = arguments.query(call, call.arguments[1])
        if len(call.arguments) == 3:
            arguments.check_options(call, call.arguments[2], model)
        columns = arguments.describe(call, query)
        prediction = prepare_prediction(model, query, columns, sql=sql, offset=call.span.start)
        if prediction.repeats:
            reject_ambiguous_columns(sql, call.span, prediction.columns)
        return prediction, columns
