"""Replaces the calls of functions that embed texts."""

from __future__ import annotations

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.calls import Call
from localcloud.bigquery.ml.generating.embedding_calls import EMBEDDING_CALLS, prepare_call
from localcloud.bigquery.ml.generating.embeddings import prepare_embedding
from localcloud.bigquery.ml.replacing.context import CallContext


class EmbeddingCalls:
    """The calls in one statement."""

    def __init__(self, context: CallContext) -> None:
        """Replace calls in the statement of ``context``."""
        self._context = context

    def subquery(self, call: Call) -> str:
        """Return the subquery of a call over a table. Raises ``QueryError`` if it is not valid."""
        model, query, options = self._context.arguments.remote_call(call)
        embedding = prepare_embedding(call.name, model, options)
        columns = self._context.arguments.describe(call, query)
        subquery = embedding.sql(query, columns, self._context.call_number(call))
        self._context.register_counted(
            embedding.duckdb_function,
            embedding.answer,
            list(embedding.parameters),
            embedding.returns,
        )
        return subquery

    def expression(self, call: Call) -> str:
        """Return the expression of a call over one row. Raises ``QueryError`` if it is not valid."""
        names = EMBEDDING_CALLS[call.name]
        given = self._context.arguments.named_arguments(call, names)
        texts = [given.pop(name, None) for name in names]
        if "model" in given:
            raise QueryError(
                f"{call.name}: models that run in BigQuery (model) are not available in the local BigQuery: use an "
                "endpoint.",
                reason="notImplemented",
                location="query",
            )
        if None in texts or "endpoint" not in given:
            raise self._context.arguments.invalid(call, f"it takes {' and '.join(names)}, and an endpoint.")
        options = {name: self._context.arguments.evaluate(argument.span) for name, argument in given.items()}
        endpoint = self._context.arguments.endpoint(options)
        embedding = prepare_call(call.name, endpoint, options)
        answer = embedding.vectors if len(names) == 1 else embedding.similarities
        self._context.register_counted(
            embedding.duckdb_function,
            answer,
            embedding.parameters,
            embedding.returns,
        )
        return embedding.sql(
            [self._context.rewrite(text.span) for text in texts if text], self._context.call_number(call)
        )
